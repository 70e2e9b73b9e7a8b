# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The algebra under the simulator: sets, maps, values, matches - against plain counting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.ranges import RangeSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.addresstypes import addresses_of_types
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.chains import merged
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.expressions import (
    Bitwise,
    Constant,
    FieldValue,
    Unknown,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.flow import (
    ABSENT,
    TCP,
    Field,
    Flow,
    Value,
    interface_prefix,
    interface_value,
    simplified,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.maps import MapContent, MapValue
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.matches import (
    AllOf,
    Always,
    AnyOf,
    InSet,
    MaskedIs,
    Match,
    Not,
    Truth,
    Undecidable,
    ValueBetween,
    ValueIn,
    field_in,
    field_is,
    is_ruled_out,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.sets import (
    SetContent,
)
from hypothesis import given
from hypothesis import strategies as st

from .small_rules import HOST

SMALL = st.integers(0, 12)
RANGES = st.lists(st.tuples(SMALL, SMALL), max_size=5).map(RangeSet)
BOXES = st.lists(st.tuples(st.tuples(SMALL, SMALL), st.tuples(SMALL, SMALL)), max_size=6)


def flow(clients: RangeSet, **more: object) -> Flow:
    """A TCP packet of these clients (numbers as addresses)."""
    made = Flow(
        HOST, 4, TCP, clients, simplified(clients), 99, source_port=RangeSet([(1024, 65535)]), destination_port=22
    )
    return replace(made, **more)  # type: ignore[arg-type]


def points(ranges: RangeSet) -> set[int]:
    """The numbers of a small set."""
    return {number for low, high in ranges for number in range(low, high + 1)}


@given(BOXES, SMALL, SMALL)
def test_contains_counts_points(boxes: list[tuple[tuple[int, int], tuple[int, int]]], one: int, other: int) -> None:
    """A point is in a set of boxes exactly where one of them holds it."""
    ordered = [tuple((min(side), max(side)) for side in box) for box in boxes]
    content = SetContent(2, ordered)
    expected = any(low1 <= one <= high1 and low2 <= other <= high2 for (low1, high1), (low2, high2) in ordered)
    assert content.contains((one, other)) == (expected, expected)
    assert content.contains((None, other))[1] == any(low <= other <= high for _first, (low, high) in ordered)


@given(BOXES, RANGES.filter(bool), SMALL)
def test_a_set_splits_clients_as_points_would(
    boxes: list[tuple[tuple[int, int], tuple[int, int]]], clients: RangeSet, port: int
) -> None:
    """The parts are the clients, without overlap, and each client's truth is that of its point."""
    content = SetContent(2, [tuple((min(side), max(side)) for side in box) for box in boxes])
    match = InSet((FieldValue(Field.SOURCE), FieldValue(Field.DESTINATION_PORT)), content)
    answer = match.evaluate(flow(clients, destination_port=port))
    seen: list[int] = []
    for part, truth in answer:
        for client in points(part.clients):
            seen.append(client)
            assert (truth is Truth.TRUE) == content.contains((client, port))[0]
    assert sorted(seen) == sorted(points(clients))


@given(RANGES.filter(bool), RANGES, st.booleans())
def test_values_split_clients(clients: RangeSet, values: RangeSet, negated: bool) -> None:
    """Every client is in exactly one part, and its part's truth is its own."""
    answer = field_in(Field.SOURCE, values, negated=negated).evaluate(flow(clients))
    assert sorted(number for part, _truth in answer for number in points(part.clients)) == sorted(points(clients))
    for part, truth in answer:
        assert not part.guessed
        assert all((client in values) != negated for client in points(part.clients)) == (truth is Truth.TRUE)


@given(RANGES.filter(bool), SMALL, SMALL)
def test_between_is_in_a_range(clients: RangeSet, one: int, other: int) -> None:
    """The match for a single range says what the one for sets says."""
    low, high = sorted((one, other))
    expression = FieldValue(Field.SOURCE)
    quick = ValueBetween(expression, low, high).evaluate(flow(clients))
    assert quick == ValueIn(expression, RangeSet([(low, high)])).evaluate(flow(clients))


@given(RANGES.filter(bool), RANGES, SMALL, SMALL, st.booleans())
def test_what_is_ruled_out_is_false(clients: RangeSet, values: RangeSet, one: int, other: int, negated: bool) -> None:
    """The quick answer is "false" exactly where the whole one is, for clients as for what nobody knows."""
    low, high = sorted((one, other))
    for field in (Field.SOURCE, Field.SOURCE_PORT, Field.DESTINATION_PORT, Field.ICMP_TYPE, Field.MARK):
        expression = FieldValue(field)
        packet = flow(clients, source_port=clients, mark=None)
        for match in (ValueIn(expression, values, negated), ValueBetween(expression, low, high, negated)):
            answer = match.evaluate(packet)
            assert is_ruled_out(match, packet) == (len(answer) == 1 and answer[0][1] is Truth.FALSE)


def test_what_nobody_knows_is_narrowed_and_marked() -> None:
    """A source port: both parts stand for all clients, with the ports for which they hold."""
    match = field_in(Field.SOURCE_PORT, RangeSet([(0, 4999)]))
    (inside, first), (outside, second) = match.evaluate(flow(RangeSet([(1, 4)])))
    assert (first, second) == (Truth.TRUE, Truth.FALSE)
    assert inside.guessed
    assert outside.guessed
    assert (inside.source_port, outside.source_port) == (RangeSet([(1024, 4999)]), RangeSet([(5000, 65535)]))


@pytest.mark.parametrize("negated", [False, True])
def test_an_absent_field_is_false_either_way(negated: bool) -> None:
    """A TCP packet has no ICMP type, whatever it is compared with."""
    packet = flow(RangeSet([(1, 1)]))
    assert field_is(Field.ICMP_TYPE, 8, negated=negated).evaluate(packet)[0][1] is Truth.FALSE
    expression = FieldValue(Field.ICMP_TYPE)
    assert MaskedIs(expression, 255, 8, negated).evaluate(packet)[0][1] is Truth.FALSE
    assert InSet((expression,), SetContent(1, [((8, 8),)]), negated).evaluate(packet)[0][1] is Truth.FALSE


TRUTHS: dict[Truth, Match] = {
    Truth.TRUE: Always(),
    Truth.FALSE: Always(Truth.FALSE),
    Truth.MAYBE: Undecidable("weather"),
}


@given(st.lists(st.sampled_from(list(Truth)), min_size=1, max_size=4))
def test_three_valued_logic(truths: list[Truth]) -> None:
    """AND, OR and NOT of Kleene's logic."""
    matches: tuple[Match, ...] = tuple(TRUTHS[truth] for truth in truths)
    packet = flow(RangeSet([(1, 1)]))
    everything = Truth.FALSE if Truth.FALSE in truths else Truth.MAYBE if Truth.MAYBE in truths else Truth.TRUE
    anything = Truth.TRUE if Truth.TRUE in truths else Truth.MAYBE if Truth.MAYBE in truths else Truth.FALSE
    assert [truth for _part, truth in AllOf(matches).evaluate(packet)] == [everything]
    assert [truth for _part, truth in AnyOf(matches).evaluate(packet)] == [anything]
    assert [truth for _part, truth in Not(AllOf(matches)).evaluate(packet)] == [everything.inverted()]


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    [
        ("&", 0x3F, 0x0F, 0x0F),
        ("|", 0x30, 0x01, 0x31),
        ("^", 0x3, 0x1, 0x2),
        ("<<", 1, 31, 1 << 31),
        (">>", 256, 4, 16),
        ("&", RangeSet([(0, 3)]), 2, RangeSet([(0, 0), (2, 2)])),
        ("&", RangeSet([(0, 3)]), 8, 0),
        ("&", RangeSet([(0, 1 << 20)]), 1, None),
        ("|", None, 1, None),
        ("|", ABSENT, 1, ABSENT),
    ],
)
def test_arithmetic_on_bits(operator: str, left: Value, right: Value, expected: Value) -> None:
    """Known values give known results, one of several one of several, too many none."""
    ((_flow, value),) = Bitwise(operator, Constant(left), Constant(right)).evaluate(flow(RangeSet([(1, 1)])))
    assert value == expected


def test_maps_split_clients_and_take_the_rest_last() -> None:
    """Each client gets the data of its element; where there is none, the value is absent."""
    content: MapContent[tuple[Value, ...]] = MapContent([(((1, 3),), (10,)), (((5, 5),), (20,))])
    values = MapValue((FieldValue(Field.SOURCE),), content).evaluate(flow(RangeSet([(1, 6)])))
    found = {client: value for part, value in values for client in points(part.clients)}
    assert found == {1: 10, 2: 10, 3: 10, 4: ABSENT, 5: 20, 6: ABSENT}
    unknown = MapValue((Unknown("turn"),), content).evaluate(flow(RangeSet([(1, 6)])))
    assert [value for _part, value in unknown] == [20, 10, ABSENT]
    assert all(part.guessed for part, _value in unknown)


def test_interface_names_compare_as_in_the_kernel() -> None:
    """A pattern holds the names that begin so, the bare prefix among them."""
    pattern = interface_prefix("eth")
    assert [interface_value(name) in pattern for name in ("eth0", "eth", "eth12345678901", "et", "ethh", "fth0")] == [
        True, True, True, False, True, False
    ]  # fmt: skip


def test_types_of_addresses() -> None:
    """Local, broadcast, multicast and the rest, of one interface or of all."""
    local = addresses_of_types(HOST, 4, frozenset({"local"}))
    assert local == RangeSet([(0x7F000000, 0x7FFFFFFF), (0xC0000201, 0xC0000201), (0xC6336401, 0xC6336401)])
    of_lan = addresses_of_types(HOST, 4, frozenset({"local"}), "lan0")
    assert of_lan == RangeSet([(0xC0000201, 0xC0000201)])
    broadcast = addresses_of_types(HOST, 4, frozenset({"broadcast"}), "dmz0")
    assert broadcast == RangeSet([(0xC63364FF, 0xC63364FF), (0xFFFFFFFF, 0xFFFFFFFF)])
    everything = addresses_of_types(HOST, 6, frozenset({"local", "broadcast", "multicast", "unicast"}))
    assert everything == RangeSet([(0, (1 << 128) - 1)])
    assert addresses_of_types(HOST, 4, frozenset({"blackhole"})) is None


def test_equal_states_are_made_one() -> None:
    """Two guesses for the same clients fall away; parts under the same guess are joined; others stay apart."""
    one, other = flow(RangeSet([(1, 4)])), flow(RangeSet([(5, 8)]))
    guessed = [replace(one, assumptions=frozenset({("rule", guess)})) for guess in (True, False)]
    assert merged(guessed) == [one]
    assert [item.clients for item in merged([one, other])] == [RangeSet([(1, 8)])]
    assert len(merged([one, replace(other, mark=1)])) == 2
    assert len(merged([guessed[0], other])) == 2
    ports = [
        replace(item, source_port=RangeSet([bounds])) for item, bounds in zip(guessed, ((1, 5), (6, 9)), strict=True)
    ]
    assert merged(ports) == [replace(one, source_port=RangeSet([(1, 9)]))]
