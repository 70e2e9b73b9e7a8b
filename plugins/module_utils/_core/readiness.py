# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a row (one requirement on one host) and the readiness of a host: the two truth tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .catalog import BY_ID, REMOTING_ID
from .records import Observation, Verdict
from .vocabulary import (
    Condition,
    Level,
    ObservationStatus,
    Protocol,
    PsRemoting,
    Readiness,
    Route,
    RowStatus,
    ServiceStatus,
    System,
    VerdictStatus,
)

SHUT = frozenset(
    {
        ObservationStatus.CLOSED,
        ObservationStatus.REJECTED,
        ObservationStatus.FILTERED,
        ObservationStatus.UNREACHABLE,
    }
)
_OPEN = (RowStatus.FINE, RowStatus.UNVERIFIED)
_BEST_FIRST = (Readiness.READY, Readiness.DEGRADED, Readiness.UNKNOWN, Readiness.NOT_READY)

# The way in by system; a host of several systems takes the first. Windows has two, see find_ways.
_ROUTES = (
    (System.LINUX, Route.SSH),
    (System.MACOS, Route.SSH),
    (System.ESXI, Route.API),
    (System.SNMP, Route.SNMP),
    (System.NAS, Route.NETWORK),
    (System.PRINTER, Route.NETWORK),
    (System.NETWORK_SCAN, Route.NETWORK),
)


def speaks_against(observation: Observation) -> bool:
    """Whether the observation shows that the requirement is not met."""
    return observation.status in SHUT or observation.service is ServiceStatus.UNEXPECTED


def says_nothing(observation: Observation) -> bool:
    """Whether the observation neither speaks for the requirement nor against it, without being a finding itself."""
    if observation.status is ObservationStatus.NO_ANSWER:
        return observation.protocol is Protocol.UDP
    return observation.status in (ObservationStatus.LOCAL_ERROR, ObservationStatus.UNVERIFIABLE_FROM_HERE)


def row_status(verdict: VerdictStatus | None, observations: Sequence[Observation], *, waived: bool) -> RowStatus:
    """The first line that fits. A row that does not apply stands outside of the table, waived or not.

    ``verdict`` is ``None`` where nothing judges the host; ``observations`` are those that count for the row.
    """
    if verdict is VerdictStatus.NOT_APPLICABLE:
        return RowStatus.NOT_APPLICABLE
    if waived:
        return RowStatus.WAIVED
    if verdict in (VerdictStatus.BLOCKED, VerdictStatus.PARTIAL) or any(map(speaks_against, observations)):
        return RowStatus.BLOCKED
    if any(observation.status is ObservationStatus.OPEN for observation in observations):
        return RowStatus.FINE
    if verdict is VerdictStatus.OPEN and all(map(says_nothing, observations)):
        return RowStatus.UNVERIFIED
    return RowStatus.UNKNOWN


@dataclass(frozen=True)
class Row:
    """What readiness needs to know of one requirement on one host.

    ``lasts`` says whether what is open stays so after a reboot, ``listening`` whether something accepts there.
    """

    requirement: str
    level: Level
    status: RowStatus
    lasts: bool | None = None
    listening: bool | None = None
    condition: Condition = Condition.ALWAYS


def grade(rows: Iterable[Row]) -> Readiness:
    """The readiness that these rows make; rows that do not apply, are waived or unverified lower nothing."""
    applying = [row for row in rows if row.status is not RowStatus.NOT_APPLICABLE]
    required = {row.status for row in applying if row.level is Level.REQUIRED}
    if RowStatus.BLOCKED in required:
        return Readiness.NOT_READY
    if RowStatus.UNKNOWN in required:
        return Readiness.UNKNOWN
    if any(_lowers(row) for row in applying):
        return Readiness.DEGRADED
    return Readiness.READY


def _lowers(row: Row) -> bool:
    return row.status is RowStatus.BLOCKED or (row.status in _OPEN and row.lasts is False)


