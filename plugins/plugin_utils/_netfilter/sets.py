# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of named and anonymous sets, fit for 100,000 elements: ranges for one dimension, boxes for more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from socket import AF_INET, AF_INET6, inet_pton
from struct import iter_unpack, unpack

from ...module_utils._core.ranges import Range, RangeSet
from .flow import Value

Box = tuple[Range, ...]  # one closed range of numbers a dimension
_SPLITS_KEPT = 4  # a walk splits its clients on the way in, and those of the answer


class SetContent:
    """An immutable set of points in one or more dimensions, built from boxes."""

    __slots__ = ("_boxes", "_exact", "_ranges", "_splits", "dimensions")

    def __init__(self, dimensions: int, boxes: Iterable[Box]) -> None:
        """``boxes`` of exactly ``dimensions`` ranges each; they may overlap."""
        self.dimensions = dimensions
        self._splits: list[tuple[RangeSet, RangeSet, RangeSet]] = []
        self._ranges: RangeSet | None = None
        self._exact: set[tuple[int, ...]] = set()
        self._boxes: list[Box] = []
        if dimensions == 1:
            self._ranges = RangeSet(box[0] for box in boxes)
            return
        for box in boxes:
            if all(low == high for low, high in box):
                self._exact.add(tuple(low for low, _high in box))
            else:
                self._boxes.append(box)

    @classmethod
    def of_ranges(cls, ranges: RangeSet) -> SetContent:
        """A set of one dimension from its ranges."""
        content = cls(1, ())
        content._ranges = ranges
        return content

    @property
    def ranges(self) -> RangeSet | None:
        """The numbers of a set of one dimension, None for more."""
        return self._ranges

    def contains(self, values: Sequence[Value]) -> tuple[bool, bool]:
        """Whether the point that these values are is surely in the set, and whether it may be."""
        if all(isinstance(value, int) for value in values):
            point = tuple(value for value in values if isinstance(value, int))
            inside = self._has_point(point)
            return inside, inside
        sure = possible = False
        for box in self._all_boxes():
            holds = relation(box, values, skip=None)
            possible = possible or holds is not None
            sure = sure or bool(holds)
        return sure, possible

    def split(self, numbers: RangeSet) -> tuple[RangeSet, RangeSet]:
        """Which of the numbers are in this set of one dimension, and which are not; the last answers are kept."""
        for known, inside, outside in self._splits:
            if known == numbers:
                return inside, outside
        ranges = self._ranges or RangeSet()
        inside, outside = numbers & ranges, numbers - ranges
        self._splits = [(numbers, inside, outside), *self._splits[: _SPLITS_KEPT - 1]]
        return inside, outside

    def along(self, values: Sequence[Value], shared: int) -> tuple[RangeSet, RangeSet]:
        """The numbers of dimension ``shared`` for which the point is surely in the set, and for which it may be."""
        if self._ranges is not None:
            return self._ranges, self._ranges
        sure: list[Range] = []
        possible: list[Range] = []
        for box in self._all_boxes():
            holds = relation(box, values, skip=shared)
            if holds is not None:
                possible.append(box[shared])
                if holds:
                    sure.append(box[shared])
        return RangeSet(sure), RangeSet(possible)

    def _has_point(self, point: tuple[int, ...]) -> bool:
        if self._ranges is not None:
            return point[0] in self._ranges
        return point in self._exact or any(
            all(low <= number <= high for number, (low, high) in zip(point, box, strict=True)) for box in self._boxes
        )

    def _all_boxes(self) -> Iterator[Box]:
        if self._ranges is not None:
            yield from ((item,) for item in self._ranges)
            return
        yield from self._boxes
        for point in self._exact:
            yield tuple((number, number) for number in point)


def relation(box: Box, values: Sequence[Value], *, skip: int | None) -> bool | None:
    """Whether a box holds all that the values can be (True), some of it (False), or nothing (None)."""
    whole = True
    for position, ((low, high), value) in enumerate(zip(box, values, strict=True)):
        if position == skip:
            continue
        if isinstance(value, int):
            if not low <= value <= high:
                return None
        elif value is None:
            whole = False
        else:
            common = value & RangeSet([(low, high)])
            if not common:
                return None
            whole = whole and common == value
    return whole


def address_numbers(version: int, texts: Sequence[str]) -> Sequence[int]:
    """Many addresses of one family (4 or 6) as numbers. Raises OSError for what is no address."""
    octets = b"".join(map(inet_pton, repeat(AF_INET if version == 4 else AF_INET6), texts))
    if version == 4:
        return unpack(f">{len(texts)}I", octets)
    return [high << 64 | low for high, low in iter_unpack(">QQ", octets)]
