# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out the rules of chains on flows, rule by rule, for all parts and guesses of a packet at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import cast

from ...module_utils._core.ranges import RangeSet
from .flow import Flow, Value, changed, simplified
from .matches import Truth, is_match, is_ruled_out
from .model import Chain, Fate, Hook, Rule, Ruleset, Step
from .statements import Statement, Verb, Verdict

MOST_FORKS = 4000
_DEEPEST_JUMP = 64
_JUDGING_HOOKS = (Hook.INGRESS, Hook.INPUT, Hook.FORWARD)


@dataclass(frozen=True, eq=False)
class Place:
    """A rule of a chain, or with None the chain's policy."""

    chain: Chain
    rule: Rule | None
    kind: str = "rule"

    def step(self) -> Step:
        """The place as a record for people."""
        chain = self.chain
        if self.rule is None:
            text = f"policy {chain.policy}" if self.kind == "policy" else chain.doubt
            return Step(chain.family, chain.table, chain.name, None, len(chain.rules), text, None, self.kind)
        rule = self.rule
        return Step(
            chain.family, chain.table, chain.name, rule.handle, rule.position, str(rule.text), rule.comment, self.kind
        )


@dataclass(frozen=True)
class End:
    """Where the way of a flow ended, at which place, and for UNDECIDED with which reason."""

    flow: Flow
    fate: Fate
    stage: str
    place: Place | None
    reason: str


@dataclass
class _Exits:
    """The flows that left a rule or a chain, by the way they left."""

    onward: list[Flow] = field(default_factory=list)
    accepted: list[Flow] = field(default_factory=list)
    returned: list[Flow] = field(default_factory=list)


