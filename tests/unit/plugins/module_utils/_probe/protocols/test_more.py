# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint map, IPP, PJL, Remote Desktop, printers by SNMP, and what every silence and stranger is marked with."""

from __future__ import annotations

import struct
from typing import Callable
from uuid import UUID

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import STREAMS
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols import ber
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import Conversation, Evidence
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.dns import Dns
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.endpoint_map import EndpointMap
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.hypertext import Http
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ipp import Ipp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.kerberos import KerberosDatagram
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.pjl import Pjl
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.rdp import Rdp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.rpc import RpcService
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.several import SeveralDatagrams
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.snmp import PrinterSnmp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ssh import Ssh
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret

from tests.unit.plugins.module_utils._probe.protocols import captured

CONFIRMED, UNEXPECTED, SILENT = ServiceStatus.CONFIRMED, ServiceStatus.UNEXPECTED, ServiceStatus.SILENT
_WMI, _SCM = "9556dc99-828c-11cf-a37e-00aa003240c7", "367abb81-9844-35f1-ad32-98f038001003"
_OTHER = "12345678-0000-0000-0000-000000000001"


def _converse(conversation: Conversation, *answers: bytes) -> Evidence:
    """The evidence after these answers, each of which but the last must lead to another exchange."""
    conversation.first()
    for answer in answers[:-1]:
        assert isinstance(conversation.receive(answer), bytes)
    found = conversation.receive(answers[-1])
    return found if isinstance(found, Evidence) else conversation.ended()


@pytest.mark.parametrize(
    ("make", "answers", "what", "product"),
    [
        (EndpointMap, captured.ENDPOINT_MAP, "RPC endpoint mapper with 14 services on dynamic TCP ports", None),
        (RpcService, captured.RPC_SERVICE, "RPC service", None),
        (Ipp, captured.IPP, "IPP printer", "Local Raw Printer"),
        (Rdp, captured.RDP, "Remote Desktop with its own security", None),
        (Pjl, captured.PJL, "printer that speaks PJL", "Example LaserWriter 4"),
        (KerberosDatagram, (captured.KERBEROS[0][4:],), "Kerberos KDC, answers client", None),
    ],
)
def test_real_answers(make: Callable[[], Conversation], answers: tuple[bytes, ...], what: str, product: str) -> None:
    """As it came from the services themselves, whole and byte by byte."""
    evidence = _converse(make(), *answers)
    assert (evidence.status, evidence.product) == (CONFIRMED, product)
    assert evidence.what.startswith(what)
    if make not in (EndpointMap, Ipp) and len(answers[0]) < 200 and not isinstance(make(), KerberosDatagram):
        conversation = make()
        pieces = [conversation.receive(bytes((byte,))) for byte in answers[0]]
        assert pieces[:-1] == [None] * (len(answers[0]) - 1)
        assert pieces[-1] == evidence


def _tower(interface: str, port: int, protocol: int = 0x07) -> bytes:
    floors = (
        (b"\x0d" + UUID(interface).bytes_le + b"\1\0", b"\0\0"),
        (b"\x0d" + bytes(18), b"\0\0"),
        (b"\x0b", b"\0\0"),
        (bytes((protocol,)), struct.pack("!H", port)),
        (b"\x09", bytes(4)),
    )
    parts = (part for floor in floors for part in floor)
    return struct.pack("<H", len(floors)) + b"".join(struct.pack("<H", len(part)) + part for part in parts)


