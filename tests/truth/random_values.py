# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Values near those of the field's packets, so that random rules really match, and nearly match."""

from __future__ import annotations

from .field import BEHIND, HOST, HOST_INSIDE, PORTS, SOURCES
from .random_state import Draw

NETWORKS = {
    4: ("192.0.2.0/24", "192.0.2.0/28", "192.0.2.16/28", "192.0.2.0/27", "198.51.100.0/24", "192.0.2.20/31"),
    6: ("2001:db8:1::/64", "2001:db8:1::/123", "2001:db8:1::20/124", "2001:db8::/32", "2001:db8:2::/64"),
}
RANGES = {4: ("192.0.2.5-192.0.2.15", "192.0.2.11-192.0.2.99"), 6: ("2001:db8:1::5-2001:db8:1::15", "::1-2001:db8::1")}
LATE_PORTS = (40000, 50000)  # a part of those that a client may have: nobody can tell
MARKS = (0, 1, 2, 3, 16)
INTERFACES = ("lan0", "lan0", "dmz0", "lo")


def address(draw: Draw, version: int, *, here: bool = False) -> str:
    """An address of a client, or with ``here`` more often one of the host."""
    if draw.often(0.85):
        return HOST[version] if here else draw.one(SOURCES[version])
    return draw.one([HOST[version], *SOURCES[version], BEHIND[version], HOST_INSIDE[version]])


def network(draw: Draw, version: int) -> str:
    """A network that holds some of the field's addresses, or none."""
    return draw.one(NETWORKS[version])


def port(draw: Draw) -> str:
    """A port of the panel, or another one with a listener."""
    return str(draw.one([22, 80, 161, 22, 80, 161, *PORTS]))


def ports(draw: Draw, dash: str = "-") -> str:
    """A range of ports that holds one of the panel's, or none."""
    low, high = draw.one([(20, 30), (22, 80), (80, 200), (100, 161), (1, 21), (1024, 65535), (0, 65535), (443, 8080)])
    return f"{low}{dash}{high}"


def mark(draw: Draw) -> str:
    """A mark out of a few, so that what sets one and what asks for it meet."""
    return str(draw.one(MARKS))
