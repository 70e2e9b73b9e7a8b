# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins verdicts, listeners and observations of a fleet into diagnoses: of each row one cause and one next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .catalog import BY_ID, CATALOG_VERSION, NO_PROBE
from .causes import counting, find_cause, join_observation
from .errors import InputError, choices
from .next_steps import write_next_step, write_reason
from .readiness import HostReadiness, Row, judge_host, row_status
from .records import Diagnosis, Observation, Requirement, Source, Verdict, Waiver, verdict_of
from .selection import Roles, applicable
from .vocabulary import Condition, ListenerHome, PsRemoting, SourceRole, VerdictStatus

UNJUDGED = "no verdict was made: the host was not checked, or nothing of this collection judges its kind of firewall"


class Key(NamedTuple):
    """A row: one requirement on one host."""

    host: str
    requirement: str


class Listener(NamedTuple):
    """What a witness on a host says: whether something listens there, and what."""

    listening: bool
    listener: str | None = None


@dataclass(frozen=True)
class Context:
    """What else a diagnosis depends on.

    ``today`` is an ISO date. ``requirements`` are those meant, by id; the catalog's where one is not among them.
    ``seen_sources`` maps hosts to the address that they saw the audit come from. ``listeners`` are witnesses for
    rows whose verdict has none.
    """

    today: str
    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    waivers: Sequence[Waiver] = ()
    seen_sources: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[Key, Listener] = field(default_factory=dict)


def diagnose(
    verdicts: Iterable[Verdict], observations: Iterable[Observation], context: Context
) -> tuple[Diagnosis, ...]:
    """One diagnosis for each row that has a verdict or an observation, host by host in the order of appearance.

    Of several verdicts on one row the last one counts: it is the newest. Raises InputError for an observation or a
    waiver of a requirement that nobody knows.
    """
    _check_waivers(context)
    judged = {Key(verdict.host, verdict.requirement): verdict for verdict in verdicts}
    seen: dict[Key, list[Observation]] = {}
    for observation in observations:
        seen.setdefault(Key(observation.host, observation.requirement), []).append(observation)
    keys = list(dict.fromkeys([*judged, *seen]))
    places = {host: place for place, host in enumerate(dict.fromkeys(key.host for key in keys))}
    keys.sort(key=lambda key: places[key.host])
    return tuple(_diagnose_row(key, judged.get(key), seen.get(key, ()), context) for key in keys)


def judge_fleet(
    diagnoses: Iterable[Diagnosis],
    context: Context,
    systems: Mapping[str, Sequence[str]],
    psremoting: Mapping[str, PsRemoting],
) -> tuple[HostReadiness, ...]:
    """The readiness of each host that has a row or is named in ``systems``; without a choice PowerShell is ``auto``."""
    rows: dict[str, list[Row]] = {host: [] for host in systems}
    found: dict[str, list[str]] = {host: list(names) for host, names in systems.items()}
    for diagnosis in diagnoses:
        key = Key(diagnosis.host, diagnosis.requirement)
        requirement = _find_requirement(key, diagnosis.verdict, diagnosis.observations, context)
        rows.setdefault(key.host, []).append(_make_row(requirement, diagnosis))
        if key.host not in systems and requirement.system not in found.setdefault(key.host, []):
            found[key.host].append(requirement.system)
    return tuple(
        judge_host(host, found[host], host_rows, psremoting.get(host, PsRemoting.AUTO))
        for host, host_rows in rows.items()
    )


def make_verdict(requirement: Requirement, host: str, *, roles: Roles, reason: str = UNJUDGED) -> Verdict:
    """The verdict on a host that nothing judged: not applicable by its roles, else unknown for this reason."""
    fit = applicable(requirement, roles)
    if fit.applies is False:
        return verdict_of(requirement, host, status=VerdictStatus.NOT_APPLICABLE, reason=fit.reason)
    return verdict_of(requirement, host, status=VerdictStatus.UNKNOWN, reason=reason)


def _make_row(requirement: Requirement, diagnosis: Diagnosis) -> Row:
    verdict = diagnosis.verdict
    return Row(
        requirement=requirement.id,
        level=verdict.level if verdict else requirement.level,
        status=diagnosis.status,
        lasts=verdict.persistent if verdict else None,
        listening=verdict.listening if verdict else None,
        condition=requirement.condition,
    )


def is_active(waiver: Waiver, today: str) -> bool:
    """Whether the waiver still holds: its expiry date is its last day. Both are ISO dates."""
    return waiver.expiry is None or today <= waiver.expiry


def _diagnose_row(
    key: Key, verdict: Verdict | None, observations: Sequence[Observation], context: Context
) -> Diagnosis:
    verdict = _add_listener(verdict, context.listeners.get(key))
    joined = [join_observation(verdict, item, context.seen_sources.get(key.host)) for item in observations]
    counted = [item.observation for item in counting(joined)]
    judged = verdict.status if verdict else None
    waivers = [item for item in context.waivers if item.requirement == key.requirement and _covers(item, key.host)]
    waiver = next((item for item in waivers if is_active(item, context.today)), None)
    expired = next((item for item in waivers if not is_active(item, context.today)), None) if waiver is None else None
    status = row_status(judged, counted, waived=waiver is not None)
    finding = find_cause(row_status(judged, counted, waived=False), verdict, joined)
    requirement = _find_requirement(key, verdict, observations, context)
    return Diagnosis(
        requirement=key.requirement,
        host=key.host,
        status=status,
        cause=finding.cause,
        reason=write_reason(verdict, joined, waiver, expired),
        next_step=write_next_step(requirement, key.host, status, finding, verdict, joined, waiver),
        verdict=verdict,
        observations=tuple(observations),
        waiver=waiver,
    )


def _add_listener(verdict: Verdict | None, witness: Listener | None) -> Verdict | None:
    if verdict is None or witness is None or verdict.listening is not None:
        return verdict
    return replace(verdict, listening=witness.listening, listener=witness.listener)


def _covers(waiver: Waiver, host: str) -> bool:
    return "*" in waiver.hosts or host in waiver.hosts


def _check_waivers(context: Context) -> None:
    known = {*BY_ID, *context.requirements}
    for number, waiver in enumerate(context.waivers, 1):
        if waiver.requirement not in known:
            raise InputError(
                f"waivers, row {number}: requirement: {waiver.requirement!r} is not known; choose from {choices(known)}"
            )


def _find_requirement(
    key: Key, verdict: Verdict | None, observations: Sequence[Observation], context: Context
) -> Requirement:
    """The requirement as it was judged and probed: with the port of the verdict, which the user may have changed."""
    known = context.requirements.get(key.requirement) or BY_ID.get(key.requirement)
    judged = verdict or observations[0]
    if known is not None:
        return replace(known, protocol=judged.protocol, port=judged.port)
    if verdict is not None:
        return _from_verdict(verdict)
    raise InputError(
        f"observations: {key.requirement!r} on {key.host} is no requirement of the catalog;"
        " hand over your own under 'requirements'"
    )


def _from_verdict(verdict: Verdict) -> Requirement:
    return Requirement(
        id=verdict.requirement,
        system=verdict.system,
        protocol=verdict.protocol,
        port=verdict.port,
        level=verdict.level,
        condition=Condition.ALWAYS,
        source_role=SourceRole.AUDIT_HOST,
        listener_home=ListenerHome.TARGET,
        service=NO_PROBE,
        purpose="",
        without="",
        source=Source(page="told by a verdict", date=""),
        catalog_version=CATALOG_VERSION,
    )
