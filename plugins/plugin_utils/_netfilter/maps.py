# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps from packets to data: nft's maps and verdict maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...module_utils._core.ranges import RangeSet
from .expressions import Expression, holds_clients, narrow
from .flow import ABSENT, Flow, Value, changed
from .sets import Box, relation
from .statements import NEXT_RULE, Effects, Verdict

T = TypeVar("T")


class MapContent(Generic[T]):
    """The elements of a map, disjoint boxes with their data; an element for everything else comes last."""

    __slots__ = ("_exact", "boxes")

    def __init__(self, elements: Iterable[tuple[Box, T]]) -> None:
        self.boxes: list[tuple[Box, T]] = []
        self._exact: dict[tuple[int, ...], T] = {}
        for box, data in elements:
            if all(low == high for low, high in box):
                self._exact[tuple(low for low, _high in box)] = data
            else:
                self.boxes.append((box, data))

    def at(self, point: tuple[int, ...]) -> T | None:
        """The data of the element that holds a point, None where there is none."""
        if point in self._exact:
            return self._exact[point]
        for box, data in self.boxes:
            if all(low <= number <= high for number, (low, high) in zip(point, box, strict=True)):
                return data
        return None

    def elements(self) -> Iterator[tuple[Box, T]]:
        """All elements, those of single points first."""
        for point, data in self._exact.items():
            yield tuple((number, number) for number in point), data
        yield from self.boxes


def looked_up(expressions: Sequence[Expression], content: MapContent[T], flow: Flow) -> Iterator[tuple[Flow, T | None]]:
    """What a map holds for a flow, split where its clients differ; None: no element. Guesses are marked in the flow."""
    values: list[Value] = []
    shared: int | None = None
    for position, expression in enumerate(expressions):
        parts = expression.evaluate(flow)
        if len(parts) > 1:
            for part, _value in parts:
                yield from looked_up(expressions, content, part)
            return
        flow, value = parts[0]
        if value == ABSENT:
            yield flow, None
            return
        if shared is None and isinstance(value, RangeSet) and holds_clients(expression, flow):
            shared = position
        values.append(value)
    if all(isinstance(value, int) for value in values):
        yield flow, content.at(tuple(value for value in values if isinstance(value, int)))
        return
    yield from _searched(expressions, values, shared, content, flow)


def _searched(
    expressions: Sequence[Expression], values: list[Value], shared: int | None, content: MapContent[T], flow: Flow
) -> Iterator[tuple[Flow, T | None]]:
    rest = flow.clients
    guessed = False
    for box, data in content.elements():
        if not rest:
            return
        whole = relation(box, values, skip=shared)
        if whole is None:
            continue
        common = rest & RangeSet([box[shared]]) if shared is not None else rest
        if not common:
            continue
        part = flow.with_clients(common)
        if whole:
            yield part, data
            rest = rest - common
        else:
            guessed = True
            yield _guessing(expressions, values, box, part), data
    if rest:
        yield changed(flow.with_clients(rest), guessed=flow.guessed or guessed), None


def _guessing(expressions: Sequence[Expression], values: list[Value], box: Box, flow: Flow) -> Flow:
    """The flow, taken to be in this box: where only one of its values is unknown, that value is narrowed to it."""
    if len(expressions) == 1 and isinstance(values[0], RangeSet):
        narrowed = narrow(expressions[0], flow, values[0] & RangeSet([box[0]]))
        if narrowed is not None:
            return narrowed
    return changed(flow, guessed=True)


@dataclass(frozen=True)
class VerdictMap:
    """The verdict that a map holds for the packet; the rule ends where it holds none."""

    expressions: tuple[Expression, ...]
    content: MapContent[Verdict | None]

    def apply(self, flow: Flow) -> Effects:
        """See Statement (statements.py)."""
        return [(part, verdict or NEXT_RULE) for part, verdict in looked_up(self.expressions, self.content, flow)]


@dataclass(frozen=True)
class MapValue:
    """One of the values (by ``position``) that a map holds for the packet; ABSENT where it holds none."""

    expressions: tuple[Expression, ...]
    content: MapContent[tuple[Value, ...]]
    position: int = 0

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression (expressions.py)."""
        return tuple(
            (part, ABSENT if data is None else data[self.position])
            for part, data in looked_up(self.expressions, self.content, flow)
        )