def _map(*towers: bytes, order: str = "<", in_packets_of: int = 5000) -> bytes:
    """A response of ept_lookup in as many packets as it takes."""
    long = struct.Struct(order + "I").pack
    stub = bytes(20) + long(len(towers)) + long(400) + long(0) + long(len(towers))
    for number in range(len(towers)):
        stub += bytes(16) + long(number + 1) + long(0) + long(3) + b"ab\0\0"
    for tower in towers:
        stub += long(len(tower)) + long(len(tower)) + tower + bytes(-len(tower) % 4)
    stub += long(0)
    packets = b""
    for at in range(0, len(stub), in_packets_of):
        part = stub[at : at + in_packets_of]
        flags = (at == 0) | (at + in_packets_of >= len(stub)) << 1
        label = b"\x10\0\0\0" if order == "<" else bytes(4)
        head = struct.pack("<BBBB4s", 5, 0, 2, flags, label) + struct.pack(order + "HHI", 24 + len(part), 0, 2)
        packets += head + bytes(8) + part
    return packets


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("in_packets_of", [5000, 100, 7])
def test_map_in_any_order_and_size(order: str, in_packets_of: int) -> None:
    """Packets of any length, in the byte order of either kind of machine."""
    towers = [_tower(_OTHER, 49664), _tower(_SCM, 49670), _tower(_OTHER, 0x1234, protocol=0x0F)]
    told = _map(*towers, order=order, in_packets_of=in_packets_of)
    evidence = _converse(EndpointMap(), captured.RPC[0], told)
    assert (evidence.status, evidence.port) == (CONFIRMED, 49670)
    assert "2 services on dynamic TCP ports; 49670 is the service control manager, which stands" in evidence.what


def test_wmi_itself_comes_first() -> None:
    evidence = _converse(EndpointMap(), captured.RPC[0], _map(_tower(_SCM, 49670), _tower(_WMI, 24158)))
    assert evidence.port == 24158
    assert evidence.what.endswith("24158 is WMI")


@pytest.mark.parametrize(
    "answer",
    [
        _map(),
        _map(_tower(_SCM, 135)),
        _map(_tower(_SCM, 0)),
        struct.pack("<BBBB4sHHI", 5, 0, 3, 3, b"\x10\0\0\0", 32, 0, 2) + bytes(16),
        _map(_tower(_SCM, 49670))[:-40],
    ],
    ids=["empty", "no-dynamic-port", "port-0", "fault", "cut-off"],
)
def test_map_without_a_port(answer: bytes) -> None:
    """The mapper is confirmed all the same, and names no port."""
    evidence = _converse(EndpointMap(), captured.RPC[0], answer)
    assert (evidence.status, evidence.port) == (CONFIRMED, None)


def test_map_that_counts_too_many() -> None:
    """A count that the bytes do not hold is no reason to read on."""
    told = bytearray(_map(_tower(_SCM, 49670)))
    told[24 + 20 + 4 + 8 : 24 + 20 + 4 + 12] = b"\xff\xff\xff\x7f"
    evidence = _converse(EndpointMap(), captured.RPC[0], bytes(told))
    assert evidence.what == "RPC endpoint mapper, which does not show its map"


def _ipp(*attributes: tuple[bytes, bytes], chunked: bool = False) -> bytes:
    body = struct.pack("!BBHIB", 1, 1, 0, 1, 4)
    for name, value in attributes:
        body += struct.pack("!BH", 0x41, len(name)) + name + struct.pack("!H", len(value)) + value
    body += b"\3"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\nServer: x/1\r\n"
    if chunked:
        return head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x;x\r\n%s\r\n0\r\n\r\n" % (
            body[:5], len(body) - 5, body[5:],
        )  # fmt: skip
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("chunked", [False, True])
def test_ipp_names_the_printer(chunked: bool) -> None:
    answer = _ipp((b"printer-name", b"lab1"), (b"printer-make-and-model", b"Example 4"), chunked=chunked)
    evidence = _converse(Ipp("192.0.2.5"), answer)
    assert evidence.text == "IPP printer, Example 4, host lab1"


def test_ipp_without_a_name_is_asked_for_its_default() -> None:
    conversation = Ipp("2001:db8::5")
    assert b"Host: [2001:db8::5]\r\n" in conversation.first()
    second = conversation.receive(_ipp())
    assert isinstance(second, bytes)
    assert second.startswith(b"POST / HTTP/1.1\r\n")
    evidence = conversation.receive(_ipp())
    assert isinstance(evidence, Evidence)
    assert evidence.text == "IPP, which names no printer, x 1"


