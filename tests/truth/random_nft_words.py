# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random matches of nft. A place tells where the rule stands; what does not fit there is an empty text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .random_state import Draw, Part
from .random_values import INTERFACES, LATE_PORTS, RANGES, address, mark, network, port, ports

_LATE = f"{LATE_PORTS[0]}-{LATE_PORTS[1]}"


@dataclass
class Place:
    """Where a rule stands: its family, hook and kind of chain, and what its table declares."""

    draw: Draw
    family: str
    hook: str
    kind: str
    declarations: list[Part]
    called: Callable[[Place], str]
    depth: int = 0

    @property
    def version(self) -> int:
        """The IP version of this family, either where it holds both."""
        return {"ip": 4, "ip6": 6}.get(self.family) or self.draw.one([4, 4, 6])

    @property
    def outward(self) -> bool:
        """Whether what comes by is mostly an answer."""
        return self.hook in ("output", "postrouting", "egress")

    def ip(self, version: int) -> str:
        """The name of the header."""
        return "ip" if version == 4 else "ip6"

    def declare(self, kind: str, feature: str, body: str) -> str:
        """The name of something new in the table: a set, a map, an object."""
        name = f"{kind}{len(self.declarations)}"
        word = {"seen": "set", "late": "set"}.get(kind, kind)
        end = "" if body.endswith("}") or not body else ";"
        self.declarations.append(Part(f"{word} {name} {{ {body}{end} }}", feature))
        return name


def _type(version: int) -> str:
    return "ipv4_addr" if version == 4 else "ipv6_addr"


def _addresses(place: Place, version: int, *, here: bool) -> str:
    """What an address is compared with: one, a network, a range, an anonymous or a named set."""
    draw = place.draw
    one = address(draw, version, here=here)
    way = draw.one(["one", "one", "network", "range", "anonymous", "set", "intervals", "timeout"])
    if way == "network":
        return network(draw, version)
    if way == "range":
        return draw.one(RANGES[version])
    if way == "anonymous":
        return f"{{ {one}, {draw.one(RANGES[version])} }}"
    kind = _type(version)
    if way == "set":
        return "@" + place.declare("set", "nft set", f"type {kind}; elements = {{ {one} }}")
    if way == "intervals":
        other = "203.0.113.0/24" if version == 4 else "2001:db8:99::/64"
        body = f"type {kind}; flags interval; auto-merge; elements = {{ {network(draw, version)}, {other}, {one} }}"
        return "@" + place.declare("set", "nft set interval", body)
    if way == "timeout":
        body = f"type {kind}; flags timeout; elements = {{ {one} timeout {draw.one(['1h', '2d'])} }}"
        return "@" + place.declare("set", "nft set timeout", body)
    return one


def _sign(place: Place) -> str:
    return "!= " if place.draw.often(0.15) else ""


def _source(place: Place) -> str:
    version = place.version
    return f"{place.ip(version)} saddr {_sign(place)}{_addresses(place, version, here=place.outward)}"


def _destination(place: Place) -> str:
    version = place.version
    return f"{place.ip(version)} daddr {_sign(place)}{_addresses(place, version, here=not place.outward)}"


def _port_value(place: Place) -> str:
    draw = place.draw
    way = draw.one(["one", "one", "one", "range", "anonymous", "set", "intervals"])
    if way == "range":
        return ports(draw)
    if way == "anonymous":
        return f"{{ {port(draw)}, 8081, 9000-9010 }}"
    if way == "set":
        return "@" + place.declare("set", "nft set", f"type inet_service; elements = {{ {port(draw)} }}")
    if way == "intervals":
        body = f"type inet_service; flags interval; auto-merge; elements = {{ {ports(draw)}, 9000-9010 }}"
        return "@" + place.declare("set", "nft set interval", body)
    return port(draw)


def _ports(header: str) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        which = "sport" if place.outward else "dport"
        prefix = "meta l4proto { tcp, udp } " if header == "th" else ""
        return f"{prefix}{header} {which} {_sign(place)}{_port_value(place)}"

    return make


def _clients_port(place: Place) -> str:
    which = "dport" if place.outward else "sport"
    header = place.draw.one(["tcp", "udp"])
    return f"{header} {which} {_sign(place)}{place.draw.one(['1024-65535', '0-1023', _LATE])}"


def _concatenation(place: Place) -> str:
    version, draw = place.version, place.draw
    header = draw.one(["tcp", "udp"])
    side, which = ("daddr", "sport") if place.outward else ("saddr", "dport")
    key = f"{place.ip(version)} {side} . {header} {which}"
    one, other = (f"{address(draw, version)} . {port(draw)}" for _number in range(2))
    way = draw.one(["anonymous", "set", "intervals"])
    kind = f"{_type(version)} . inet_service"
    if way == "set":
        return f"{key} @" + place.declare("set", "nft set concatenation", f"type {kind}; elements = {{ {one} }}")
    if way == "intervals":
        ranges = f"{network(draw, version)} . {ports(draw)}"
        body = f"type {kind}; flags interval; elements = {{ {ranges} }}"
        return f"{key} @" + place.declare("set", "nft set concatenation interval", body)
    return f"{key} {{ {one}, {other} }}" if one != other else f"{key} {{ {one} }}"


