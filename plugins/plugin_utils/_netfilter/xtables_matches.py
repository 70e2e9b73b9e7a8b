# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conditions of a rule of iptables as matches of the model.

What cannot be decided from the rules and the packet (rates, history, content, time) is an ``Undecidable`` that names
the condition. Sources: iptables(8), iptables-extensions(8); linux: net/netfilter/xt_*.c, net/ipv4/netfilter/ipt_*.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from ...module_utils._core.ranges import RangeSet
from .expressions import FieldValue
from .flow import ACK, FIN, PSH, RST, SYN, URG, Field, interface_prefix, interface_value
from .matches import (
    AllOf,
    Always,
    AnyOf,
    MaskedIs,
    Match,
    Not,
    Truth,
    Undecidable,
    ValueBetween,
    field_in,
    field_is,
)
from .xtables_addresses import address_types, reverse_path
from .xtables_arguments import Arguments, Option, Section
from .xtables_conntrack import conntrack, state
from .xtables_lines import UnreadableError, shown
from .xtables_sets import KnownSets, set_match
from .xtables_special import BridgePort, MaskedAddress, SocketOwner
from .xtables_values import (
    address_range,
    bounds_of_network,
    icmp_type,
    masked,
    network,
    number,
    ports,
    protocol,
    ranges_of_network,
)

_TRUE, _FALSE = Always(), Always(Truth.FALSE)
_SOURCE, _DESTINATION = FieldValue(Field.SOURCE), FieldValue(Field.DESTINATION)
_OptionReader = Callable[[Option, int], Match]
_ANY_ICMP_TYPE = 255
_TCP_FLAGS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG}
_ALL_TCP_FLAGS = FIN | SYN | RST | PSH | ACK | URG
_PACKET_TYPES = {"unicast": 0, "broadcast": 1, "multicast": 2}


@dataclass(frozen=True)
class Context:
    """What a rule is read with: the family's version (4 or 6) and the sets of ipset."""

    version: int
    sets: KnownSets


def read_matches(arguments: Arguments, context: Context) -> tuple[Match, ...]:
    """The conditions of a rule, all of which must hold; those that can be decided come first.

    A condition that cannot be read is an Undecidable that says so.
    """
    decided: list[Match] = []
    undecidable: list[Match] = []
    items: list[Option | Section] = [*arguments.base, *arguments.matches]
    for item in items:
        try:
            found = (_base(item, context.version),) if isinstance(item, Option) else _section(item, context)
            for match in found:
                if match is not _TRUE:
                    (undecidable if isinstance(match, Undecidable) else decided).append(match)
        except UnreadableError as error:
            undecidable.append(Undecidable(f"{shown(str(item))}, which cannot be read: {error}"))
    return (*decided, *undecidable)


def source_match(text: str, version: int) -> Match | None:
    """The match of ``-s`` with one network; None where it cannot be read."""
    try:
        return _of_network(_SOURCE, network(text, version), version, negated=False)
    except UnreadableError:
        return None


def _of_network(field: FieldValue, given: tuple[int, int], version: int, *, negated: bool) -> Match:
    bounds = bounds_of_network(*given, version)
    return ValueBetween(field, *bounds, negated) if bounds else MaskedAddress(field.field, *given, negated)


@lru_cache(maxsize=4096)
def _base(option: Option, version: int) -> Match:
    if option.name == "-f":
        # Conntrack puts fragments together before any rule sees them, and what is asked about is none.
        return _TRUE if option.negated else _FALSE
    if option.name == "-p":
        wanted = protocol(option.value)
        if wanted:
            return field_is(Field.PROTOCOL, wanted, negated=option.negated)
        return _FALSE if option.negated else _TRUE
    return _address(option, version) if option.name in ("-s", "-d") else _interface(option)


def _address(option: Option, version: int) -> Match:
    field = _SOURCE if option.name == "-s" else _DESTINATION
    networks = [network(item, version) for item in option.value.split(",")]
    if len(networks) == 1:
        return _of_network(field, networks[0], version, negated=option.negated)
    if option.negated:
        raise UnreadableError("several addresses cannot be negated together")
    pieces = [ranges_of_network(value, mask, version) for value, mask in networks]
    return field_in(field.field, RangeSet(chain.from_iterable(piece.ranges for piece in pieces if piece)))


