# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of addresses as a host's routing sees them: local, broadcast, multicast, unicast."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface

from ...module_utils._core.ranges import Range, RangeSet
from .model import HostView

_LOOPBACK_4 = (0x7F000000, 0x7FFFFFFF)
_LOOPBACK_6 = (1, 1)
_MULTICAST_4 = (0xE0000000, 0xEFFFFFFF)
_MULTICAST_6 = (0xFF << 120, (1 << 128) - 1)
TYPE_NUMBERS = {"unicast": 1, "local": 2, "broadcast": 3, "multicast": 5}  # linux/rtnetlink.h, RTN_...
_LIMITED_BROADCAST = 0xFFFFFFFF
_EVERYTHING = {4: RangeSet([(0, (1 << 32) - 1)]), 6: RangeSet([(0, (1 << 128) - 1)])}


def addresses_of_types(
    host: HostView, version: int, types: frozenset[str], interface: str | None = None
) -> RangeSet | None:
    """The addresses of one family (4 or 6) whose type is one of ``types``.

    With an interface, only its own addresses are local or broadcast. None where a type is among them that the host's
    view does not show (blackhole, prohibit, anycast, nat, ...).
    """
    if not types <= {"local", "broadcast", "multicast", "unicast"}:
        return None
    asked = (version, interface)
    known = host.types_found.get(asked)
    if known is None:
        known = host.types_found[asked] = _by_type(host, version, interface)
    found = RangeSet()
    for name in types:
        found = found | known[name] if found else known[name]
    return found


def _by_type(host: HostView, version: int, interface: str | None) -> dict[str, RangeSet]:
    local = RangeSet(_local(host, version, interface))
    broadcast = RangeSet(_broadcast(host, version, interface)) - local
    multicast = RangeSet([_MULTICAST_4 if version == 4 else _MULTICAST_6]) - local
    unicast = _EVERYTHING[version] - local - broadcast - multicast
    return {"local": local, "broadcast": broadcast, "multicast": multicast, "unicast": unicast}


def can_type(host: HostView, version: int, address: object, interface: str | None) -> bool:
    """Whether the type of an address can be told: where not all of the host's are known, of one that is known alone."""
    if host.addresses_known:
        return True
    own = RangeSet(_local(host, version, None))
    return interface is None and isinstance(address, int) and address in own


def _local(host: HostView, version: int, interface: str | None) -> Iterator[Range]:
    if interface in (None, "lo"):
        yield _LOOPBACK_4 if version == 4 else _LOOPBACK_6
    for item in host.interfaces:
        if interface in (None, item.name):
            for address in item.addresses:
                if address.version == version:
                    yield int(address.ip), int(address.ip)


def _broadcast(host: HostView, version: int, interface: str | None) -> Iterator[Range]:
    if version == 6:
        return
    yield _LIMITED_BROADCAST, _LIMITED_BROADCAST
    for item in host.interfaces:
        if interface in (None, item.name):
            for address in item.addresses:
                if isinstance(address, IPv4Interface) and address.network.prefixlen < 31:
                    broadcast = int(address.network.broadcast_address)
                    yield broadcast, broadcast
