# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other programs say of the same services, and whether what we send is what the protocols' own decoders expect."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest

from tests.reach.matrix_world import COMMUNITY, REALM, SERVICES_ADDRESS, VANTAGE_ADDRESS, MatrixWorld

_ADMINISTRATOR = "Audit-lab-1"

# Port, service, the client that witnesses, and what it must say; the same thing must be in our evidence.
WITNESSES: dict[str, tuple[str, int, str, tuple[str, ...], str, str]] = {
    "ldapsearch": (
        "tcp", 389, "ldap",
        ("ldapsearch", "-x", "-LLL", "-H", f"ldap://{SERVICES_ADDRESS}", "-s", "base", "-b", "", "dnsHostName"),
        r"dnsHostName: (\S+)", "host ",
    ),
    "smbclient": (
        "tcp", 445, "smb", ("smbclient", "-N", f"//{SERVICES_ADDRESS}/IPC$", "-m", "SMB3", "-d", "4", "-c", "quit"),
        r"negotiated dialect\[SMB(3)_11\]", "SMB ",
    ),
    "smbclient, SMB 1": (
        "tcp", 1445, "smb",
        ("smbclient", "-N", f"//{SERVICES_ADDRESS}/IPC$", "-p", "1445", "-m", "NT1", "-d", "4", "-c", "quit",
         "--option=client min protocol=NT1"),
        r"negotiated dialect\[NT(1)\]", "SMB ",
    ),
    "snmpget": (
        "udp", 161, "snmp", ("snmpget", "-v2c", "-c", COMMUNITY, "-Oqv", SERVICES_ADDRESS, "1.3.6.1.2.1.1.5.0"),
        r'"?(services)"?', "host ",
    ),
    "dig over UDP": (
        "udp", 53, "dns", ("dig", "+norecurse", "+tries=1", f"@{SERVICES_ADDRESS}", "localhost"),
        r"status: (\w+)", "answers ",
    ),
    "dig over TCP": (
        "tcp", 53, "dns", ("dig", "+tcp", "+norecurse", f"@{SERVICES_ADDRESS}", "localhost"),
        r"status: (\w+)", "answers ",
    ),
    "nmblookup": ("udp", 137, "netbios_name", ("nmblookup", "-A", SERVICES_ADDRESS), r"(\S+)\s+<20> -", "host "),
    "rpcclient": (
        "rpc", 0, "rpc_endpoint_map",
        ("rpcclient", "-U%", f"ncacn_ip_tcp:{SERVICES_ADDRESS}[135]", "-c", "epmlookup"),
        r"ncacn_ip_tcp:\S*\[(4915\d)[,\]]", "",
    ),
    "openssl": (
        "tcp", 443, "tls",
        ("sh", "-c", f"openssl s_client -connect {SERVICES_ADDRESS}:443 </dev/null | openssl x509 -noout -subject"),
        r"CN ?= ?(\S+)", "host ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITNESSES)
def test_a_client_agrees(matrix: MatrixWorld, name: str) -> None:
    """The client of the service says the same as our probe."""
    protocol, port, service, command, pattern, label = WITNESSES[name]
    probe = {"address": SERVICES_ADDRESS, "protocol": protocol, "port": port or None, "service": service}
    row = matrix.probe([probe], snmp_community=COMMUNITY)[0]
    assert (row["status"], row["service"]) == ("open", "confirmed"), row
    words = matrix.client(*command, check=False)
    found = re.findall(pattern, words)
    assert found, words
    assert any(f"{label}{word}".casefold() in row["evidence"].casefold() for word in found), (found, row["evidence"])


def test_kinit_agrees(matrix: MatrixWorld) -> None:
    """The KDC that we confirm grants a ticket to one who signs in, which our question never does."""
    probe = {"address": SERVICES_ADDRESS, "protocol": "tcp", "port": 88, "service": "kerberos"}
    row = matrix.probe([probe])[0]
    assert (row["status"], row["service"]) == ("open", "confirmed"), row
    configuration = (
        f"[libdefaults]\ndns_lookup_kdc = false\n[realms]\n{REALM} = {{\nkdc = {SERVICES_ADDRESS}\n}}\n"
    )
    script = "cat > /tmp/krb5.conf; export KRB5_CONFIG=/tmp/krb5.conf; echo $1 | kinit $2 && klist; kdestroy"
    words = matrix.client(
        "sh", "-c", script, "sh", _ADMINISTRATOR, f"Administrator@{REALM}", text=configuration
    )
    assert f"krbtgt/{REALM}@{REALM}" in words


# What nmap calls the services, by port.
_NMAP = {
    21: "ftp", 22: "ssh", 25: "smtp", 53: "domain", 80: "http", 88: "kerberos-sec", 135: "msrpc",
    139: "netbios-ssn", 389: "ldap", 443: "ssl/http", 445: "netbios-ssn", 631: "ipp", 3389: "ms-wbt-server",
}  # fmt: skip
_PROBES = {
    21: ("ssh", "FTP"), 22: ("ssh", "SSH"), 25: ("ssh", "SMTP"), 53: ("dns", "DNS"), 80: ("http", "HTTP"),
    88: ("kerberos", "Kerberos"), 135: ("rpc", "RPC"), 139: ("netbios_session", "NetBIOS"), 389: ("ldap", "LDAP"),
    443: ("tls", "TLS"), 445: ("smb", "SMB"), 631: ("ipp", "IPP"), 3389: ("rdp", "Remote Desktop"),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def nmap(matrix: MatrixWorld) -> Iterator[Future[str]]:
    """nmap's version detection, which takes longer than all the other clients, and works while they do."""
    ports = ",".join(map(str, _NMAP))
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(
            matrix.client, "nmap", "-n", "-Pn", "-sT", "-sV", "--version-light", "-p", ports, SERVICES_ADDRESS
        )


@pytest.mark.timeout(180)
def test_nmap_agrees(matrix: MatrixWorld, nmap: Future[str]) -> None:
    """nmap's version detection names the same services."""
    words = nmap.result()
    named = {int(port): name for port, name in re.findall(r"^(\d+)/tcp\s+open\s+(\S+)", words, re.MULTILINE)}
    assert {port: named.get(port, "").rstrip("?") for port in _NMAP} == _NMAP, words
    probes = [
        {"address": SERVICES_ADDRESS, "protocol": "tcp", "port": port, "service": service}
        for port, (service, _words) in _PROBES.items()
    ]
    for row in matrix.probe(probes):
        assert _PROBES[row["port"]][1] in row["evidence"], row


# Where each payload goes, and the protocols that its decoder must find in it.
DECODED: dict[str, tuple[str, int | None, str, str]] = {
    "http": ("tcp", 80, "http", "http"),
    "winrm": ("tcp", 80, "winrm", "http"),
    "tls": ("tcp", 443, "tls", "tls"),
    "kerberos": ("tcp", 88, "kerberos", "kerberos"),
    "ldap": ("tcp", 389, "ldap", "ldap"),
    "rpc_endpoint_map": ("rpc", None, "rpc_endpoint_map", "epm"),
    "rpc_service": ("tcp", 49152, "rpc_service", "dcerpc"),
    "netbios_session": ("tcp", 139, "netbios_session", "nbss"),
    "smb": ("tcp", 445, "smb", "smb2"),
    "dns_stream": ("tcp", 53, "dns", "dns"),
    "ipp": ("tcp", 631, "ipp", "ipp"),
    "rdp": ("tcp", 3389, "rdp", "rdp"),
    "dns": ("udp", 53, "dns", "dns"),
    "snmp": ("udp", 161, "snmp", "snmp"),
    "netbios_name": ("udp", 137, "netbios_name", "nbns"),
    "kerberos_datagram": ("udp", 88, "snmp", "kerberos"),  # the second question there
}


@pytest.mark.timeout(180)
def test_every_payload_decodes(matrix: MatrixWorld, nmap: Future[str]) -> None:
    """tshark finds the right protocol in what we send, and nothing malformed, with and without a community."""
    wait([nmap])  # its packets are none of ours
    packets = _captured(matrix)
    ours = [packet for packet in packets if packet["source"] == VANTAGE_ADDRESS]
    assert not [packet for packet in packets if packet["malformed"]]
    for name, (_protocol, _port, _service, decoder) in DECODED.items():
        assert any(decoder in packet["protocols"] for packet in ours), f"{name}: no {decoder} in what was sent"
    versions = {packet["snmp"] for packet in ours if packet["snmp"]}
    assert versions == {"0", "1", "3"}, "SNMP of versions 1, 2c and 3"


def _captured(matrix: MatrixWorld) -> list[dict[str, Any]]:
    """All packets of a run over every protocol."""
    matrix.client("sh", "-c", "tshark -q -i m0 -w /tmp/matrix.pcap >/tmp/tshark.log 2>&1 & echo $! > /tmp/tshark.pid")
    for _wait in range(100):
        if "Capturing" in matrix.client("cat", "/tmp/tshark.log", check=False):
            break
        time.sleep(0.1)
    probes = [
        {"address": SERVICES_ADDRESS, "protocol": protocol, "port": port, "service": service}
        for protocol, port, service, _decoder in DECODED.values()
    ]
    matrix.probe(probes)
    matrix.probe([probes[list(DECODED).index("snmp")]], snmp_community="unknown")
    matrix.client("sh", "-c", "sleep 1; kill $(cat /tmp/tshark.pid); sleep 1")
    fields = ("ip.src", "frame.protocols", "_ws.col.Protocol", "snmp.msgVersion", "snmp.version", "_ws.malformed")
    arguments = [word for field in fields for word in ("-e", field)]
    lines = matrix.client("sh", "-c", 'tshark -r /tmp/matrix.pcap -T fields "$@" 2>/dev/null', "sh", *arguments)
    rows = (line.split("\t") for line in lines.splitlines())
    return [
        {
            "source": row[0],
            "protocols": [*row[1].split(":"), row[2].lower()],  # the column names what is called by RPC
            "snmp": row[3] or row[4],
            "malformed": row[5],
        }
        for row in rows
        if len(row) == len(fields)
    ]
