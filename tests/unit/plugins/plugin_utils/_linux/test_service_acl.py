# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Address lists of services: systemd's and the TCP wrappers'."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.service_acl import (
    Denial,
    unit_denials,
    wrapper_denials,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Unit
from hypothesis import given
from hypothesis import strategies as st

from .hosts import request, snapshot

NO_RULES = '{"nftables": []}'


def status(found: list[Denial], address: str) -> str:
    source = AddressSet.parse(address)
    return next((denial.status.value for denial in found if denial.sources & source), "answered")


@pytest.mark.parametrize(
    ("allow", "deny", "expected"),
    [
        ("", "", "answered"),
        ("", "::/0 0.0.0.0/0", "blocked"),
        ("192.0.2.0/24", "::/0 0.0.0.0/0", "answered"),
        ("192.0.2.11/32", "0.0.0.0/0", "blocked"),
        ("", "198.51.100.0/24", "answered"),
        ("", "something", "unknown"),
    ],
)
def test_units(allow: str, deny: str, expected: str) -> None:
    assert status(list(unit_denials("ssh", allow, deny)), "192.0.2.10") == expected


def test_a_container_may_not_enforce_what_its_units_deny() -> None:
    (denial,) = unit_denials("ssh", "", "192.0.2.10/32", contained=True)
    assert (denial.status, "container" in denial.decision.text) == (VerdictStatus.UNKNOWN, True)
    assert list(unit_denials("ssh", "", "", contained=True)) == []


@pytest.mark.parametrize(
    ("allow", "deny", "expected"),
    [
        ("", "", "answered"),
        ("", "ALL: ALL", "blocked"),
        ("# sshd: ALL", "ALL: ALL", "blocked"),
        ("sshd: 192.0.2.", "ALL: ALL", "answered"),
        ("sshd: 192.0.2.0/255.255.255.0", "ALL: ALL", "answered"),
        ("snmpd, sshd : 198.51.100.1, 192.0.2.10", "ALL: ALL", "answered"),
        ("snmpd: ALL", "ALL: ALL", "blocked"),
        ("", "ALL EXCEPT sshd: ALL", "answered"),
        ("", "sshd: ALL EXCEPT 192.0.2.10", "answered"),
        ("", "sshd: ALL EXCEPT 192.0.2.11", "blocked"),
        ("", "sshd: [2001:db8::]/32", "answered"),
        ("", "sshd: .example.com", "unknown"),
        ("sshd: .example.com", "sshd: ALL", "unknown"),
        ("sshd: 192.0.2.10 : deny", "", "blocked"),
        ("", "sshd: ALL : allow", "answered"),
        ("", "sshd: 192.0.2.\\\n", "blocked"),
    ],
)
def test_wrappers(allow: str, deny: str, expected: str) -> None:
    found = list(wrapper_denials("sshd", allow, deny))
    assert status(found, "192.0.2.10") == expected


@given(st.text(), st.text())
def test_any_text_is_read(allow: str, deny: str) -> None:
    assert all(denial.sources for denial in wrapper_denials("sshd", allow, deny))


def test_a_service_list_blocks_what_the_firewall_lets_in() -> None:
    unit = Unit("loaded", "active", "enabled", "192.0.2.10/32", "::/0 0.0.0.0/0")
    asked = request(sources=["192.0.2.8/30"])
    verdict = evaluate(snapshot(NO_RULES, units={"ssh": unit}), asked)[0]
    assert verdict.status is VerdictStatus.PARTIAL
    assert {path.source for path in verdict.paths if path.status is VerdictStatus.OPEN} == {"192.0.2.10"}
    assert {path.decided_by[0].kind for path in verdict.paths if path.decided_by} == {"ip_address_deny"}


def test_the_wrappers_matter_only_to_programs_that_use_them() -> None:
    files = {"/etc/hosts.deny": "ALL: ALL\n"}
    assert evaluate(snapshot(NO_RULES, files=files), request())[0].status is VerdictStatus.OPEN
    host = snapshot(NO_RULES, files=files, wrapped=frozenset({"sshd"}))
    assert evaluate(host, request())[0].status is VerdictStatus.BLOCKED
