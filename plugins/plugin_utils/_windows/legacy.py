# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions of the firewall of Windows XP that Group Policy may still hold: lists of ports and services.

They are not evaluated: one that may concern a port leaves open whether it is let in, as far as its scope goes
([MS-GPFAS] 2.2.19, 2.2.20).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .listeners import normal_path
from .registry import Registry
from .words import FamilyTerms, Profile, parse_addresses

_TCP, _UDP, _ICMP = 6, 17, 1
RPC_PORTS = -1  # in the place of a port: those that RPC hands out
# What the switches of that firewall let in, by the sub-key and the value that switches it on.
_SWITCHES: tuple[tuple[str, str, tuple[tuple[int, int | None], ...]], ...] = (
    (r"Services\FileAndPrint", "Enabled", ((_TCP, 139), (_TCP, 445), (_UDP, 137), (_UDP, 138), (_ICMP, None))),
    (r"Services\RemoteDesktop", "Enabled", ((_TCP, 3389),)),
    (r"Services\UPnPFramework", "Enabled", ((_TCP, 2869), (_UDP, 1900))),
    ("RemoteAdminSettings", "Enabled", ((_TCP, 135), (_TCP, 445), (_TCP, RPC_PORTS), (_ICMP, None))),
    ("IcmpSettings", "AllowInboundEchoRequest", ((_ICMP, None),)),
)
_PROTOCOLS = {"tcp": _TCP, "udp": _UDP}


@dataclass(frozen=True, slots=True)
class LegacyException:
    """One exception: ``port`` ``None`` is any of the protocol, or for ICMP the echo request; ``program`` is the path of
    the one program that it is for, empty for all; ``scope`` whom it lets in, ``None`` for anyone and for what cannot be
    read.
    """

    profile: Profile
    key: str
    protocol: int
    port: int | None
    program: str = ""
    scope: FamilyTerms | None = None


def legacy_exceptions(registry: Registry, path: str, profile: Profile) -> Iterator[LegacyException]:
    """The exceptions below the key of a profile that are switched on, or of which that cannot be told."""
    for name, value in registry.values(rf"{path}\GloballyOpenPorts\List").items():
        port, protocol, scope, mode, *_name = [*value.text.split(":"), "", "", "", ""]
        if mode.lower() != "disabled":
            number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None
            wires = [_PROTOCOLS[protocol.lower()]] if protocol.lower() in _PROTOCOLS else [_TCP, _UDP]
            for wire in wires:
                where = rf"{path}\GloballyOpenPorts\List\{name}"
                yield LegacyException(profile, where, wire, number, scope=_scope(scope))
    for name, value in registry.values(rf"{path}\AuthorizedApplications\List").items():
        # Its name is the path, or all of its text: that is how Group Policy writes lists.
        drive, text = value.text[:2], value.text[2:]
        program, scope, mode, *_name = [*text.split(":"), "", "", ""]
        if name and mode.lower() != "disabled":
            for wire in (_TCP, _UDP):
                where = rf"{path}\AuthorizedApplications\List\{name}"
                yield LegacyException(profile, where, wire, None, normal_path(drive + program), _scope(scope))
    for key, switch, doors in _SWITCHES:
        if registry.number(rf"{path}\{key}", switch):
            scope = registry.text(rf"{path}\{key}", "RemoteAddresses") or ""
            for wire, opened in doors:
                yield LegacyException(profile, rf"{path}\{key}", wire, opened, scope=_scope(scope))


def _scope(text: str) -> FamilyTerms | None:
    """Addresses, networks and LocalSubnet with commas between them; ``*`` is anyone."""
    items = [item.strip() for item in text.split(",")]
    v4, v6 = (parse_addresses(tuple(items), version) for version in (4, 6))
    is_read = not set(v4.unclear) & set(v6.unclear) and "*" not in items
    return FamilyTerms(v4, v6) if is_read else None
