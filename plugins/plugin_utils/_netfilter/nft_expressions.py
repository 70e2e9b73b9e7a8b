# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The expressions of nft's JSON: what a rule compares, computes or looks up (libnftables-json(5))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .expressions import Bitwise, Constant, Expression, FieldValue, Perhaps, Unknown
from .flow import ICMP, ICMPV6, TCP, UDP, Field
from .maps import MapContent, MapValue
from .nft_values import NotUnderstoodError, number
from .routing import AddressType, WayTo

UNKNOWN = "unknown"  # the data type of what has no value that could be compared


@dataclass(frozen=True)
class Typed:
    """An expression with nft's name for the type of its values."""

    expression: Expression
    kind: str


def _field(field: Field, kind: str, version: int | None = None, protocol: int | None = None) -> Typed:
    return Typed(FieldValue(field, version, protocol), kind)


META: dict[str, Typed] = {
    "iifname": _field(Field.IN_NAME, "ifname"),
    "oifname": _field(Field.OUT_NAME, "ifname"),
    # An interface that exists is shown by its name; a number is an interface that is gone, which no packet meets.
    "iif": _field(Field.IN_NAME, "ifname"),
    "oif": _field(Field.OUT_NAME, "ifname"),
    "iifgroup": _field(Field.IN_GROUP, "devgroup"),
    "oifgroup": _field(Field.OUT_GROUP, "devgroup"),
    "iifkind": _field(Field.IN_KIND, "ifname"),
    "oifkind": _field(Field.OUT_KIND, "ifname"),
    "l4proto": _field(Field.PROTOCOL, "inet_proto"),
    "nfproto": _field(Field.FAMILY, "nf_proto"),
    "mark": _field(Field.MARK, "mark"),
    "pkttype": _field(Field.PACKET_TYPE, "pkt_type"),
    "skuid": _field(Field.SOCKET_OWNER, "uid"),
    "skgid": _field(Field.SOCKET_OWNER, "gid"),
    "protocol": _field(Field.ETHER_TYPE, "ether_type"),
    "length": _field(Field.LENGTH, "integer"),
    "ipsec": Typed(Unknown("meta ipsec"), "boolean"),
}
CT: dict[str, Typed] = {
    "state": _field(Field.CT_STATE, "ct_state"),
    "status": _field(Field.CT_STATUS, "ct_status"),
    "mark": _field(Field.CT_MARK, "mark"),
    "zone": _field(Field.CT_ZONE, "ct_zone"),
    "direction": _field(Field.CT_DIRECTION, "ct_dir"),
    "protocol": _field(Field.CT_PROTOCOL, "inet_proto"),
    "l3proto": _field(Field.CT_FAMILY, "nf_proto"),
}
CT_TUPLE: dict[tuple[str, str], Field] = {
    ("original", "saddr"): Field.CT_ORIGINAL_SOURCE,
    ("original", "daddr"): Field.CT_ORIGINAL_DESTINATION,
    ("reply", "saddr"): Field.CT_REPLY_SOURCE,
    ("reply", "daddr"): Field.CT_REPLY_DESTINATION,
    ("original", "proto-src"): Field.CT_ORIGINAL_SOURCE_PORT,
    ("original", "proto-dst"): Field.CT_ORIGINAL_DESTINATION_PORT,
    ("reply", "proto-src"): Field.CT_REPLY_SOURCE_PORT,
    ("reply", "proto-dst"): Field.CT_REPLY_DESTINATION_PORT,
}
_V4, _V6 = 4, 6
PAYLOAD: dict[tuple[str, str], Typed] = {
    ("ip", "saddr"): _field(Field.SOURCE, "ipv4_addr", _V4),
    ("ip", "daddr"): _field(Field.DESTINATION, "ipv4_addr", _V4),
    ("ip", "protocol"): _field(Field.PROTOCOL, "inet_proto", _V4),
    ("ip", "length"): _field(Field.LENGTH, "integer", _V4),
    ("ip", "version"): _field(Field.VERSION, "integer", _V4),
    ("ip", "frag-off"): _field(Field.FRAGMENT, "integer", _V4),
    ("ip6", "saddr"): _field(Field.SOURCE, "ipv6_addr", _V6),
    ("ip6", "daddr"): _field(Field.DESTINATION, "ipv6_addr", _V6),
    # None of our packets has extension headers.
    ("ip6", "nexthdr"): _field(Field.PROTOCOL, "inet_proto", _V6),
    ("ip6", "length"): _field(Field.PAYLOAD_LENGTH, "integer", _V6),
    ("ip6", "version"): _field(Field.VERSION, "integer", _V6),
    ("tcp", "sport"): _field(Field.SOURCE_PORT, "inet_service", None, TCP),
    ("tcp", "dport"): _field(Field.DESTINATION_PORT, "inet_service", None, TCP),
    ("tcp", "flags"): _field(Field.TCP_FLAGS, "tcp_flag", None, TCP),
    ("udp", "sport"): _field(Field.SOURCE_PORT, "inet_service", None, UDP),
    ("udp", "dport"): _field(Field.DESTINATION_PORT, "inet_service", None, UDP),
    ("th", "sport"): _field(Field.TRANSPORT_SOURCE, "inet_service"),
    ("th", "dport"): _field(Field.TRANSPORT_DESTINATION, "inet_service"),
    ("icmp", "type"): _field(Field.ICMP_TYPE, "icmp_type", _V4, ICMP),
    ("icmp", "code"): _field(Field.ICMP_CODE, "icmp_code", _V4, ICMP),
    ("icmpv6", "type"): _field(Field.ICMP_TYPE, "icmpv6_type", _V6, ICMPV6),
    ("icmpv6", "code"): _field(Field.ICMP_CODE, "icmpv6_code", _V6, ICMPV6),
    ("ether", "type"): _field(Field.ETHER_TYPE, "ether_type"),
}
# Which packets have a header at all: (IP version, protocol), None for any.
HEADERS: dict[str, tuple[int | None, int | None]] = {
    "ip": (_V4, None),
    "ip6": (_V6, None),
    "tcp": (None, TCP),
    "udp": (None, UDP),
    "icmp": (_V4, ICMP),
    "icmpv6": (_V6, ICMPV6),
    "ether": (None, None),
    "th": (None, None),
}
_BITWISE = frozenset({"&", "|", "^", "<<", ">>"})