def _concatenation_of_meta(place: Place) -> str:
    protocol = place.draw.one(["tcp", "udp", "icmp"])
    return f"iifname . meta l4proto {{ {place.draw.one(INTERFACES)} . {protocol}, dmz0 . esp }}"


def _choice(prefix: str, *values: str, signed: bool = True) -> Callable[[Place], str]:
    return lambda place: f"{prefix} {_sign(place) if signed else ''}{place.draw.one(values)}"


def _interface(prefix: str, *values: str) -> Callable[[Place], str]:
    return lambda place: f"{prefix} {_sign(place)}{place.draw.one(values or INTERFACES)}"


def _marked(word: str) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        draw = place.draw
        if draw.often(0.3):
            return f"{word} & {draw.one(['0x1', '0xf', '0x2'])} == {draw.one(['0x0', '0x1', '0x2'])}"
        return f"{word} {_sign(place)}{mark(draw)}"

    return make


def _masked(place: Place) -> str:
    if place.version == 6:
        return "ip6 saddr & ::f == ::"
    mask = place.draw.one(["255.255.255.240 == 192.0.2.16", "255.255.0.255 == 192.0.0.10", "0.0.0.1 == 0.0.0.0"])
    return f"ip {'daddr' if place.outward else 'saddr'} & {mask}"


def _original(place: Place) -> str:
    version = place.version
    which = place.draw.one(["original", "reply"])
    side = place.draw.one(["saddr", "daddr"])
    return f"ct {which} {place.ip(version)} {side} {_sign(place)}{address(place.draw, version)}"


def _icmp(place: Place) -> str:
    types = ["echo-request", "echo-reply", "destination-unreachable"]
    header = "icmp" if place.version == 4 else "icmpv6"
    return f"{header} type {_sign(place)}{place.draw.one(types)}"


def _recent(place: Place) -> str:
    version = place.version
    name = place.declare("seen", "nft set dynamic", f"type {_type(version)}; flags dynamic, timeout; size 64")
    side = "daddr" if place.outward else "saddr"
    return f"{place.ip(version)} {side} {_sign(place)}@{name}"


def _l3proto(place: Place) -> str:
    """Of the table's own version: nft's listing leaves out one of the other version before a header."""
    return f"ct l3proto ipv{place.version}" if place.family in ("ip", "ip6") else ""


def _fixed(*texts: str) -> Callable[[Place], str]:
    return lambda place: place.draw.one(texts)


def _versioned(four: tuple[str, ...], six: tuple[str, ...]) -> Callable[[Place], str]:
    return lambda place: place.draw.one(four if place.version == 4 else six)


