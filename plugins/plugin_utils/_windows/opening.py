# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inbound rules of our own: how they are named, recognised in the registry and told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...module_utils._core.errors import InputError

MARK = "agentless-audit"
SVCHOST = r"%SystemRoot%\system32\svchost.exe"
_SAFE = re.compile(r"[^A-Za-z0-9 ._:()-]")
_OURS = re.compile(rf"\A{MARK} ([a-z][a-z0-9_.]*) ")


@dataclass(frozen=True)
class Opening:
    """One inbound allow rule of ours.

    ``protocol`` is tcp, udp or icmp (the IPv4 echo request). ``port`` is ``None`` for icmp, and with a ``service`` for
    all of its ports. ``remote`` is one address, network, range ``a-b`` or ``any``; ``profiles`` are netsh's words.
    """

    name: str
    requirement: str
    protocol: str
    port: int | None
    remote: str
    profiles: tuple[str, ...]
    program: str = ""
    service: str = ""

    def __str__(self) -> str:
        wire = "icmp echo-request" if self.protocol == "icmp" else self.protocol
        port = f"/{self.port}" if self.port is not None else ""
        service = f" to {self.service}" if self.service else ""
        return f"allow {wire}{port}{service} from {self.remote} ({', '.join(self.profiles)})"


@dataclass(frozen=True)
class Details:
    """What the write command is made of: rules to add, then rules to remove by name, direction, protocol and port."""

    add: tuple[Opening, ...] = ()
    remove: tuple[Opening, ...] = ()
    configure_winrm: bool = False


def opening_name(
    requirement: str, protocol: str, port: int | None, profiles: tuple[str, ...], remote: str, *, number: int = 1
) -> str:
    """The name of a rule of ours, of characters that no shell and no netsh interprets.

    Names differ wherever rules differ, so that a rule is deleted by its name alone; ``number`` tells a rule from an
    earlier one of the same content that has to go. Raises InputError for a requirement that could not be read back.
    """
    words = [MARK, requirement, protocol, *([str(port)] if port is not None else []), *profiles, remote]
    name = _SAFE.sub("-", " ".join(words)) + (f" ({number})" if number > 1 else "")
    if requirement_of(name) != requirement:
        raise InputError(f"requirement {requirement!r}: a Windows rule cannot be named after it")
    return name


def requirement_of(name: str) -> str | None:
    """The requirement of a rule of ours by the rule's name; ``None`` for rules of others."""
    found = _OURS.match(name)
    return found.group(1) if found else None
