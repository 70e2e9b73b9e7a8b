# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Verdicts of a Linux host: sources, destinations, listeners, arrivals and the state after a reboot."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.listeners import Listener
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Unit
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView, Interface, Route

from .hosts import ACCEPT, AUDIT, DROP, HERE, NETWORK, VIEW, FakeManager, matches, request, snapshot, table

SSH = matches("tcp", "dport", 22)
OPEN, BLOCKED, UNKNOWN = VerdictStatus.OPEN, VerdictStatus.BLOCKED, VerdictStatus.UNKNOWN


def judged(nft: str, *managers: FakeManager, asked: Any = None, **changes: Any) -> Verdict:
    return evaluate(snapshot(nft, *managers, **changes), asked or request())[0]


def test_no_rule_is_open_now_and_later() -> None:
    verdict = judged('{"nftables": []}')
    assert (verdict.status, verdict.persistent, verdict.paths[0].decided_by) == (OPEN, True, ())


def test_the_deciding_rule_is_named_in_the_words_of_its_manager() -> None:
    verdict = judged(table([SSH, ACCEPT]), FakeManager(boots=OPEN))
    assert verdict.status is OPEN
    assert verdict.reason == "let in by firewalld: tcp dport 22 accept"
    foreign = judged(table([SSH, DROP]), FakeManager(mine=False))
    assert foreign.reason.startswith("dropped by rule 1 of chain inet filter input: tcp dport 22 drop")
    assert foreign.paths[0].decided_by[0].id == "inet filter input handle 2"


@pytest.mark.parametrize(
    ("nft", "boots", "status", "persistent"),
    [
        (table([SSH, ACCEPT]), OPEN, OPEN, True),
        (table([SSH, ACCEPT]), BLOCKED, OPEN, False),
        (table([SSH, ACCEPT]), UNKNOWN, OPEN, None),
        (table(), OPEN, BLOCKED, False),
        (table(), BLOCKED, BLOCKED, True),
    ],
)
def test_persistence_compares_now_with_boot(
    nft: str, boots: VerdictStatus, status: VerdictStatus, persistent: bool | None
) -> None:
    verdict = judged(nft, FakeManager(boots=boots))
    assert (verdict.status, verdict.persistent) == (status, persistent)
    assert ("after a reboot: firewalld at boot" in verdict.reason) is (persistent is not True)


def test_what_else_loads_rules_at_boot_is_named() -> None:
    verdict = judged(table([SSH, ACCEPT]), units={"nftables": Unit("loaded", "inactive", "enabled")})
    assert verdict.persistent is None
    assert "nftables.service" in verdict.reason
    assert judged(table([SSH, ACCEPT]), units={}).persistent is None


def test_of_two_managers_at_boot_the_one_that_blocks_wins() -> None:
    managers = FakeManager(boots=OPEN), FakeManager("ufw", boots=BLOCKED)
    assert judged(table([SSH, ACCEPT]), *managers).persistent is False


def test_a_network_that_is_open_in_part_is_partial_with_its_parts() -> None:
    rules = table([matches("ip", "saddr", NETWORK), SSH, ACCEPT])
    verdict = judged(rules, asked=request(sources=["192.0.2.0/24"]))
    assert verdict.status is VerdictStatus.PARTIAL
    assert {path.source: path.status for path in verdict.paths}["192.0.2.0/28"] is OPEN
    assert sum(path.status is BLOCKED for path in verdict.paths) == 1
    assert judged(rules, asked=request(sources=["192.0.2.8/29"])).status is OPEN


def test_two_audit_hosts_of_which_one_gets_in() -> None:
    rules = table([matches("ip", "saddr", AUDIT), SSH, ACCEPT])
    verdict = judged(rules, asked=request(sources=[AUDIT, "192.0.2.11"]))
    assert verdict.status is VerdictStatus.PARTIAL
    assert "open for 192.0.2.10" in verdict.reason
    assert "blocked for 192.0.2.11" in verdict.reason


def test_an_address_that_is_not_the_hosts_is_unknown_with_the_next_step() -> None:
    verdict = judged('{"nftables": []}', asked=request(destinations=(ip_address("198.51.100.99"),)))
    assert verdict.status is UNKNOWN
    assert "audit_ports_address" in verdict.reason


