# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""An ESXi host's firewall as a stand-in: state, and the refusals that a real one makes. Made from captured data alone.

The ports of rulesets are those of the captured 6.5 host on every release, as nobody has published later ones; whether a
ruleset is enabled and who owns it come from the release's own table. Of 7.0 there is none: it is a 6.5 by another name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

OWNED_SWITCH = "Can not enable/disable this ruleset, it is owned by system service."
OWNED_LIST = "Invalid operation requested: Can not change allowed ip list this ruleset, it is owned by system service."
RELEASES = {
    release: {
        "Product": "VMware ESXi",
        "Version": version,
        "Build": f"Releasebuild-{build}",
        "Update": update,
        "Patch": patch,
    }
    for release, version, build, update, patch in (
        ("6.5", "6.5.0", "5969303", "1", "29"),
        ("7.0", "7.0.3", "21930508", "3", "105"),
        ("8.0.2", "8.0.2", "22380479", "2", "0"),
        ("8.0.3", "8.0.3", "25205845", "3", "95"),
    )
}
_TABLES = {"8.0.2": "ruleset_list_8.0u2_table.txt", "8.0.3": "ruleset_list_8.0u2b_table.txt"}


class RefusedError(Exception):
    """The host refuses; the text is the one that real hosts print, ``fault`` the API's name for it."""

    def __init__(self, text: str, fault: str = "HostConfigFault") -> None:
        super().__init__(text)
        self.fault = fault


@dataclass
class Rule:
    """One rule of a ruleset, in the API's words."""

    direction: str
    protocol: str
    port_type: str
    first: int
    last: int


@dataclass
class Ruleset:
    """A ruleset's state. ``can_enable`` and ``can_list`` are ``None`` before 8.0 Update 2."""

    key: str
    label: str
    rules: list[Rule]
    enabled: bool
    required: bool = False
    service: str | None = None
    allows_all: bool = True
    allowed: list[str] = field(default_factory=list)
    can_enable: bool | None = None
    can_list: bool | None = None


@dataclass
class Host:
    """One host. ``forms`` are the formatters that its esxcli has; ``journal`` is every change that was made."""

    name: str
    release: str
    rulesets: dict[str, Ruleset]
    default_action: str = "DROP"
    enabled: bool = True
    loaded: bool = True
    forms: tuple[str, ...] = ("debug json", "csv", "text")
    journal: list[str] = field(default_factory=list)

    def ruleset(self, key: str) -> Ruleset:
        """The ruleset of a name. Raises RefusedError where there is none."""
        if key not in self.rulesets:
            raise RefusedError(f"Invalid ruleset id: {key}", "NotFound")
        return self.rulesets[key]

    def switch(self, key: str, enabled: bool) -> None:
        """Enable or disable a ruleset."""
        ruleset = self.ruleset(key)
        if ruleset.can_enable is False or (ruleset.required and not enabled):
            raise RefusedError(OWNED_SWITCH)
        ruleset.enabled = enabled
        self.journal.append(f"{'enable' if enabled else 'disable'} {key}")

    def change_list(self, key: str, allows_all: bool, allowed: list[str]) -> None:
        """Replace a ruleset's list, as the API does: all at once."""
        ruleset = self.ruleset(key)
        if ruleset.can_list is False:
            raise RefusedError(OWNED_LIST)
        for text in allowed:
            ip_network(text, strict=False)
        ruleset.allows_all, ruleset.allowed = allows_all, list(allowed)
        self.journal.append(f"list {key}: {'all' if allows_all else ', '.join(allowed) or 'nobody'}")

    def admits(self, source: str, port: int) -> bool:
        """Whether a new connection of a client gets in: what a real host does with its packets."""
        if not self.enabled or not self.loaded or self.default_action == "PASS":
            return True
        client = ip_address(source)
        listing = [
            ruleset
            for ruleset in self.rulesets.values()
            if ruleset.allows_all or any(client in ip_network(text, strict=False) for text in ruleset.allowed)
        ]
        return any(
            ruleset.enabled
            for ruleset in listing
            for rule in ruleset.rules
            if (rule.direction, rule.protocol, rule.port_type) == ("inbound", "tcp", "dst")
            and rule.first <= port <= rule.last
        )

    def state(self) -> dict[str, tuple[bool, bool, tuple[str, ...]]]:
        """All that can be changed, for comparing before and after."""
        return {key: (item.enabled, item.allows_all, tuple(item.allowed)) for key, item in self.rulesets.items()}


def captured_host(data: Path, release: str, name: str = "esx1") -> Host:
    """A host of a release (``6.5``, ``7.0``, ``8.0.2``, ``8.0.3``) from the folder of captured data."""
    captured = json.loads((data / "hostfirewallinfo_6.5.0_5969303.json").read_text())
    rulesets = {item["key"]: _ruleset(item) for item in captured["ruleset"]}
    if release in _TABLES:
        rulesets = dict(_owned((data / _TABLES[release]).read_text(), rulesets))
    return Host(name, release, rulesets)


def _ruleset(item: dict) -> Ruleset:  # type: ignore[type-arg]
    rules = [
        Rule(rule["direction"], rule["protocol"], rule["portType"], rule["port"], rule["endPort"] or rule["port"])
        for rule in item["rule"]
    ]
    return Ruleset(item["key"], item["label"], rules, item["enabled"], item["required"], item["service"])


def _owned(table: str, older: dict[str, Ruleset]) -> list[tuple[str, Ruleset]]:
    found = []
    for line in table.splitlines():
        match = re.match(r"^(\S+)\s+(true|false)\s+(true|false)\s+(true|false)\s*$", line)
        if match:
            key, enabled, can_enable, can_list = match.groups()
            # A ruleset of a later release: its ports are not published, so it gets one that no test asks for.
            known = older.get(key) or Ruleset(key, key, [Rule("outbound", "tcp", "dst", 1, 1)], False)
            known.enabled, known.required = enabled == "true", False
            known.can_enable, known.can_list = can_enable == "true", can_list == "true"
            found.append((key, known))
    return found
