# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of IPv4 and IPv6 addresses: networks, ranges, single addresses and ``any`` under one algebra.

An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) is the IPv4 address that it maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import islice
from typing import Union

from .errors import InputError
from .ranges import Range, RangeSet, partition

Address = Union[IPv4Address, IPv6Address]  # evaluated at run time, also on Python 3.8
MOST_COUNTED = 1000  # more parts of a set than these are not counted for people
_FEW_PAIRS = 64  # more pairs of sets than these are not tried one by one
_NONE = RangeSet()
_WIDTH = {4: 32, 6: 128}
_TOP = {4: 2**32 - 1, 6: 2**128 - 1}
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> Address:
    """One address, its scope id dropped. Raises InputError naming the text that is none."""
    return _parsed(str(text))


@lru_cache(maxsize=4096)  # a host's tables name the same few again and again
def _parsed(text: str) -> Address:
    try:
        address = ip_address(text.strip().split("%", 1)[0])
    except ValueError as error:
        raise InputError(f"{text!r} is no IPv4 or IPv6 address") from error
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class AddressSet:
    """An immutable set of addresses of both families, each a RangeSet of integers."""

    __slots__ = ("_sets",)

    def __init__(self, v4: RangeSet = _NONE, v6: RangeSet = _NONE) -> None:
        self._sets = (v4, v6)

    @classmethod
    def any(cls, version: int | None = None) -> AddressSet:
        """Every address, or every address of one family (4 or 6)."""
        return cls(
            RangeSet([(0, _TOP[4])]) if version in (None, 4) else RangeSet(),
            RangeSet([(0, _TOP[6])]) if version in (None, 6) else RangeSet(),
        )

    @classmethod
    def of(cls, *addresses: Address) -> AddressSet:
        """The set of exactly these addresses."""
        return cls._build((address.version, (int(address), int(address))) for address in addresses)

    @classmethod
    def parse(cls, items: str | Iterable[str]) -> AddressSet:
        """Read addresses, networks (host bits allowed, prefix or mask), ranges ``a-b`` and ``any``; one or a list.

        Raises InputError that names the item which is none of these.
        """
        texts = [items] if isinstance(items, str) else list(items)
        return cls._build(part for text in texts for part in _parse_item(str(text).strip()))

    @classmethod
    def _build(cls, parts: Iterable[tuple[int, Range]]) -> AddressSet:
        found: tuple[list[Range], list[Range]] = ([], [])
        for version, bounds in parts:
            found[version == 6].append(bounds)
        return cls(RangeSet(found[0]), RangeSet(found[1]))

    def family(self, version: int) -> AddressSet:
        """The part of one family (4 or 6)."""
        return AddressSet(v4=self._sets[0]) if version == 4 else AddressSet(v6=self._sets[1])

    def ranges(self, version: int) -> RangeSet:
        """The integers of one family (4 or 6)."""
        return self._sets[version == 6]

    def __contains__(self, address: Address) -> bool:
        return int(address) in self.ranges(address.version)

    def __bool__(self) -> bool:
        return bool(self._sets[0]) or bool(self._sets[1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressSet) and self._sets == other._sets

    def __hash__(self) -> int:
        return hash(self._sets)

    def __or__(self, other: AddressSet) -> AddressSet:
        return self._with(other, RangeSet.__or__)

    def __and__(self, other: AddressSet) -> AddressSet:
        return self._with(other, RangeSet.__and__)

    def __sub__(self, other: AddressSet) -> AddressSet:
        return self._with(other, RangeSet.__sub__)

    def _with(self, other: AddressSet, operation: Callable[[RangeSet, RangeSet], RangeSet]) -> AddressSet:
        return AddressSet(operation(self._sets[0], other._sets[0]), operation(self._sets[1], other._sets[1]))

    def covers(self, other: AddressSet) -> bool:
        """Whether every address of ``other`` is in this set."""
        return self._sets[0].covers(other._sets[0]) and self._sets[1].covers(other._sets[1])

    @property
    def size(self) -> int:
        """How many addresses the set holds."""
        return self._sets[0].size + self._sets[1].size

    def first(self) -> Address:
        """The lowest address, IPv4 before IPv6. Raises ValueError for an empty set."""
        for version in (4, 6):
            for low, _high in self.ranges(version):
                return to_address(low, version)
        raise ValueError("an empty set has no first address")

    def texts(self) -> Iterator[str]:
        """The shortest list of addresses and networks that is this set, IPv4 first; ``any`` for everything."""
        if self == _EVERYBODY:
            yield "any"
            return
        for version in (4, 6):
            width = _WIDTH[version]
            for low, high in self.ranges(version):
                for number, bits in _blocks(low, high, width):
                    yield f"{to_address(number, version)}/{width - bits}" if bits else str(to_address(number, version))

    def listed(self, most: int) -> tuple[list[str], int]:
        """The first of ``texts()``, and how many more there are; beyond MOST_COUNTED they are not counted."""
        texts = list(islice(self.texts(), most + MOST_COUNTED + 1))
        return texts[:most], max(0, len(texts) - most)

    def __str__(self) -> str:
        return ", ".join(self.texts()) or "nobody"

    def __repr__(self) -> str:
        return f"AddressSet({self})"


_EVERYBODY = AddressSet.any()


def overlaps(first: Sequence[AddressSet], second: Sequence[AddressSet]) -> Iterator[tuple[int, int, AddressSet]]:
    """What the sets of two lists have in common, with their positions; those of one list do not overlap."""
    if len(first) * len(second) <= _FEW_PAIRS:
        pairs = ((one, other, first[one] & second[other]) for one in range(len(first)) for other in range(len(second)))
        yield from (pair for pair in pairs if pair[2])
        return
    for version in (4, 6):
        for positions, part in partition([item.ranges(version) for item in (*first, *second)]):
            if len(positions) == 2:
                yield (
                    positions[0],
                    positions[1] - len(first),
                    AddressSet(v4=part) if version == 4 else AddressSet(v6=part),
                )


def to_address(number: int, version: int) -> Address:
    """The address of one family (4 or 6) with this number."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)


def _blocks(low: int, high: int, width: int) -> Iterator[tuple[int, int]]:
    """The fewest networks that are a range: the first number of each, and how many bits of it are free."""
    while low <= high:
        bits = min((low & -low).bit_length() - 1 if low else width, (high - low + 1).bit_length() - 1)
        yield low, bits
        low += 1 << bits


def _parse_item(text: str) -> Iterator[tuple[int, Range]]:
    if text.lower() == "any":
        yield 4, (0, _TOP[4])
        yield 6, (0, _TOP[6])
        return
    if "-" in text and "%" not in text:  # a scope id is an interface's name, which may hold a dash
        low, high = (parse_address(end) for end in text.split("-", 1))
        if low.version != high.version or int(low) > int(high):
            raise InputError(f"{text!r} is no range of addresses: its ends differ in family or are swapped")
        yield low.version, (int(low), int(high))
        return
    if "/" not in text:
        address = parse_address(text)
        yield address.version, (int(address), int(address))
        return
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise InputError(f"{text!r} is no address, network, range of addresses or 'any'") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        network = ip_network((int(network.network_address) & _TOP[4], network.prefixlen - 96))
    yield network.version, (int(network.network_address), int(network.broadcast_address))
