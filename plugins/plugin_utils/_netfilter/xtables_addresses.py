# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What iptables asks of addresses and of the routes to them: the matches ``addrtype`` and ``rpfilter``.

Sources: iptables-extensions(8); linux: net/netfilter/xt_addrtype.c, net/ipv4/netfilter/ipt_rpfilter.c,
net/ipv6/netfilter/ip6t_rpfilter.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...module_utils._core.ranges import RangeSet
from .flow import Field
from .matches import AllOf, Always, AnyOf, LocalAddress, Match, Not, Truth, Undecidable, ValueIn, field_is
from .routing import WayTo
from .xtables_arguments import Section
from .xtables_lines import UnreadableError, shown
from .xtables_values import ALL_BITS

_FALSE = Always(Truth.FALSE)
_ADDRESS_TYPES = {
    name: name.lower()
    for name in (
        *("UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST"),
        *("BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE"),
    )
}
# The types that a look-up in the local routing table can have as its result (linux: inet_addr_type).
_OF_LOCAL_TABLE = frozenset({"unicast", "local", "broadcast", "multicast"})


def address_types(section: Section, version: int) -> Iterator[Match]:
    """The match ``addrtype``. Raises UnreadableError for a type that there is not."""
    interface: str | None = None
    for option in section.options:
        interface = {"--limit-iface-in": "iif", "--limit-iface-out": "oif"}.get(option.name, interface)
    for option in section.options:
        if option.name in ("--src-type", "--dst-type"):
            which = Field.SOURCE if option.name == "--src-type" else Field.DESTINATION
            unknown = set(option.value.split(",")) - set(_ADDRESS_TYPES)
            if unknown:
                raise UnreadableError(f"{shown(', '.join(sorted(unknown)))} is no type of address")
            types = frozenset(_ADDRESS_TYPES[name] for name in option.value.split(","))
            of_types = _of_types if version == 4 else _of_v6_types
            found = of_types(which, types, interface)
            yield Not(found) if option.negated else found


def _of_types(which: Field, types: frozenset[str], interface: str | None) -> Match:
    possible = types & _OF_LOCAL_TABLE
    return LocalAddress(which, possible, interface) if possible else _FALSE


def _of_v6_types(which: Field, types: frozenset[str], interface: str | None) -> Match:
    """IPv6 asks for the scope (unicast, multicast) and the route (local, ...) one after the other: both must hold."""
    wanted: list[Match] = []
    if "multicast" in types:
        wanted.append(LocalAddress(which, frozenset({"multicast"})))
    if "unicast" in types:
        wanted.append(LocalAddress(which, frozenset({"unicast", "local"})))
    if "unspec" in types:
        wanted.append(field_is(which, 0))
    routed: list[Match] = [LocalAddress(which, frozenset({"local"}), interface)] if "local" in types else []
    routed += [Undecidable(f"addrtype {name.upper()}") for name in sorted(types & {"anycast", "unreachable"})]
    if routed:
        wanted.append(AnyOf(tuple(routed)))
    return AllOf(tuple(wanted)) if wanted else _FALSE


def reverse_path(section: Section) -> Match:
    """The match ``rpfilter``: the way back to the source is the interface of arrival. Raises UnreadableError."""
    flags = {option.name for option in section.options}
    unknown = flags - {"--invert", "--loose", "--validmark", "--accept-local"}
    if unknown:
        raise UnreadableError(f"rpfilter has no option {shown(', '.join(sorted(unknown)))}")
    way = WayTo(Field.SOURCE, by_name=False, same_interface="--loose" not in flags)
    found: Match = ValueIn(way, RangeSet([(1, ALL_BITS)]))
    if "--accept-local" in flags:
        found = AnyOf((found, LocalAddress(Field.SOURCE, frozenset({"local"}))))
    if "--validmark" in flags:
        # Routes that depend on marks are not shown by the main table.
        marked = AllOf((field_is(Field.MARK, 0, negated=True), Undecidable(str(section))))
        found = AnyOf((AllOf((field_is(Field.MARK, 0), found)), marked))
    return Not(found) if "--invert" in flags else found
