# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Constants in nft's JSON as numbers: each data type's names and notations (libnftables-json(5), nft(8))."""

from __future__ import annotations

import re
import socket
from typing import Any

from ...module_utils._core.ranges import Range, RangeSet
from .flow import (
    STATE_ESTABLISHED,
    STATE_INVALID,
    STATE_NEW,
    STATE_RELATED,
    STATE_UNTRACKED,
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_DNAT,
    STATUS_EXPECTED,
    STATUS_SEEN_REPLY,
    STATUS_SNAT,
    interface_prefix,
    interface_value,
)

WIDTHS = {"ipv4_addr": 32, "ipv6_addr": 128, "inet_service": 16, "inet_proto": 8, "mark": 32, "ifname": 128}
BITMASK_TYPES = frozenset({"ct_state", "ct_status", "tcp_flag", "ct_label", "ct_event"})
# nft has no type for the elements of an anonymous set of conntrack's ports, and says so behind the number.
_HEXADECIMAL = re.compile(r"(0x[0-9a-f]+)(?: \[invalid type\])?")
_OTHER_PROTOCOL = 256  # a protocol named as none of ours: no packet has this number

NAMES: dict[str, dict[str, int]] = {
    "inet_proto": {
        "icmp": 1,
        "igmp": 2,
        "tcp": 6,
        "udp": 17,
        "ipv6": 41,
        "gre": 47,
        "esp": 50,
        "ah": 51,
        "icmpv6": 58,
        "ipv6-icmp": 58,
        "comp": 108,
        "sctp": 132,
        "udplite": 136,
    },
    "nf_proto": {"ipv4": 2, "ipv6": 10},
    "ether_type": {"ip": 0x0800, "ip6": 0x86DD, "arp": 0x0806, "vlan": 0x8100, "8021q": 0x8100, "8021ad": 0x88A8},
    "ct_state": {
        "invalid": STATE_INVALID,
        "established": STATE_ESTABLISHED,
        "related": STATE_RELATED,
        "new": STATE_NEW,
        "untracked": STATE_UNTRACKED,
    },
    "ct_status": {
        "expected": STATUS_EXPECTED,
        "seen-reply": STATUS_SEEN_REPLY,
        "assured": STATUS_ASSURED,
        "confirmed": STATUS_CONFIRMED,
        "snat": STATUS_SNAT,
        "dnat": STATUS_DNAT,
        "dying": 512,
    },
    "ct_dir": {"original": 0, "reply": 1},
    "tcp_flag": {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128},
    "pkt_type": {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3},
    "devgroup": {"default": 0},
    # linux/rtnetlink.h, RTN_...
    "fib_addrtype": {
        "unspec": 0,
        "unicast": 1,
        "local": 2,
        "broadcast": 3,
        "anycast": 4,
        "multicast": 5,
        "blackhole": 6,
        "unreachable": 7,
        "prohibit": 8,
        "throw": 9,
        "nat": 10,
    },
    "icmp_type": {
        "echo-reply": 0,
        "destination-unreachable": 3,
        "source-quench": 4,
        "redirect": 5,
        "echo-request": 8,
        "router-advertisement": 9,
        "router-solicitation": 10,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "timestamp-request": 13,
        "timestamp-reply": 14,
        "info-request": 15,
        "info-reply": 16,
        "address-mask-request": 17,
        "address-mask-reply": 18,
    },
    "icmp_code": {
        "net-unreachable": 0,
        "host-unreachable": 1,
        "prot-unreachable": 2,
        "port-unreachable": 3,
        "frag-needed": 4,
        "net-prohibited": 9,
        "host-prohibited": 10,
        "admin-prohibited": 13,
    },
    "icmpv6_type": {
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "echo-request": 128,
        "echo-reply": 129,
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "mld-listener-reduction": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "nd-redirect": 137,
        "router-renumbering": 138,
        "ind-neighbor-solicit": 141,
        "ind-neighbor-advert": 142,
        "mld2-listener-report": 143,
    },
    "icmpv6_code": {
        "no-route": 0,
        "admin-prohibited": 1,
        "addr-unreachable": 3,
        "port-unreachable": 4,
        "policy-fail": 5,
        "reject-route": 6,
    },
    "boolean": {"exists": 1, "missing": 0},
}
NAMES["fib_index"] = {}
NAMES["integer"] = {}


class NotUnderstoodError(Exception):
    """Something in nft's JSON that this version does not know; the text names it."""


def numbers(kind: str, item: Any) -> RangeSet:
    """One constant of a data type as the numbers that it stands for: a value, a prefix or a range.

    Raises NotUnderstoodError for a name or a notation that is not known.
    """
    return RangeSet([bounds(kind, item)])


def bounds(kind: str, item: Any) -> Range:
    """Like ``numbers``, as the lowest and the highest number."""
    if isinstance(item, dict):
        if "prefix" in item:
            return _prefix(kind, item["prefix"])
        if "range" in item:
            low, high = item["range"]
            return number(kind, low), number(kind, high)
        if "elem" in item:
            return bounds(kind, item["elem"]["val"])
        if "|" in item or "&" in item or "^" in item:
            value = number(kind, item)
            return value, value
        raise NotUnderstoodError(f"a constant written as {next(iter(item), 'nothing')!r}")
    if kind == "ifname" and isinstance(item, str) and item.endswith("*") and not item.endswith("\\*"):
        return interface_prefix(item[:-1]).ranges[0]
    if item == "*":
        return 0, (1 << WIDTHS.get(kind, 128)) - 1
    value = number(kind, item)
    return value, value


def number(kind: str, item: Any) -> int:
    """One constant of a data type as a number; the flags of a list together. Raises NotUnderstoodError."""
    if isinstance(item, bool):
        return int(item)
    if isinstance(item, int):
        return item
    if isinstance(item, list):
        return _united(kind, item)
    if isinstance(item, dict) and len(item) == 1:
        ((operator, operands),) = item.items()
        if operator == "|":
            return _united(kind, operands)
        raise NotUnderstoodError(f"a constant written with {operator!r}")
    if not isinstance(item, str):
        raise NotUnderstoodError(f"a constant of type {type(item).__name__}")
    return _named(kind, item)


def _united(kind: str, items: list[Any]) -> int:
    found = 0
    for item in items:
        found |= number(kind, item)
    return found


def _named(kind: str, text: str) -> int:
    try:
        if kind == "ipv4_addr":
            return int.from_bytes(socket.inet_aton(text), "big") if text.count(".") == 3 else _no_name(kind, text)
        if kind == "ipv6_addr":
            return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except OSError as error:
        raise NotUnderstoodError(f"{text!r} as an address") from error
    if kind == "ifname":
        return interface_value(text.replace("\\*", "*"))
    known = NAMES.get(kind, {}).get(text)
    if known is not None:
        return known
    if text.isdigit():
        return int(text)
    hexadecimal = _HEXADECIMAL.fullmatch(text)
    if hexadecimal:
        return int(hexadecimal[1], 16)
    if kind == "inet_proto":
        return _OTHER_PROTOCOL
    return _no_name(kind, text)


def _no_name(kind: str, text: str) -> int:
    raise NotUnderstoodError(f"{text!r} as a value of type {kind}")


def _prefix(kind: str, item: dict[str, Any]) -> Range:
    width = WIDTHS.get(kind)
    if width is None:
        raise NotUnderstoodError(f"a prefix of type {kind}")
    low = number(kind, item["addr"])
    return low, low | ((1 << (width - int(item["len"]))) - 1)
