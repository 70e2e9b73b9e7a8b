# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network side of a Linux host: interfaces, routes, and by which interface an audit's packets may arrive."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.errors import ReadError
from .._netfilter.model import HostView, Interface, Route

_NOWHERE = ("blackhole", "unreachable", "prohibit", "throw")  # the types of ip-route(8)
_FIRST_OF_ANSWER = re.compile(r'\[\s*\{[^{}]*?"(ifname|priority|dst)"')  # what only one of them has, or has first
_STRICT, _LOOSE = "1", "2"  # rp_filter: RFC 3704 reverse path (Documentation/networking/ip-sysctl)


def split_answers(text: str) -> tuple[str, str, str]:
    """The addresses, the rules and the routes, each as the JSON of its own command, of one ``ip -j -batch`` of three.

    Each answer is one line. A command that fails leaves nothing, or its opening bracket in front of the next answer.
    """
    found = {"ifname": "", "priority": "", "dst": ""}
    for line in text.splitlines():
        answer = f"[{line.lstrip('[')}"
        first = _FIRST_OF_ANSWER.match(answer)
        if first:
            found[first[1]] = answer
    return found["ifname"], found["priority"], found["dst"]


def parse_interfaces(text: str) -> tuple[Interface, ...]:
    """The interfaces of ``ip -j -d address``. Raises ReadError for what is none."""
    return tuple(_interface(entry) for entry in _entries(text, "ip -j address") if entry.get("ifname"))


def _interface(entry: Mapping[str, Any]) -> Interface:
    addresses = tuple(
        ip_interface(f"{item['local']}/{item['prefixlen']}")
        for item in entry.get("addr_info") or ()
        if "local" in item and "prefixlen" in item
    )
    group = str(entry.get("group", "default"))
    return Interface(
        name=str(entry["ifname"]),
        index=int(entry.get("ifindex", 0)),
        addresses=addresses,
        group=int(group) if group.isdigit() else 0,
        kind=str((entry.get("linkinfo") or {}).get("info_kind", "")),
        master=entry.get("master"),
    )


def parse_routes(text: str, version: int) -> tuple[Route, ...]:
    """The routes of ``ip -j route`` of one family, in its order; a route of several ways is one for each of them.

    Those that lead nowhere (blackhole, unreachable, prohibit) have no interface, and hide the wider ones. Those that
    the kernel counts out are left out.
    """
    return tuple(route for entry in _entries(text, "ip -j route") for route in _routes(entry, version))


def _routes(entry: Mapping[str, Any], version: int) -> Iterator[Route]:
    everything = "0.0.0.0/0" if version == 4 else "::/0"
    destination = str(entry.get("dst", "default"))
    network = ip_network(everything if destination == "default" else destination, strict=False)
    if network.version != version:
        return
    if entry.get("type", "unicast") in _NOWHERE:
        yield Route(network, "")
        return
    ways = [way for way in entry.get("nexthops") or [entry] if way.get("dev") and "dead" not in way.get("flags", ())]
    preferred = entry.get("prefsrc")
    for way in ways:
        gateway = way.get("gateway")
        yield Route(
            network=network,
            interface=str(way["dev"]),
            gateway=ip_address(str(gateway)) if gateway else None,
            preferred_source=ip_address(str(preferred)) if preferred else None,
            one_of_several=len(ways) > 1,
        )


def forwarding(sysctls: Mapping[str, str]) -> dict[str, bool]:
    """Whether the host passes packets on, by family (``ip``, ``ip6``), as far as that is known."""
    names = {"ip": "net.ipv4.ip_forward", "ip6": "net.ipv6.conf.all.forwarding"}
    return {family: sysctls[name] != "0" for family, name in names.items() if name in sysctls}


def has_policy_routing(text: str) -> bool:
    """Whether ``ip -j rule`` shows more than the kernel's own three rules, so that the main table is not the whole
    truth.
    """
    return any(entry.get("table") not in ("local", "main", "default") for entry in _entries(text, "ip -j rule"))


def _entries(text: str, what: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text) if text.strip() else []
    except ValueError as error:
        raise ReadError(f"the output of '{what}' on the host is not JSON; iproute2 4.16 or later is needed") from error
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def interface_of(view: HostView, address: Address) -> str | None:
    """The interface that holds the address; ``None`` where it is not the host's own."""
    holders = (item.name for item in view.interfaces for held in item.addresses if held.ip == address)
    return next(holders, None)


def ways_back(view: HostView, source: AddressSet, version: int) -> tuple[tuple[AddressSet, tuple[str, ...]], ...]:
    """The parts of a source's addresses by the interfaces that their answers may leave by, longest prefix first; none
    where no route leads there.
    """
    left = source.family(version)
    found: dict[tuple[str, ...], AddressSet] = {}
    for route in sorted(view.routes(version), key=lambda item: item.network.prefixlen, reverse=True):
        covered = AddressSet.parse(str(route.network))
        names = tuple(name for name in view.ways(route) if name)
        if left & covered:
            found[names] = found.get(names, AddressSet()) | (left & covered)
            left = left - covered
    if left:
        found[()] = found.get((), AddressSet()) | left
    return tuple((part, names) for names, part in found.items())


def arrivals(view: HostView, back: Sequence[str], destination: Address) -> tuple[str, ...]:
    """The interfaces by which packets to one of the host's own addresses may come in whose answers leave by ``back``.

    That is the one that holds the destination, and those. Loopback holds no audit's packets.
    """
    holder = interface_of(view, destination)
    candidates = (*((holder,) if holder else ()), *back)
    return tuple(dict.fromkeys(name for name in candidates if name != "lo")) or tuple(
        name for name in (holder,) if name
    )


def strict_filter(sysctls: Mapping[str, str], name: str) -> str | None:
    """The sysctl that has an interface drop IPv4 packets whose way back is another one; ``None`` where none has.

    The greater of the two values counts, and 2 is the loose filter.
    """
    values = {key: sysctls.get(f"net.ipv4.conf.{key}.rp_filter", "0") for key in (name, "all")}
    strict = [key for key, value in values.items() if value == _STRICT]
    return f"net.ipv4.conf.{strict[0]}.rp_filter" if strict and _LOOSE not in values.values() else None