MapReader = Callable[[Any, tuple[str, ...], str | None], tuple[MapContent[Any], tuple[str, ...]]]


def read_expression(item: Any, maps: MapReader) -> tuple[Typed, ...]:
    """An expression of nft's JSON as its dimensions: one, or those of a concatenation.

    ``maps`` reads the data of a map expression (see nft_sets.py). Raises NotUnderstoodError.
    """
    if isinstance(item, dict) and len(item) == 1:
        ((name, body),) = item.items()
        if name == "concat":
            return tuple(part for single in body for part in read_expression(single, maps))
        if name == "map":
            return _read_map(body, maps)
        if name in _BITWISE:
            return (_read_bitwise(name, body, maps),)
        reader = _READERS.get(name)
        if reader:
            return (reader(body),)
        return (Typed(Unknown(name), UNKNOWN),)
    raise NotUnderstoodError(f"an expression written as {item!r}")


def constant(kind: str, item: Any) -> Typed:
    """A constant of a known type as an expression. Raises NotUnderstoodError."""
    return Typed(Constant(number(kind, item)), kind)


def _read_bitwise(operator: str, operands: list[Any], maps: MapReader) -> Typed:
    """Operands are expressions and constants; a constant has the type of the other operand."""
    (left,) = read_expression(operands[0], maps)
    if left.kind == UNKNOWN:
        return left
    found = left
    for operand in operands[1:]:
        right = _operand(found.kind, operand, maps)
        found = Typed(Bitwise(operator, found.expression, right.expression), found.kind)
    return found


def _operand(kind: str, item: Any, maps: MapReader) -> Typed:
    try:
        return constant(kind, item)
    except NotUnderstoodError:
        (found,) = read_expression(item, maps)
        return found


