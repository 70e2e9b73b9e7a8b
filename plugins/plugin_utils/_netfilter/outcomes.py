# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ends of a walk to its outcomes: which part of the sources shares which fate, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...module_utils._core.addressset import AddressSet, to_address
from ...module_utils._core.ranges import RangeSet, partition
from .chains import End, Place, Trails
from .flow import changed
from .model import Fate, Outcome, Packet, Step

_WHAT = {"arrival": "the packet", "answer": "the answer", "established": "the connection begins, and its next packet"}
MOST_STEPS = 20  # more than this are not named in one outcome


def outcomes_of(
    packet: Packet, everyone: RangeSet, senders: RangeSet, ends: Sequence[End], gaps: tuple[str, ...]
) -> tuple[Outcome, ...]:
    """The outcomes of a walk of ``senders`` whose flows ended so; ``gaps`` leave everything undecided.

    Those of ``everyone`` who are no senders are counted with the largest part.
    """
    parts: dict[object, tuple[RangeSet, Outcome]] = {}
    for clients, of_these in _parted(senders, ends):
        outcome = _outcome(packet, of_these) if not gaps else _gap(packet, gaps)
        key = (outcome.fate, outcome.stage, outcome.reason, outcome.decided_by, outcome.delivered)
        known = parts.get(key)
        parts[key] = (known[0] | clients, known[1]) if known else (clients, outcome)
    largest = max(parts, key=lambda key: parts[key][0].size) if len(parts) > 1 else next(iter(parts), None)
    version = packet.destination.version
    return tuple(
        _with_source(outcome, clients | (everyone - senders) if key is largest else clients, version)
        for key, (clients, outcome) in parts.items()
    )


def _with_source(outcome: Outcome, clients: RangeSet, version: int) -> Outcome:
    return replace(outcome, source=AddressSet(v4=clients) if version == 4 else AddressSet(v6=clients))


def _parted(everyone: RangeSet, ends: Sequence[End]) -> list[tuple[RangeSet, list[End]]]:
    """The clients in parts that share all their ends."""
    ends = [part for end in ends for part in _by_trail(end)]
    certain = not any(end.flow.assumptions for end in ends)
    if certain and sum(end.flow.clients.size for end in ends) == everyone.size:
        return [(end.flow.clients, [end]) for end in ends]
    parts = partition([end.flow.clients for end in ends])
    return [(clients, [ends[position] for position in positions]) for positions, clients in parts]


def _by_trail(end: End) -> Iterator[End]:
    """The end of a flow that was made of several, as those of each."""
    trail = end.flow.trail
    if end.fate is not Fate.PASSES or not trail or not isinstance(trail[0], Trails):
        yield end
        return
    for clients, before in trail[0].ways:
        common = end.flow.clients & clients
        if common:
            yield replace(end, flow=changed(end.flow.with_clients(common), trail=(*before, *trail[1:])))


def _outcome(packet: Packet, ends: list[End]) -> Outcome:
    fates = {end.fate for end in ends}
    first = ends[0]
    if len(fates) == 1 and Fate.UNDECIDED not in fates:
        return _certain(packet, first)
    if fates <= {Fate.DROPPED, Fate.REJECTED}:
        # Blocked either way; which of the two answers the client gets is all that is not known.
        blocked = _certain(packet, next(end for end in ends if end.fate is Fate.DROPPED))
        return replace(blocked, reason=f"{blocked.reason}, or rejected before")
    return _doubtful(packet, ends)


def _certain(packet: Packet, end: End) -> Outcome:
    if end.fate is Fate.PASSES:
        places = [place for place in end.flow.trail if isinstance(place, Place)]
        places.sort(key=lambda place: place.rule is not None)
        steps = _steps(places)
        reason = f"let in by {_described(steps[-1])}" if steps else "no rule stands in the way"
        return _record(packet, end, "arrival", steps, reason)
    steps = _steps([end.place] if end.place else [])
    verb = "dropped" if end.fate is Fate.DROPPED else f"rejected ({end.reason})" if end.reason else "rejected"
    what = _WHAT[end.stage]
    reason = f"{what} is {verb} by {_described(steps[-1])}" if steps else f"{what} is {verb}: {end.reason}"
    return _record(packet, end, end.stage, steps, reason)


def _doubtful(packet: Packet, ends: list[End]) -> Outcome:
    places: dict[Place, None] = {}
    reasons: list[str] = []
    for end in ends:
        for place, _guess in sorted(end.flow.assumptions, key=lambda item: str(item[1])):
            if isinstance(place, Place):
                places[place] = None
        if end.fate is Fate.UNDECIDED:
            reasons.append(end.reason)
            if end.place:
                places[end.place] = None
    steps = _steps(sorted(places, key=_position))
    named = "; ".join(_described(step) for step in steps[:3])
    told = "; ".join(dict.fromkeys(reasons))
    reason = "nobody can tell beforehand" + (f" what {named} does" if named else "") + (f": {told}" if told else "")
    return _record(packet, ends[0], ends[0].stage, steps, reason, fate=Fate.UNDECIDED)


def _position(place: Place) -> tuple[str, str, str, int]:
    chain = place.chain
    return chain.family, chain.table, chain.name, place.rule.position if place.rule else 0


def _steps(places: Iterable[Place]) -> tuple[Step, ...]:
    return tuple(place.step() for place in list(places)[:MOST_STEPS])


def _described(step: Step) -> str:
    where = f"chain {step.chain} of table {step.family} {step.table}"
    if step.kind == "policy":
        return f"the policy of {where}"
    if step.kind == "gap" and not step.chain:
        return step.text
    if step.kind == "gap":
        return f"{where} ({step.text})"
    return f"rule {step.position} of {where} ({step.text})"


def _gap(packet: Packet, gaps: tuple[str, ...]) -> Outcome:
    steps = tuple(Step("", "", "", None, 0, gap, None, "gap") for gap in gaps)
    return Outcome(packet.source, Fate.UNDECIDED, "arrival", steps, "; ".join(gaps), packet.destination, packet.port)


def _record(
    packet: Packet, end: End, stage: str, steps: tuple[Step, ...], reason: str, fate: Fate | None = None
) -> Outcome:
    version = packet.destination.version
    target, port = end.flow.reply_source, end.flow.reply_port
    address = to_address(target, version) if isinstance(target, int) else packet.destination
    return Outcome(
        packet.source,
        fate or end.fate,
        stage,
        steps,
        reason,
        address,
        port if isinstance(port, int) else packet.port,
        "forwarded" if end.flow.forwarded else "local",
    )
