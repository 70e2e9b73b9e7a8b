# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Interfaces, routes and possible arrivals."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.network import (
    arrivals,
    has_policy_routing,
    interface_of,
    parse_interfaces,
    parse_routes,
    split_answers,
    strict_filter,
    ways_back,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView

ADDRESSES = json.dumps(
    [
        {"ifindex": 1, "ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifindex": 2, "ifname": "audit0", "addr_info": [{"local": "198.51.100.12", "prefixlen": 24}]},
        {"ifindex": 3, "ifname": "mgmt0", "group": "7", "addr_info": [{"local": "203.0.113.12", "prefixlen": 24}]},
        {},
    ]
)
ROUTES = json.dumps(
    [
        {"dst": "default", "gateway": "198.51.100.1", "dev": "audit0"},
        {"dst": "203.0.113.0/24", "dev": "mgmt0", "prefsrc": "203.0.113.12"},
        {"dst": "192.0.2.128/25", "gateway": "203.0.113.1", "dev": "mgmt0"},
        {"type": "blackhole", "dst": "10.0.0.0/8"},
    ]
)
VIEW = HostView(parse_interfaces(ADDRESSES), parse_routes(ROUTES, 4))
HERE = ip_address("198.51.100.12")


def test_interfaces() -> None:
    assert [(item.name, item.index, item.group) for item in VIEW.interfaces] == [
        ("lo", 1, 0),
        ("audit0", 2, 0),
        ("mgmt0", 3, 7),
    ]
    assert interface_of(VIEW, HERE) == "audit0"
    assert interface_of(VIEW, ip_address("198.51.100.13")) is None


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("192.0.2.10", {"192.0.2.10": ("audit0",)}),
        ("192.0.2.200", {"192.0.2.200": ("mgmt0",)}),
        ("192.0.2.0/24", {"192.0.2.128/25": ("mgmt0",), "192.0.2.0/25": ("audit0",)}),
    ],
)
def test_the_longest_prefix_decides_the_way_back(source: str, parts: dict[str, tuple[str, ...]]) -> None:
    assert _back(VIEW, source) == parts


def test_packets_arrive_by_the_side_of_the_address_or_of_the_way_back() -> None:
    assert arrivals(VIEW, ("mgmt0",), HERE) == ("audit0", "mgmt0")
    assert arrivals(VIEW, ("audit0",), HERE) == ("audit0",)
    assert arrivals(VIEW, (), HERE) == ("audit0",)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, None),
        ({"net.ipv4.conf.all.rp_filter": "1"}, "net.ipv4.conf.all.rp_filter"),
        ({"net.ipv4.conf.audit0.rp_filter": "1"}, "net.ipv4.conf.audit0.rp_filter"),
        ({"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.audit0.rp_filter": "2"}, None),
        ({"net.ipv4.conf.all.rp_filter": "2", "net.ipv4.conf.audit0.rp_filter": "1"}, None),
        ({"net.ipv4.conf.mgmt0.rp_filter": "1"}, None),
    ],
)
def test_the_strict_filter_of_an_interface(filters: dict[str, str], expected: str | None) -> None:
    assert strict_filter(filters, "audit0") == expected


def _back(view: HostView, source: str) -> dict[str, tuple[str, ...]]:
    return {str(part): names for part, names in ways_back(view, AddressSet.parse(source), 4)}


def test_a_route_that_leads_nowhere_hides_the_wider_ones() -> None:
    assert _back(VIEW, "10.1.2.3") == {"10.1.2.3": ()}
    assert [route.interface for route in VIEW.routes(4)] == ["audit0", "mgmt0", "mgmt0", ""]


def test_a_route_of_several_ways_is_all_of_them_but_those_that_are_dead() -> None:
    ways = [
        {"gateway": "198.51.100.1", "dev": "audit0", "weight": 1, "flags": []},
        {"gateway": "203.0.113.1", "dev": "mgmt0", "weight": 1, "flags": []},
        {"gateway": "203.0.113.2", "dev": "spare0", "weight": 1, "flags": ["dead", "linkdown"]},
    ]
    view = HostView((), parse_routes(json.dumps([{"dst": "default", "nexthops": ways}]), 4))
    assert _back(view, "192.0.2.10") == {"192.0.2.10": ("audit0", "mgmt0")}


def test_routes_of_the_other_family_are_left_out() -> None:
    both = json.dumps([{"dst": "2001:db8::/32", "dev": "audit0"}, {"dst": "192.0.2.0/24", "dev": "mgmt0"}])
    assert [[route.interface for route in parse_routes(both, version)] for version in (4, 6)] == [["mgmt0"], ["audit0"]]


RULES = '[{"priority":0,"src":"all","table":"local"},{"priority":100,"src":"all","dst":"10.0.0.0","table":"7"}]'
LINKS = '[{"ifindex":1,"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8}]}]'
WAYS = '[{"type":"unicast","dst":"default","gateway":"198.51.100.1","dev":"audit0"}]'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{LINKS}\n{RULES}\n{WAYS}\n", (LINKS, RULES, WAYS)),
        (f"{LINKS}\n{RULES}\n[ ]\n", (LINKS, RULES, "")),
        (f"{LINKS}\n[{WAYS}\n", (LINKS, "", WAYS)),
        (f"{LINKS}\n{RULES}\n[", (LINKS, RULES, "")),
        ("", ("", "", "")),
    ],
)
def test_the_answers_of_one_batch_are_told_apart(text: str, expected: tuple[str, str, str]) -> None:
    """What a command leaves that fails: an opening bracket, or nothing."""
    assert split_answers(text) == expected


def test_policy_routing_is_noticed() -> None:
    own = [{"table": "local"}, {"table": "main"}, {"table": "default"}]
    assert not has_policy_routing(json.dumps(own))
    assert has_policy_routing(json.dumps([*own, {"table": "100", "src": "192.0.2.1"}]))


def test_an_output_that_is_no_json_is_an_error_with_the_next_step() -> None:
    with pytest.raises(ReadError, match="iproute2"):
        parse_interfaces("1: lo: <LOOPBACK>")
