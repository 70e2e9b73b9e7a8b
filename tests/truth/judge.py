# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What the simulator says of the field's host: its rules, addresses and routes read as a host's would be."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network

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

from .field import LAN, Field, Probe


def host_view(field: Field) -> HostView:
    """The host's interfaces and routes, as iproute2 shows them."""
    links = json.loads(field.run("ip", "-j", "-d", "address"))
    interfaces = tuple(
        Interface(
            link["ifname"],
            link["ifindex"],
            tuple(ip_interface(f"{item['local']}/{item['prefixlen']}") for item in link["addr_info"]),
            0,
            link.get("linkinfo", {}).get("info_kind", ""),
            link.get("master"),
        )
        for link in links
    )
    routes: list[Route] = []
    for option, everything in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
        for item in json.loads(field.run("ip", option, "-j", "route") or "[]"):
            network = ip_network(everything if item["dst"] == "default" else item["dst"])
            routes.append(Route(network, item["dev"], ip_address(item["gateway"]) if "gateway" in item else None))
    return HostView(interfaces, tuple(routes), {"ip": True, "ip6": True})


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
