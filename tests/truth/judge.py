# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What the simulator says of the field's host: its rules, addresses and routes read as a host's would be."""

from __future__ import annotations

from ipaddress import ip_address

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.network import parse_interfaces, parse_routes
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import (
    HostView,
    Outcome,
    Packet,
    Ruleset,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.simulator import walk

from .field import LAN, Field, Probe


def host_view(field: Field) -> HostView:
    """The host's interfaces and routes, as iproute2 shows them."""
    address, route4, route6 = (
        field.run("ip", "-j", *rest) for rest in (("-d", "address"), ("-4", "route"), ("-6", "route"))
    )
    routes = parse_routes(route4, 4) + parse_routes(route6, 6)
    return HostView(parse_interfaces(address), routes, {"ip": True, "ip6": True})


def current_rules(field: Field, *, iptables: bool, ipset: bool) -> Ruleset:
    """The rules that the host's kernel has now, read by the commands that a check runs."""
    texts = []
    if iptables:
        texts = [
            field.run(f"{command}{backend}-save")
            for command in ("iptables", "ip6tables")
            for backend in ("-nft", "-legacy")
        ]
    return read_ruleset(
        nft=field.run("nft", "-j", "list", "ruleset"),
        xtables=texts,
        ipset=field.run("ipset", "save") if ipset else None,
    )


def judge(ruleset: Ruleset, host: HostView, probe: Probe, iif: str = LAN) -> Outcome:
    """The one outcome for a probe's packet."""
    packet = Packet(probe.protocol, AddressSet.parse(probe.source), ip_address(probe.destination), probe.port, iif)
    (outcome,) = walk(ruleset, packet, host)
    return outcome


def judge_network(ruleset: Ruleset, host: HostView, probe: Probe, network: str) -> dict[str, str]:
    """The fate of every part when a whole network is asked about at once: text of the part -> fate."""
    packet = Packet(probe.protocol, AddressSet.parse(network), ip_address(probe.destination), probe.port, LAN)
    outcomes = walk(ruleset, packet, host)
    whole = AddressSet()
    for outcome in outcomes:
        assert not whole & outcome.source, "the parts overlap"
        whole = whole | outcome.source
    assert whole == packet.source, "the parts are not the whole"
    return {str(outcome.source): outcome.fate.value for outcome in outcomes}
