# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every probe against every real service, on the service's own port and on the probe's: who is who."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

import pytest

from tests.reach.matrix_expected import ALSO, OWN, expected
from tests.reach.matrix_world import COMMUNITY, SERVICES, SERVICES_ADDRESS, MatrixWorld

TCP_PROBES = {
    "ssh": 22, "http": 80, "tls": 443, "kerberos": 88, "ldap": 389, "rpc": 135, "netbios_session": 139, "smb": 445,
    "dns": 53, "ipp": 631, "winrm": 5985, "vmware_authd": 902, "raw_print": 9100, "rpc_service": 49152,
}  # fmt: skip
UDP_PROBES = {"dns": 53, "snmp": 161, "netbios_name": 137, "snmp_trap": 162, "netbios_datagram": 138}
# It serves one connection at a time and has nothing to say to any: asking it everything would only take time.
ASKED_OF_PRINTER = ("raw_print", "http")
_AGAIN = 8
_WORDS = {"confirmed": "yes", "unexpected": "no", "silent": "silent", "not_checked": "-"}


# What is said of a service where another one was asked for.
_SIGNS = {
    "sshd": "SSH", "nginx": "HTTP", "nginx TLS 1.2": "TLS|HTTP", "nginx TLS 1.3": "TLS|HTTP", "KDC": "Kerberos",
    "LDAP": "LDAP", "RPC mapper": "RPC", "RPC service": "RPC", "NetBIOS session": "SMB|NetBIOS", "SMB": "SMB",
    "SMB 1": "SMB", "CUPS": "HTTP|TLS", "Samba DNS": "DNS", "dnsmasq": "DNS", "xrdp": "Remote Desktop",
    "vsftpd": "FTP", "opensmtpd": "SMTP", "WinRM": "HTTP", "authd": "VMware", "snmpd": "SNMP",
    "nmbd": "NetBIOS|in the format of DNS", "snmptrapd": "SNMP",
}  # fmt: skip


class Cell(NamedTuple):
    """A probe of a service, on the service's own port or on the one where the probe belongs."""

    place: str
    protocol: str
    probe: str
    service: str
    address: str
    port: int


def _cells() -> list[Cell]:
    cells = []
    for service in SERVICES:
        for probe, usual in (TCP_PROBES if service.protocol == "tcp" else UDP_PROBES).items():
            if service.name != "p910nd" or probe in ASKED_OF_PRINTER:
                own = Cell("service", service.protocol, probe, service.name, service.address, service.port)
                cells += [own, own._replace(place="probe", port=usual)]
    return cells


CELLS = _cells()


@pytest.fixture(scope="module")
def rows(matrix: MatrixWorld) -> dict[Cell, dict[str, Any]]:
    """What the probes say of all cells. UDP goes first, since busy services lose datagrams.

    Hundreds of connections at once keep services waiting on a busy machine: cells that deviate are asked again, few at
    a time and with patience, and that answer counts.
    """
    begun = time.monotonic()
    found = {}
    for protocol in ("udp", "tcp"):
        cells = [cell for cell in CELLS if cell.protocol == protocol]
        found.update(_ask(matrix, cells, per_host=14, rate_per_s=100))
    again = [cell for cell, row in found.items() if _said(row) != _wanted(cell)[0] or _is_unnamed(cell, row)]
    for start in range(0, len(again), _AGAIN):
        found.update(_ask(matrix, again[start : start + _AGAIN], patience_s=5, per_host=8, rate_per_s=40))
    print(f"\n{len(found)} cells in {time.monotonic() - begun:.1f} s, {len(again)} of them asked twice")
    return found


def _ask(
    matrix: MatrixWorld, cells: list[Cell], *, patience_s: float | None = None, **options: float
) -> dict[Cell, dict[str, Any]]:
    before = () if patience_s is None else ("env", f"AUDIT_PORTS_PATIENCE_S={patience_s}")
    probes = [
        {"address": cell.address, "protocol": cell.protocol, "port": cell.port, "service": cell.probe} for cell in cells
    ]
    return {cells[row["index"]]: row for row in matrix.probe(probes, before=before, **options)}


def _said(row: dict[str, Any]) -> str:
    return str(row["service"] if row["status"] in ("open", "no_answer") else row["status"])


def _is_unnamed(cell: Cell, row: dict[str, Any]) -> bool:
    """Whether something else is there and is not told by name."""
    told = re.search(f"(but .*|^)({_SIGNS.get(cell.service)})", row["evidence"])
    return row["service"] == "unexpected" and told is None


def _wanted(cell: Cell) -> tuple[str, str]:
    return expected(cell.protocol, cell.probe, cell.service)


@pytest.mark.timeout(600)  # of a busy machine; an idle one takes half a minute
def test_every_probe_knows_its_service(rows: dict[Cell, dict[str, Any]]) -> None:
    """Confirmed for its own, unexpected for each other's, and the few cells that nothing can decide are as named."""
    for place in ("service", "probe"):
        for protocol in ("tcp", "udp"):
            print(_table(rows, place, protocol))
    wrong = []
    for cell, row in rows.items():
        want, reason = _wanted(cell)
        if _said(row) != want:
            wrong.append(f"{cell}: wanted {want} {reason}: {row['status']}, {row['service']}, {row['evidence']}")
    assert not wrong, f"{len(wrong)} of {len(CELLS)} cells\n" + "\n".join(wrong)
    assert len(rows) == len(CELLS)


