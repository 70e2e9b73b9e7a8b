# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Results of a whole fleet, as Ansible hands them over."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.fleet import diagnose_results
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.selection import select_requirements
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    ObservationStatus,
    VerdictStatus,
)

from .builders import make_observation, make_verdict

TODAY = "2026-11-22"


def run(verdicts: Any = (), observations: Any = (), **options: Any) -> dict[str, Any]:
    return diagnose_results(to_result(list(verdicts)), to_result(list(observations)), {"today": TODAY, **options})


def rows(found: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(row["host"], row["requirement"]): row["status"] for row in found["diagnoses"]}


def readiness(found: dict[str, Any]) -> dict[str, str]:
    return {host["host"]: host["readiness"] for host in found["hosts"]}


def test_verdict_and_observation_are_one_row() -> None:
    found = run([make_verdict()], [make_observation(ObservationStatus.OPEN)])
    assert rows(found) == {("web1", "linux.ssh"): "fine"}
    assert readiness(found) == {"web1": "ready"}
    assert found["diagnoses"][0]["verdict"]["status"] == "open"
    assert found["hosts"][0]["route"] == "ssh"


def test_hosts_that_nobody_reached_are_rows() -> None:
    found = run([make_verdict()], systems={"web1": ["linux"], "gone": ["linux"]}, reasons={"gone": "unreachable"})
    assert rows(found)[("gone", "linux.ssh")] == "unknown"
    assert "unreachable" in found["diagnoses"][-1]["reason"]
    assert readiness(found) == {"web1": "ready", "gone": "unknown"}


def test_complete_verdicts_get_no_row_beside_them() -> None:
    found = run([make_verdict()], systems={"web1": ["linux", "snmp"], "gone": ["linux"]}, complete=True)
    assert rows(found) == {("web1", "linux.ssh"): "unverified"}
    assert readiness(found) == {"web1": "ready", "gone": "unknown"}


def test_a_host_that_nothing_judges_is_judged_by_its_observation() -> None:
    seen = make_observation(host="prn", requirement="printer.raw", port=9100)
    found = run([], [seen], systems={"prn": ["printer"]})
    assert rows(found) == {("prn", "printer.raw"): "fine"}
    assert readiness(found) == {"prn": "ready"}


def test_roles_tell_what_does_not_concern_a_host() -> None:
    systems = {"w1": ["windows"], "dc1": ["windows"], "who": ["windows"]}
    found = rows(run(systems=systems, roles={"w1": [], "dc1": ["domain_controller"]}))
    assert [found[(host, "windows.kerberos")] for host in systems] == ["not_applicable", "unknown", "unknown"]


def test_the_way_into_windows_decides_which_rows_are_expected() -> None:
    found = rows(run(systems={"a": ["windows"], "b": ["windows"]}, psremoting={"a": True, "b": "false"}))
    assert ("a", "windows.winrm") in found
    assert ("a", "windows.smb") not in found
    assert ("b", "windows.winrm") not in found
    assert ("b", "windows.smb") in found


def test_only_the_requirements_that_were_asked_for_are_expected() -> None:
    extra = [{"id": "linux.agent", "system": "linux", "protocol": "tcp", "port": 10050}]
    asked = to_result(list(select_requirements(["linux", "snmp"], extra=extra, exclude=["linux.ssh"])))
    seen = make_observation(requirement="linux.agent", port=10050)
    found = run([], [seen], systems={"web1": ["linux"]}, requirements=asked)
    assert rows(found) == {("web1", "linux.agent"): "fine"}


def test_listeners_and_seen_sources_reach_the_diagnosis() -> None:
    closed = make_observation(ObservationStatus.CLOSED)
    witness = {"host": "web1", "requirement": "linux.ssh", "listening": False, "listener": None}
    assert run([make_verdict()], [closed], listeners=[witness])["diagnoses"][0]["cause"] == "nothing_listens"
    found = run([make_verdict(listening=True)], [closed], seen_sources={"web1": "203.0.113.9"})
    assert found["diagnoses"][0]["cause"] == "source_mismatch"


def test_waivers_lower_nothing() -> None:
    waiver = {"requirement": "linux.ssh", "hosts": ["web1"], "reason": "agreed", "expiry": TODAY}
    found = run([make_verdict(VerdictStatus.BLOCKED)], waivers=[waiver])
    assert rows(found) == {("web1", "linux.ssh"): "waived"}
    assert readiness(found) == {"web1": "ready"}


def test_nothing_gives_nothing() -> None:
    assert run() == {"diagnoses": [], "hosts": []}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"today": None}, "today: None is no date"),
        ({"wavers": []}, "'wavers'.*waivers"),
        ({"systems": ["web1"]}, "systems: a dictionary"),
        ({"systems": {"web1": ["linus"]}}, "systems: web1: 'linus'.*linux"),
        ({"roles": {"web1": ["boss"]}}, "roles: web1: 'boss'.*audit_host, dns_server, domain_controller"),
        ({"psremoting": "perhaps", "systems": {"w1": ["windows"]}}, "psremoting: w1: 'perhaps'.*auto"),
        ({"seen_sources": {"web1": "audit1"}}, "'audit1' is no IPv4 or IPv6 address"),
        ({"listeners": [{"host": "web1", "listening": True}]}, "listeners, row 1: .*'requirement' is missing"),
        ({"listeners": [{"port": 1}]}, "listeners, row 1: .*'port'.*listening"),
        ({"requirements": [{"id": "x"}]}, "requirements, row 1"),
        ({"waivers": [{"requirement": "linux.ssh"}]}, "waivers, row 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        run(**options)


def test_wrong_rows_are_named() -> None:
    with pytest.raises(InputError, match="verdicts: a list of dictionaries is expected, not dict"):
        diagnose_results({}, [], {"today": TODAY})
    with pytest.raises(InputError, match="observations, row 1: a dictionary is expected, not 'x'"):
        diagnose_results([], ["x"], {"today": TODAY})
    with pytest.raises(InputError, match="verdicts, row 1: the field"):
        diagnose_results([{}], [], {"today": TODAY})
