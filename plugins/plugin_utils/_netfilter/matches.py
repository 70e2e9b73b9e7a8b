# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matches of rules, three-valued: what they say of a packet for each part of its clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeGuard

from ...module_utils._core.ranges import RangeSet
from .addresstypes import addresses_of_types, can_type
from .expressions import Expression, FieldValue, holds_clients, listed, narrow
from .flow import ABSENT, READERS, Field, Flow, Value, simplified
from .sets import SetContent


class Truth(Enum):
    """What a match says. MAYBE: it cannot be decided from the rules and the packet."""

    TRUE = "true"
    FALSE = "false"
    MAYBE = "maybe"

    def inverted(self) -> Truth:
        """The opposite; MAYBE stays."""
        return _OPPOSITES[self]


_OPPOSITES = {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE, Truth.MAYBE: Truth.MAYBE}

Answer = tuple[tuple[Flow, Truth], ...]


class Match(Protocol):
    """A condition of a rule."""

    def evaluate(self, flow: Flow) -> Answer:
        """The truth for the flow, split into parts where it differs; the parts are the flow, without overlap.

        Where a value is one of several and nobody knows which, the parts may be narrowed to the values for which the
        match is true and false; they then carry ``guessed`` and both stand for all their clients.
        """


@dataclass(frozen=True)
class ValueIn:
    """An expression's value is among ``values``, or with ``negated`` is not. Without the field: false either way."""

    expression: Expression
    values: RangeSet
    negated: bool = False

    def excludes(self, value: int | RangeSet) -> bool:
        """Whether no number of a value meets the condition."""
        if isinstance(value, int):
            return (value in self.values) is self.negated
        return self.values.covers(value) if self.negated else not value & self.values

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        inside, outside = (Truth.FALSE, Truth.TRUE) if self.negated else (Truth.TRUE, Truth.FALSE)
        answer: list[tuple[Flow, Truth]] = []
        for part, value in self.expression.evaluate(flow):
            if isinstance(value, int):
                answer.append((part, inside if value in self.values else outside))
            elif value is None:
                answer.append((part, Truth.MAYBE))
            elif value == ABSENT:
                answer.append((part, Truth.FALSE))
            else:
                answer.extend(_split(part, self.expression, value, value & self.values, inside, outside))
        return tuple(answer)


@dataclass(frozen=True)
class ValueBetween:
    """An expression's value is from ``low`` to ``high``, or with ``negated`` is not: ValueIn for a single range."""

    expression: Expression
    low: int
    high: int
    negated: bool = False

    def excludes(self, value: int | RangeSet) -> bool:
        """Whether no number of a value meets the condition."""
        if isinstance(value, int):
            return (self.low <= value <= self.high) is self.negated
        if self.negated:
            return self.low <= value.span[0] and value.span[1] <= self.high
        return not value.meets(self.low, self.high)

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        inside, outside = (Truth.FALSE, Truth.TRUE) if self.negated else (Truth.TRUE, Truth.FALSE)
        answer: list[tuple[Flow, Truth]] = []
        for part, value in self.expression.evaluate(flow):
            if isinstance(value, int):
                answer.append((part, inside if self.low <= value <= self.high else outside))
            elif value is None:
                answer.append((part, Truth.MAYBE))
            elif value == ABSENT:
                answer.append((part, Truth.FALSE))
            elif not value.meets(self.low, self.high):
                answer.append((part, outside))
            else:
                common = value & RangeSet([(self.low, self.high)])
                answer.extend(_split(part, self.expression, value, common, inside, outside))
        return tuple(answer)


def is_match(item: object) -> TypeGuard[Match]:
    """Whether an item of a rule is a condition, not a statement."""
    return hasattr(item, "evaluate")


def is_ruled_out(match: Match, flow: Flow) -> bool:
    """Whether a match is surely false for all of a flow. Said without splitting the flow where that costs much."""
    if isinstance(match, (ValueBetween, ValueIn)) and isinstance(match.expression, FieldValue):
        value = match.expression.value(flow)
        return value is not None and ((isinstance(value, RangeSet) and not value) or match.excludes(value))
    if isinstance(match, InSet) and isinstance(simplified(flow.clients), RangeSet):
        return False
    answer = match.evaluate(flow)
    return len(answer) == 1 and answer[0][1] is Truth.FALSE and not answer[0][0].guessed


def _split(
    flow: Flow, expression: Expression, value: RangeSet, common: RangeSet, inside: Truth, outside: Truth
) -> Answer:
    """The parts of a flow whose value is one of several: in ``common``, and in the rest."""
    if not common:
        return ((flow, outside),)
    if common == value:
        return ((flow, inside),)
    first, second = narrow(expression, flow, common), narrow(expression, flow, value - common)
    if first is None or second is None:
        return ((flow, Truth.MAYBE),)
    return ((first, inside), (second, outside))


def field_in(field: Field, values: RangeSet, *, negated: bool = False) -> ValueIn | ValueBetween:
    """A field of the packet is among these values (see ValueIn)."""
    if len(values.ranges) == 1:
        return ValueBetween(FieldValue(field), *values.ranges[0], negated)
    return ValueIn(FieldValue(field), values, negated)


def field_is(field: Field, value: int, *, negated: bool = False) -> ValueBetween:
    """A field of the packet is this number (see ValueIn)."""
    return ValueBetween(FieldValue(field), value, value, negated)


@dataclass(frozen=True)
class MaskedIs:
    """The field's bits under ``mask`` are ``value`` (or with ``negated`` are not): marks, states, TCP flags."""

    field: Expression
    mask: int
    value: int
    negated: bool = False

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        return tuple(
            (part, _masked_truth(value, self.mask, self.value, self.negated))
            for part, value in self.field.evaluate(flow)
        )


