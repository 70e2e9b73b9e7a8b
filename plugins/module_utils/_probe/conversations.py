# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dialogue proves which service of the catalog, and what can't be proved from outside."""

from __future__ import annotations

from typing import Callable

from .._core.vocabulary import Protocol
from .protocols.base import Conversation
from .protocols.dns import Dns, DnsStream
from .protocols.hypertext import Http, Winrm
from .protocols.kerberos import Kerberos
from .protocols.ldap import Ldap
from .protocols.mute import MuteDatagram
from .protocols.netbios_name import NetbiosName
from .protocols.rpc import Rpc
from .protocols.smb import NetbiosSession, Smb
from .protocols.snmp import Snmp
from .protocols.ssh import Ssh
from .protocols.tls import Tls
from .protocols.vmware_authd import VmwareAuthd
from .records import Probe, ProbeOptions

# A port of raw printing is not here: what a printer is sent there, it prints. The connection alone must do.
STREAMS: dict[str, Callable[[], Conversation]] = {
    "dns": DnsStream,
    "http": Http,
    "kerberos": Kerberos,
    "ldap": Ldap,
    "netbios_session": NetbiosSession,
    "rpc": Rpc,
    "smb": Smb,
    "ssh": Ssh,
    "tls": Tls,
    "vmware_authd": VmwareAuthd,
    "winrm": Winrm,
}
DATAGRAMS: dict[str, Callable[[], Conversation]] = {
    "dns": Dns,
    "netbios_name": NetbiosName,
}

# Services that no packet from the audit host can prove, with the reason and what would.
UNVERIFIABLE = {
    "netbios_datagram": (
        "a NetBIOS datagram earns no answer by protocol (RFC 1002, 5.3); only the host itself could tell that it came"
    ),
    "snmp_trap": (
        "a trap earns no answer by protocol (RFC 3416, 4.2.6); a listener on the audit host and a test trap would tell"
    ),
    "named_pipes": "named pipes open only after a sign-in; the SMB port that carries them is probed by itself",
    "rpc_endpoint_map": "the ports of RPC services are told by the endpoint mapper, which is probed by itself",
}


_WIRES = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)


def why_unverifiable(probe: Probe) -> str | None:
    """Why no packet can answer this probe, or ``None`` where one can."""
    if probe.protocol not in _WIRES and probe.service not in UNVERIFIABLE:
        return f"a requirement of the kind {probe.protocol.value} has no port of its own to probe"
    return UNVERIFIABLE.get(probe.service)


def converse(probe: Probe, options: ProbeOptions) -> Conversation | None:
    """The dialogue for a probe. ``None`` over TCP: the connection alone is the answer. UDP always asks."""
    if probe.protocol is Protocol.UDP:
        if probe.service == "snmp":
            return Snmp(options.snmp_community)
        return DATAGRAMS.get(probe.service, MuteDatagram)()
    stream = STREAMS.get(probe.service) if options.service_check else None
    return stream() if stream else None
