# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw's configuration from the text of its files: settings, defaults and the numbered rules (ufw(8), ufw-framework(8)).

ufw keeps a rule as a comment line ``### tuple ###`` in user.rules (IPv4) and user6.rules, above the iptables rules
that it makes of it. The tuple is what ufw compares rules by, the iptables rules are what the kernel gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .manager import Files

DEFAULTS = "/etc/default/ufw"
CONF = "/etc/ufw/ufw.conf"
USER_RULES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
_SETTING = re.compile(r"^\s*(\w+)\s*=\s*[\"']?([^\"'#\n]*?)[\"']?\s*(?:#.*)?$", re.MULTILINE)
_TUPLE = "### tuple ###"
_ANYWHERE = ("0.0.0.0/0", "::/0")
_COMMAND_WORDS = re.compile(r"^(?!\s*#).*\b(?:ip6?tables|nft|ipset|ebtables)\b", re.MULTILINE)


@dataclass(frozen=True)
class Tuple:
    """One rule as ufw stores it. ``number`` is the one of ``ufw status numbered``; tuples of one application share it.

    ``action`` is allow, deny, reject or limit; ``log`` empty, log or log-all; ``direction`` in, out or route;
    ``kernel`` the iptables rules (``-A ...``) made of it.
    """

    version: int
    number: int
    action: str
    log: str
    protocol: str
    ports: str
    destination: str
    source_ports: str
    source: str
    direction: str
    interface_in: str
    interface_out: str
    application: str
    comment: str
    kernel: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[object, ...]:
        """What ufw takes two rules for the same by: all but action, log and comment."""
        return (
            self.version,
            self.protocol,
            self.ports,
            self.destination,
            self.source_ports,
            self.source,
            self.direction,
            self.interface_in,
            self.interface_out,
            self.application,
        )

    def __str__(self) -> str:
        """The rule as a person would say it: ``deny in on eth0 22/tcp from 192.0.2.10``."""
        words = [self.action, {"route": "fwd"}.get(self.direction, self.direction)]
        words += [f"on {name}" for name in (self.interface_in, self.interface_out) if name]
        what = self.application or self.ports
        if what != "any":
            words.append(what if self.protocol == "any" or self.application else f"{what}/{self.protocol}")
        elif self.protocol != "any":
            words.append(self.protocol)
        words += [f"to {self.destination}"] if self.destination not in _ANYWHERE else []
        if self.source not in _ANYWHERE or self.source_ports != "any":
            source = "anywhere" if self.source in _ANYWHERE else self.source
            words.append(f"from {source}" + (f" port {self.source_ports}" if self.source_ports != "any" else ""))
        return " ".join(words) + (f" ({self.log})" if self.log else "")


@dataclass(frozen=True)
class UfwConfig:
    """ufw's stored configuration. ``gaps`` are sentences about what could not be read and can concern any packet."""

    files: Files
    settings: Mapping[str, str]
    rules: tuple[Tuple, ...]
    gaps: tuple[str, ...] = ()

    @property
    def enabled(self) -> bool:
        """Whether ufw loads its rules at boot."""
        return self.settings.get("ENABLED", "no").lower() == "yes"

    @property
    def ipv6(self) -> bool:
        """Whether ufw manages IPv6; where it does not, it drops all of it."""
        return self.settings.get("IPV6", "no").lower() == "yes"

    def policy(self, direction: str) -> str:
        """The default for input, output or forward: ACCEPT, DROP or REJECT."""
        return self.settings.get(f"DEFAULT_{direction.upper()}_POLICY", "DROP").upper()

    def of_version(self, version: int) -> tuple[Tuple, ...]:
        """The rules of one family, in their order."""
        return tuple(rule for rule in self.rules if rule.version == version)


def parse_ufw_files(files: Files) -> UfwConfig:
    """ufw's configuration from the text of its files, by absolute path. Never raises: see its ``gaps``."""
    settings = {**_settings(files.get(DEFAULTS, "")), **_settings(files.get(CONF, ""))}
    gaps = [f"{path} is missing" for path in (DEFAULTS, CONF) if path not in files]
    for path in ("/etc/ufw/before.init", "/etc/ufw/after.init"):
        if _COMMAND_WORDS.search(files.get(path, "")):
            gaps.append(f"{path} changes rules by commands of its own, if it may be executed")
    rules: list[Tuple] = []
    for version, path in USER_RULES.items():
        if version == 4 or settings.get("IPV6", "no").lower() == "yes":
            rules += _numbered(_read_tuples(files.get(path, ""), version), start=_last(rules))
    return UfwConfig(files, settings, tuple(rules), tuple(gaps))


def _settings(text: str) -> dict[str, str]:
    return {name: value.strip() for name, value in _SETTING.findall(text)}


def _last(rules: list[Tuple]) -> int:
    return rules[-1].number if rules else 0


def _numbered(rules: Iterator[Tuple], start: int) -> Iterator[Tuple]:
    """Number the rules as ``ufw status numbered`` does: tuples of one application rule count once."""
    seen: dict[tuple[object, ...], int] = {}
    number = start
    for rule in rules:
        key: tuple[object, ...] = ()
        if rule.application:
            sides = (rule.interface_in, rule.interface_out, rule.direction)
            key = (rule.application, rule.destination, rule.source, *sides)
        if not key or key not in seen:
            number += 1
        yield replace(rule, number=seen.setdefault(key, number) if key else number)


def _read_tuples(text: str, version: int) -> Iterator[Tuple]:
    current: Tuple | None = None
    kernel: list[str] = []
    for line in text.splitlines():
        if line.startswith((_TUPLE, "### END RULES")):
            if current is not None:
                yield replace(current, kernel=tuple(kernel))
            current, kernel = _parse_tuple(line[len(_TUPLE) :], version) if line.startswith(_TUPLE) else None, []
        elif line.startswith("-A ") and current is not None:
            kernel.append(line.strip())
    if current is not None:
        yield replace(current, kernel=tuple(kernel))


def _parse_tuple(text: str, version: int) -> Tuple | None:
    """``allow_log tcp 22 0.0.0.0/0 any 192.0.2.10 [- -] in_eth0 comment=...``; None for a line that ufw skips."""
    text, _comment, comment = text.partition(" comment=")
    fields = text.split()
    if not 6 <= len(fields) <= 9:
        return None
    head, _colon, rest = fields[0].partition(":")
    action, _underscore, log = (rest or head).partition("_")
    side = fields[-1] if len(fields) in (7, 9) else "in"
    inside, _mark, outside = side.partition("!")
    direction = "route" if head == "route" else inside.partition("_")[0]
    ends = {end.partition("_")[0]: end.partition("_")[2] for end in (inside, outside) if end}
    applications = [name.replace("%20", " ") for name in fields[6:8] if name != "-"] if len(fields) >= 8 else []
    return Tuple(
        version=version,
        number=0,
        action=action,
        log=log,
        protocol=fields[1],
        ports=fields[2],
        destination=fields[3],
        source_ports=fields[4],
        source=fields[5],
        direction=direction,
        interface_in=ends.get("in", ""),
        interface_out=ends.get("out", ""),
        application=", ".join(applications),
        comment=_decoded(comment.strip()),
    )


def _decoded(comment: str) -> str:
    try:
        return bytes.fromhex(comment).decode("utf-8", "replace")
    except ValueError:
        return comment
