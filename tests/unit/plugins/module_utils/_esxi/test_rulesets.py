# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What an ESXi host's rulesets do with packets to a port."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.rulesets import (
    HostFirewall,
    Judgement,
    PortRule,
    Ruleset,
    judge,
)

WEB = Ruleset("webAccess", True, True, rules=(PortRule(True, True, "tcp", 80, 80),))
CLIENT = Ruleset(
    "vSphereClient",
    True,
    True,
    rules=(PortRule(True, True, "tcp", 902, 902), PortRule(True, True, "tcp", 443, 443)),
)
NFC = Ruleset("NFC", True, True, rules=(PortRule(True, True, "tcp", 902, 902), PortRule(False, True, "tcp", 902, 902)))
OUTBOUND = Ruleset("httpClient", True, True, rules=(PortRule(False, True, "tcp", 80, 80),))
HTTP, HTTPS, AUTHD = (get_requirement(f"esxi.{name}") for name in ("http", "https", "authd"))
AUDIT = AddressSet.parse("192.0.2.10")


def firewall(*rulesets: Ruleset, blocked: bool | None = True) -> HostFirewall:
    return HostFirewall(rulesets, incoming_blocked=blocked, enabled=True, loaded=True)


def only(parts: tuple[Judgement, ...]) -> Judgement:
    assert len(parts) == 1
    return parts[0]


def test_an_enabled_ruleset_for_everyone_lets_in() -> None:
    part = only(judge(firewall(OUTBOUND, WEB), HTTP, AUDIT))
    assert (part.status, part.persistent) == (VerdictStatus.OPEN, True)
    assert [decision.id for decision in part.decided_by] == ["webAccess"]


def test_enabled_with_another_list_is_blocked() -> None:
    """`enabled` alone is a false pass: the list decides, too."""
    restricted = replace(WEB, allows_all=False, allowed=("198.51.100.0/24",))
    part = only(judge(firewall(restricted), HTTP, AUDIT))
    assert part.status is VerdictStatus.BLOCKED
    assert "198.51.100.0/24" in part.reason


def test_an_empty_list_lets_nobody_in() -> None:
    part = only(judge(firewall(replace(WEB, allows_all=False)), HTTP, AUDIT))
    assert part.status is VerdictStatus.BLOCKED
    assert "for nobody" in part.reason


@pytest.mark.parametrize("entry", ["192.0.2.10", "192.0.2.10/32", "192.0.2.0/24", "192.0.2.77/24"])
def test_entries_are_compared_as_networks(entry: str) -> None:
    part = only(judge(firewall(replace(WEB, allows_all=False, allowed=(entry,))), HTTP, AUDIT))
    assert part.status is VerdictStatus.OPEN


def test_a_network_is_split_into_those_who_are_on_the_list_and_the_rest() -> None:
    restricted = replace(WEB, allows_all=False, allowed=("192.0.2.0/25",))
    parts = judge(firewall(restricted), HTTP, AddressSet.parse("192.0.2.0/24"))
    assert {(str(part.source), part.status) for part in parts} == {
        ("192.0.2.0/25", VerdictStatus.OPEN),
        ("192.0.2.128/25", VerdictStatus.BLOCKED),
    }


def test_two_rulesets_admit_together() -> None:
    lists = (replace(NFC, allows_all=False, allowed=("192.0.2.10",)), replace(CLIENT, allows_all=False))
    assert only(judge(firewall(*lists), AUTHD, AUDIT)).status is VerdictStatus.OPEN
    assert only(judge(firewall(*lists), HTTPS, AUDIT)).status is VerdictStatus.BLOCKED


def test_an_outbound_rule_opens_nothing() -> None:
    part = only(judge(firewall(OUTBOUND), HTTP, AUDIT))
    assert part.status is VerdictStatus.BLOCKED
    assert [decision.kind for decision in part.decided_by] == ["default_action"]


def test_a_span_of_ports_is_matched() -> None:
    span = Ruleset("gdbserver", True, True, rules=(PortRule(True, True, "tcp", 50, 9999),))
    assert only(judge(firewall(span), HTTP, AUDIT)).status is VerdictStatus.OPEN


@pytest.mark.parametrize(
    ("state", "persistent"),
    [({"enabled": False}, None), ({"loaded": False}, None), ({"incoming_blocked": False}, None)],
)
def test_a_firewall_that_does_not_filter_lets_everything_in(state: dict[str, Any], persistent: bool | None) -> None:
    part = only(judge(replace(firewall(replace(WEB, enabled=False)), **state), HTTP, AUDIT))
    assert (part.status, part.persistent) == (VerdictStatus.OPEN, persistent)


def test_what_is_not_known_is_unknown() -> None:
    for unread in (
        replace(WEB, enabled=None),
        replace(WEB, allows_all=None),
        replace(WEB, rules=None),
        replace(WEB, allows_all=False, allowed=("not an address",)),
    ):
        part = only(judge(firewall(unread, CLIENT), HTTP, AUDIT))
        assert part.status is VerdictStatus.UNKNOWN, unread
        assert "webAccess" in part.reason
    assert only(judge(firewall(blocked=None), HTTP, AUDIT)).status is VerdictStatus.UNKNOWN


def test_a_doubt_does_not_matter_where_another_ruleset_lets_in() -> None:
    part = only(judge(firewall(replace(WEB, rules=None), WEB), HTTP, AUDIT))
    assert part.status is VerdictStatus.OPEN


def test_echo_is_not_a_matter_of_rulesets() -> None:
    part = only(judge(firewall(WEB), get_requirement("network_scan.icmp_echo"), AUDIT))
    assert part.status is VerdictStatus.UNKNOWN


def test_owned_by_the_system_is_managed_policy() -> None:
    owned = replace(WEB, enabled=False, can_enable=False, can_list=True)
    part = only(judge(firewall(owned), HTTP, AUDIT))
    assert [decision.kind for decision in part.decided_by] == ["managed_policy"]
    assert "owned by the system" in part.reason
    free = replace(owned, can_enable=True)
    assert [decision.kind for decision in only(judge(firewall(free), HTTP, AUDIT)).decided_by] == ["ruleset"]
