# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random statements of nft. What does not fit a place is an empty text."""

from __future__ import annotations

from collections.abc import Callable

from .field import BEHIND, HOST, HOST_INSIDE
from .random_nft_words import Place
from .random_state import Part
from .random_values import address, mark, network, port

_PROTOCOLS = ("tcp", "udp")


def _fixed(*texts: str) -> Callable[[Place], str]:
    return lambda place: place.draw.one(texts)


def _to_chain(word: str) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        name = place.called(place)
        return f"{word} {name}" if name else ""

    return make


def _reject(place: Place) -> str:
    if place.hook not in ("input", "forward", "output", "prerouting"):
        return ""
    kinds = {
        "ip": ["", "with icmp type admin-prohibited", "with icmp type host-unreachable"],
        "ip6": ["", "with icmpv6 type admin-prohibited", "with icmpv6 type no-route"],
        "inet": ["", "", "with icmpx type admin-prohibited", "with icmp type net-prohibited",
                 "with icmpv6 type addr-unreachable"],
    }  # fmt: skip
    if place.draw.often(0.3):
        return "meta l4proto tcp reject with tcp reset"
    return f"reject {place.draw.one(kinds.get(place.family, ['']))}".strip()


def _whole(place: Place, version: int) -> str:
    """Which header nat is for, where the family leaves it open."""
    return f" {place.ip(version)}" if place.family == "inet" else ""


def _dnat(place: Place) -> str:
    if place.kind != "nat" or place.hook not in ("prerouting", "output"):
        return ""
    draw, version = place.draw, place.version
    target = draw.one([BEHIND[version], BEHIND[version], HOST_INSIDE[version], HOST[version]])
    shown = f"[{target}]" if version == 6 else target
    way = draw.one(["address", "port", "range", "port only"])
    # A service on UDP that does not care answers from the address of the route, not from the one that was asked.
    protocol = "tcp" if target == HOST_INSIDE[version] else draw.one(_PROTOCOLS)
    if target == HOST_INSIDE[version] and way == "address":
        way = "port"
    prefix = f"meta l4proto {protocol} "
    if way == "address":
        return f"dnat{_whole(place, version)} to {target}"
    if way == "port only":
        return f"{prefix}dnat{_whole(place, version)} to :{port(draw)}"
    if way == "range":
        return f"{prefix}dnat{_whole(place, version)} to {shown}:80-443"
    return f"{prefix}dnat{_whole(place, version)} to {shown}:{port(draw)}"


def _dnat_map(place: Place) -> str:
    if place.kind != "nat" or place.hook != "prerouting":
        return ""
    draw, version = place.draw, place.version
    protocol = draw.one(_PROTOCOLS)
    elements = f"{port(draw)} : {BEHIND[version]}, 9000 : {HOST[version]}"
    if draw.often(0.5):
        kind = "ipv4_addr" if version == 4 else "ipv6_addr"
        name = place.declare("map", "nft map", f"type inet_service : {kind}; elements = {{ {elements} }}")
        return f"dnat{_whole(place, version)} to {protocol} dport map @{name}"
    return f"dnat{_whole(place, version)} to {protocol} dport map {{ {elements} }}"


def _redirect(place: Place) -> str:
    if place.kind != "nat" or place.hook not in ("prerouting", "output"):
        return ""
    draw = place.draw
    protocol = draw.one(_PROTOCOLS)
    if draw.often(0.2):
        return f"redirect to :{protocol} dport map {{ {port(draw)} : 443, 9000 : 80 }}"
    return f"meta l4proto {protocol} redirect to :{port(draw)}"


def _masquerade(place: Place) -> str:
    return "masquerade" if place.kind == "nat" and place.hook == "postrouting" else ""


def _snat(place: Place) -> str:
    if place.kind != "nat" or place.hook not in ("postrouting", "input"):
        return ""
    version = place.version
    other = {4: "192.0.2.99", 6: "2001:db8:1::99"}[version]
    return f"snat{_whole(place, version)} to {HOST_INSIDE[version] if place.hook == 'postrouting' else other}"


def _mark_map(place: Place) -> str:
    version = place.version
    elements = f"{address(place.draw, version)} : {mark(place.draw)}, {network(place.draw, version)} : 2"
    if place.draw.often(0.5):
        elements = f"{address(place.draw, version)} : {mark(place.draw)}"
    return f"meta mark set {place.ip(version)} saddr map {{ {elements} }}"


