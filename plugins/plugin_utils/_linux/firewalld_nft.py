# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of firewalld's configuration as expressions of nft's JSON (libnftables-json(5))."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...module_utils._core.errors import InputError
from ...module_utils._core.portset import PortSet
from .firewalld_entries import ECHO, Entry
from .firewalld_records import Endpoint, IpSet, is_mac

Expression = Mapping[str, Any]
IpSets = Callable[[str], "IpSet | str"]

REJECT: Expression = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_LIMIT = re.compile(r"\s*([0-9]+)\s*/\s*([smhd])")


class UntranslatableError(ValueError):
    """An entry that firewalld could not have loaded; the text says what is wrong with it."""


def equal(left: Expression, right: object, *, inverted: bool = False) -> Expression:
    """A match of one value."""
    return {"match": {"op": "!=" if inverted else "==", "left": left, "right": right}}


# A match that nobody can decide, and a verdict that is somebody else's.
UNKNOWN: Expression = equal({"numgen": {"mode": "random", "mod": 2, "offset": 0}}, 0)
NOBODY_KNOWS: Expression = {"queue": None}


def meta(key: str, value: object) -> Expression:
    """A match of what the kernel knows beside the packet's octets."""
    return equal({"meta": {"key": key}}, value)


def payload(protocol: str, field: str) -> Expression:
    """A field of a header."""
    return {"payload": {"protocol": protocol, "field": field}}


def ct(key: str, value: object) -> Expression:
    """A match of flags of the connection."""
    return {"match": {"op": "in", "left": {"ct": {"key": key}}, "right": value}}


def interface(name: str) -> Expression:
    """A match of the arrival interface; firewalld's ``eth+`` is nft's ``eth*``."""
    return meta("iifname", f"{name[:-1]}*" if name.endswith("+") else name)


def endpoint(end: Endpoint, field: str, ipsets: IpSets) -> Expression:
    """A match of the source or destination (``field``: saddr or daddr). Raises UntranslatableError."""
    if end.address.startswith("ipset:"):
        name = end.address[len("ipset:") :]
        ipset = ipsets(name)
        if isinstance(ipset, str):
            raise UntranslatableError(ipset)
        return equal(_set_key(ipset, field), f"@{name}", inverted=end.inverted)
    if is_mac(end.address):
        return equal(payload("ether", field), end.address.lower(), inverted=end.inverted)
    try:
        network = ipaddress.ip_network(end.address, strict=False)
    except ValueError as error:
        raise UntranslatableError(f"{end.address!r} is no address") from error
    family = "ip" if network.version == 4 else "ip6"
    return equal(payload(family, field), _network(network), inverted=end.inverted)


def _set_key(ipset: IpSet, field: str) -> Expression:
    """What an ipset of this type compares; firewalld turns the port around with the address (core/nftables.py)."""
    family = "ip6" if ipset.version == 6 else "ip"
    parts: list[Expression] = []
    for kind in ipset.type.partition(":")[2].split(","):
        if kind in ("ip", "net"):
            parts.append(payload(family, field))
        elif kind == "mac":
            parts.append(payload("ether", field))
        elif kind == "port":
            parts += [{"meta": {"key": "l4proto"}}, payload("th", "dport" if field == "daddr" else "sport")]
        elif kind == "mark":
            parts.append({"meta": {"key": "mark"}})
        else:
            raise UntranslatableError(f"ipset {ipset.name} has the type {ipset.type}, which is not judged")
    return parts[0] if len(parts) == 1 else {"concat": parts}


def set_definition(ipset: IpSet, table: str) -> Expression:
    """The set that firewalld makes of an ipset. Raises UntranslatableError."""
    family = {4: "ipv4_addr", 6: "ipv6_addr"}[ipset.version]
    kinds = ipset.type.partition(":")[2].split(",")
    if kinds not in (["ip"], ["net"], ["mac"]):
        raise UntranslatableError(f"ipset {ipset.name} has the type {ipset.type}, which is not judged")
    if ipset.expires:
        raise UntranslatableError(f"the entries of ipset {ipset.name} expire, so nobody knows who will be in it")
    elements: list[object] = []
    for entry in ipset.entries:
        elements.append(entry.lower() if kinds == ["mac"] else _element(entry, ipset.name))
    definition: dict[str, Any] = {
        "family": "inet",
        "table": table,
        "name": ipset.name,
        "type": "ether_addr" if kinds == ["mac"] else family,
        "flags": [] if kinds == ["mac"] else ["interval"],
        "elem": elements,
    }
    return {"set": definition}


def _element(entry: str, name: str) -> object:
    low, dash, high = entry.partition("-")
    try:
        if dash:
            return {"range": [str(ipaddress.ip_address(low)), str(ipaddress.ip_address(high))]}
        return _network(ipaddress.ip_network(entry, strict=False))
    except ValueError as error:
        raise UntranslatableError(f"ipset {name} has the entry {entry!r}, which is no address") from error


def _network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> object:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def matches(entry: Entry, ipsets: IpSets) -> list[Expression]:
    """All conditions of an entry. Raises UntranslatableError."""
    found: list[Expression] = [meta("nfproto", entry.family)] if entry.family else []
    if entry.destination is not None:
        found.append(endpoint(entry.destination, "daddr", ipsets))
    if entry.source is not None:
        found.append(endpoint(entry.source, "saddr", ipsets))
    if entry.echo:
        found.append(equal(payload(entry.protocol, "type"), ECHO))
    elif entry.ports:
        found.append(equal(payload(entry.protocol, "dport"), ports(entry.ports)))
    elif entry.source_ports:
        found.append(equal(payload(entry.protocol, "sport"), ports(entry.source_ports)))
    elif entry.protocol:
        found.append(meta("l4proto", {"icmpv6": "ipv6-icmp"}.get(entry.protocol, entry.protocol)))
    if entry.limit:
        limit = _LIMIT.match(entry.limit)
        if limit is None:
            raise UntranslatableError(f"{entry.limit!r} is no limit")
        found.append({"limit": {"rate": int(limit[1]), "burst": 5, "per": _UNITS[limit[2]]}})
    return found


def ports(text: str) -> object:
    """A port or a range of ports. Raises UntranslatableError."""
    try:
        ((low, high),) = PortSet.parse(text).ranges
    except (InputError, ValueError) as error:
        raise UntranslatableError(f"{text!r} is no port and no range of ports") from error
    return low if low == high else {"range": [low, high]}


def translation(entry: Entry) -> Expression:
    """Where a forward-port sends a packet. Raises UntranslatableError."""
    forward = entry.forward
    if forward is None or not (forward.port or forward.address):
        raise UntranslatableError("a forward-port has neither a port nor an address")
    target: dict[str, object] = {"port": ports(forward.port)} if forward.port else {}
    if not forward.address:
        return {"redirect": target}
    try:
        address = ipaddress.ip_address(forward.address)
    except ValueError as error:
        raise UntranslatableError(f"{forward.address!r} is no address") from error
    return {"dnat": {"family": "ip" if address.version == 4 else "ip6", "addr": str(address), **target}}
