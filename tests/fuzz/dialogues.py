# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialogues that are fuzzed, each with what a real peer says to it, and what must hold whatever a peer says."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import STREAMS
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols import ber
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import Conversation, Evidence
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.dns import Dns, DnsStream
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ipp import Ipp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.kerberos import (
    Kerberos,
    KerberosDatagram,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.mute import MuteDatagram
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.netbios_name import NetbiosName
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.pjl import Pjl
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.several import SeveralDatagrams
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.snmp import PrinterSnmp, Snmp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret

from tests.unit.plugins.module_utils._probe.protocols import captured

COMMUNITY = "xGeheimx"
ID = 0x1234
LONGEST_TEXT = 1000
LONGEST_S = 0.5  # of CPU, for one dialogue: thousands of times what any needs
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn")

_REFUSAL = b"The plain HTTP request was sent to HTTPS port"
_HTTP = (
    b"HTTP/1.1 200 OK\r\nServer: x/1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 400 Bad Request\r\nServer: x/1\r\nContent-Length: %d\r\n\r\n%s" % (len(_REFUSAL), _REFUSAL),
)
_IDENTITY = b"".join(
    (
        b'<x:IdentifyResponse xmlns:x="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">',
        b"<x:ProductVendor>Example</x:ProductVendor><x:ProductVersion>OS: 1</x:ProductVersion></x:IdentifyResponse>",
    )
)
_WINRM = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_IDENTITY), _IDENTITY),)
_AUTHD = (b"220 VMware Authentication Daemon Version 1.10: SSL Required, ServerDaemonProtocol:SOAP\r\n",)


def _snmp(version: int, *bindings: tuple[str, bytes]) -> bytes:
    """A response to a get (RFC 3416, 3)."""
    listed = ber.tlv(ber.SEQUENCE, *(ber.tlv(ber.SEQUENCE, ber.oid(name), value) for name, value in bindings))
    pdu = ber.tlv(0xA2, ber.integer(ID), ber.integer(0), ber.integer(0), listed)
    return ber.tlv(ber.SEQUENCE, ber.integer(version), ber.octets(b"example"), pdu)


def _snmp_report() -> bytes:
    """An agent's answer to discovery (RFC 3414, 4)."""
    header = ber.tlv(ber.SEQUENCE, ber.integer(ID), ber.integer(1500), ber.octets(b"\0"), ber.integer(3))
    engine = ber.octets(bytes.fromhex("80001f8804") + b"switch1")
    security = ber.tlv(ber.SEQUENCE, engine, ber.integer(4), ber.integer(77), *[ber.octets()] * 3)
    binding = ber.tlv(ber.SEQUENCE, ber.oid("1.3.6.1.6.3.15.1.1.4.0"), ber.tlv(0x41, b"\1"))
    report = ber.tlv(0xA8, ber.integer(ID), ber.integer(0), ber.integer(0), ber.tlv(ber.SEQUENCE, binding))
    scoped = ber.tlv(ber.SEQUENCE, engine, ber.octets(), report)
    return ber.tlv(ber.SEQUENCE, ber.integer(3), header, ber.octets(security), scoped)


_DESCRIBED = _snmp(
    1,
    ("1.3.6.1.2.1.1.1.0", ber.octets(b"Example switch 3.1")),
    ("1.3.6.1.2.1.1.5.0", ber.octets(b"switch.example.com")),
)
_PRINTER = _snmp(
    1,
    ("1.3.6.1.2.1.25.3.5.1.1.1", ber.integer(3)),
    ("1.3.6.1.2.1.25.3.2.1.3.1", ber.octets(b"Example LaserWriter 4")),
)


class Dialogue(NamedTuple):
    """How to begin it, and what a real peer answers, exchange by exchange."""

    make: Callable[[], Conversation]
    answers: tuple[bytes, ...]


DIALOGUES = {
    "ssh": Dialogue(STREAMS["ssh"], captured.SSH),
    "http": Dialogue(STREAMS["http"], _HTTP),
    "winrm": Dialogue(STREAMS["winrm"], _WINRM),
    "vmware_authd": Dialogue(STREAMS["vmware_authd"], _AUTHD),
    "tls": Dialogue(STREAMS["tls"], captured.TLS),
    "kerberos": Dialogue(Kerberos, captured.KERBEROS),
    "kerberos_datagram": Dialogue(KerberosDatagram, (captured.KERBEROS[0][4:],)),
    "ldap": Dialogue(STREAMS["ldap"], captured.LDAP),
    "rpc": Dialogue(STREAMS["rpc"], captured.RPC),
    "rpc_service": Dialogue(STREAMS["rpc_service"], captured.RPC_SERVICE),
    "rpc_endpoint_map": Dialogue(STREAMS["rpc_endpoint_map"], captured.ENDPOINT_MAP),
    "smb": Dialogue(STREAMS["smb"], captured.SMB),
    "netbios_session": Dialogue(STREAMS["netbios_session"], captured.NETBIOS_SESSION),
    "rdp": Dialogue(STREAMS["rdp"], captured.RDP),
    "ipp": Dialogue(Ipp, captured.IPP),
    "pjl": Dialogue(Pjl, captured.PJL),
    "dns_stream": Dialogue(lambda: DnsStream(request_id=ID), captured.DNS_STREAM),
    "dns": Dialogue(lambda: Dns(request_id=ID), captured.DNS),
    "netbios_name": Dialogue(lambda: NetbiosName(request_id=ID), captured.NETBIOS_NAME),
    "snmp": Dialogue(lambda: Snmp(request_id=ID), (_snmp_report(),)),
    "snmp_community": Dialogue(lambda: Snmp(Secret(COMMUNITY), request_id=ID), (_DESCRIBED,)),
    "printer_snmp": Dialogue(lambda: PrinterSnmp(Secret(COMMUNITY), request_id=ID), (_PRINTER,)),
    "any_datagram": Dialogue(
        lambda: SeveralDatagrams([Dns(request_id=ID), NetbiosName(request_id=ID), KerberosDatagram()]),
        captured.DNS,
    ),
    "mute": Dialogue(MuteDatagram, captured.DNS),
}


def converse(make: Callable[[], Conversation], pieces: Sequence[bytes]) -> Evidence:
    """Hold a dialogue with a peer that says these pieces; what came of it. Raises AssertionError for a broken bound."""
    begun = time.process_time()
    conversation = make()
    conversation.first()
    exchanges, evidence = 1, None
    for piece in pieces:
        answer = conversation.receive(piece)
        assert len(conversation._buffer) <= conversation.cap, "more is kept than the cap"
        if isinstance(answer, Evidence):
            evidence = answer
            break
        if answer is not None:
            exchanges += 1
            assert answer, "an exchange of nothing"
            assert COMMUNITY.encode() not in answer
    assert exchanges <= constants.EXCHANGES, f"{exchanges} exchanges"
    evidence = evidence or conversation.ended(hung_up=True)
    check(evidence)
    assert time.process_time() - begun < LONGEST_S, "it takes too long"
    return evidence


def check(evidence: Evidence) -> None:
    """Evidence is of the vocabulary, short, visible text without a secret in it."""
    assert isinstance(evidence.status, ServiceStatus)
    assert evidence.port is None or 0 < evidence.port < 65536
    for text in (evidence.text, evidence.instead or ""):
        assert len(text) < LONGEST_TEXT
        assert text.isprintable() or not any(unicodedata.category(char) in _HIDDEN for char in text)
        assert COMMUNITY not in text
