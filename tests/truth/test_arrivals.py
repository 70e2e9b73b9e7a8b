# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Hosts with two sides: which interface a packet comes in by, which way its answer leaves, and the reverse path filter.

The one behind is a client here, on the host's other side; the far client has two legs, one on each side.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.judge import Judgement, judge
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot

from .field import BEHIND, DMZ, HOST, HOST_INSIDE, LAN, SOURCES, Field, Probe
from .judge import current_rules, host_view

pytestmark = [pytest.mark.timeout(30), pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")]
FAR = "203.0.113.9"
RULES = """
flush ruleset
table inet filter {{
    chain input {{ type filter hook input priority 0; policy drop;
        ip6 nexthdr icmpv6 accept
        iifname "{lan}" tcp dport 22 {by_lan}
        iifname "{dmz}" tcp dport 22 {by_dmz}
    }}
    chain output {{ type filter hook output priority 0; policy accept; oifname "{dmz}" tcp sport 22 {out}; }}
}}
"""


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    """A field whose client has a far address, to which the host's route leads by its other side."""
    made = Field("arrivals", ports=(22,))
    try:
        _far_client(made)
        yield made
    finally:
        made.close()


def _far_client(field: Field) -> None:
    lines = {
        "client": [f"addr add {FAR}/32 dev c0", "link add leg0 type veth peer name leg1", "link set leg0 up"],
        "behind": ["link set leg1 up", f"route add {FAR}/32 dev leg1"],
        "host": [f"route add {FAR}/32 via {BEHIND[4]}"],
    }
    for role in ("client", "behind", "host"):
        name = field.namespace(role).name
        command = ["ip", "-n", name, "-batch", "-"]
        subprocess.run(command, input="\n".join(lines[role]), text=True, check=True, timeout=9)
        if role == "client":
            command = ["ip", "-n", name, "link", "set", "leg1", "netns", field.namespace("behind").name]
            subprocess.run(command, check=True, timeout=9)


def _filter(field: Field, settings: Mapping[str, str]) -> dict[str, str]:
    """Set the reverse path filter; the sysctls as they are then."""
    for name in ("all", LAN, DMZ):
        field.run("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter={settings.get(name, '0')}")
    return {f"net.ipv4.conf.{name}.rp_filter": settings.get(name, "0") for name in ("all", LAN, DMZ)}


def _load(field: Field, *, by_lan: str = "accept", by_dmz: str = "accept", out: str = "accept") -> None:
    field.run("nft", "-f", "-", text=RULES.format(lan=LAN, dmz=DMZ, by_lan=by_lan, by_dmz=by_dmz, out=out))


def _judged(field: Field, sysctls: Mapping[str, str], source: str, destination: str) -> Judgement:
    snapshot = Snapshot(current_rules(field, iptables=False, ipset=False), host_view(field), sysctls)
    (found,) = judge(snapshot, get_requirement("linux.ssh"), AddressSet.parse(source), ip_address(destination))
    return found


def _packet(field: Field, role: str, source: str, destination: str) -> str:
    probe = Probe(source, destination, "tcp", 22)
    return field.observe([probe], role)[probe]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("by_lan", "by_dmz"), [("accept", "drop"), ("drop", "accept")])
def test_the_side_that_holds_the_address_and_the_route_is_the_one(
    field: Field, version: int, by_lan: str, by_dmz: str
) -> None:
    """A neighbour that asks for the address on its own side comes in there, whatever the other side's rules say."""
    sysctls = _filter(field, {})
    _load(field, by_lan=by_lan, by_dmz=by_dmz)
    met = _packet(field, "behind", BEHIND[version], HOST_INSIDE[version])
    assert met == ("passes" if by_dmz == "accept" else "dropped")
    found = _judged(field, sysctls, BEHIND[version], HOST_INSIDE[version])
    assert found.status.value == ("open" if by_dmz == "accept" else "blocked")