def _interface(option: Option) -> Match:
    field = Field.IN_NAME if option.name == "-i" else Field.OUT_NAME
    name = option.value
    if name.endswith("+"):
        return field_in(field, interface_prefix(name[:-1]), negated=option.negated)
    return field_is(field, interface_value(name), negated=option.negated)


def _section(section: Section, context: Context) -> Iterator[Match]:
    if section.name == "comment":
        return
    if section.name in _OF_EACH_OPTION:
        for option in section.options:
            yield _of_option(section.name, option, context.version)
    elif section.name in _OF_WHOLE_SECTION:
        yield from _OF_WHOLE_SECTION[section.name](section, context)
    else:
        yield _FALSE if section.name in _OF_OTHER_PACKETS else Undecidable(str(section))


@lru_cache(maxsize=4096)
def _of_option(name: str, option: Option, version: int) -> Match:
    reader = _OF_EACH_OPTION[name].get(option.name)
    return reader(option, version) if reader else Undecidable(f"{name} {option}")


# Matches on protocols and extension headers that neither a TCP SYN, a UDP packet, an echo request nor an answer has.
_OF_OTHER_PACKETS = {
    *("ah", "dccp", "dst", "esp", "frag", "hbh", "ipcomp", "mh", "rt", "sctp", "srh", "udplite"),
}


def _ports(field: Field) -> _OptionReader:
    return lambda option, _version: field_in(field, ports(option.value), negated=option.negated)


def _either_port(option: Option, _version: int) -> Match:
    wanted = ports(option.value)
    found = AnyOf((field_in(Field.SOURCE_PORT, wanted), field_in(Field.DESTINATION_PORT, wanted)))
    return Not(found) if option.negated else found


def _tcp_flags(option: Option, _version: int) -> Match:
    if len(option.values) != 2:
        raise UnreadableError("--tcp-flags takes two lists of flags")
    mask, wanted = (_flags(text) for text in option.values)
    return MaskedIs(FieldValue(Field.TCP_FLAGS), mask, wanted, option.negated)


def _syn(option: Option, _version: int) -> Match:
    return MaskedIs(FieldValue(Field.TCP_FLAGS), FIN | SYN | RST | ACK, SYN, option.negated)


def _flags(text: str) -> int:
    if text in ("ALL", "NONE"):
        return _ALL_TCP_FLAGS if text == "ALL" else 0
    try:
        return sum({_TCP_FLAGS[name] for name in text.split(",")})
    except KeyError:
        raise UnreadableError(f"{shown(text)} is no list of TCP flags") from None


def _icmp(option: Option, version: int) -> Match:
    if option.value == "any":
        return _FALSE if option.negated else _TRUE
    kind, code = icmp_type(option.value, version)
    if kind == _ANY_ICMP_TYPE and version == 4:
        return _FALSE if option.negated else _TRUE
    wanted = [field_is(Field.ICMP_TYPE, kind)]
    if code is not None:
        wanted.append(field_is(Field.ICMP_CODE, code))
    return Not(AllOf(tuple(wanted))) if option.negated else AllOf(tuple(wanted))


def _address_range(field: Field) -> _OptionReader:
    return lambda option, version: field_in(field, address_range(option.value, version), negated=option.negated)


def _mark(field: Field) -> _OptionReader:
    def read(option: Option, _version: int) -> Match:
        value, mask = masked(option.value)
        return MaskedIs(FieldValue(field), mask, value, option.negated)

    return read


def _group(field: Field) -> _OptionReader:
    def read(option: Option, _version: int) -> Match:
        value, mask = masked("0" if option.value == "default" else option.value)
        return MaskedIs(FieldValue(field), mask, value, option.negated)

    return read


def _packet_type(option: Option, _version: int) -> Match:
    if option.value not in _PACKET_TYPES:
        raise UnreadableError(f"{shown(option.value)} is no type of packet")
    return field_is(Field.PACKET_TYPE, _PACKET_TYPES[option.value], negated=option.negated)


def _length(option: Option, _version: int) -> Match:
    low, colon, high = option.value.partition(":")
    longest = number(high or "65535", 0xFFFF) if colon else number(low, 0xFFFF)
    return field_in(Field.LENGTH, RangeSet([(number(low or "0", 0xFFFF), longest)]), negated=option.negated)


