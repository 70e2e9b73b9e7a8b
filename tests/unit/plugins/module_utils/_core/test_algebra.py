# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Range, port and address algebra against Python's own sets and ipaddress."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core import addressset as address_sets
from ansible_collections.agentless.audit_ports.plugins.module_utils._core import ranges as range_algebra
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import (
    AddressSet,
    overlaps,
    parse_address,
    to_address,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.portset import PortSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.ranges import RangeSet
from hypothesis import given
from hypothesis import strategies as st

UNIVERSE = 60
BASE = int(IPv4Address("192.0.2.0"))
pairs = st.tuples(st.integers(0, UNIVERSE), st.integers(0, UNIVERSE))
range_lists = st.lists(pairs, max_size=12)


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


@given(range_lists, range_lists)
def test_ranges_are_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    mine, theirs = RangeSet(left), RangeSet(right)
    a, b = members(left), members(right)
    assert {number for number in range(UNIVERSE + 2) if number in mine} == a
    assert members((mine | theirs).ranges) == a | b
    assert members((mine & theirs).ranges) == a & b
    assert members((mine - theirs).ranges) == a - b
    assert mine.covers(theirs) == (a >= b)
    assert mine.size == len(a)
    assert bool(mine) == bool(a)
    assert (mine == theirs) == (a == b)
    assert a != b or hash(mine) == hash(theirs)


@given(st.lists(pairs, max_size=40), range_lists, range_lists, pairs)
def test_sets_of_very_many_ranges_are_sets(
    many: list[tuple[int, int]], first: list[tuple[int, int]], second: list[tuple[int, int]], bounds: tuple[int, int]
) -> None:
    """What is kept in blocks answers as any other set does, whichever question comes first."""
    low, high = sorted(bounds)
    numbers = (members(many) - members(first)) - members(second)
    other = RangeSet(second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_algebra, "_BLOCK", 1)

        def kept() -> RangeSet:
            return RangeSet(many) - RangeSet(first) - RangeSet(second)

        assert members(kept().ranges) == numbers
        assert {number for number in range(UNIVERSE + 2) if number in kept()} == numbers
        assert kept().meets(low, high) == bool(numbers & set(range(low, high + 1)))
        assert members((kept() & RangeSet([(low, high)])).ranges) == numbers & set(range(low, high + 1))
        assert members((RangeSet([(low, high)]) & kept()).ranges) == numbers & set(range(low, high + 1))
        assert members((RangeSet([(low, high)]) - kept()).ranges) == set(range(low, high + 1)) - numbers
        assert members((kept() | other).ranges) == numbers | members(second)
        assert bool(kept()) == bool(numbers)
        assert kept() == kept()
        assert (kept() == other) == (numbers == members(second))
        assert kept().size == len(numbers)
        assert not numbers or kept().span == (min(numbers), max(numbers))
        assert all(one[1] + 1 < two[0] for one, two in zip(kept(), list(kept())[1:]))


@given(st.lists(range_lists, max_size=5))
def test_a_partition_tells_who_holds_each_number(lists: list[list[tuple[int, int]]]) -> None:
    parts = range_algebra.partition([RangeSet(item) for item in lists])
    held = {number: tuple(at for at, item in enumerate(lists) if number in members(item)) for number in range(UNIVERSE)}
    assert {number: holders for holders, part in parts for number in members(list(part)) if number < UNIVERSE} == {
        number: holders for number, holders in held.items() if holders
    }
    assert len({holders for holders, _part in parts}) == len(parts)


@given(range_lists, range_lists)
def test_overlaps_of_many_sets_are_those_of_each_pair(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    first = [AddressSet(v4=RangeSet([item])) for item in RangeSet(left)]
    second = [AddressSet(v4=RangeSet([item])) for item in RangeSet(right)]
    one_by_one = set(overlaps(first, second))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(address_sets, "_FEW_PAIRS", -1)
        assert set(overlaps(first, second)) == one_by_one


@given(range_lists)
def test_ranges_are_sorted_disjoint_and_not_adjacent(ranges: list[tuple[int, int]]) -> None:
    found = list(RangeSet(ranges))
    assert all(low <= high for low, high in found)
    assert all(first[1] + 1 < second[0] for first, second in zip(found, found[1:]))


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=5))
def test_port_text_round_trip(ranges: list[tuple[int, int]]) -> None:
    ports = PortSet([(min(pair), max(pair)) for pair in ranges])
    assert not ports or PortSet.parse(str(ports)) == ports


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        (22, ((22, 22),)),
        ("5000-5010", ((5000, 5010),)),
        ("1:1024", ((1, 1024),)),
        ("135,139, 445", ((135, 135), (139, 139), (445, 445))),
        (["22", 23], ((22, 23),)),
        ("any", ((0, 65535),)),
        ("22,ANY", ((0, 65535),)),
    ],
)
def test_ports_are_read_as_people_write_them(text: object, ranges: tuple[tuple[int, int], ...]) -> None:
    assert PortSet.parse(text).ranges == ranges  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "ssh", "65536", "-1", "10-5", "22-", "1-2-3", "1.5", "٢٢"])