class ChainRunner:
    """Carries flows through chains; the flows whose way ends are collected in ``ends``."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ends: list[End] = []
        self.stage = "arrival"
        self._chains = ruleset.chains
        self._forks = 0
        self._places: dict[tuple[int, int], Place] = {}

    def base_chain(self, chain: Chain, flows: list[Flow]) -> list[Flow]:
        """The flows that a base chain lets go on, by a rule or by its policy."""
        exits = self._chain(chain, flows, 0)
        fallen = [*exits.onward, *exits.returned]
        place = self._place(chain, None)
        if chain.policy == "drop":
            for flow in fallen:
                self.end(flow, Fate.DROPPED, place, "")
            return merged(exits.accepted)
        return merged([*exits.accepted, *(self._passed(flow, place) for flow in fallen)])

    def end(self, flow: Flow, fate: Fate, place: Place | None, reason: str) -> None:
        """Note that the way of a flow ends here. An answer that is rejected is, to the client, silence."""
        if self.stage == "answer" and fate is Fate.REJECTED:
            fate = Fate.DROPPED
        self.ends.append(End(flow, fate, self.stage, place, reason))

    def _chain(self, chain: Chain, flows: list[Flow], depth: int) -> _Exits:
        exits = _Exits(onward=flows)
        for rule in chain.rules:
            going = exits.onward
            if not going:
                break
            if all(map(_is_passed_by, itertools.repeat(rule), going)):
                continue
            exits.onward = []
            for flow in going:
                self._rule(chain, rule, flow, exits, depth)
            if len(exits.onward) > 1:
                exits.onward = merged(exits.onward)
            if self._forks > MOST_FORKS:
                for flow in exits.onward:
                    self.end(flow, Fate.UNDECIDED, Place(chain, rule), "too many undecidable rules")
                exits.onward = []
        return exits

    def _rule(self, chain: Chain, rule: Rule, start: Flow, exits: _Exits, depth: int) -> None:
        items = rule.effective
        pending = [(start, 0)]
        while pending:
            flow, number = pending.pop()
            if number == len(items):
                exits.onward.append(flow)
                continue
            item = items[number]
            if not is_match(item):
                self._statement(chain, rule, number, flow, pending, exits, depth)
                continue
            for part, truth in item.evaluate(flow):
                if truth is Truth.MAYBE:
                    pending.append((self._assuming(part, chain, rule, True), number + 1))
                    exits.onward.append(self._assuming(part, chain, rule, False))
                    continue
                settled = self._assuming(part, chain, rule, truth is Truth.TRUE) if part.guessed else part
                if truth is Truth.TRUE:
                    pending.append((settled, number + 1))
                else:
                    exits.onward.append(settled)

    def _statement(
        self,
        chain: Chain,
        rule: Rule,
        number: int,
        flow: Flow,
        pending: list[tuple[Flow, int]],
        exits: _Exits,
        depth: int,
    ) -> None:
        statement = cast(Statement, rule.effective[number])
        for branch, (part, verdict) in enumerate(statement.apply(flow)):
            settled = self._assuming(part, chain, rule, branch) if part.guessed else part
            if settled.translated != flow.translated:
                settled = changed(settled, trail=(*settled.trail, self._place(chain, rule)))
            if verdict is None:
                pending.append((settled, number + 1))
            else:
                self._verdict(chain, rule, settled, verdict, exits, depth)

    def _verdict(self, chain: Chain, rule: Rule, flow: Flow, verdict: Verdict, exits: _Exits, depth: int) -> None:
        verb = verdict.verb
        if verb is Verb.NEXT_RULE:
            exits.onward.append(flow)
        elif verb is Verb.ACCEPT:
            exits.accepted.append(self._passed(flow, self._place(chain, rule)))
        elif verb is Verb.RETURN:
            exits.returned.append(flow)
        elif verb in (Verb.JUMP, Verb.GOTO):
            self._jump(chain, rule, flow, verdict, exits, depth)
        elif verb is Verb.UNDECIDED:
            self.end(flow, Fate.UNDECIDED, self._place(chain, rule), verdict.target)
        else:
            fate = Fate.DROPPED if verb is Verb.DROP else Fate.REJECTED
            self.end(flow, fate, self._place(chain, rule), verdict.target)

    def _jump(self, chain: Chain, rule: Rule, flow: Flow, verdict: Verdict, exits: _Exits, depth: int) -> None:
        target = self._chains.get((chain.family, chain.table, verdict.target))
        if target is None or depth > _DEEPEST_JUMP:
            reason = f"the chain {verdict.target} that it goes to is not shown"
            self.end(flow, Fate.UNDECIDED, self._place(chain, rule), reason)
            return
        inner = self._chain(target, [flow], depth + 1)
        exits.accepted += inner.accepted
        fallen = [*inner.onward, *inner.returned]
        if verdict.verb is Verb.JUMP:
            exits.onward += fallen
        else:
            exits.returned += fallen

    def _passed(self, flow: Flow, place: Place) -> Flow:
        chain = place.chain
        judges = chain.hook is None or (chain.hook in _JUDGING_HOOKS and chain.kind != "nat")
        if self.stage == "arrival" and judges:
            return changed(flow, trail=(*flow.trail, place))
        return flow

    def _assuming(self, flow: Flow, chain: Chain, rule: Rule, guess: object) -> Flow:
        self._forks += 1
        place = self._place(chain, rule)
        return changed(flow, assumptions=flow.assumptions | {(place, guess)}, guessed=False)

    def _place(self, chain: Chain, rule: Rule | None) -> Place:
        key = (id(chain), id(rule))
        if key not in self._places:
            self._places[key] = Place(chain, rule, "rule" if rule else "policy")
        return self._places[key]


def _is_passed_by(rule: Rule, flow: Flow) -> bool:
    """Whether a rule surely does not concern a flow, by one of its conditions: the quick way through long chains."""
    first = rule.first
    if first is None:
        return False
    return is_ruled_out(first, flow) or any(map(is_ruled_out, rule.conditions[1:], itertools.repeat(flow)))


def merged(flows: list[Flow]) -> list[Flow]:
    """The same flows with those that are in the same state made one again, so that guesses do not multiply.

    Two guesses that led to the same state for the same clients no longer matter; two parts of the clients that are in
    the same state under the same guesses, let through by the same rules, are one part again.
    """
    if len(flows) < 2:
        return flows
    by_state: dict[tuple[Flow, RangeSet], Flow] = {}
    for flow in flows:
        _join(by_state, (_state_of(flow), flow.clients), flow)
    by_guess: dict[tuple[Flow, object], Flow] = {}
    for (state, _clients), flow in by_state.items():
        key = (state, (flow.assumptions, flow.trail, flow.source_port, flow.destination_port))
        other = by_guess.get(key)
        by_guess[key] = flow if other is None else other.with_clients(other.clients | flow.clients)
    return list(by_guess.values())


@dataclass(frozen=True, eq=False)
class Trails:
    """The trails of flows that were made one: whose clients came by which. Nothing but itself is equal to it."""

    ways: tuple[tuple[RangeSet, tuple[object, ...]], ...]


def together(flows: list[Flow]) -> list[Flow]:
    """The same flows, with those that differ in nothing but clients and trail as one, which remembers the trails."""
    groups: dict[Flow, list[Flow]] = {}
    for flow in flows:
        groups.setdefault(flow.with_clients(RangeSet()), []).append(flow)
    return [_as_one(group) for group in groups.values()]


def _as_one(group: list[Flow]) -> Flow:
    if len(group) == 1:
        return group[0]
    clients = RangeSet(itertools.chain.from_iterable(flow.clients for flow in group))
    ways = tuple((flow.clients, flow.trail) for flow in group)
    return changed(group[0].with_clients(clients), trail=(Trails(ways),))


def _join(groups: dict[tuple[Flow, RangeSet], Flow], key: tuple[Flow, RangeSet], flow: Flow) -> None:
    other = groups.get(key)
    if other is not None:
        flow = changed(
            other,
            assumptions=other.assumptions & flow.assumptions,
            source_port=_either(other.source_port, flow.source_port),
            destination_port=_either(other.destination_port, flow.destination_port),
        )
    groups[key] = flow


def _state_of(flow: Flow) -> Flow:
    """All that must be equal of two flows that may become one."""
    bare = flow.with_clients(RangeSet())
    return changed(bare, assumptions=frozenset(), source_port=None, destination_port=None)


def _either(one: Value, other: Value) -> Value:
    if one == other:
        return one
    if one is None or other is None:
        return None
    return simplified(_as_set(one) | _as_set(other))


def _as_set(value: int | RangeSet) -> RangeSet:
    return RangeSet([(value, value)]) if isinstance(value, int) else value