def _without(section: Section, helpers: frozenset[str] = frozenset()) -> bool:
    return all(option.negated for option in section.options if option.name not in helpers)


def _recent(section: Section, _context: Context) -> Iterator[Match]:
    # --set notes the address and is true whatever was known of it before.
    action = next((option for option in section.options if option.name == "--set"), None)
    if action is None:
        yield Undecidable(str(section))
    elif action.negated:
        yield _FALSE


def _statistic(section: Section, _context: Context) -> Iterator[Match]:
    options = {option.name: option for option in section.options}
    share, every = options.get("--probability"), options.get("--every")
    if share is not None:
        chance = float(share.value) if share.value.replace(".", "", 1).isdigit() else None
        if chance in (0.0, 1.0):
            yield _TRUE if (chance == 1.0) != share.negated else _FALSE
            return
    elif every is not None and number(every.value, 0xFFFFFFFF) == 1:
        yield _FALSE if every.negated else _TRUE
        return
    yield Undecidable(str(section))


def _helper(section: Section, _context: Context) -> Iterator[Match]:
    # Only connections that a helper expected have one (linux: net/netfilter/xt_helper.c).
    yield _TRUE if _without(section) else _FALSE


def _ipv6_header(section: Section, _context: Context) -> Iterator[Match]:
    wanted = next((option for option in section.options if option.name == "--header"), None)
    if wanted is None:
        yield Undecidable(str(section))
        return
    # Without extension headers, a packet has the header "protocol" alone (linux: ip6t_ipv6header.c).
    names = set(wanted.value.split(","))
    if not any(option.name == "--soft" for option in section.options):
        yield _TRUE if (names <= _PROTOCOL_HEADER) != wanted.negated else _FALSE
    elif wanted.negated:
        yield _FALSE if names & _PROTOCOL_HEADER else _TRUE
    else:
        yield _TRUE if names <= _PROTOCOL_HEADER else _FALSE


_PROTOCOL_HEADER = frozenset({"prot", "proto", "protocol"})
_PORT_OPTIONS = {"--sport": _ports(Field.SOURCE_PORT), "--dport": _ports(Field.DESTINATION_PORT)}
# Matches whose options are independent of each other; an option that is not listed is undecidable.
_OF_EACH_OPTION: dict[str, dict[str, _OptionReader]] = {
    "connmark": {"--mark": _mark(Field.CT_MARK)},
    "devgroup": {"--src-group": _group(Field.IN_GROUP), "--dst-group": _group(Field.OUT_GROUP)},
    "icmp": {"--icmp-type": _icmp},
    "icmp6": {"--icmpv6-type": _icmp},
    "iprange": {"--src-range": _address_range(Field.SOURCE), "--dst-range": _address_range(Field.DESTINATION)},
    "length": {"--length": _length},
    "mark": {"--mark": _mark(Field.MARK)},
    "multiport": {
        "--sports": _ports(Field.SOURCE_PORT),
        "--dports": _ports(Field.DESTINATION_PORT),
        "--ports": _either_port,
    },
    "pkttype": {"--pkt-type": _packet_type},
    "tcp": {**_PORT_OPTIONS, "--tcp-flags": _tcp_flags, "--syn": _syn},
    "udp": _PORT_OPTIONS,
}
_OF_WHOLE_SECTION: dict[str, Callable[[Section, Context], Iterator[Match]]] = {
    "addrtype": lambda section, context: address_types(section, context.version),
    "conntrack": lambda section, context: iter((conntrack(section, context.version),)),
    "helper": _helper,
    "ipv6header": _ipv6_header,
    "owner": lambda section, _context: iter(
        (SocketOwner(str(section), _without(section, frozenset({"--suppl-groups"}))),)
    ),
    "physdev": lambda section, _context: iter((BridgePort(str(section), _without(section)),)),
    "recent": _recent,
    "rpfilter": lambda section, _context: iter((reverse_path(section),)),
    "set": lambda section, context: set_match(section, context.version, context.sets),
    "state": lambda section, _context: iter((state(section),)),
    "statistic": _statistic,
}