def test_what_is_no_port_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"no port|no range"):
        PortSet.parse(text)


address_items = st.one_of(
    st.integers(0, 255).map(lambda number: str(IPv4Address(BASE + number))),
    st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
        lambda pair: str(ip_network((BASE + pair[0], pair[1]), strict=False))
    ),
    st.tuples(st.integers(0, 255), st.integers(0, 255)).map(
        lambda pair: f"{IPv4Address(BASE + min(pair))}-{IPv4Address(BASE + max(pair))}"
    ),
)


def numbers_of(items: list[str]) -> set[int]:
    found: set[int] = set()
    for item in items:
        if "-" in item:
            low, high = (int(IPv4Address(end)) for end in item.split("-"))
            found |= set(range(low, high + 1))
        else:
            found |= {int(address) for address in IPv4Network(item)}
    return found


@given(st.lists(address_items, max_size=4), st.lists(address_items, max_size=4))
def test_address_sets_are_sets(left: list[str], right: list[str]) -> None:
    mine, theirs = AddressSet.parse(left), AddressSet.parse(right)
    a, b = numbers_of(left), numbers_of(right)
    for number in range(BASE - 1, BASE + 257, 3):
        address = IPv4Address(number)
        assert (address in mine) == (number in a)
        assert (address in (mine | theirs)) == (number in a | b)
        assert (address in (mine & theirs)) == (number in a & b)
        assert (address in (mine - theirs)) == (number in a - b)
    assert mine.covers(theirs) == (a >= b)
    assert mine.size == len(a)
    assert not mine.family(6)


@given(st.lists(address_items, max_size=4))
def test_texts_are_the_same_set_again(items: list[str]) -> None:
    found = AddressSet.parse(items)
    assert AddressSet.parse(list(found.texts())) == found


@given(st.integers(0, 2**128 - 1), st.integers(0, 128), st.integers(0, 2**128 - 1))
def test_ipv6_networks_hold_what_ipaddress_says(base: int, prefix: int, other: int) -> None:
    network = IPv6Network((base, prefix), strict=False)
    found = AddressSet.parse(str(network))
    if network.subnet_of(IPv6Network("::ffff:0:0/96")):
        assert found.ranges(6) == RangeSet()
        assert found.size == network.num_addresses
        return
    for number in (int(network.network_address), int(network.broadcast_address), other):
        assert (IPv6Address(number) in found) == (IPv6Address(number) in network)


def test_mapped_addresses_are_the_ipv4_that_they_map() -> None:
    assert parse_address("::ffff:192.0.2.10") == IPv4Address("192.0.2.10")
    assert AddressSet.parse("::ffff:192.0.2.0/120") == AddressSet.parse("192.0.2.0/24")


def test_scope_ids_are_dropped_even_with_a_dash() -> None:
    assert parse_address("fe80::1%eth0") == IPv6Address("fe80::1")
    assert AddressSet.parse("fe80::1%br-lan") == AddressSet.of(IPv6Address("fe80::1"))


def test_any_is_both_families_and_says_so() -> None:
    assert str(AddressSet.any()) == "any"
    assert list(AddressSet.any(4).texts()) == ["0.0.0.0/0"]
    assert AddressSet.parse("any").covers(AddressSet.parse(["::1", "192.0.2.1"]))
    assert AddressSet.parse(["0.0.0.0/0", "::/0"]) == AddressSet.any()
    assert str(AddressSet()) == "nobody"


def test_first_is_the_lowest_ipv4_before_ipv6() -> None:
    assert AddressSet.parse(["2001:db8::1", "192.0.2.7", "192.0.2.5"]).first() == ip_address("192.0.2.5")
    assert AddressSet.parse("2001:db8::1").first() == to_address(int(ip_address("2001:db8::1")), 6)
    with pytest.raises(ValueError, match="empty"):
        AddressSet().first()


@pytest.mark.parametrize(
    "text", ["", "audit1", "192.0.2.300", "192.0.2.0/33", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "anyone"]
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(InputError) as caught:
        AddressSet.parse([text])
    assert repr(text) in str(caught.value) or text in str(caught.value)


@given(st.lists(pairs, max_size=8), st.integers(1, 12))
def test_a_part_of_a_list_and_how_many_are_left_out(ranges: list[tuple[int, int]], most: int) -> None:
    addresses = AddressSet(RangeSet((BASE + low, BASE + high) for low, high in ranges))
    everything = list(addresses.texts())
    networks = [ip_network(text) for text in everything]
    assert sum(network.num_addresses for network in networks) == addresses.size
    assert AddressSet.parse(everything) == addresses
    assert addresses.listed(most) == (everything[:most], max(0, len(everything) - most))


def test_all_addresses_of_a_family_are_one_network() -> None:
    assert AddressSet.any(4).listed(1) == (["0.0.0.0/0"], 0)
    assert AddressSet.any(6).listed(1) == (["::/0"], 0)
    assert AddressSet.any().listed(1) == (["any"], 0)
