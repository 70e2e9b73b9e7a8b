# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each cell of the matrix must say, and why where that is neither "its own" nor "another's"."""

from __future__ import annotations

# The services that each probe asks for: protocol, probe, service.
OWN = {
    ("tcp", "ssh", "sshd"), ("tcp", "http", "nginx"), ("tcp", "tls", "nginx TLS 1.2"), ("tcp", "tls", "nginx TLS 1.3"),
    ("tcp", "kerberos", "KDC"), ("tcp", "ldap", "LDAP"), ("tcp", "rpc", "RPC mapper"),
    ("tcp", "rpc_service", "RPC service"), ("tcp", "netbios_session", "NetBIOS session"), ("tcp", "smb", "SMB"),
    ("tcp", "smb", "SMB 1"), ("tcp", "ipp", "CUPS"), ("tcp", "dns", "Samba DNS"), ("tcp", "dns", "dnsmasq"),
    ("tcp", "winrm", "WinRM"), ("tcp", "vmware_authd", "authd"), ("udp", "dns", "Samba DNS"),
    ("udp", "dns", "dnsmasq"), ("udp", "snmp", "snmpd"), ("udp", "netbios_name", "nmbd"),
}  # fmt: skip

# Services that truly speak what they are asked for beside what they are there for.
_SMBD = "smbd answers session requests and plain SMB on each of its ports"
ALSO = {
    ("tcp", "http", "CUPS"): "IPP is carried by HTTP",
    ("tcp", "http", "WinRM"): "WinRM is carried by HTTP",
    ("tcp", "tls", "CUPS"): "cupsd speaks TLS on the port of IPP, too",
    ("tcp", "raw_print", "CUPS"): "IPP on the same host proves the printer, whatever the raw port is",
    ("tcp", "rpc_service", "RPC mapper"): "the endpoint mapper is an RPC service",
    ("tcp", "smb", "NetBIOS session"): _SMBD,
    ("tcp", "netbios_session", "SMB"): _SMBD,
    ("tcp", "netbios_session", "SMB 1"): _SMBD,
    ("udp", "snmp", "snmptrapd"): "who takes SNMPv3 informs answers the discovery that an agent answers",
}

# What no packet can tell, by probe or by service.
_RAW = "a raw printing port gets a connection and not one byte"
_MUTE = "a raw printer answers nothing, whatever it is asked"
_TRAP = "a trap earns no answer by protocol"
_DATAGRAM = "a NetBIOS datagram earns no answer by protocol"


def expected(protocol: str, probe: str, service: str) -> tuple[str, str]:
    """The word of the cell, and the reason where it is an exception."""
    cell = (protocol, probe, service)
    if cell in OWN:
        return "confirmed", ""
    if cell in ALSO:
        return "confirmed", ALSO[cell]
    if probe == "raw_print":
        return "not_checked", _RAW
    if probe in ("snmp_trap", "netbios_datagram"):
        return "unverifiable_from_here", _TRAP if probe == "snmp_trap" else _DATAGRAM
    return ("silent", _MUTE) if service == "p910nd" else ("unexpected", "")
