# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A small Linux host for tests: rules as nft prints them, and a manager that keeps a list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Decision
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole, VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.manager import Action, BootPart, Opening
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot, Unit
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import (
    HostView,
    Interface,
    Outcome,
    Packet,
    Route,
    Step,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request

HERE = ip_address("198.51.100.12")
AUDIT = "192.0.2.10"
RUNNING = Unit("loaded", "active", "enabled")
VIEW = HostView(
    interfaces=(Interface("audit0", 2, (ip_interface("198.51.100.12/24"),)),),
    routes_to=(Route(ip_network("0.0.0.0/0"), "audit0"), Route(ip_network("198.51.100.0/24"), "audit0")),
)


def table(*rules: Sequence[Mapping[str, Any]], policy: str = "drop", name: str = "filter") -> str:
    """An inet table whose input chain has these rules, each a list of nft's JSON expressions."""
    where = {"family": "inet", "table": name}
    chain = {**where, "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    listed: list[dict[str, Any]] = [
        {"metainfo": {"version": "1.0.6", "release_name": "x", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": name, "handle": 1}},
        {"chain": chain},
    ]
    for number, expressions in enumerate(rules, 2):
        listed.append({"rule": {**where, "chain": "input", "handle": number, "expr": list(expressions)}})
    return json.dumps({"nftables": listed})


def matches(protocol: str, name: str, right: Any) -> dict[str, Any]:
    """``tcp dport 22`` and the like."""
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": name}}, "right": right}}


ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
NETWORK = {"prefix": {"addr": "192.0.2.0", "len": 28}}


@dataclass
class FakeManager:
    """Says of every packet that it is blocked at boot unless ``boots`` says otherwise; a rule of the manager ``deny``
    is in the way.
    """

    name: str = "firewalld"
    boots: VerdictStatus = VerdictStatus.BLOCKED
    deny: str = ""
    mine: bool = True
    stored: set[Opening] = field(default_factory=set)

    def boot(self, packet: Packet) -> tuple[BootPart, ...]:
        return (
            BootPart(packet.source, self.boots, Decision(self.name, "boot", f"{self.name} at boot"), "stored-zone"),
        )

    def words(self, step: Step) -> Decision | None:
        return Decision(self.name, step.text, f"{self.name}: {step.text}") if self.mine else None

    def obstacle(self, outcome: Outcome) -> Decision | None:
        return Decision(self.deny, "deny", "the deny rule") if self.deny else None

    def place(self, outcome: Outcome, packet: Packet) -> str:
        return "zone"

    def place_again(self, opening: Opening, gone: Sequence[Opening]) -> str | None:
        return opening.place

    def has(self, opening: Opening) -> bool:
        return opening in self.stored

    def add(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        return (Action(("add", *(item.source for item in openings)), f"{runtime} {permanent}", "both"),)

    def remove(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        return (Action(("remove", *(item.source for item in openings)), f"{runtime} {permanent}", "both"),)

    def reread(self, openings: Sequence[Opening]) -> tuple[Action, ...]:
        return ()

    def touched(self, openings: Sequence[Opening]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(f"/etc/{self.name}/{item.place}.xml" for item in openings))


def snapshot(nft: str, *managers: FakeManager, **changes: Any) -> Snapshot:
    """A host with these rules whose managers run and are started at boot."""
    units = {manager.name: RUNNING for manager in managers} or {"firewalld": Unit("not-found", "inactive", "")}
    values: dict[str, Any] = {
        "ruleset": read_ruleset(nft=nft, xtables=[], ipset=None),
        "view": VIEW,
        "units": units,
        "managers": {manager.name: manager for manager in managers},
        "listeners": (),
        **changes,
    }
    return Snapshot(**values)


def request(*ids: str, sources: Sequence[str] = (AUDIT,), **changes: Any) -> Request:
    """What is asked: these requirements of the catalog (SSH by default) from these sources."""
    rows = tuple(get_requirement(name) for name in ids or ("linux.ssh",))
    values: dict[str, Any] = {
        "host": "web1",
        "systems": ("linux",),
        "requirements": rows,
        "openable": frozenset(row.id for row in rows),
        "sources": {SourceRole.AUDIT_HOST: tuple(NamedSource(text, AddressSet.parse(text)) for text in sources)},
        "destinations": (HERE,),
        **changes,
    }
    return Request(**values)
