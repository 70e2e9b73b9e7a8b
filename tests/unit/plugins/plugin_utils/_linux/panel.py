# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The host and the packets by which a manager's files are compared with what the kernel really got from them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.manager import Manager
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import (
    Fate,
    HostView,
    Interface,
    Outcome,
    Packet,
    Route,
    Ruleset,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.simulator import walk

FIXTURES = Path(__file__).parent / "fixtures"
HOST = HostView(
    interfaces=(
        Interface("lo", 1, (ip_interface("127.0.0.1/8"), ip_interface("::1/128"))),
        Interface("eth0", 2, (ip_interface("192.0.2.5/24"), ip_interface("2001:db8::5/64"))),
        Interface("audit0", 3, (ip_interface("198.51.100.5/24"),)),
        Interface("mgmt0", 4, (ip_interface("203.0.113.5/24"),)),
    ),
    routes_to=tuple(
        Route(ip_network(network), interface)
        for network, interface in (
            ("192.0.2.0/24", "eth0"),
            ("198.51.100.0/24", "audit0"),
            ("203.0.113.0/24", "mgmt0"),
            ("0.0.0.0/0", "eth0"),
            ("2001:db8::/64", "eth0"),
            ("::/0", "eth0"),
        )
    ),
)
_ARRIVALS = (("eth0", "192.0.2.5"), ("eth0", "2001:db8::5"), ("audit0", "198.51.100.5"), ("mgmt0", "203.0.113.5"))
_SOURCES = {4: ("192.0.2.10", "0.0.0.0/0"), 6: ("2001:db8::10", "2001:db8:1::/48")}
_WIRES = (
    ("icmp", None),
    *(("tcp", port) for port in (22, 80, 445, 2222, 5005, 8080, 8443, 9100)),
    *(("udp", port) for port in (161, 546, 5005)),
)
_STATUS = {Fate.PASSES: VerdictStatus.OPEN, Fate.UNDECIDED: VerdictStatus.UNKNOWN}


def files_below(root: Path) -> dict[str, str]:
    """The files of a fixture by the absolute path that they had on their host."""
    return {
        f"/{path.relative_to(root)}": path.read_text() for path in sorted((root / "etc").rglob("*")) if path.is_file()
    }


def packet(wire: str, source: str = "192.0.2.10", destination: str = "192.0.2.5", iif: str = "eth0") -> Packet:
    """A packet of a wire such as ``tcp/22`` or ``icmp``."""
    protocol, _slash, port = wire.partition("/")
    address = ip_address(destination)
    return Packet(protocol, AddressSet.parse(source).family(address.version), address, int(port) if port else None, iif)


def panel() -> Iterator[Packet]:
    """Packets of every protocol and port that the fixtures tell apart, from several sources, by every interface."""
    for iif, destination in _ARRIVALS:
        for source in _SOURCES[ip_address(destination).version]:
            for protocol, port in _WIRES:
                yield packet(protocol if port is None else f"{protocol}/{port}", source, destination, iif)


def fate(ruleset: Ruleset, one: Packet) -> Outcome:
    """The only outcome of a packet from one address."""
    (outcome,) = walk(ruleset, one, HOST)
    return outcome


def differences(manager: Manager, ruleset: Ruleset) -> Iterator[str]:
    """Where the manager's files and the kernel's rules that were made of them say different things."""
    for one in panel():
        kernel: dict[VerdictStatus, AddressSet] = {}
        for outcome in walk(ruleset, one, HOST):
            status = _STATUS.get(outcome.fate, VerdictStatus.BLOCKED)
            kernel[status] = kernel.get(status, AddressSet()) | outcome.source
        boot: dict[VerdictStatus, AddressSet] = {}
        for part in manager.boot(one):
            boot[part.status] = boot.get(part.status, AddressSet()) | part.source
        if kernel != boot:
            yield f"{one}: the kernel says {kernel}, the files {boot}"
