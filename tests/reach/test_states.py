# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state that the wire can show, each made for real and told from its neighbours."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from tests.reach.world import (
    HOST_DROPS_ALL,
    HOST_REJECTS_ALL,
    HOST_RESETS_ALL,
    NO_ROUTE,
    NO_WAY_AT_ROUTER,
    NOBODY_ON_LINK,
    TARGET,
    TARGET_V6,
    World,
)


class Case(NamedTuple):
    """A probe, the status it must get, and what its evidence must match."""

    label: str
    address: str
    protocol: str
    port: int | None
    status: str
    evidence: str = ""
    service: str = "none"
    proof: str = "not_checked"


_PROHIBITED = r"administratively prohibited \((3/13|1/1)\) from "
_PORT = r"port unreachable \((3/3|1/4)\) from "
CASES = [
    case
    for family, target, router in (("v4", TARGET, r"10\.77\.0\.254$"), ("v6", TARGET_V6, r"fd77::fe$"))
    for case in (
        Case(f"tcp-open-{family}", target, "tcp", 2121, "open", "connected"),
        Case(f"tcp-ssh-{family}", target, "tcp", 22, "open", "OpenSSH 9.2p1 Debian", "ssh", "confirmed"),
        Case(f"tcp-reset-{family}", target, "tcp", 4001, "closed", "TCP reset"),
        Case(f"tcp-prohibited-on-way-{family}", target, "tcp", 2001, "rejected", f"on the way.*{_PROHIBITED}{router}"),
        Case(f"tcp-dropped-on-way-{family}", target, "tcp", 2002, "filtered", "no answer to 3 SYNs"),
        Case(f"tcp-port-unreachable-on-way-{family}", target, "tcp", 2003, "rejected", f"on the way.*{_PORT}{router}"),
        Case(
            f"tcp-prohibited-by-host-{family}", target, "tcp", 3001, "rejected", f"host itself.*{_PROHIBITED}{target}$"
        ),
        Case(
            f"tcp-port-unreachable-by-host-{family}", target, "tcp", 3002, "rejected", f"host itself.*{_PORT}{target}$"
        ),
        Case(f"tcp-dropped-by-host-{family}", target, "tcp", 3003, "filtered", "no answer to 3 SYNs"),
        Case(
            f"udp-open-{family}",
            target,
            "udp",
            161,
            "open",
            "SNMPv3 agent.*Net-SNMP, host switch1",
            "snmp",
            "confirmed",
        ),
        Case(f"udp-garbage-{family}", target, "udp", 1161, "open", "not SNMP", "snmp", "unexpected"),
        Case(f"udp-mute-{family}", target, "udp", 1162, "no_answer", "3 requests", "snmp", "silent"),
        Case(f"udp-closed-{family}", target, "udp", 4001, "closed", f"host itself: .*{_PORT}{target}$", "snmp"),
        Case(f"udp-prohibited-on-way-{family}", target, "udp", 2001, "rejected", f"{_PROHIBITED}{router}", "snmp"),
        Case(f"udp-port-unreachable-on-way-{family}", target, "udp", 2003, "rejected", f"{_PORT}{router}", "snmp"),
        Case(f"udp-prohibited-by-host-{family}", target, "udp", 3001, "rejected", f"{_PROHIBITED}{target}$", "snmp"),
        Case(
            f"udp-dropped-{family}", target, "udp", 3003, "no_answer", "silence over UDP is no proof", "snmp", "silent"
        ),
        Case(f"echo-{family}", target, "icmp", None, "open", "echo reply", "icmp_echo", "confirmed"),
    )
] + [
    case
    for protocol, port, service in (("tcp", 22, "none"), ("udp", 161, "snmp"), ("icmp", None, "icmp_echo"))
    for case in (
        Case(f"{protocol}-no-neighbour", NOBODY_ON_LINK, protocol, port, "unreachable", "nobody answers ARP", service),
        Case(
            f"{protocol}-no-way",
            NO_WAY_AT_ROUTER,
            protocol,
            port,
            "unreachable",
            r"\(3/0\) from 10\.77\.0\.254",
            service,
        ),
        Case(f"{protocol}-no-route", NO_ROUTE, protocol, port, "unreachable", "no route from this vantage", service),
        Case(f"{protocol}-rejected", HOST_REJECTS_ALL, protocol, port, "rejected", _PROHIBITED, service),
    )
]
CASES += [
    Case("echo-dropped", HOST_DROPS_ALL, "icmp", None, "filtered", "no reply to 3 echo requests", "icmp_echo"),
    Case("tcp-firewall-resets", HOST_RESETS_ALL, "tcp", 22, "closed", "of the host or of a firewall in its name"),
    Case("ssh-behind-lines", TARGET, "tcp", 2222, "open", "OpenSSH", "ssh", "confirmed"),
    Case("ssh-is-ftp", TARGET, "tcp", 2121, "open", "not SSH but FTP", "ssh", "unexpected"),
    Case("ssh-silent", TARGET, "tcp", 7000, "open", "not one byte", "ssh", "silent"),
    Case("ssh-reset-after-accept", TARGET, "tcp", 7001, "open", "not one byte", "ssh", "silent"),
    Case("ssh-endless", TARGET, "tcp", 7002, "open", "not SSH", "ssh", "unexpected"),
    Case("ssh-drip", TARGET, "tcp", 7003, "open", "not SSH", "ssh", "unexpected"),
    Case("snmp-echoed", TARGET, "udp", 1163, "open", "not SNMP", "snmp", "unexpected"),
    Case("netbios-datagram", TARGET, "udp", 138, "unverifiable_from_here", "earns no answer", "netbios_datagram"),
    Case("snmp-trap", TARGET, "udp", 162, "unverifiable_from_here", "earns no answer", "snmp_trap"),
]


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict[str, Any]]:
    """All cases in one run, by index."""
    probes = [
        {"address": case.address, "protocol": case.protocol, "port": case.port, "service": case.service}
        for case in CASES
    ]
    found = world.probe(probes, per_host=100)
    return sorted(found, key=lambda row: int(row["index"]))


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.label for case in CASES])
def test_state(rows: list[dict[str, Any]], index: int) -> None:
    """The status and its evidence are those of the case."""
    case, row = CASES[index], rows[index]
    assert (row["status"], row["service"]) == (case.status, case.proof), row["evidence"]
    assert re.search(case.evidence, row["evidence"]), row["evidence"]
    assert row["at_s"] < 25  # a silent port is asked what else it may be


def test_one_record_each(rows: list[dict[str, Any]]) -> None:
    """Nothing is lost and nothing is told twice."""
    assert [row["index"] for row in rows] == list(range(len(CASES)))


def test_source_address_is_told(rows: list[dict[str, Any]]) -> None:
    """Where the probe left this machine, the record says by which address."""
    for case, row in zip(CASES, rows, strict=True):
        if case.address == NO_ROUTE or case.status == "unverifiable_from_here":
            assert row["source_address"] is None
        else:
            assert row["source_address"] == ("fd77::1" if ":" in case.address else "10.77.0.1")