def _read_map(body: dict[str, Any], maps: MapReader) -> tuple[Typed, ...]:
    keys = read_expression(body["key"], maps)
    content, kinds = maps(body["data"], tuple(key.kind for key in keys), None)
    expressions = tuple(key.expression for key in keys)
    return tuple(Typed(MapValue(expressions, content, position), kind) for position, kind in enumerate(kinds))


def _read_meta(body: dict[str, Any]) -> Typed:
    key = body["key"]
    return META.get(key) or Typed(Unknown(f"meta {key}"), UNKNOWN)


def _read_ct(body: dict[str, Any]) -> Typed:
    key, direction = body["key"], body.get("dir")
    family, _space, name = key.rpartition(" ")
    field = CT_TUPLE.get((direction or "", name))
    if field is not None:
        if name.startswith("proto"):
            return _field(field, "inet_service")
        version = {"ip": _V4, "ip6": _V6}.get(family or body.get("family", ""))
        return _field(field, "ipv6_addr" if version == _V6 else "ipv4_addr", version)
    return CT.get(key) or Typed(Unknown(f"ct {key}"), UNKNOWN)


def _read_payload(body: dict[str, Any]) -> Typed:
    if "base" in body:
        return Typed(Unknown(f"@{body['base']},{body['offset']},{body['len']}"), UNKNOWN)
    protocol, field = body["protocol"], body["field"]
    if "tunnel" in body:  # of the packet within a packet: what ours carry, nobody knows, and of TCP it is no packet
        return Typed(Unknown(f"{body['tunnel']} {protocol} {field}", None, UDP), UNKNOWN)
    known = PAYLOAD.get((protocol, field))
    if known:
        return known
    if protocol not in HEADERS:
        # A header that none of our packets has (sctp, ah, vlan, arp, ...).
        return Typed(FieldValue(Field.NOTHING), UNKNOWN)
    version, number_of_protocol = HEADERS[protocol]
    return Typed(Unknown(f"{protocol} {field}", version, number_of_protocol), UNKNOWN)


def _read_fib(body: dict[str, Any]) -> Typed:
    flags = body["flags"] if isinstance(body["flags"], list) else [body["flags"]]
    which = Field.SOURCE if "saddr" in flags else Field.DESTINATION
    interface = next((flag for flag in flags if flag in ("iif", "oif")), "")
    if body["result"] == "type":
        return Typed(AddressType(which, interface), "fib_addrtype")
    if interface == "oif":
        return Typed(Unknown("fib with the interface of departure"), UNKNOWN)
    by_name = body["result"] == "oifname"
    return Typed(WayTo(which, by_name, interface == "iif"), "ifname" if by_name else "fib_index")


def _read_exthdr(body: dict[str, Any]) -> Typed:
    if "field" not in body:
        return Typed(FieldValue(Field.ZERO, _V6), "boolean")
    return Typed(FieldValue(Field.NOTHING), UNKNOWN)


def _read_ip_option(body: dict[str, Any]) -> Typed:
    if "field" not in body:
        return Typed(FieldValue(Field.ZERO, _V4), "boolean")
    return Typed(FieldValue(Field.NOTHING), UNKNOWN)


def _read_tcp_option(body: dict[str, Any]) -> Typed:
    name = f"tcp option {body.get('name', '')}".strip()
    # Whether it is there can be asked of any packet (nft_exthdr_tcp_eval).
    return Typed(Unknown(name, None, TCP), UNKNOWN) if "field" in body else Typed(Perhaps(name, TCP), "boolean")


def _read_sctp_chunk(body: dict[str, Any]) -> Typed:
    return Typed(FieldValue(Field.NOTHING), UNKNOWN) if "field" in body else Typed(FieldValue(Field.ZERO), "boolean")


_READERS: dict[str, Callable[[Any], Typed]] = {
    "meta": _read_meta,
    "ct": _read_ct,
    "payload": _read_payload,
    "fib": _read_fib,
    "exthdr": _read_exthdr,
    "ip option": _read_ip_option,
    "tcp option": _read_tcp_option,
    "sctp chunk": _read_sctp_chunk,
}
