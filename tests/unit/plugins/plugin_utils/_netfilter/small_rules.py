# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Small rule sets in nft's JSON, and a host to try them on: what the tests of this folder share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import (
    HostView,
    Interface,
    Outcome,
    Packet,
    Route,
    Ruleset,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.simulator import walk

Json = dict[str, Any]
ACCEPT: Json = {"accept": None}
DROP: Json = {"drop": None}
REJECT: Json = {"reject": {"type": "icmpx", "expr": "port-unreachable"}}
RETURN: Json = {"return": None}
LIMIT: Json = {"limit": {"rate": 5, "burst": 5, "per": "second"}}
LOG: Json = {"log": {"prefix": "seen "}}
DESTINATIONS = {4: "192.0.2.1", 6: "2001:db8:1::1"}
HOST = HostView(
    (
        Interface("lo", 1, (ip_interface("127.0.0.1/8"), ip_interface("::1/128"))),
        Interface("lan0", 2, (ip_interface("192.0.2.1/24"), ip_interface("2001:db8:1::1/64")), 0, "veth"),
        Interface("dmz0", 3, (ip_interface("198.51.100.1/24"), ip_interface("2001:db8:2::1/64")), 7, "veth"),
    ),
    tuple(
        Route(ip_network(network), interface)
        for network, interface in (
            ("192.0.2.0/24", "lan0"),
            ("2001:db8:1::/64", "lan0"),
            ("198.51.100.0/24", "dmz0"),
            ("2001:db8:2::/64", "dmz0"),
            ("0.0.0.0/0", "lan0"),
            ("::/0", "lan0"),
        )
    ),
    {"ip": True, "ip6": True},
)


def match(left: Json, right: Any, op: str = "==") -> Json:
    """A match statement."""
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol: str, field: str) -> Json:
    """A field of a header."""
    return {"payload": {"protocol": protocol, "field": field}}


SADDR, DADDR, SADDR6 = payload("ip", "saddr"), payload("ip", "daddr"), payload("ip6", "saddr")
DPORT, UDP_DPORT = payload("tcp", "dport"), payload("udp", "dport")
MARK: Json = {"meta": {"key": "mark"}}
CT_STATE: Json = {"ct": {"key": "state"}}


def jump(chain: str) -> Json:
    """A jump."""
    return {"jump": {"target": chain}}


def prefix(text: str) -> Json:
    """A network as nft's JSON writes it."""
    address, _slash, length = text.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}}


def listing(*objects: Json, rules: Sequence[Sequence[Json]] = (), policy: str = "drop", family: str = "inet") -> str:
    """An nft listing of a table t with an input chain of these rules, after any other objects."""
    everything: list[Json] = [{"metainfo": {"version": "1.1.3"}}, {"table": {"family": family, "name": "t"}}]
    everything += [base_chain("input", "input", policy=policy, family=family)]
    everything += objects
    everything += [rule("input", *items, family=family) for items in rules]
    return json.dumps({"nftables": everything})


def base_chain(name: str, hook: str, *, policy: str = "accept", priority: int = 0, **more: Any) -> Json:
    """A base chain of table t."""
    body = {"family": "inet", "table": "t", "name": name, "type": "filter", "hook": hook, "prio": priority}
    return {"chain": {**body, "policy": policy, **more}}


def chain(name: str) -> Json:
    """A chain of table t without a hook."""
    return {"chain": {"family": "inet", "table": "t", "name": name}}


def rule(of_chain: str, *items: Json, **more: Any) -> Json:
    """A rule of table t."""
    return {"rule": {"family": "inet", "table": "t", "chain": of_chain, "handle": 9, **more, "expr": list(items)}}


def named_set(name: str, kind: Any, *elements: Any, **more: Any) -> Json:
    """A named set of table t."""
    return {"set": {"family": "inet", "table": "t", "name": name, "type": kind, "elem": list(elements), **more}}


def read(text: str) -> Ruleset:
    """A rule set of nft alone."""
    return read_ruleset(nft=text, xtables=(), ipset=None)


def outcomes(
    text: str | Ruleset, source: str = "192.0.2.10", target: str = "tcp/22", *, host: HostView = HOST, iif: str = "lan0"
) -> tuple[Outcome, ...]:
    """What becomes of packets of these sources to a protocol and port of the host."""
    sources = AddressSet.parse(source)
    protocol, _slash, port = target.partition("/")
    destination = ip_address(DESTINATIONS[4 if sources.ranges(4) else 6])
    packet = Packet(protocol, sources, destination, int(port) if port else None, iif)
    return walk(read(text) if isinstance(text, str) else text, packet, host)


def fate(text: str | Ruleset, source: str = "192.0.2.10", target: str = "tcp/22", **more: Any) -> str:
    """The one fate of packets of these sources."""
    (outcome,) = outcomes(text, source, target, **more)
    return outcome.fate.value


def fates(text: str | Ruleset, source: str, target: str = "tcp/22") -> dict[str, str]:
    """The fates of the parts of a network."""
    return {str(outcome.source): outcome.fate.value for outcome in outcomes(text, source, target)}
