# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The two truth tables, over all of their vocabularies, against plain statements of the rules."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import BY_ID, CATALOG
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.readiness import (
    Row,
    assess_host,
    grade,
    judge_host,
    row_status,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Observation, Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Level,
    ObservationStatus,
    Protocol,
    PsRemoting,
    Readiness,
    Route,
    RowStatus,
    ServiceStatus,
    VerdictStatus,
)

from .builders import make_observation, make_verdict

VERDICTS = [None, *VerdictStatus]
SEEN = [
    make_observation(status, service=service, protocol=protocol)
    for status in ObservationStatus
    for service in (ServiceStatus.NOT_CHECKED, ServiceStatus.UNEXPECTED)
    for protocol in (Protocol.TCP, Protocol.UDP, Protocol.ICMP)
]
REQUIRED, RECOMMENDED, ATTENTION = Level.REQUIRED, Level.RECOMMENDED, Level.ATTENTION


def naive_row_status(verdict: str | None, seen: list[tuple[str, str, str]], waived: bool) -> str:
    """The rule as the documentation states it, in words; ``seen`` holds status, service and protocol."""
    if verdict == "not_applicable":
        return "not_applicable"
    if waived:
        return "waived"
    bad = [s for s in seen if s[0] in ("closed", "rejected", "filtered", "unreachable") or s[1] == "unexpected"]
    if verdict in ("blocked", "partial") or bad:
        return "blocked"
    if "open" in [s[0] for s in seen]:
        return "fine"
    telling = [s for s in seen if s[0] not in ("local_error", "unverifiable_from_here")]
    telling = [s for s in telling if not (s[0] == "no_answer" and s[2] == "udp")]
    if verdict == "open" and not telling:
        return "unverified"
    return "unknown"


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("waived", [False, True])
def test_row_status_is_the_table(verdict: VerdictStatus | None, waived: bool) -> None:
    for number in range(3):
        for seen in itertools.product(SEEN if number < 2 else SEEN[::5], repeat=number):
            words = [(item.status.value, item.service.value, item.protocol.value) for item in seen]
            expected = naive_row_status(verdict.value if verdict else None, words, waived)
            assert row_status(verdict, seen, waived=waived).value == expected, (verdict, words)


@pytest.mark.parametrize(
    ("verdict", "seen", "status"),
    [
        (VerdictStatus.OPEN, [], RowStatus.UNVERIFIED),
        (VerdictStatus.OPEN, [ObservationStatus.OPEN], RowStatus.FINE),
        (VerdictStatus.UNKNOWN, [ObservationStatus.OPEN], RowStatus.FINE),
        (None, [ObservationStatus.OPEN], RowStatus.FINE),
        (None, [], RowStatus.UNKNOWN),
        (VerdictStatus.OPEN, [ObservationStatus.LOCAL_ERROR], RowStatus.UNVERIFIED),
        (VerdictStatus.UNKNOWN, [ObservationStatus.LOCAL_ERROR], RowStatus.UNKNOWN),
        (VerdictStatus.OPEN, [ObservationStatus.NAME_ERROR], RowStatus.UNKNOWN),
        (VerdictStatus.OPEN, [ObservationStatus.NO_ANSWER], RowStatus.UNKNOWN),
        (VerdictStatus.OPEN, [ObservationStatus.OPEN, ObservationStatus.FILTERED], RowStatus.BLOCKED),
        (VerdictStatus.BLOCKED, [ObservationStatus.OPEN], RowStatus.BLOCKED),
        (VerdictStatus.PARTIAL, [], RowStatus.BLOCKED),
    ],
)
def test_row_status_by_example(verdict: VerdictStatus | None, seen: list[ObservationStatus], status: RowStatus) -> None:
    observations = [make_observation(item) for item in seen]
    assert row_status(verdict, observations, waived=False) is status
    assert row_status(verdict, observations, waived=True) is RowStatus.WAIVED


def naive_grade(rows: tuple[tuple[str, str, bool | None], ...]) -> str:
    """The rule as the documentation states it; rows are level, status and whether what is open lasts."""
    applying = [row for row in rows if row[1] != "not_applicable"]
    if ("required", "blocked") in [row[:2] for row in applying]:
        return "not_ready"
    if ("required", "unknown") in [row[:2] for row in applying]:
        return "unknown"
    for level, status, lasts in applying:
        if level in ("recommended", "attention") and status == "blocked":
            return "degraded"
        if status in ("fine", "unverified") and lasts is False:
            return "degraded"
    return "ready"