@dataclass(frozen=True)
class HostReadiness:
    """Whether an audit of the host would work, by which way in, and which rows are the reason where it would not."""

    host: str
    systems: tuple[str, ...]
    readiness: Readiness
    route: Route
    reasons: tuple[str, ...]


def judge_host(
    host: str, systems: Sequence[str], rows: Sequence[Row], psremoting: PsRemoting = PsRemoting.AUTO
) -> HostReadiness:
    """The readiness of a host over all its rows. Without a single row it is unknown: nothing was looked at.

    Where there are two ways into Windows, the better one counts, and PowerShell remoting where they are equal.
    """
    ways = _find_ways(systems, rows, psremoting)
    if not rows:
        return HostReadiness(host, tuple(systems), Readiness.UNKNOWN, ways[0][0], ("nothing was judged or probed",))
    graded = [(grade(way_rows), route, way_rows) for route, way_rows in ways]
    best = min(graded, key=lambda way: _BEST_FIRST.index(way[0]))
    told = [best] if best[0] in (Readiness.READY, Readiness.DEGRADED) else graded
    reasons = dict.fromkeys(_reason(row) for way in told for row in way[2] if _tells(row, way[0]))
    return HostReadiness(host, tuple(systems), best[0], told[0][1], tuple(reasons))


def assess_host(verdicts: Sequence[Verdict], psremoting: PsRemoting = PsRemoting.AUTO) -> tuple[Readiness, Route]:
    """The readiness and the way in as far as the verdicts of one host tell, without any observation."""
    systems = list(dict.fromkeys(verdict.system for verdict in verdicts))
    rows = [_row_of_verdict(verdict) for verdict in verdicts]
    found = judge_host("", systems, rows, psremoting)
    return found.readiness, found.route


def _row_of_verdict(verdict: Verdict) -> Row:
    known = BY_ID.get(verdict.requirement)
    return Row(
        requirement=verdict.requirement,
        level=verdict.level,
        status=row_status(verdict.status, (), waived=False),
        lasts=verdict.persistent,
        listening=verdict.listening,
        condition=known.condition if known else Condition.ALWAYS,
    )


def _find_ways(systems: Sequence[str], rows: Sequence[Row], psremoting: PsRemoting) -> list[tuple[Route, list[Row]]]:
    """The ways in, the preferred one first, each with the rows that it needs."""
    if System.WINDOWS.value not in systems:
        routes = [route for system, route in _ROUTES if system.value in systems]
        return [(routes[0] if routes else Route.NONE, list(rows))]
    remoting = [_needs_listener(row) for row in rows if row.requirement == REMOTING_ID]
    without = [row for row in rows if row.condition is Condition.WITHOUT_PSREMOTING]
    common = [
        row
        for row in rows
        if row.requirement != REMOTING_ID and row.condition is not Condition.WITHOUT_PSREMOTING
    ]
    by_remoting, by_rpc = (Route.PSREMOTING, common + remoting), (Route.RPC, common + without)
    if psremoting is PsRemoting.TRUE:
        return [by_remoting]
    if psremoting is PsRemoting.FALSE:
        return [by_rpc]
    rpc_known = any(row.level is Level.REQUIRED for row in without)
    return [way for way, known in ((by_remoting, remoting or not rpc_known), (by_rpc, rpc_known)) if known]


def _needs_listener(row: Row) -> Row:
    """PowerShell remoting is a way in only with a working listener: an open port without one is none."""
    if row.listening is False and row.status is RowStatus.UNVERIFIED:
        return replace(row, status=RowStatus.BLOCKED)
    return row


def _tells(row: Row, readiness: Readiness) -> bool:
    """Whether the row is a reason for this readiness."""
    if readiness is Readiness.DEGRADED:
        return _lowers(row)
    decisive = {Readiness.NOT_READY: RowStatus.BLOCKED, Readiness.UNKNOWN: RowStatus.UNKNOWN}.get(readiness)
    return row.level is Level.REQUIRED and row.status is decisive


def _reason(row: Row) -> str:
    state = "open, but not after a reboot" if row.status in _OPEN else row.status.value
    return f"{row.requirement} ({row.level.value}) is {state}"
