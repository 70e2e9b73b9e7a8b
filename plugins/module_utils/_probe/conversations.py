# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dialogue proves which service of the catalog, and what can't be proved from outside."""

from __future__ import annotations

from typing import Callable

from .._core.vocabulary import Protocol
from . import constants
from .followups import ANY_DATAGRAM, ENDPOINT_MAP, RAW_PRINT, FollowUp, origin_of
from .protocols.base import Conversation, DatagramConversation
from .protocols.dns import Dns, DnsStream
from .protocols.endpoint_map import EndpointMap
from .protocols.hypertext import Http, Winrm
from .protocols.ipp import Ipp
from .protocols.kerberos import Kerberos, KerberosDatagram
from .protocols.ldap import Ldap
from .protocols.mute import MuteDatagram
from .protocols.netbios_name import NetbiosName
from .protocols.pjl import Pjl
from .protocols.rdp import Rdp
from .protocols.rpc import Rpc, RpcService
from .protocols.several import SeveralDatagrams
from .protocols.smb import NetbiosSession, Smb
from .protocols.snmp import PrinterSnmp, Snmp
from .protocols.ssh import Ssh
from .protocols.tls import Tls
from .protocols.vmware_authd import VmwareAuthd
from .records import Probe, ProbeOptions

# A port of raw printing is not here: what a printer is sent there, it prints. The connection alone must do, unless
# somebody said that PJL may be asked.
STREAMS: dict[str, Callable[[], Conversation]] = {
    "dns": DnsStream,
    "http": Http,
    "kerberos": Kerberos,
    "ldap": Ldap,
    "netbios_session": NetbiosSession,
    "rdp": Rdp,
    "rpc": Rpc,
    ENDPOINT_MAP: EndpointMap,
    "rpc_service": RpcService,
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
# What else to ask a silent UDP port, with the port where it belongs.
_OTHERS: dict[str, tuple[int, Callable[[], DatagramConversation]]] = {
    "snmp": (161, Snmp),
    "dns": (53, Dns),
    "netbios_name": (137, NetbiosName),
    "kerberos": (88, KerberosDatagram),
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
}


_WIRES = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)


def why_unverifiable(probe: Probe, options: ProbeOptions) -> str | None:
    """Why no packet can answer this probe, or ``None`` where one can."""
    if probe.service == ENDPOINT_MAP:
        return None if options.service_check else "the endpoint mapper is not asked, since service_check is off"
    if probe.protocol not in _WIRES and probe.service not in UNVERIFIABLE:
        return f"a requirement of the kind {probe.protocol.value} has no port of its own to probe"
    return UNVERIFIABLE.get(probe.service)


def converse(probe: Probe, options: ProbeOptions) -> Conversation | None:
    """The dialogue for a probe. ``None`` over TCP: the connection alone is the answer. UDP always asks."""
    conversation = _datagrams(probe, options) if probe.protocol is Protocol.UDP else _stream(probe, options)
    if conversation is not None and isinstance(probe, FollowUp) and probe.is_guess:
        conversation.patience_s = constants.SECOND_SERVICE_S
    return conversation


def _datagrams(probe: Probe, options: ProbeOptions) -> Conversation:
    if probe.service == "snmp":
        return Snmp(options.snmp_community)
    if probe.service == "printer_snmp":
        return PrinterSnmp(options.snmp_community)
    if probe.service == ANY_DATAGRAM:
        return SeveralDatagrams(_others(probe))
    return DATAGRAMS.get(probe.service, MuteDatagram)()


def _others(probe: Probe) -> list[DatagramConversation]:
    """Every question over UDP that needs no secret and was not asked yet, the one that belongs to the port first."""
    others = [question for service, question in _OTHERS.items() if service != origin_of(probe).service]
    return [make() for _port, make in sorted(others, key=lambda question: question[0] != probe.port)]


def _stream(probe: Probe, options: ProbeOptions) -> Conversation | None:
    if not options.service_check:
        return None
    if probe.service == "ipp":
        return Ipp(probe.address)
    if probe.service == RAW_PRINT:
        return Pjl() if options.printer_pjl else None
    stream = STREAMS.get(probe.service)
    return stream() if stream else None