def test_readiness_is_the_table() -> None:
    rows = [
        Row("x.y", level, status, lasts) for level in Level for status in RowStatus for lasts in (True, False, None)
    ]
    for number in (0, 1, 2):
        for chosen in itertools.product(rows, repeat=number):
            words = tuple((row.level.value, row.status.value, row.lasts) for row in chosen)
            assert grade(chosen).value == naive_grade(words), words


def row(requirement: str, status: RowStatus, **values: object) -> Row:
    known = BY_ID[requirement]
    return Row(requirement, known.level, status, condition=known.condition, **values)  # type: ignore[arg-type]


def windows_rows(remoting: RowStatus, rpc: RowStatus) -> list[Row]:
    return [
        row("windows.kerberos", RowStatus.NOT_APPLICABLE),
        row("windows.winrm", remoting),
        row("windows.rpc_epmap", RowStatus.FINE),
        row("windows.netbios_session", RowStatus.FINE),
        row("windows.smb", rpc),
        row("windows.rpc_dynamic", RowStatus.FINE),
    ]


GOOD, BAD, DARK = RowStatus.FINE, RowStatus.BLOCKED, RowStatus.UNKNOWN


@pytest.mark.parametrize(
    ("psremoting", "remoting", "rpc", "readiness", "route"),
    [
        (PsRemoting.AUTO, GOOD, BAD, Readiness.READY, Route.PSREMOTING),
        (PsRemoting.AUTO, GOOD, GOOD, Readiness.READY, Route.PSREMOTING),
        (PsRemoting.AUTO, BAD, GOOD, Readiness.READY, Route.RPC),
        (PsRemoting.AUTO, DARK, GOOD, Readiness.READY, Route.RPC),
        (PsRemoting.AUTO, BAD, BAD, Readiness.NOT_READY, Route.PSREMOTING),
        (PsRemoting.AUTO, BAD, DARK, Readiness.UNKNOWN, Route.PSREMOTING),
        (PsRemoting.AUTO, DARK, BAD, Readiness.UNKNOWN, Route.PSREMOTING),
        (PsRemoting.TRUE, BAD, GOOD, Readiness.NOT_READY, Route.PSREMOTING),
        (PsRemoting.TRUE, GOOD, BAD, Readiness.READY, Route.PSREMOTING),
        (PsRemoting.FALSE, GOOD, BAD, Readiness.NOT_READY, Route.RPC),
        (PsRemoting.FALSE, BAD, GOOD, Readiness.READY, Route.RPC),
    ],
)
def test_windows_is_either_or(
    psremoting: PsRemoting, remoting: RowStatus, rpc: RowStatus, readiness: Readiness, route: Route
) -> None:
    found = judge_host("dc1", ["windows"], windows_rows(remoting, rpc), psremoting)
    assert (found.readiness, found.route) == (readiness, route)
    assert bool(found.reasons) == (readiness is not Readiness.READY)


def test_what_both_ways_need_counts_in_both() -> None:
    rows = [row("windows.ldap", BAD), *windows_rows(GOOD, GOOD)]
    for psremoting in PsRemoting:
        assert judge_host("dc1", ["windows"], rows, psremoting).readiness is Readiness.NOT_READY


def test_other_systems_of_a_windows_host_count_too() -> None:
    rows = [*windows_rows(GOOD, GOOD), row("snmp.agent", BAD)]
    found = judge_host("w1", ["windows", "snmp"], rows)
    assert (found.readiness, found.reasons) == (Readiness.NOT_READY, ("snmp.agent (required) is blocked",))


def test_remoting_without_a_listener_is_no_way_in() -> None:
    deaf = row("windows.winrm", RowStatus.UNVERIFIED, listening=False)
    assert judge_host("w1", ["windows"], [deaf], PsRemoting.TRUE).readiness is Readiness.NOT_READY
    assert judge_host("w1", ["windows"], [deaf], PsRemoting.AUTO).readiness is Readiness.NOT_READY
    hearing = row("windows.winrm", RowStatus.UNVERIFIED, listening=True)
    assert judge_host("w1", ["windows"], [hearing]).readiness is Readiness.READY