def _verdict_map(place: Place) -> str:
    draw, version = place.draw, place.version
    verdicts = ["accept", "drop", "return", "continue"]
    for word in ("jump", "goto"):
        name = place.called(place) if draw.often(0.4) else ""
        if name:
            verdicts += [f"{word} {name}"] * 3
    first, second = draw.one(verdicts), draw.one(verdicts)
    way = draw.one(["port", "address", "protocol", "concatenation", "named", "interface"])
    side, which = ("daddr", "sport") if place.outward else ("saddr", "dport")
    if way == "address":
        nobody = "203.0.113.9" if version == 4 else "2001:db8:9::9"
        return f"{place.ip(version)} {side} vmap {{ {address(draw, version)} : {first}, {nobody} : {second} }}"
    if way == "protocol":
        return f"meta l4proto vmap {{ tcp : {first}, udp : {second} }}"
    if way == "concatenation":
        key = f"{place.ip(version)} {side} . meta l4proto"
        return f"{key} vmap {{ {address(draw, version)} . tcp : {first}, {address(draw, version)} . udp : {second} }}"
    if way == "interface":
        return f"{'oifname' if place.outward else 'iifname'} vmap {{ lan0 : {first}, dmz0 : {second} }}"
    if way == "named":
        body = f"type inet_service : verdict; elements = {{ {port(draw)} : {first}, 9000 : {second} }}"
        return f"{draw.one(_PROTOCOLS)} {which} vmap @" + place.declare("map", "nft verdict map", body)
    return f"{draw.one(_PROTOCOLS)} {which} vmap {{ {port(draw)} : {first}, 9000 : {second} }}"


def _add(place: Place) -> str:
    version = place.version
    kind = "ipv4_addr" if version == 4 else "ipv6_addr"
    name = place.declare("seen", "nft set dynamic", f"type {kind}; flags dynamic, timeout; size 64")
    inner = place.draw.one(["", "", " limit rate 5/second"])
    return f"{place.draw.one(['add', 'update'])} @{name} {{ {place.ip(version)} saddr timeout 1m{inner} }}"


def _object(kind: str, body: str) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        if kind == "limit":
            place.declarations.append(Part("limit often { rate 5/second; }", "nft object limit"))
            return "limit name often drop"
        name = place.declare(kind, f"nft object {kind}", body)
        return f"{kind} name {name}"

    return make


def _tproxy(place: Place) -> str:
    if place.kind == "nat" or place.hook != "prerouting":
        return ""
    protocol = place.draw.one(_PROTOCOLS)
    return f"meta l4proto {protocol} tproxy{_whole(place, place.version)} to :80"


def _synproxy(place: Place) -> str:
    return "tcp flags syn synproxy mss 1460 wscale 7" if place.hook == "input" else ""


def _header(place: Place) -> str:
    version = place.version
    if version == 4:
        return place.draw.one(["ip dscp set cs1", "ip ttl set 60", f"ip daddr set {BEHIND[4]}", "tcp dport set 8080"])
    return place.draw.one(["ip6 dscp set cs1", "ip6 hoplimit set 60", "udp dport set 5353"])


USUAL_STATEMENTS = ("accept", "accept", "accept", "drop", "drop", "reject", "jump", "counter", "verdict map")
STATEMENTS: dict[str, Callable[[Place], str]] = {
    "accept": _fixed("accept", "counter accept", 'accept comment "some reason"'),
    "drop": _fixed("drop", "counter drop", "log drop"),
    "reject": _reject,
    "jump": _to_chain("jump"),
    "goto": _to_chain("goto"),
    "return": _fixed("return"),
    "continue": _fixed("continue"),
    "counter": _fixed("counter"),
    "log": _fixed('log prefix "x "', "log group 2"),
    "verdict map": _verdict_map,
    "notrack": _fixed("notrack"),
    "mark set": lambda place: f"meta mark set {mark(place.draw)}",
    "mark changed": _fixed(
        "meta mark set meta mark | 0x1", "meta mark set meta mark & 0xfffffffe", "meta mark set meta mark ^ 0x3"
    ),
    "mark from map": _mark_map,
    "ct mark set": lambda place: f"ct mark set {mark(place.draw)}",
    "ct mark saved": _fixed("ct mark set meta mark"),
    "mark restored": _fixed("meta mark set ct mark", "meta mark set ct mark & 0x1"),
    "ct zone set": _fixed("ct zone set 3"),
    "pkttype set": _fixed("meta pkttype set host", "meta pkttype set broadcast"),
    "dnat": _dnat,
    "dnat map": _dnat_map,
    "redirect": _redirect,
    "masquerade": _masquerade,
    "snat": _snat,
    "add to set": _add,
    "named counter": _object("counter", ""),
    "named quota": _object("quota", "over 5 mbytes"),
    "named limit": _object("limit", ""),
    "nftrace": _fixed("meta nftrace set 1"),
    "priority set": _fixed("meta priority set 1:2"),
    "maxseg set": _fixed("tcp flags syn tcp option maxseg size set 1200"),
    "header set": _header,
    "tproxy": _tproxy,
    "synproxy": _synproxy,
}