_STATES = ("new", "established", "established,related", "invalid", "untracked", "new,untracked", "{ new, established }")
USUAL_MATCHES = ("saddr", "tcp port", "udp port", "icmp type", "l4proto", "iifname", "ct state", "daddr")
MATCHES: dict[str, Callable[[Place], str]] = {
    "saddr": _source,
    "daddr": _destination,
    "tcp port": _ports("tcp"),
    "udp port": _ports("udp"),
    "th port": _ports("th"),
    "client's port": _clients_port,
    "concatenation": _concatenation,
    "concatenation of meta": _concatenation_of_meta,
    "masked address": _masked,
    "icmp type": _icmp,
    "icmp code": _versioned(("icmp code 0", "icmp code port-unreachable"), ("icmpv6 code 0", "icmpv6 code 4")),
    "tcp flags": _fixed(
        "tcp flags syn",
        "tcp flags != syn",
        "tcp flags & (syn|ack) == syn",
        "tcp flags & (fin|syn|rst|ack) == syn|ack",
        "tcp flags { syn, ack }",
        "tcp flags ! ack",
        "tcp flags & ack == 0",
        "tcp flags syn,rst / syn,rst",
    ),
    "l4proto": _choice("meta l4proto", "tcp", "udp", "icmp", "ipv6-icmp", "{ tcp, udp }", "{ icmp, ipv6-icmp }"),
    "nfproto": _choice("meta nfproto", "ipv4", "ipv6"),
    "protocol": _choice("meta protocol", "ip", "ip6", "{ ip, ip6 }"),
    "ip protocol": _versioned(("ip protocol tcp", "ip protocol != udp"), ("ip6 nexthdr tcp", "ip6 nexthdr ipv6-icmp")),
    "ip version": _versioned(("ip version 4",), ("ip6 version 6",)),
    "frag-off": _fixed("ip frag-off & 0x1fff == 0", "ip frag-off & 0x1fff != 0"),
    "iif": _interface("iif"),
    "iifname": _interface("iifname", "lan0", "lan*", "{ lan0, eth0 }", "dmz0", "eth*"),
    "iifgroup": _choice("iifgroup", "default", "7"),
    "iifkind": _choice("meta iifkind", '"veth"', '"bridge"'),
    "oif": _interface("oif"),
    "oifname": _interface("oifname", "lan0", "lan*", "dmz0", "{ dmz0, lan0 }"),
    "mark": _marked("meta mark"),
    "pkttype": _choice("meta pkttype", "host", "broadcast", "{ host, multicast }"),
    "ct state": _choice("ct state", *_STATES),
    "ct status": _fixed(
        "ct status dnat",
        "ct status snat",
        "ct status seen-reply",
        "ct status confirmed",
        "ct status & (dnat|snat) == 0",
        "ct status ! dnat",
        "ct status != dnat",
    ),
    "ct mark": _marked("ct mark"),
    "ct zone": _choice("ct zone", "0", "3"),
    "ct direction": _choice("ct direction", "original", "reply"),
    "ct address": _original,
    "ct port": _fixed(  # nft takes no port without a protocol before it
        "meta l4proto tcp ct original proto-dst 22",
        "meta l4proto tcp ct original proto-dst 80",
        "meta l4proto tcp ct reply proto-src 80",
        "meta l4proto udp ct reply proto-src { 53, 161 }",
    ),
    "ct protocol": _choice("ct protocol", "tcp", "udp", "icmp"),
    "ct l3proto": _l3proto,
    "fib type": _choice("fib daddr type", "local", "unicast", "broadcast", "{ local, multicast }"),
    "fib source type": _choice("fib saddr type", "local", "unicast"),
    "fib type by interface": _choice("fib daddr . iif type", "local", "unicast"),
    "fib reverse path": _fixed("fib saddr . iif oif exists", "fib saddr . iif oif missing", "fib saddr oif exists"),
    "fib oifname": _choice("fib saddr oifname", '"lan0"', '"dmz0"'),
    "skuid": _choice("meta skuid", "0", "65534"),
    "dynamic set": _recent,
    "sctp": _fixed("sctp dport 22", "meta l4proto sctp", "sctp dport != 22"),
    "ether type": _fixed("ether type ip", "ether type ip6"),
    "ether saddr": _fixed("ether saddr 02:00:00:00:01:10", "ether saddr 02:00:00:00:99:99"),
    "exthdr": _fixed("exthdr hbh exists", "exthdr frag missing"),
    "ip option": _fixed("ip option lsrr exists", "ip option rr missing"),
    "tcp option": _fixed("tcp option maxseg exists", "tcp option maxseg size 1-500"),
    "length": _choice("meta length", "1-100", "> 1000"),
    "header length": _versioned(("ip length 1-100", "udp length 9"), ("ip6 length 1-100", "udp length 9")),
    "ttl": _versioned(("ip ttl 64", "ip ttl < 5"), ("ip6 hoplimit 64", "ip6 hoplimit < 5")),
    "dscp": _versioned(("ip dscp cs0", "ip dscp != cs0"), ("ip6 dscp cs0", "ip6 dscp cs1")),
    "iiftype": _choice("meta iiftype", "ether", "loopback"),
    "cpu": _choice("meta cpu", "0", "1"),
    "hour": _fixed('meta hour "00:00"-"12:00"'),
    "day": _fixed('meta day "Monday"'),
    "random": _fixed("meta random & 1 == 1"),
    "priority": _fixed("meta priority 0", "meta priority 1:2"),
    "ipsec": _fixed("meta ipsec missing"),
    "socket": _fixed("socket transparent 0", "socket mark 1"),
    "rt": _fixed("rt classid 1"),
    "osf": _fixed('osf name "Linux"'),
    "numgen": _fixed("numgen random mod 2 0", "numgen inc mod 2 1"),
    "hash": _versioned(("jhash ip saddr mod 4 0", "symhash mod 4 0"), ("jhash ip6 saddr mod 4 0", "symhash mod 4 0")),
    "raw payload": _fixed("@th,16,16 22", "@th,16,16 80"),
    "ct helper": _fixed('ct helper "ftp"'),
    "ct label": _fixed("ct label 1"),
    "ct expiration": _fixed("ct expiration 1s-1h"),
    "ct bytes": _fixed("ct bytes > 100", "ct packets < 3", "ct original packets 1", "ct avgpkt > 10"),
    "ct count": _fixed("ct count over 5", "ct count 3"),
    "limit": _fixed("limit rate 5/second", "limit rate over 5/minute", "limit rate 1000/second burst 100 packets"),
    "quota": _fixed("quota 5 mbytes", "quota over 5 bytes"),
}
