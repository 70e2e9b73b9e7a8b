# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that rules compare and compute: fields, constants, arithmetic on bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...module_utils._core.ranges import RangeSet
from .flow import ABSENT, NARROWERS, READERS, Field, Flow, Value, clients_field, simplified

_MANY = 64  # more possible results than this are not listed: the value is then unknown


class Expression(Protocol):
    """Something with a value for each flow."""

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """The value, with the flow split into parts where it differs between its clients."""


@dataclass(frozen=True)
class Constant:
    """The same value for every packet; a RangeSet is one of these, nobody knows which."""

    value: Value

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression."""
        return ((flow, self.value),)


@dataclass(frozen=True)
class FieldValue:
    """A field of the packet as it is; ABSENT for packets of another IP version or protocol than are named."""

    field: Field
    version: int | None = None
    protocol: int | None = None

    def value(self, flow: Flow) -> Value:
        """The value of the whole flow: a field is never split."""
        if self.version not in (None, flow.version) or self.protocol not in (None, flow.protocol):
            return ABSENT
        return READERS[self.field](flow)

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression."""
        return ((flow, self.value(flow)),)


@dataclass(frozen=True)
class Unknown:
    """A value that cannot be known beforehand; ``name`` says of what. ABSENT as with FieldValue."""

    name: str
    version: int | None = None
    protocol: int | None = None

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression."""
        if self.version not in (None, flow.version) or self.protocol not in (None, flow.protocol):
            return ((flow, ABSENT),)
        return ((flow, None),)


@dataclass(frozen=True)
class Perhaps:
    """1 or 0, nobody knows which, for packets of this protocol; 0 for all others: whether they have an option of it."""

    name: str
    protocol: int

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression."""
        return ((flow, None if flow.protocol == self.protocol else 0),)


@dataclass(frozen=True)
class Bitwise:
    """``left`` and ``right`` under one of ``&``, ``|``, ``^``, ``<<``, ``>>``."""

    operator: str
    left: Expression
    right: Expression

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression. More than a few possible results are unknown."""
        return tuple(
            (last, _combine(_OPERATIONS[self.operator], left, right))
            for first, left in self.left.evaluate(flow)
            for last, right in self.right.evaluate(first)
        )


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "<<": lambda left, right: left << right & 0xFFFFFFFF,
    ">>": lambda left, right: left >> right,
}


def _combine(operation: Callable[[int, int], int], left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int):
        return operation(left, right)
    if left == ABSENT or right == ABSENT:
        return ABSENT
    lefts, rights = listed(left), listed(right)
    if lefts is None or rights is None:
        return None
    return simplified(RangeSet((value, value) for value in {operation(a, b) for a in lefts for b in rights}))


def listed(value: Value) -> list[int] | None:
    """All that a value can be, None where that is unknown or too much to list."""
    if isinstance(value, int):
        return [value]
    if value is None or value.size > _MANY:
        return None
    return [number for low, high in value for number in range(low, high + 1)]


def narrow(expression: Expression, flow: Flow, values: RangeSet) -> Flow | None:
    """The flow with this expression's value among ``values``; None where an expression cannot be narrowed."""
    if not isinstance(expression, FieldValue):
        return None
    if clients_field(flow, expression.field):
        return flow.with_clients(values)
    narrower = NARROWERS.get(expression.field)
    return narrower(flow, values) if narrower else None


def holds_clients(expression: Expression, flow: Flow) -> bool:
    """Whether this is a field that stands for all clients of the flow."""
    return isinstance(expression, FieldValue) and clients_field(flow, expression.field)