def test_families_that_do_not_meet_are_unknown() -> None:
    verdict = judged('{"nftables": []}', asked=request(sources=["2001:db8::1"]))
    assert verdict.status is UNKNOWN
    assert "no source (2001:db8::1) is of the same address family" in verdict.reason


def test_without_root_nothing_is_known() -> None:
    verdict = judged('{"nftables": []}', problem="needs root")
    assert (verdict.status, verdict.reason) == (UNKNOWN, "needs root")


def test_the_kernel_may_ignore_echo_requests() -> None:
    asked = request("network_scan.icmp_echo")
    settings = {"net.ipv4.icmp_echo_ignore_all": "1"}
    assert judged('{"nftables": []}', asked=asked).status is OPEN
    verdict = judged('{"nftables": []}', asked=asked, sysctls=settings)
    assert (verdict.status, verdict.paths[0].decided_by[0].kind) == (BLOCKED, "sysctl")


def test_a_rule_that_nobody_can_decide_is_unknown_and_named() -> None:
    limit = {"limit": {"rate": 5, "per": "minute"}}
    verdict = judged(table([SSH, limit, ACCEPT]))
    assert verdict.status is UNKNOWN
    assert "limit" in verdict.reason


def test_two_ways_in_that_differ_are_unknown() -> None:
    view = HostView(
        interfaces=(*VIEW.interfaces, Interface("mgmt0", 3, (ip_interface("203.0.113.12/24"),))),
        routes_to=(Route(ip_network("192.0.2.0/24"), "mgmt0"), *VIEW.routes_to),
    )
    by_audit0 = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "audit0"}}
    rules = table([by_audit0, ACCEPT])
    verdict = judged(rules, view=view)
    assert verdict.status is UNKNOWN
    assert "by audit0 it is open" in verdict.reason
    assert judged(rules, view=view, sysctls={"net.ipv4.conf.all.rp_filter": "1"}).status is BLOCKED
    assert judged(table([SSH, ACCEPT]), view=view).status is OPEN


def test_not_applicable_and_undetermined_rows() -> None:
    asked = request("windows.ldap", not_applicable={"windows.ldap": "not a domain controller"})
    assert judged('{"nftables": []}', asked=asked).status is VerdictStatus.NOT_APPLICABLE
    asked = request("windows.ldap", undetermined={"windows.ldap": "nobody said"})
    assert judged('{"nftables": []}', asked=asked).status is UNKNOWN


def test_services_are_not_judged_by_a_linux_firewall() -> None:
    assert judged('{"nftables": []}', asked=request("windows.named_pipes")).status is UNKNOWN


@pytest.mark.parametrize(
    ("listeners", "listening", "says"),
    [
        ((Listener("tcp", None, 22, frozenset({4, 6}), "sshd"),), True, "sshd on every address, tcp/22"),
        ((Listener("tcp", HERE, 22, frozenset({4}), "sshd"),), True, "sshd on 198.51.100.12"),
        ((Listener("tcp", ip_address("127.0.0.1"), 22, frozenset({4}), "sshd"),), False, "sshd on 127.0.0.1"),
        ((Listener("tcp", None, 2222, frozenset({4}), "sshd"),), False, "set ports: {linux.ssh: 2222}"),
        ((Listener("udp", None, 22, frozenset({4}), "x"),), False, None),
        ((), False, None),
        (None, None, None),
    ],
)
def test_listeners(listeners: Any, listening: bool | None, says: str | None) -> None:
    verdict = judged('{"nftables": []}', listeners=listeners)
    assert verdict.listening is listening
    assert (verdict.listener is None) is (says is None)
    assert says is None or says in (verdict.listener or "")


def test_policy_routing_leaves_every_interface_possible() -> None:
    by_other = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "other0"}}
    view = replace(VIEW, interfaces=(*VIEW.interfaces, Interface("other0", 4, (ip_interface("10.0.0.1/8"),))))
    rules = table([by_other, DROP], policy="accept")
    assert judged(rules, view=view).status is OPEN
    assert judged(rules, view=replace(view, other_tables=True)).status is UNKNOWN
