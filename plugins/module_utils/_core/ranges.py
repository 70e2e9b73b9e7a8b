# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of integers as sorted, disjoint, non-adjacent closed ranges: the algebra under port and address sets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Tuple

Range = Tuple[int, int]  # evaluated at run time, and Python 3.8 cannot subscript tuple
_Ranges = Tuple[Range, ...]
_FEW = 16  # ranges that are looked up in the other set one at a time


class RangeSet:
    """An immutable set of integers.

    Membership is logarithmic in the number of ranges, operators are linear; those with a few ranges on one side find
    their places in the other and only copy the rest.
    """

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self.ranges: _Ranges = _normalised(ranges)

    def __contains__(self, value: int) -> bool:
        index = bisect_left(self.ranges, (value + 1, value))
        return index > 0 and value <= self.ranges[index - 1][1]

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
        few, many = sorted((self.ranges, other.ranges), key=len)
        if len(few) > _FEW:
            return self if few == many else RangeSet(few + many)
        for low, high in few:
            first, last = _touching(many, low - 1, high + 1)
            if first < last:
                low, high = min(low, many[first][0]), max(high, many[last - 1][1])
            many = (*many[:first], (low, high), *many[last:])
        return _made(many)

    def __and__(self, other: RangeSet) -> RangeSet:
        few, many = sorted((self.ranges, other.ranges), key=len)
        if len(few) > _FEW:
            return self if few == many else _made(_common(few, many))
        return _made(tuple(part for low, high in few for part in _clipped(many, low, high)))

    def __sub__(self, other: RangeSet) -> RangeSet:
        if len(other.ranges) > _FEW:
            return _made(_without(self.ranges, other.ranges))
        left = self.ranges
        for low, high in other.ranges:
            first, last = _touching(left, low, high)
            if first < last:
                cut = (left[first][0], low - 1), (high + 1, left[last - 1][1])
                left = (*left[:first], *(part for part in cut if part[0] <= part[1]), *left[last:])
        return _made(left)

    def covers(self, other: RangeSet) -> bool:
        """Whether every integer of ``other`` is in this set."""
        return (self & other).ranges == other.ranges


def _made(ranges: _Ranges) -> RangeSet:
    """The set of ranges that are sorted, disjoint and not adjacent already."""
    found = RangeSet.__new__(RangeSet)
    found.ranges = ranges
    return found


def _touching(ranges: _Ranges, low: int, high: int) -> tuple[int, int]:
    """From which position to which (without it) ranges have a number from ``low`` to ``high``."""
    first = bisect_left(ranges, (low, low))
    if first and ranges[first - 1][1] >= low:
        first -= 1
    return first, bisect_left(ranges, (high + 1, low), first)


def _clipped(ranges: _Ranges, low: int, high: int) -> _Ranges:
    """What lies from ``low`` to ``high``."""
    first, last = _touching(ranges, low, high)
    if first == last:
        return ()
    found = ranges[first:last]
    if found[0][0] < low:
        found = ((low, found[0][1]), *found[1:])
    if found[-1][1] > high:
        found = (*found[:-1], (found[-1][0], high))
    return found


def _common(mine: _Ranges, theirs: _Ranges) -> _Ranges:
    found: list[Range] = []
    first = bisect_left(mine, theirs[0])
    first -= first > 0
    second = bisect_left(theirs, mine[first])
    second -= second > 0
    while first < len(mine) and second < len(theirs):
        (low, high), (start, end) = mine[first], theirs[second]
        if low <= end and start <= high:
            found.append((low if low > start else start, high if high < end else end))
        if high < end:
            first += 1
        else:
            second += 1
    return tuple(found)


def _without(mine: _Ranges, theirs: _Ranges) -> _Ranges:
    found: list[Range] = []
    position, end = 0, len(theirs)
    for low, high in mine:
        while position < end and theirs[position][1] < low:
            position += 1
        while position < end and theirs[position][0] <= high:
            start, stop = theirs[position]
            if low < start:
                found.append((low, start - 1))
            low = stop + 1
            if stop >= high:
                break
            position += 1
        if low <= high:
            found.append((low, high))
    return tuple(found)


def _normalised(ranges: Iterable[Range]) -> _Ranges:
    items = list(ranges)
    if len(items) == 1:
        return tuple(items) if items[0][0] <= items[0][1] else ()
    items.sort()
    found: list[Range] = []
    low, high = 0, -1
    for item in items:
        if item[0] > item[1]:
            continue
        if found and item[0] <= high + 1:
            if item[1] > high:
                high = item[1]
                found[-1] = (low, high)
        else:
            low, high = item
            found.append(item)
    return tuple(found)
