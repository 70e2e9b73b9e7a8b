# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing table: by which interface packets leave, and what rules can ask of it (nft's ``fib`` expressions)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...module_utils._core.ranges import Range, RangeSet
from .addresstypes import TYPE_NUMBERS, addresses_of_types, can_type
from .expressions import FieldValue, holds_clients
from .flow import READERS, Field, Flow, Value, interface_value
from .model import HostView, Route

LOOPBACK = "lo"


@dataclass(frozen=True)
class AddressType:
    """The type of an address as a number of linux/rtnetlink.h; ``interface`` as in LocalAddress (matches.py)."""

    which: Field
    interface: str = ""

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression (expressions.py)."""
        name = {"iif": flow.iif, "oif": flow.oif}.get(self.interface)
        if not can_type(flow.host, flow.version, READERS[self.which](flow), name):
            return ((flow, None),)
        kinds: list[tuple[RangeSet, Value]] = [
            (addresses_of_types(flow.host, flow.version, frozenset({kind}), name) or RangeSet(), TYPE_NUMBERS[kind])
            for kind in ("local", "broadcast", "multicast", "unicast")
        ]
        return _by_address(self.which, flow, kinds)


@dataclass(frozen=True)
class WayTo:
    """The interface by which an address is reached: its name's number (``by_name``) or its index; 0: there is none.

    With ``same_interface`` only a way by the interface of arrival counts, which is the reverse path filter. IPv4 asks
    for the best way and compares it; IPv6 asks for the best way by that interface (nft_fib_ipv4.c, nft_fib_ipv6.c).
    """

    which: Field
    by_name: bool
    same_interface: bool

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression (expressions.py)."""
        if not flow.host.routes_to or flow.host.other_tables or not flow.host.addresses_known:
            return ((flow, None),)
        if flow.iif == LOOPBACK:
            return ((flow, self._result(flow.host, LOOPBACK)),)
        return _by_address(self.which, flow, self._ways(flow))

    def _ways(self, flow: Flow) -> Iterator[tuple[RangeSet, Value]]:
        everything = RangeSet([(0, (1 << (32 if flow.version == 4 else 128)) - 1)])
        own = addresses_of_types(flow.host, flow.version, frozenset({"local"})) or RangeSet()
        yield own, 0
        routes = flow.host.routes(flow.version)
        if self.same_interface and flow.version == 6:
            routes = tuple(route for route in routes if route.interface == flow.iif)
        for route in sorted(routes, key=lambda route: -route.network.prefixlen):
            yield RangeSet([_bounds(route)]), self._value(route, flow)
        yield everything, 0

    def _value(self, route: Route, flow: Flow) -> Value:
        """What is asked of a route; of several that packets may take, what nobody knows."""
        # The reverse path filter takes any of several ways for the right one (fib_info_nh_uses_dev).
        names = {name for name in flow.host.ways(route) if not self.same_interface or name == flow.iif}
        if names <= {""}:
            return 0
        return self._result(flow.host, names.pop()) if len(names) == 1 else None

    def _result(self, host: HostView, name: str) -> Value:
        if self.by_name:
            return interface_value(name)
        interface = host.interface(name)
        # The index only matters where a rule compares it; where it is not known, any but 0 says "there is a way".
        return interface.index if interface else RangeSet([(1, (1 << 31) - 1)])


def inside(value: Value, values: RangeSet) -> bool | None:
    """Whether a value is among others; None where that is not known."""
    if isinstance(value, int):
        return value in values
    if value is None:
        return None
    common = value & values
    return None if common and common != value else bool(common)


def ways(host: HostView, version: int) -> list[tuple[RangeSet, tuple[str, ...]]]:
    """Networks and the interfaces that lead to them, the longest prefix first; the host's own addresses before.

    Several interfaces: any of them may be taken; an empty name: there is no way. Where rules choose among several
    tables of routes, packets may leave by any interface.
    """
    own = addresses_of_types(host, version, frozenset({"local"}))
    everything = RangeSet([(0, (1 << (32 if version == 4 else 128)) - 1)])
    found: list[tuple[RangeSet, tuple[str, ...]]] = [(own, ("lo",))] if own else []
    if host.other_tables:
        names = (item.name for item in host.interfaces if item.addresses and item.name != LOOPBACK)
        return [*found, (everything, tuple(names))]
    for route in sorted(host.routes(version), key=lambda route: -route.network.prefixlen):
        found.append((RangeSet([_bounds(route)]), host.ways(route)))
    return found


def _bounds(route: Route) -> Range:
    return int(route.network.network_address), int(route.network.broadcast_address)


def interfaces_to(host: HostView, version: int, destination: Value) -> tuple[str, ...] | None:
    """The interfaces by which a destination of one family (4 or 6) is reached (see ``ways``); None: not known."""
    if destination is None or not host.routes_to:
        return None
    for network, names in ways(host, version):
        where = inside(destination, network)
        if where is None:
            return None
        if where:
            return names
    return ("",)


def _by_address(which: Field, flow: Flow, results: Iterable[tuple[RangeSet, Value]]) -> tuple[tuple[Flow, Value], ...]:
    """The result of the first entry that holds the address, with the flow split where its clients differ."""
    address = READERS[which](flow)
    if isinstance(address, int):
        return ((flow, next((result for values, result in results if address in values), None)),)
    if not holds_clients(FieldValue(which), flow):
        return ((flow, None),)
    parts: list[tuple[Flow, Value]] = []
    rest = flow.clients
    for values, result in results:
        common = rest & values
        if common:
            parts.append((flow.with_clients(common), result))
            rest = rest - common
    if rest:
        parts.append((flow.with_clients(rest), None))
    return tuple(parts)