def test_exceptions_are_few(rows: dict[Cell, dict[str, Any]]) -> None:
    """Of the probes that send anything, all but the named cells tell their service from every other."""
    named = [cell for cell in rows if _wanted(cell)[1]]
    asking = [cell for cell in named if cell.probe not in ("raw_print", "snmp_trap", "netbios_datagram")]
    assert {(cell.protocol, cell.probe, cell.service) for cell in asking} - set(ALSO) == {("tcp", "http", "p910nd")}
    assert {(cell.protocol, cell.probe, cell.service) for cell in rows} >= OWN


def test_a_stranger_is_named(rows: dict[Cell, dict[str, Any]]) -> None:
    """What is unexpected is told by name, by its own greeting or by an answer to another question."""
    unnamed = [f"{cell}: {row['evidence']}" for cell, row in rows.items() if _is_unnamed(cell, row)]
    assert not unnamed, "\n".join(unnamed)


def test_services_tell_who_they_are(matrix: MatrixWorld) -> None:
    """Product, version, host and domain, from each protocol that gives them away."""
    said = {
        ("tcp", 22, "ssh"): "SSH 2.0, OpenSSH 9",
        ("tcp", 80, "http"): "HTTP, answers 200, nginx 1.",
        ("tcp", 443, "tls"): "TLS 1.2, certificate expires 20",
        ("tcp", 389, "ldap"): "host services.matrix.example.com, domain matrix.example.com",
        ("tcp", 445, "smb"): "SMB 3.1.1, signing required, host services.matrix.example.com, domain matrix",
        ("tcp", 1445, "smb"): "SMB 1, and nothing newer",
        ("tcp", 631, "ipp"): "IPP printer, Local Raw Printer, host matrix",
        ("rpc", None, "rpc_endpoint_map"): "RPC service; RPC endpoint mapper with",
        ("tcp", 9100, "raw_print"): "connected; a printer by another service of this host: IPP printer",
        ("udp", 137, "netbios_name"): "domain controller, host SERVICES, domain MATRIX",
        ("udp", 161, "snmp"): "SNMPv2c, Linux services",
    }
    probes = [
        {"address": SERVICES_ADDRESS, "protocol": protocol, "port": port, "service": service}
        for protocol, port, service in said
    ]
    for row, words in zip(_in_order(matrix.probe(probes, snmp_community=COMMUNITY)), said.values(), strict=True):
        assert (row["status"], row["service"]) == ("open", "confirmed"), row
        assert words in row["evidence"], row
        assert COMMUNITY not in str(row)


def test_endpoint_map_leads_to_a_dynamic_port(matrix: MatrixWorld) -> None:
    """The port is the mapper's word and is probed itself; where the mapper is not to be had, nothing is guessed."""
    services = {service.name: service for service in SERVICES if service.protocol == "tcp"}
    probes = [
        {"address": address, "protocol": "rpc", "port": None, "service": "rpc_endpoint_map"}
        for address in (SERVICES_ADDRESS, services["sshd"].address, services["RPC service"].address)
    ]
    found, no_mapper, other = _in_order(matrix.probe(probes))
    port = int(found["evidence"].split(":")[0].removeprefix("port "))
    assert ("tcp", port) in matrix.listening()
    assert port >= 49152
    assert found["protocol"] == "rpc"
    assert (no_mapper["status"], no_mapper["service"]) == ("unverifiable_from_here", "not_checked")
    assert "names no port to probe: open, not RPC endpoint mapper but SSH" in no_mapper["evidence"]
    assert other["status"] == "unverifiable_from_here"


@pytest.mark.parametrize(("pjl", "printed"), [(False, b""), (True, b"\x1b%-12345X@PJL INFO ID\r\n\x1b%-12345X")])
def test_printer_prints_only_what_was_allowed(matrix: MatrixWorld, pjl: bool, printed: bytes) -> None:
    """Not one byte without PJL; with it, the one question and nothing else."""
    matrix.tear_off_paper()
    probe = {"address": SERVICES_ADDRESS, "protocol": "tcp", "port": 9100, "service": "raw_print"}
    row = matrix.probe([probe], printer_pjl=pjl)[0]
    assert (row["status"], row["service"]) == ("open", "confirmed"), row
    assert matrix.paper() == printed


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: int(row["index"]))


def _table(rows: dict[Cell, dict[str, Any]], place: str, protocol: str) -> str:
    """Probes down, services across."""
    services = [service for service in SERVICES if service.protocol == protocol]
    said = {
        (cell.probe, cell.service): row
        for cell, row in rows.items()
        if (cell.place, cell.protocol) == (place, protocol)
    }
    lines = [f"{protocol}, on the {place}'s port", " " * 17 + "".join(f"{one.name[:9]:<10}" for one in services)]
    for probe in TCP_PROBES if protocol == "tcp" else UDP_PROBES:
        words = [_word(said.get((probe, service.name))) for service in services]
        lines.append(f"{probe:<17}" + "".join(f"{word:<10}" for word in words))
    return "\n".join(lines) + "\n"


def _word(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return _WORDS[row["service"]] if row["status"] in ("open", "no_answer") else str(row["status"])[:9]