def test_a_web_server_is_no_printer() -> None:
    evidence = _converse(Ipp(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert (evidence.status, evidence.instead) == (UNEXPECTED, 'HTTP ("HTTP/1.1 404 Not Found")')


@pytest.mark.parametrize(
    "body",
    [
        b"<center>The plain HTTP request was sent to HTTPS port</center>",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        b"Client sent an HTTP request to an HTTPS server.\n",
    ],
    ids=["nginx", "Apache", "Go"],
)
def test_https_is_no_http(body: bytes) -> None:
    """Their refusal comes in plain HTTP, and is no HTTP service all the same."""
    evidence = _converse(Http(), b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22\r\n\r\n" + body)
    assert evidence.status is UNEXPECTED
    assert evidence.text.startswith("not HTTP but TLS: a web server")


def test_a_printer_by_snmp() -> None:
    """Only what has a printer's status is one; without a community nobody can tell."""

    def response(*bindings: tuple[str, bytes]) -> bytes:
        listed = ber.tlv(ber.SEQUENCE, *(ber.tlv(ber.SEQUENCE, ber.oid(name), value) for name, value in bindings))
        pdu = ber.tlv(0xA2, ber.integer(9), ber.integer(0), ber.integer(0), listed)
        return ber.tlv(ber.SEQUENCE, ber.integer(1), ber.octets(b"x"), pdu)

    status, name = "1.3.6.1.2.1.25.3.5.1.1.1", "1.3.6.1.2.1.25.3.2.1.3.1"
    printer = PrinterSnmp(Secret("x"), request_id=9)
    evidence = _converse(printer, response((status, ber.integer(3)), (name, ber.octets(b"Example 4"))))
    assert evidence.text == "printer by SNMPv2c, Example 4"
    switch = _converse(PrinterSnmp(Secret("x"), request_id=9), response((status, b"\x80\0"), (name, b"\x80\0")))
    assert switch.status is UNEXPECTED


def test_remote_desktop_tells_its_security() -> None:
    answer = bytes.fromhex("030000130ed000001234000200080002000000")
    assert _converse(Rdp(), answer).text == "Remote Desktop with CredSSP"
    assert _converse(Rdp(), bytes.fromhex("0300000b06d00000123400")).text == "Remote Desktop"


def test_pjl_is_asked_between_exits() -> None:
    assert Pjl().first() == b"\x1b%-12345X@PJL INFO ID\r\n\x1b%-12345X"
    assert _converse(Pjl(), b"hello").status is UNEXPECTED


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in ("ssh", "vmware_authd")])
@pytest.mark.parametrize("hung_up", [True, False])
def test_silence_is_a_riddle(name: str, hung_up: bool) -> None:
    """Something else may be there, which another question might find."""
    conversation = STREAMS[name]()
    conversation.first()
    evidence = conversation.ended(hung_up=hung_up)
    assert (evidence.status, evidence.is_riddle, evidence.hung_up) == (SILENT, True, hung_up)


def test_one_that_hangs_up_at_once_is_left_alone() -> None:
    """A host that turns callers away before they have said anything would not hear another question."""
    assert Ssh().ended(hung_up=False).is_riddle
    assert not Ssh().ended(hung_up=True).is_riddle


def test_a_stranger_that_is_known_is_no_riddle() -> None:
    evidence = _converse(Ssh(), b"220 mail.example.com ESMTP\r\n")
    assert evidence.instead == 'SMTP ("220 mail.example.com ESMTP")'
    assert not evidence.is_riddle
    assert _converse(STREAMS["ldap"](), b"\0\1\2\3\4\5\6\7").is_riddle


def test_several_datagrams_take_any_answer() -> None:
    conversation = SeveralDatagrams([KerberosDatagram(), Dns(request_id=0x1234)])
    assert conversation.first(0) != conversation.first(1)
    assert conversation.receive(b"what?") is None
    evidence = conversation.receive(captured.DNS[0])
    assert isinstance(evidence, Evidence)
    assert evidence.what.startswith("DNS server")
