# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of integers as sorted, disjoint, non-adjacent closed ranges: the algebra under port and address sets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Tuple

Range = Tuple[int, int]  # evaluated at run time, and Python 3.8 cannot subscript tuple
_Ranges = Tuple[Range, ...]
_Blocks = Tuple[_Ranges, ...]
_LOW, _HIGH = itemgetter(0), itemgetter(1)
_FEW = 16  # ranges that are looked up in the other set one at a time
_BLOCK = 256  # ranges that are kept together in a set of very many


class RangeSet:
    """An immutable set of integers.

    Membership is logarithmic in the number of ranges, operators are linear; those with a few ranges on one side find
    their places in the other and only copy the rest. A set of very many ranges from which a few are taken is kept in
    blocks, of which the next one copies those alone that change.
    """

    __slots__ = ("_blocks", "_flat", "_size")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._flat: _Ranges | None = _normalised(ranges)
        self._blocks: _Blocks | None = None
        self._size: int | None = None

    @property
    def ranges(self) -> _Ranges:
        """The closed ranges in their order, neither overlapping nor adjacent."""
        if self._flat is None:
            self._flat = tuple(chain.from_iterable(self._blocks or ()))
        return self._flat

    @property
    def span(self) -> Range:
        """The lowest and the highest number. Raises IndexError for an empty set."""
        if self._flat is None and self._blocks:
            return self._blocks[0][0][0], self._blocks[-1][-1][1]
        return self.ranges[0][0], self.ranges[-1][1]

    def __contains__(self, value: int) -> bool:
        return self.meets(value, value)

    def meets(self, low: int, high: int) -> bool:
        """Whether the set has a number from ``low`` to ``high``."""
        first, last = _touching(self._near(low, high), low, high)
        return first < last

    def __bool__(self) -> bool:
        return bool(self._blocks if self._flat is None else self._flat)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return False
        if self._flat is not None and other._flat is not None:
            return self._flat == other._flat
        if not (self and other):
            return not (self or other)
        return self.span == other.span and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"RangeSet({self.ranges!r})"

    def __iter__(self) -> Iterator[Range]:
        return iter(self.ranges)

    @property
    def size(self) -> int:
        """How many integers the set holds."""
        if self._size is None:
            self._size = sum(map(_HIGH, self.ranges)) - sum(map(_LOW, self.ranges)) + len(self.ranges)
        return self._size

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
        few, many = (other, self) if other._is_small() else (self, other)
        if not few._is_small():
            return self if self.ranges == other.ranges else _made(_common(self.ranges, other.ranges))
        clipped = [_clipped(many._near(low, high), low, high) for low, high in few.ranges]
        return _made(clipped[0] if len(clipped) == 1 else tuple(chain.from_iterable(clipped)))

    def __sub__(self, other: RangeSet) -> RangeSet:
        if not other._is_small():
            return _made(_without(self.ranges, other.ranges))
        if self._flat is not None and len(self._flat) <= 2 * _BLOCK:
            left = self._flat
            for low, high in other.ranges:
                left = _cut(left, low, high)
            return _made(left)
        if self._blocks is None:
            self._blocks = _in_blocks(self.ranges)
        blocks = self._blocks
        for low, high in other.ranges:
            blocks = _cut_blocks(blocks, low, high)
        found = _made(())
        found._blocks, found._flat = blocks, None
        return found

    def covers(self, other: RangeSet) -> bool:
        """Whether every integer of ``other`` is in this set."""
        return self & other == other

    def _is_small(self) -> bool:
        return self._flat is not None and len(self._flat) <= _FEW

    def _near(self, low: int, high: int) -> _Ranges:
        """Some of the ranges, among them all that have a number from ``low`` to ``high``."""
        if self._flat is not None:
            return self._flat
        blocks = self._blocks or ()
        first, last = _touching_blocks(blocks, low, high)
        return tuple(chain.from_iterable(blocks[first:last]))


def partition(sets: Sequence[RangeSet]) -> list[tuple[tuple[int, ...], RangeSet]]:
    """The parts of all numbers in these sets by which of them hold them: the positions of those sets, and the part.

    In the order of the positions, those of more sets first. About as long as sorting all ranges takes.
    """
    bounds = [(low, position) for position, item in enumerate(sets) for low, _high in item]
    bounds += [(high + 1, position) for position, item in enumerate(sets) for _low, high in item]
    parts: dict[tuple[int, ...], list[Range]] = {}
    holding: set[int] = set()
    reached = 0
    for bound, position in sorted(bounds):
        if holding and bound > reached:
            parts.setdefault(tuple(sorted(holding)), []).append((reached, bound - 1))
        reached = bound
        holding ^= {position}
    return [(holders, RangeSet(parts[holders])) for holders in sorted(parts, key=lambda item: (*item, len(sets)))]


def _made(ranges: _Ranges) -> RangeSet:
    """The set of ranges that are sorted, disjoint and not adjacent already."""
    found = RangeSet.__new__(RangeSet)
    found._flat, found._blocks, found._size = ranges, None, None
    return found


def _in_blocks(ranges: _Ranges) -> _Blocks:
    return tuple(ranges[at : at + _BLOCK] for at in range(0, len(ranges), _BLOCK))


def _touching_blocks(blocks: _Blocks, low: int, high: int) -> tuple[int, int]:
    """From which block to which (without it) there may be ranges with a number from ``low`` to ``high``."""
    first = bisect_left(blocks, ((low, low),))
    first -= first > 0
    return first, bisect_left(blocks, ((high + 1, low),), first)


def _cut_blocks(blocks: _Blocks, low: int, high: int) -> _Blocks:
    """What is left without the numbers from ``low`` to ``high``."""
    first, last = _touching_blocks(blocks, low, high)
    touched = tuple(chain.from_iterable(blocks[first:last]))
    left = _cut(touched, low, high)
    pieces = _in_blocks(left) if len(left) > 2 * _BLOCK else (left,) if left else ()
    return (*blocks[:first], *pieces, *blocks[last:])


def _cut(ranges: _Ranges, low: int, high: int) -> _Ranges:
    """What is left without the numbers from ``low`` to ``high``."""
    first, last = _touching(ranges, low, high)
    if first == last:
        return ranges
    cut = (ranges[first][0], low - 1), (high + 1, ranges[last - 1][1])
    return (*ranges[:first], *(part for part in cut if part[0] <= part[1]), *ranges[last:])


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