@dataclass(frozen=True)
class AnyBit:
    """At least one bit of ``mask`` is set in the field (with ``negated``: none is), as in ``ct state new,related``."""

    field: Expression
    mask: int
    negated: bool = False

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        return tuple(
            (part, _masked_truth(value, self.mask, 0, not self.negated)) for part, value in self.field.evaluate(flow)
        )


def _masked_truth(value: Value, mask: int, wanted: int, negated: bool) -> Truth:
    if isinstance(value, int):
        return Truth.TRUE if (value & mask == wanted) != negated else Truth.FALSE
    if value == ABSENT:
        return Truth.FALSE
    results = {number & mask == wanted for number in listed(value) or ()}
    if len(results) != 1:
        return Truth.MAYBE
    return Truth.TRUE if results.pop() != negated else Truth.FALSE


@dataclass(frozen=True)
class InSet:
    """The values of several expressions together are an element of a set. Without one of the fields: false.

    ``gains`` and ``loses``: packets themselves add or remove elements, so that what is not (or is) in the set now need
    not be so when the packet comes.
    """

    expressions: tuple[Expression, ...]
    content: SetContent
    negated: bool = False
    gains: bool = False
    loses: bool = False

    def evaluate(self, flow: Flow) -> Answer:
        """See Match. Expressions that hold the clients split the flow."""
        values: list[Value] = []
        shared: int | None = None
        for position, expression in enumerate(self.expressions):
            parts = expression.evaluate(flow)
            if len(parts) > 1:
                return tuple(answer for part, _value in parts for answer in self.evaluate(part))
            flow, value = parts[0]
            if value == ABSENT:
                return ((flow, Truth.FALSE),)
            if shared is None and isinstance(value, RangeSet) and holds_clients(expression, flow):
                shared = position
            values.append(value)
        if shared is None:
            sure, possible = self.content.contains(values)
            return ((flow, self._truth(Truth.TRUE if sure else Truth.MAYBE if possible else Truth.FALSE)),)
        return self._split(flow, values, shared)

    def _split(self, flow: Flow, values: Sequence[Value], shared: int) -> Answer:
        if self.content.ranges is not None:
            inside, outside = self.content.split(flow.clients)
            between = RangeSet()
        else:
            sure, possible = self.content.along(values, shared)
            inside, perhaps = flow.clients & sure, flow.clients & possible
            between, outside = perhaps - inside, flow.clients - perhaps
        parts = ((inside, Truth.TRUE), (between, Truth.MAYBE), (outside, Truth.FALSE))
        return tuple((flow.with_clients(clients), self._truth(truth)) for clients, truth in parts if clients)

    def _truth(self, listed_now: Truth) -> Truth:
        if (listed_now is Truth.FALSE and self.gains) or (listed_now is Truth.TRUE and self.loses):
            return Truth.MAYBE
        return listed_now.inverted() if self.negated else listed_now


@dataclass(frozen=True)
class LocalAddress:
    """The type of an address as this host's routes see it is one of ``types`` (xt_addrtype, nft's ``fib ... type``).

    ``which`` is SOURCE or DESTINATION; ``interface`` is ``iif`` or ``oif`` where only that interface's addresses count.
    """

    which: Field
    types: frozenset[str]
    interface: str | None = None
    negated: bool = False

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        name = {"iif": flow.iif, "oif": flow.oif}.get(self.interface or "")
        values = addresses_of_types(flow.host, flow.version, self.types, name)
        if values is None or not can_type(flow.host, flow.version, READERS[self.which](flow), name):
            return ((flow, Truth.MAYBE),)
        return ValueIn(FieldValue(self.which), values, self.negated).evaluate(flow)


@dataclass(frozen=True)
class Undecidable:
    """A match whose truth depends on what no rule set shows: time, history, content. ``name`` says which match."""

    name: str

    def evaluate(self, flow: Flow) -> Answer:
        """Always MAYBE."""
        return ((flow, Truth.MAYBE),)


@dataclass(frozen=True)
class Always:
    """True for every packet (``truth`` may say false: a match that no packet of ours can meet)."""

    truth: Truth = Truth.TRUE

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        return ((flow, self.truth),)


@dataclass(frozen=True)
class Not:
    """The opposite of a match."""

    match: Match

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        return tuple((part, truth.inverted()) for part, truth in self.match.evaluate(flow))


@dataclass(frozen=True)
class AllOf:
    """Every one of the matches is true."""

    matches: tuple[Match, ...]

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        return _fold(self.matches, flow, Truth.TRUE)


@dataclass(frozen=True)
class AnyOf:
    """At least one of the matches is true."""

    matches: tuple[Match, ...]

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        return _fold(self.matches, flow, Truth.FALSE)


def _fold(matches: tuple[Match, ...], flow: Flow, neutral: Truth) -> Answer:
    """Carry out one match after the other until one says the opposite of ``neutral``."""
    going: list[tuple[Flow, Truth]] = [(flow, neutral)]
    ended: list[tuple[Flow, Truth]] = []
    for match in matches:
        after: list[tuple[Flow, Truth]] = []
        for part, so_far in going:
            for narrowed, truth in match.evaluate(part):
                if truth is neutral.inverted():
                    ended.append((narrowed, truth))
                else:
                    after.append((narrowed, Truth.MAYBE if Truth.MAYBE in (truth, so_far) else neutral))
        going = after
    return (*ended, *going)
