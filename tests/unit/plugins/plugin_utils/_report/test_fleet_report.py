# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A whole run as one report: nobody is missing."""

from __future__ import annotations

from typing import Any

from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet.inventory import Fleet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._report.fleet_report import report, result_of

NAMES = ("target_result", "audit_host_result")


def verdict(host: str, status: str, requirement: str = "linux.ssh") -> dict[str, Any]:
    return {
        "requirement": requirement,
        "host": host,
        "system": "linux",
        "protocol": "tcp",
        "port": 22,
        "level": "required",
        "status": status,
        "reason": "because",
        "persistent": True,
        "listening": True,
        "listener": "sshd",
        "paths": [],
    }


HOSTS: dict[str, dict[str, Any]] = {
    "web": {"audit_ports_systems": ["linux"], "target_result": {"verdicts": [verdict("web", "open")]}},
    "gone": {"audit_ports_systems": ["linux"], "target_result": {"unreachable": True, "msg": "no route\x1b[31m"}},
    "bad": {"audit_ports_systems": ["linux"], "target_result": {"failed": True, "msg": "bad: wrong source"}},
    "mac": {"audit_ports_systems": ["macos"]},
    "late": {"audit_ports_systems": ["linux"]},
    "odd": {"audit_ports_systems": ["toaster"]},
    "audit1": {"audit_host_result": {"systems": ["snmp"], "verdicts": [verdict("audit1", "blocked", "snmp.trap")]}},
}


def told(*hosts: str) -> dict[str, Any]:
    options = {"today": "2026-01-01"}
    return report(Fleet(HOSTS, {}), hosts, names=NAMES, observations=[], options=options)


def readiness(found: dict[str, Any]) -> dict[str, str]:
    return {host["host"]: host["readiness"] for host in found["hosts"]}


def test_every_host_has_a_readiness_whatever_became_of_it() -> None:
    found = told(*HOSTS)
    assert readiness(found) == {
        "web": "ready",
        "gone": "unknown",
        "bad": "unknown",
        "mac": "unknown",
        "late": "unknown",
        "odd": "unknown",
        "audit1": "not_ready",
    }


def test_the_reason_of_a_host_without_a_verdict_is_in_its_rows() -> None:
    reasons = {row["host"]: row["verdict"]["reason"] for row in told("gone", "bad", "mac", "late")["diagnoses"]}
    assert reasons["gone"] == "Ansible could not reach the host: no route"
    assert reasons["bad"] == "bad: wrong source"
    assert "platform macos" in reasons["mac"]
    assert "not judged in this run" in reasons["late"]


def test_an_audit_host_has_only_the_rows_that_were_judged() -> None:
    assert [row["requirement"] for row in told("audit1")["diagnoses"]] == ["snmp.trap"]


def test_results_of_several_plugins_are_one() -> None:
    hosts = {"both": {"target_result": {"verdicts": [1]}, "audit_host_result": {"verdicts": [2], "skipped": False}}}
    assert result_of(Fleet(hosts, {}), "both", NAMES)["verdicts"] == [1, 2]
