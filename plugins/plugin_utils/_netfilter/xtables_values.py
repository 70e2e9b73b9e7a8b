# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of iptables' options as numbers: ports, networks, marks, protocols, types."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import lru_cache

from ...module_utils._core.ranges import Range, RangeSet
from .xtables_lines import UnreadableError, shown

ALL_BITS = 0xFFFFFFFF
WIDTHS = {4: 32, 6: 128}
_SOCKET_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

# Names of protocols: those of libxtables, of Debian's /etc/protocols, and older spellings that people write.
_PROTOCOL_NAMES = """
    icmp=1 igmp=2 ggp=3 ipencap=4 st=5 tcp=6 egp=8 igp=9 pup=12 udp=17 hmp=20 xns-idp=22 rdp=27 iso-tp4=29
    dccp=33 xtp=36 ddp=37 idpr-cmtp=38 ipv6=41 ipv6-route=43 ipv6-frag=44 idrp=45 rsvp=46 gre=47 esp=50 ah=51
    skip=57 ipv6-icmp=58 icmpv6=58 icmp6=58 ipv6-nonxt=59 ipv6-opts=60 rspf=73 vmtp=81 eigrp=88 ospf=89 ax.25=93
    ipip=94 etherip=97 encap=98 pim=103 ipcomp=108 vrrp=112 l2tp=115 isis=124 sctp=132 fc=133
    mobility-header=135 mh=135 ipv6-mh=135 udplite=136 mpls-in-ip=137 manet=138 hip=139 shim6=140 wesp=141
    rohc=142 ethernet=143 mptcp=262
"""
_PROTOCOLS = {name: int(text) for name, text in (item.split("=") for item in _PROTOCOL_NAMES.split())}

_ICMP_CODES: dict[str, tuple[int, int | None]] = {
    "echo-reply": (0, None),
    "pong": (0, None),
    "destination-unreachable": (3, None),
    "network-unreachable": (3, 0),
    "host-unreachable": (3, 1),
    "protocol-unreachable": (3, 2),
    "port-unreachable": (3, 3),
    "fragmentation-needed": (3, 4),
    "source-quench": (4, None),
    "redirect": (5, None),
    "echo-request": (8, None),
    "ping": (8, None),
    "router-advertisement": (9, None),
    "router-solicitation": (10, None),
    "time-exceeded": (11, None),
    "ttl-exceeded": (11, None),
    "parameter-problem": (12, None),
    "timestamp-request": (13, None),
    "timestamp-reply": (14, None),
    "address-mask-request": (17, None),
    "address-mask-reply": (18, None),
}
_ICMPV6_CODES: dict[str, tuple[int, int | None]] = {
    "destination-unreachable": (1, None),
    "no-route": (1, 0),
    "communication-prohibited": (1, 1),
    "address-unreachable": (1, 3),
    "port-unreachable": (1, 4),
    "packet-too-big": (2, None),
    "time-exceeded": (3, None),
    "ttl-exceeded": (3, None),
    "parameter-problem": (4, None),
    "echo-request": (128, None),
    "ping": (128, None),
    "echo-reply": (129, None),
    "pong": (129, None),
    "router-solicitation": (133, None),
    "router-advertisement": (134, None),
    "neighbour-solicitation": (135, None),
    "neighbor-solicitation": (135, None),
    "neighbour-advertisement": (136, None),
    "neighbor-advertisement": (136, None),
    "redirect": (137, None),
}


def number(text: str, highest: int) -> int:
    """A number from 0 to ``highest``, decimal or with 0x. Raises UnreadableError."""
    try:
        value = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    except ValueError:
        raise UnreadableError(f"{shown(text)!r} is no number") from None
    if not 0 <= value <= highest:
        raise UnreadableError(f"{shown(text)!r} is not within 0-{highest}")
    return value


def bounds(text: str, highest: int) -> Range:
    """``22`` or ``22:80``; an end that is left out is the lowest or highest. Raises UnreadableError."""
    low, colon, high = text.partition(":")
    first = number(low, highest) if low or not colon else 0
    last = (number(high, highest) if high else highest) if colon else first
    if first > last:
        raise UnreadableError(f"{shown(text)!r} is a range with its ends swapped")
    return first, last


@lru_cache(maxsize=4096)
def ports(text: str) -> RangeSet:
    """``22``, ``5000:5010`` or a list of those with commas. Raises UnreadableError, also for names of services."""
    return RangeSet(bounds(item, 0xFFFF) for item in text.split(","))


def masked(text: str) -> tuple[int, int]:
    """A value and its mask, as of ``0x10/0xff``; all bits count where there is no mask. Raises UnreadableError."""
    value, slash, mask = text.partition("/")
    return number(value, ALL_BITS), number(mask, ALL_BITS) if slash else ALL_BITS


def protocol(text: str) -> int:
    """The number of a protocol by name or number; 0 for all of them. Raises UnreadableError for an unknown name."""
    if text == "all":
        return 0
    known = _PROTOCOLS.get(text.lower())
    return number(text, 0xFF) if known is None else known


def icmp_type(text: str, version: int) -> tuple[int, int | None]:
    """Type and code (None: any code) of ICMP or ICMPv6, by number or name. Raises UnreadableError."""
    names: Mapping[str, tuple[int, int | None]] = _ICMP_CODES if version == 4 else _ICMPV6_CODES
    if text in names:
        return names[text]
    kind, slash, code = text.partition("/")
    return number(kind, 0xFF), number(code, 0xFF) if slash else None


@lru_cache(maxsize=4096)
def network(text: str, version: int) -> tuple[int, int]:
    """The number and the mask of ``192.0.2.0/24``, ``192.0.2.1``, ``10.0.0.0/255.0.255.0``. Raises UnreadableError."""
    base, slash, mask = text.partition("/")
    every = (1 << WIDTHS[version]) - 1
    bits = every
    if slash and mask.isascii() and mask.isdigit():
        bits = every ^ (every >> number(mask, WIDTHS[version]))
    elif slash:
        bits = address(mask, version)
    return address(base, version) & bits, bits


def bounds_of_network(value: int, mask: int, version: int) -> Range | None:
    """The lowest and the highest address under a mask; None where the mask has holes."""
    size = mask ^ ((1 << WIDTHS[version]) - 1)
    return (value, value | size) if size & (size + 1) == 0 else None


@lru_cache(maxsize=4096)
def ranges_of_network(value: int, mask: int, version: int) -> RangeSet | None:
    """The addresses under a mask as ranges; None where the mask has holes."""
    found = bounds_of_network(value, mask, version)
    return RangeSet([found]) if found else None


def address(text: str, version: int) -> int:
    """One address of the family (4 or 6) as a number. Raises UnreadableError."""
    try:
        return int.from_bytes(socket.inet_pton(_SOCKET_FAMILIES[version], text), "big")
    except (OSError, ValueError):
        raise UnreadableError(f"{shown(text)!r} is no IPv{version} address") from None


def address_range(text: str, version: int) -> RangeSet:
    """``192.0.2.1-192.0.2.9`` or one address. Raises UnreadableError."""
    low, dash, high = text.partition("-")
    first = address(low, version)
    last = address(high, version) if dash else first
    if first > last:
        raise UnreadableError(f"{shown(text)!r} is a range with its ends swapped")
    return RangeSet([(first, last)])
