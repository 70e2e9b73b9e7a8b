# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From verdicts to the changes of rulesets, and what they look like to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.changes import Change, ChangeSet
from ...module_utils._core.portset import PortSet
from ...module_utils._core.records import Requirement, Verdict
from ...module_utils._core.vocabulary import VerdictStatus
from ...module_utils._esxi.openings import Openings, RulesetChange, Want, open_for, withdraw
from ...module_utils._esxi.rulesets import Judgement, Ruleset, judge
from ...module_utils._esxi.state import Record, Recorded
from .._platform.interface import Plan, Request
from .._platform.verdicts import judged_paths
from .snapshot import Snapshot

_SHUT = (VerdictStatus.BLOCKED, VerdictStatus.PARTIAL)


def plan(snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request, management_port: int) -> Plan:
    """The changes; ``details`` are the ``Openings``. ``management_port`` is where the host is being managed now."""
    if request.state == "absent":
        openings = _withdrawal(snapshot, request, management_port)
    else:
        shut = {verdict.requirement for verdict in verdicts if verdict.status in _SHUT}
        rows = [row for row in request.requirements if row.id in shut & request.openable]
        wants = [want for row in rows for want in _wants(snapshot, request, row)]
        asked = PortSet.of(*(row.port for row in request.requirements if row.port is not None))
        whole = {item.key for item in snapshot.firewall.rulesets if item.rules and asked.covers(item.ports())}
        openings = open_for(snapshot.firewall, snapshot.record, wants, _everyone(request), whole)
        openings = replace(openings, record=_met(openings.record, snapshot, request))
    unrecorded = request.state == "absent" and not snapshot.record.rulesets
    steps = tuple(_change(change, unrecorded) for change in openings.changes)
    return Plan(ChangeSet(steps), openings, openings.advice, openings.refusals)


def replaces_record(request: Request, plan: Plan, record: Record) -> bool:
    """Whether the record of the plan, made when the host was seen last, is to be kept instead of ``record``: where
    something was withdrawn, and where nothing was to be written. After a change it is of no use, as what was there
    before was kept before the change.
    """
    return plan.details.record != record and (request.state == "absent" or not plan.changes.changed)


def with_advice(result: dict[str, Any], request: Request, plan: Plan) -> dict[str, Any]:
    """The result, whose message tells also what stays although it was withdrawn."""
    stays = tuple(dict.fromkeys(plan.advice.values())) if request.state == "absent" else ()
    return {**result, "msg": "; ".join([result["msg"], *stays])}


def _wants(snapshot: Snapshot, request: Request, row: Requirement) -> Iterator[Want]:
    """What a requirement lacks, all its sources together."""

    def judged(requirement: Requirement, source: AddressSet, _destination: Address) -> tuple[Judgement, ...]:
        return judge(snapshot.firewall, requirement, source)

    needed = AddressSet()
    for judgement, path in judged_paths(request, row, judged):
        if path.status is VerdictStatus.BLOCKED:
            needed = needed | judgement.source
    if needed and row.port is not None:
        yield Want(row.id, row.protocol.value, row.port, needed)


def _everyone(request: Request) -> AddressSet:
    found = AddressSet()
    for sources in request.sources.values():
        for source in sources:
            found = found | source.addresses
    return found


def _met(record: Record, snapshot: Snapshot, request: Request) -> Record:
    """The record with what is asked for noted on the rulesets of ours that meet it, changed now or before."""
    rows = [row for row in request.requirements if row.id in request.openable]

    def noted(kept: Recorded) -> Recorded:
        carried = (row.id for row in rows if _carries(snapshot.firewall.ruleset(kept.key), row))
        return replace(kept, requirements=tuple(dict.fromkeys((*kept.requirements, *carried))))

    return Record(tuple(noted(kept) for kept in record.rulesets))


def _carries(ruleset: Ruleset | None, row: Requirement) -> bool:
    return ruleset is not None and row.port is not None and bool(ruleset.carries(row.protocol.value, row.port))


def _withdrawal(snapshot: Snapshot, request: Request, management_port: int) -> Openings:
    """What is ours on the rulesets of the ports that are asked about; the record of the others is kept.

    A ruleset that others of the requirements need for which it was opened stays as it is, until the last of them is
    withdrawn. Without a record it is the named addresses.
    """
    firewall, record = snapshot.firewall, snapshot.record
    rows = request.requirements
    peers = AddressSet() if request.force else snapshot.peers
    if not record.rulesets:
        about = tuple(item for item in firewall.rulesets if any(_carries(item, row) for row in rows))
        return withdraw(replace(firewall, rulesets=about), record, _everyone(request), peers, management_port)
    concerned, left, advice = [], [], {}
    for kept in record.rulesets:
        gone = {row.id for row in rows if _carries(firewall.ruleset(kept.key), row)}
        still = tuple(name for name in kept.requirements if name not in gone)
        if gone and not still:
            concerned.append(kept)
            continue
        left.append(replace(kept, requirements=still))
        advice.update({name: _stays(kept.key, still) for name in gone})
    if not concerned:
        return Openings(record=Record(tuple(left)), advice=advice)
    found = withdraw(firewall, Record(tuple(concerned)), AddressSet(), peers, management_port)
    return replace(found, record=Record((*left, *found.record.rulesets)), advice=advice)


def _stays(key: str, still: Sequence[str]) -> str:
    return f"withdrawn, but ruleset {key} stays as it is until {', '.join(still)}, which needs it, too, is withdrawn"


def _change(change: RulesetChange, unrecorded: bool) -> Change:
    before, after = _lines(change.before), _lines(change.after)
    note = " (there is no record of ours; exactly the addresses named are removed)" if unrecorded else ""
    return Change(
        kind="set_ruleset",
        target=f"ruleset {change.before.key}{note}",
        before="\n".join(line for line in before if line not in after),
        after="\n".join(line for line in after if line not in before),
        requirements=change.requirements,
    )


def _lines(item: Ruleset) -> list[str]:
    allowed = "everyone" if item.allows_all else ", ".join(item.allowed) or "nobody"
    return [f"enabled: {'yes' if item.enabled else 'no'}", f"allowed: {allowed}"]