@pytest.mark.parametrize(
    ("settings", "by_lan", "by_dmz", "status"),
    [
        ({}, "accept", "accept", "open"),
        ({}, "drop", "drop", "blocked"),
        ({}, "drop", "accept", "unknown"),  # it may come by either side
        ({"all": "2", LAN: "1"}, "drop", "accept", "unknown"),  # the loose filter is the one that holds
        ({LAN: "1"}, "drop", "accept", "unknown"),  # the strict one drops what comes by the far side
        ({LAN: "1"}, "accept", "accept", "unknown"),
        ({DMZ: "1"}, "accept", "accept", "open"),  # on the side of the way back it drops nothing
        ({"all": "1"}, "accept", "drop", "blocked"),
    ],
)
def test_an_address_of_the_other_side(
    field: Field, settings: dict[str, str], by_lan: str, by_dmz: str, status: str
) -> None:
    """Who asks for the address of the host's far side comes in by the near one, unless a router is in between."""
    sysctls = _filter(field, settings)
    _load(field, by_lan=by_lan, by_dmz=by_dmz)
    assert _packet(field, "behind", BEHIND[4], HOST[4]) == ("passes" if by_dmz == "accept" else "dropped")
    found = _judged(field, sysctls, BEHIND[4], HOST[4])
    assert found.status.value == status
    if status == "unknown":
        assert re.search(f"by {LAN}( it is)? blocked", found.reason)
        assert re.search(f"by {DMZ}( it is)? open", found.reason)


@pytest.mark.parametrize(("out", "status", "met"), [("accept", "open", "passes"), ("drop", "blocked", "dropped")])
def test_an_answer_that_takes_another_way(field: Field, out: str, status: str, met: str) -> None:
    """The packet comes by one side and its answer leaves by the other, where the rules of that side hold for it."""
    sysctls = _filter(field, {LAN: "2"})
    _load(field, out=out)
    assert _packet(field, "client", FAR, HOST[4]) == met
    assert _judged(field, sysctls, FAR, HOST[4]).status.value == status


def test_what_the_strict_filter_drops_is_not_open(field: Field) -> None:
    """It is dropped by the side that holds the address, and let in by the other: nobody knows by which it comes."""
    sysctls = _filter(field, {LAN: "1"})
    _load(field)
    assert _packet(field, "client", FAR, HOST[4]) == "dropped"
    found = _judged(field, sysctls, FAR, HOST[4])
    assert found.status.value == "unknown"
    assert f"by {DMZ} it is open" in found.reason
    assert f"by {LAN} blocked (the strict reverse path filter drops it, as answers leave by {DMZ}" in found.reason
    assert f"net.ipv4.conf.{LAN}.rp_filter = 1" in found.reason
    _load(field, by_dmz="drop")
    assert _packet(field, "client", FAR, HOST[4]) == "dropped"
    assert _judged(field, sysctls, FAR, HOST[4]).status.value == "blocked"
    assert _judged(field, _filter(field, {}), FAR, HOST[4]).status.value == "unknown"


def test_a_source_of_two_ways_back_is_judged_in_its_parts(field: Field) -> None:
    """Who is reached by the side that holds the address is let in; the strict filter may drop the rest."""
    sysctls = _filter(field, {LAN: "1"})
    _load(field)
    snapshot = Snapshot(current_rules(field, iptables=False, ipset=False), host_view(field), sysctls)
    near = SOURCES[4][0]
    parts = judge(snapshot, get_requirement("linux.ssh"), AddressSet.parse([near, FAR]), ip_address(HOST[4]))
    assert {str(part.source): part.status.value for part in parts} == {near: "open", FAR: "unknown"}
    assert {source: _packet(field, "client", source, HOST[4]) for source in (near, FAR)} == {
        near: "passes",
        FAR: "dropped",
    }


def test_the_other_side_of_a_route_that_leads_nowhere(field: Field) -> None:
    """A route of the type unreachable is no way back, although a wider one is there."""
    sysctls = _filter(field, {})
    _load(field)
    field.run("ip", "route", "add", "unreachable", "192.0.2.20/32")
    try:
        assert _packet(field, "client", "192.0.2.20", HOST[4]) == "dropped"
        assert _judged(field, sysctls, "192.0.2.20", HOST[4]).status.value == "blocked"
    finally:
        field.run("ip", "route", "del", "unreachable", "192.0.2.20/32")
