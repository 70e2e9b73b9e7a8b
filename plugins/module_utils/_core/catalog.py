# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agentless audit needs of each kind of system, as data.

Modules are shipped to targets without data files, so the table is Python. Everything that people may want to change
about the requirements themselves stands here, in tables, and nowhere else.
"""

from __future__ import annotations

from .errors import InputError, choices
from .records import Requirement, Source
from .vocabulary import Condition, Level, ListenerHome, Protocol, SourceRole

CATALOG_VERSION = "2026.11.0"
CATALOG_SOURCE = Source(page="Required ports for agentless audit", date="2026-11-01")

# The probe that proves a requirement. NO_PROBE: nothing answers by protocol there, so only the path can be probed.
NO_PROBE = "none"
SERVICES = (
    "dns",
    "http",
    "icmp_echo",
    "ipp",
    "kerberos",
    "ldap",
    "named_pipes",
    "netbios_datagram",
    "netbios_name",
    "netbios_session",
    NO_PROBE,
    "raw_print",
    "rpc",
    "rpc_endpoint_map",
    "smb",
    "snmp",
    "snmp_trap",
    "ssh",
    "tls",
    "vmware_authd",
    "winrm",
)

# The requirement whose listener is PowerShell remoting itself: what is "without PowerShell remoting" replaces it.
REMOTING_ID = "windows.winrm"

# No Windows listens there and no built-in rule opens them: judged like any other, opened only when named.
OPENED_ONLY_WHEN_NAMED = frozenset({"windows.rpc_udp", "windows.named_pipes_udp"})


def _row(
    wire: str,
    requirement_id: str,
    service: str,
    purpose: str,
    without: str = "",
    *,
    level: Level = Level.REQUIRED,
    condition: Condition = Condition.ALWAYS,
    source_role: SourceRole = SourceRole.AUDIT_HOST,
    home: ListenerHome = ListenerHome.TARGET,
) -> Requirement:
    protocol, _slash, port = wire.partition("/")
    return Requirement(
        id=requirement_id,
        system=requirement_id.partition(".")[0],
        protocol=Protocol(protocol),
        port=int(port) if port else None,
        level=level,
        condition=condition,
        source_role=source_role,
        listener_home=home,
        service=service,
        purpose=purpose,
        without=without,
        source=CATALOG_SOURCE,
        catalog_version=CATALOG_VERSION,
    )


_NODE_TYPE = "The node type stays unknown or is recognised wrongly."
_DEVICE_ID = "The device id may be missing."
_WITHOUT = Condition.WITHOUT_PSREMOTING
_DC = ListenerHome.DOMAIN_CONTROLLER

_WINDOWS = (
    _row(
        "tcp/88",
        "windows.kerberos",
        "kerberos",
        "Kerberos sign-in and the check of passwords.",
        "The audit account cannot sign in.",
        home=_DC,
    ),
    _row(
        "tcp/389",
        "windows.ldap",
        "ldap",
        "Reads Active Directory over LDAP.",
        "Information about users is not gathered.",
        home=_DC,
    ),
    _row(
        "tcp/5985",
        "windows.winrm",
        "winrm",
        "PowerShell remoting, the first choice for auditing Windows.",
        "The audit falls back to RPC and SMB: ports 135, 139 and 445.",
    ),
    _row(
        "tcp/135",
        "windows.rpc_epmap",
        "rpc",
        "Recognises the node as Windows; finds its RPC services.",
        _NODE_TYPE,
        condition=_WITHOUT,
    ),
    _row(
        "tcp/139",
        "windows.netbios_session",
        "netbios_session",
        "Recognises the node as Windows over NetBIOS sessions.",
        _NODE_TYPE,
        condition=_WITHOUT,
    ),
    _row(
        "tcp/445",
        "windows.smb",
        "smb",
        "SMB: file shares and named pipes.",
        _NODE_TYPE,
        condition=_WITHOUT,
    ),
    _row(
        "udp/135",
        "windows.rpc_udp",
        NO_PROBE,
        "RPC over UDP.",
        "The device id may be missing, and error messages may mislead.",
        level=Level.RECOMMENDED,
        condition=_WITHOUT,
    ),
    _row(
        "udp/139",
        "windows.named_pipes_udp",
        NO_PROBE,
        "Named pipes over UDP.",
        "Some networks may need it.",
        level=Level.RECOMMENDED,
        condition=_WITHOUT,
    ),
    _row(
        "service",
        "windows.named_pipes",
        "named_pipes",
        "Named pipes work over 445 or 139.",
        _DEVICE_ID,
        level=Level.ATTENTION,
        condition=_WITHOUT,
    ),
    _row(
        "rpc",
        "windows.rpc_dynamic",
        "rpc_endpoint_map",
        "RPC services such as WMI, on the dynamic ports that the endpoint mapper hands out.",
        _DEVICE_ID,
        level=Level.ATTENTION,
        condition=_WITHOUT,
    ),
)

_UNIX = (
    _row("tcp/22", "linux.ssh", "ssh", "Secure remote access, over which the audit runs.", "The host is not audited."),
    _row("tcp/22", "macos.ssh", "ssh", "Secure remote access, over which the audit runs.", "The host is not audited."),
)

_ESXI = (
    _row("tcp/80", "esxi.http", "http", "Plain HTTP of the host's web service."),
    _row("tcp/443", "esxi.https", "tls", "HTTPS: the vSphere API, over which the audit runs."),
    _row("tcp/902", "esxi.authd", "vmware_authd", "Recognises the node as ESXi."),
)

_DEVICES = (
    _row("tcp/139", "nas.netbios_session", "netbios_session", "Recognises the node as network storage."),
    _row("udp/161", "snmp.agent", "snmp", "Monitoring and management over SNMP."),
    _row(
        "udp/162",
        "snmp.trap",
        "snmp_trap",
        "Trap notifications that devices send to the audit host.",
        level=Level.RECOMMENDED,
        source_role=SourceRole.DEVICE,
        home=ListenerHome.AUDIT_HOST,
    ),
    _row("tcp/9100", "printer.raw", "raw_print", "Finds printers by their raw printing port."),
)

_NETWORK_SCAN = (
    _row("tcp/389", "network_scan.ldap", "ldap", "Active Directory data for discovery.", home=_DC),
    _row("udp/53", "network_scan.dns", "dns", "Name resolution.", home=ListenerHome.DNS_SERVER),
    _row("udp/137", "network_scan.netbios_name", "netbios_name", "NetBIOS names of the nodes."),
    _row("udp/138", "network_scan.netbios_datagram", "netbios_datagram", "NetBIOS communication."),
    _row("icmp", "network_scan.icmp_echo", "icmp_echo", "Ping: which addresses are alive (IPv4)."),
)

CATALOG: tuple[Requirement, ...] = _WINDOWS + _UNIX + _ESXI + _DEVICES + _NETWORK_SCAN
BY_ID: dict[str, Requirement] = {requirement.id: requirement for requirement in CATALOG}


def get_requirement(requirement_id: str) -> Requirement:
    """The catalog's requirement of this id. Raises InputError naming the ids that there are."""
    try:
        return BY_ID[requirement_id]
    except KeyError as error:
        raise InputError(f"there is no requirement {requirement_id!r}; choose from {choices(BY_ID)}") from error