def test_udp_135_and_139_never_make_a_host_not_ready() -> None:
    rows = [*windows_rows(BAD, GOOD), row("windows.rpc_udp", BAD), row("windows.named_pipes_udp", BAD)]
    assert judge_host("w1", ["windows"], rows, PsRemoting.FALSE).readiness is Readiness.DEGRADED
    assert judge_host("w1", ["windows"], rows, PsRemoting.TRUE).readiness is Readiness.NOT_READY
    assert judge_host("w1", ["windows"], windows_rows(GOOD, BAD) + rows[-2:]).readiness is Readiness.READY


def test_rpc_is_no_way_where_its_required_ports_were_not_looked_at() -> None:
    rows = [row("windows.winrm", BAD), row("windows.rpc_dynamic", GOOD)]
    found = judge_host("w1", ["windows"], rows)
    assert (found.readiness, found.route) == (Readiness.NOT_READY, Route.PSREMOTING)


@pytest.mark.parametrize(
    ("systems", "route"),
    [
        (["linux", "snmp"], Route.SSH),
        (["snmp", "macos"], Route.SSH),
        (["esxi"], Route.API),
        (["printer", "snmp"], Route.SNMP),
        (["nas"], Route.NETWORK),
        (["network_scan"], Route.NETWORK),
        ([], Route.NONE),
    ],
)
def test_route_is_that_of_the_first_system(systems: list[str], route: Route) -> None:
    assert judge_host("h", systems, [row("snmp.agent", GOOD)]).route is route


def test_a_host_that_nobody_looked_at_is_unknown() -> None:
    found = judge_host("h", ["linux"], [])
    assert (found.readiness, found.route) == (Readiness.UNKNOWN, Route.SSH)
    assert found.reasons == ("nothing was judged or probed",)


def test_reasons_name_what_decides_and_nothing_else() -> None:
    rows = [
        row("linux.ssh", DARK),
        row("snmp.agent", BAD),
        row("snmp.trap", BAD),
        row("printer.raw", GOOD, lasts=False),
    ]
    assert judge_host("h", ["linux"], rows).reasons == ("snmp.agent (required) is blocked",)
    assert judge_host("h", ["linux"], [rows[0], rows[2]]).reasons == ("linux.ssh (required) is unknown",)
    assert judge_host("h", ["linux"], rows[2:]).reasons == (
        "snmp.trap (recommended) is blocked",
        "printer.raw (required) is open, but not after a reboot",
    )


def verdict_on(requirement: str, status: VerdictStatus, **values: object) -> Verdict:
    known = BY_ID[requirement]
    return make_verdict(status, requirement=requirement, system=known.system, level=known.level, **values)


def test_verdicts_alone_give_readiness_too() -> None:
    opened, shut = VerdictStatus.OPEN, VerdictStatus.BLOCKED
    assert assess_host([verdict_on("linux.ssh", opened)]) == (Readiness.READY, Route.SSH)
    assert assess_host([verdict_on("linux.ssh", opened, persistent=False)]) == (Readiness.DEGRADED, Route.SSH)
    assert assess_host([verdict_on("linux.ssh", shut)]) == (Readiness.NOT_READY, Route.SSH)
    assert assess_host([]) == (Readiness.UNKNOWN, Route.NONE)
    windows = [verdict_on(item.id, opened) for item in CATALOG if item.system == "windows"]
    assert assess_host(windows) == (Readiness.READY, Route.PSREMOTING)
    closed = [verdict_on("windows.winrm", shut)] + [item for item in windows if item.requirement != "windows.winrm"]
    assert assess_host(closed) == (Readiness.READY, Route.RPC)
    assert assess_host(closed, PsRemoting.TRUE) == (Readiness.NOT_READY, Route.PSREMOTING)


def test_every_observation_is_one_or_the_other() -> None:
    """Without a verdict, an observation alone never leaves a row unverified."""

    def alone(item: Observation) -> RowStatus:
        return row_status(None, [item], waived=False)

    assert {alone(item) for item in SEEN} == {RowStatus.BLOCKED, RowStatus.FINE, RowStatus.UNKNOWN}
