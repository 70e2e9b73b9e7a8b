# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of integers as sorted, disjoint, non-adjacent closed ranges: the algebra under port and address sets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Tuple

Range = Tuple[int, int]  # evaluated at run time, and Python 3.8 cannot subscript tuple


class RangeSet:
    """An immutable set of integers. All operations are linear in the number of ranges; membership is logarithmic."""

    __slots__ = ("_starts", "ranges")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self.ranges: tuple[Range, ...] = tuple(_normalised(ranges))
        self._starts = [low for low, _high in self.ranges]

    def __contains__(self, value: int) -> bool:
        index = bisect_right(self._starts, value) - 1
        return index >= 0 and value <= self.ranges[index][1]

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"RangeSet({self.ranges!r})"

    def __iter__(self) -> Iterator[Range]:
        return iter(self.ranges)

    @property
    def size(self) -> int:
        """How many integers the set holds."""
        return sum(high - low + 1 for low, high in self.ranges)

    def __or__(self, other: RangeSet) -> RangeSet:
        return RangeSet(self.ranges + other.ranges)

    def __and__(self, other: RangeSet) -> RangeSet:
        found: list[Range] = []
        mine, theirs = 0, 0
        while mine < len(self.ranges) and theirs < len(other.ranges):
            low = max(self.ranges[mine][0], other.ranges[theirs][0])
            high = min(self.ranges[mine][1], other.ranges[theirs][1])
            if low <= high:
                found.append((low, high))
            if self.ranges[mine][1] < other.ranges[theirs][1]:
                mine += 1
            else:
                theirs += 1
        return RangeSet(found)

    def __sub__(self, other: RangeSet) -> RangeSet:
        if not self.ranges:
            return self
        gaps: list[Range] = []
        low = self.ranges[0][0]
        for start, end in other.ranges:
            gaps.append((low, start - 1))
            low = max(low, end + 1)
        gaps.append((low, max(low, self.ranges[-1][1])))
        return self & RangeSet(gap for gap in gaps if gap[0] <= gap[1])

    def covers(self, other: RangeSet) -> bool:
        """Whether every integer of ``other`` is in this set."""
        return (self & other) == other


def _normalised(ranges: Iterable[Range]) -> Iterator[Range]:
    current_low, current_high = 0, -1
    started = False
    for low, high in sorted(item for item in ranges if item[0] <= item[1]):
        if started and low <= current_high + 1:
            current_high = max(current_high, high)
            continue
        if started:
            yield (current_low, current_high)
        current_low, current_high, started = low, high, True
    if started:
        yield (current_low, current_high)
