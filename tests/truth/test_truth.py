# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Verdict and packet must agree: every scenario is loaded into a real kernel, and real packets are sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView

from .field import HOST, LAN, SOURCES, Field, Probe
from .judge import current_rules, host_view, judge, judge_network

_LEGACY_CHAINS = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
}
SCENARIOS = sorted(Path(__file__).with_name("scenarios").glob("*.yml"))
PANEL = ["tcp/22", "tcp/80", "udp/161", "icmp"]
NETWORKS = {4: "192.0.2.0/27", 6: "2001:db8:1::/64"}


@pytest.fixture(scope="session")
def field() -> Iterator[Field]:
    """One field for all scenarios."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    made = Field()
    yield made
    made.close()


@pytest.fixture(scope="session")
def host(field: Field) -> HostView:
    """The host's interfaces and routes, which no scenario changes."""
    return host_view(field)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_verdict_is_what_the_packet_meets(field: Field, host: HostView, path: Path) -> None:
    """Each source and port of the panel is judged as its packet fares; undecided is only what the scenario says."""
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        load_scenario(field, scenario)
        problems = _problems(field, host, scenario)
    finally:
        unload_scenario(field, scenario)
    assert not problems, "\n".join(problems)


def _problems(field: Field, host: HostView, scenario: dict[str, Any]) -> list[str]:
    """Where verdict and packet differ, now that the scenario is loaded."""
    ruleset = current_rules(
        field, iptables="iptables" in scenario or "ip6tables" in scenario, ipset="ipset" in scenario
    )
    probes = _probes(scenario)
    sender = scenario.get("from", "client")
    seen = field.observe(probes, sender)
    undecided = set(scenario.get("undecided", ()))
    problems = []
    for probe in probes:
        outcome = judge(ruleset, host, probe, LAN if sender == "client" else "lo")
        target = str(probe).split()[1]
        expected = "undecided" if undecided & {target, str(probe), "all"} else seen[probe]
        if outcome.fate.value != expected:
            problems.append(f"{probe}: packet {seen[probe]}, verdict {outcome.fate.value}: {outcome.reason}")
        version = ip_address(probe.source).version
        parts = judge_network(ruleset, host, probe, NETWORKS[version])
        of_source = [
            fate for part, fate in parts.items() if ip_address(probe.source) in AddressSet.parse(part.split(", "))
        ]
        if sender == "client" and of_source != [outcome.fate.value]:
            problems.append(f"{probe}: alone {outcome.fate.value}, within its network {of_source}")
    for name, fate in scenario.get("expect", {}).items():
        actual = {str(probe): result for probe, result in seen.items()}
        if actual[name] != fate:
            problems.append(f"{name}: the scenario is meant to be {fate}, the packet was {actual[name]}")
    return problems


def _probes(scenario: dict[str, Any]) -> list[Probe]:
    destinations = {4: HOST[4], 6: HOST[6], **scenario.get("destination", {})}
    found = []
    own = {version: (address,) for version, address in HOST.items()}
    for version, sources in (own if scenario.get("from") == "host" else SOURCES).items():
        for source in sources:
            for target in scenario.get("panel", PANEL):
                protocol, _slash, port = target.partition("/")
                found.append(Probe(source, destinations[version], protocol, int(port) if port else None))
    return found


def load_scenario(field: Field, scenario: dict[str, Any]) -> None:
    """Load its rules into the kernel of the field's host."""
    if "ipset" in scenario:
        field.run("ipset", "restore", text=scenario["ipset"])
    if "nft_file" in scenario:
        field.run("nft", "-f", str(SCENARIOS[0].with_name(scenario["nft_file"])))
    if "nft" in scenario:
        field.run("nft", "-f", "-", text=scenario["nft"])
    for command in ("iptables", "ip6tables"):
        if command in scenario:
            backend = "-legacy" if scenario.get("legacy") else ""
            field.run(f"{command}{backend}-restore", text=scenario[command])


def unload_scenario(field: Field, scenario: dict[str, Any]) -> None:
    """Leave no rule of it."""
    field.run("nft", "flush", "ruleset")
    if scenario.get("legacy"):
        for command in ("iptables", "ip6tables"):
            if command in scenario:
                field.run(f"{command}-legacy-restore", text=_nothing())
    if "ipset" in scenario:
        field.run("ipset", "flush")
        field.run("ipset", "destroy")


def _nothing() -> str:
    """Empty tables of the older backend, for its restore command."""
    tables = []
    for table, chains in _LEGACY_CHAINS.items():
        tables += [f"*{table}", *(f":{chain} ACCEPT" for chain in chains), "COMMIT"]
    return "\n".join(tables) + "\n"
