# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows host's own addresses, and what the address keywords of rules stand for on it.

IPv4 addresses stand in the registry by interface; those of both families, and the subnets on the link, in the routing
table of ``netstat -rn``. Of its localised text only columns that are numbers or addresses are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network

from ...module_utils._core.addressset import Address, AddressSet, parse_address
from ...module_utils._core.errors import InputError
from .parts import SERVICES
from .registry import Registry
from .words import LOCAL_SUBNET

INTERFACES = rf"{SERVICES}\Tcpip\Parameters\Interfaces"
_LINK_LOCAL = AddressSet.parse(["fe80::/10", "169.254.0.0/16"])
_NOTHING = AddressSet()
_SINGLE = "255.255.255.255"


@dataclass(frozen=True)
class Network:
    """The host in its networks. ``interfaces`` maps own addresses to the GUID of their interface, empty where unknown.

    ``subnets`` are the networks on the link; ``None`` where nobody could tell. ``servers`` maps the keywords dns, dhcp,
    wins and defaultgateway to addresses, as far as they are known.
    """

    interfaces: Mapping[Address, str] = field(default_factory=dict)
    subnets: AddressSet | None = None
    servers: Mapping[str, AddressSet] = field(default_factory=dict)

    def resolve(self, word: str, version: int) -> AddressSet | None:
        """What a keyword in the place of addresses stands for in one family; ``None`` where that is not known."""
        if word == LOCAL_SUBNET:
            return None if self.subnets is None else (self.subnets | _LINK_LOCAL).family(version)
        found = self.servers.get(word)
        return None if found is None else found.family(version)

    def interface_of(self, address: Address) -> str | None:
        """The GUID of the interface that holds the address, in small letters; ``None`` where it is not known."""
        return self.interfaces.get(address) or None


def network_of(local: Iterable[str]) -> Network:
    """The network of a host whose interfaces are given as ``192.0.2.5/24``. Raises InputError for what is none."""
    found = []
    for text in local:
        try:
            found.append(ip_interface(text))
        except ValueError as error:
            raise InputError(f"{text!r} is no address with its network; write it as 192.0.2.5/24") from error
    return Network({parse_address(str(item.ip)): "" for item in found}, _subnets(found))


def read_network(registry: Registry, routes: str | None = None) -> Network:
    """The network as the registry and the routing table tell it."""
    held = dict(_registry_addresses(registry))
    subnets = _subnets(held)
    own = {parse_address(str(item.ip)): guid for item, guid in held.items()}
    on_link, known = _NOTHING, bool(held)
    for address, network in _routes(routes or ""):
        known = True
        if address is not None:
            own.setdefault(address, "")
        on_link = on_link | network
    return Network(own, (subnets | on_link) if known else None, dict(_servers(registry)))


def _subnets(interfaces: Iterable[IPv4Interface | IPv6Interface]) -> AddressSet:
    return AddressSet.parse([str(item.network) for item in interfaces])


def _registry_addresses(registry: Registry) -> Iterator[tuple[IPv4Interface | IPv6Interface, str]]:
    for path, values in registry.below(INTERFACES):
        guid = path.partition("\\")[0]
        for address, mask in (("ipaddress", "subnetmask"), ("dhcpipaddress", "dhcpsubnetmask")):
            if address in values and mask in values:
                for one, its_mask in zip(values[address].text.split(), values[mask].text.split(), strict=False):
                    item = _interface(f"{one}/{its_mask}")
                    if item is not None and int(item.ip) != 0:
                        yield item, guid


def _interface(text: str) -> IPv4Interface | IPv6Interface | None:
    try:
        return ip_interface(text)
    except ValueError:
        return None


_SERVER_VALUES = {
    "dns": ("nameserver", "dhcpnameserver"),
    "dhcp": ("dhcpserver",),
    "defaultgateway": ("defaultgateway", "dhcpdefaultgateway"),
}


def _servers(registry: Registry) -> Iterator[tuple[str, AddressSet]]:
    keys = [values for _path, values in registry.below(INTERFACES)]
    for word, names in _SERVER_VALUES.items() if keys else ():
        found = _NOTHING
        for text in (values[name].text for values in keys for name in names if name in values):
            for item in text.replace(",", " ").split():
                address = _address(item)
                found = found if address is None else found | AddressSet.of(address)
        yield word, found


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except InputError:
        return None


def _routes(text: str) -> Iterator[tuple[Address | None, AddressSet]]:
    """Own addresses and networks on the link, of both tables; the gateway of what is not on the link is an address."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and _address(words[0]) is not None and _address(words[1]) is not None:
            yield from _route4(words)
        elif len(words) >= 4 and words[0].isdigit() and words[1].isdigit() and "/" in words[2]:
            yield from _route6(words[2], " ".join(words[3:]))


def _route4(words: list[str]) -> Iterator[tuple[Address | None, AddressSet]]:
    destination, mask, holder = _address(words[0]), words[1], _address(words[-2])
    if destination is None or holder is None or not words[-1].isdigit() or _address(words[2]) is not None:
        return
    if destination.is_multicast or destination.is_loopback or holder.is_loopback or mask == "0.0.0.0":
        return
    if mask == _SINGLE:  # the address itself, and the broadcast address of its network
        if destination == holder:
            yield destination, AddressSet.of(destination)
        return
    network = _network(f"{words[0]}/{mask}")
    if network is not None:
        yield holder, network


def _route6(destination: str, gateway: str) -> Iterator[tuple[Address | None, AddressSet]]:
    network = _network(destination)
    if network is None or _address(gateway) is not None:
        return
    first = network.first()
    if first.is_multicast or first.is_loopback or destination.endswith("/0"):
        return
    yield (first if destination.endswith("/128") else None), network


def _network(text: str) -> AddressSet | None:
    try:
        return AddressSet.parse(str(ip_network(text, strict=False)))
    except (ValueError, InputError):
        return None
