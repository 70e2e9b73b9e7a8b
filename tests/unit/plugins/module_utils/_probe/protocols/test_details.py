# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Details of single protocols: refusals, other versions, what is asked."""

from __future__ import annotations

import pickle
import struct

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol, ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import (
    STREAMS,
    UNVERIFIABLE,
    converse,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols import ber
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import (
    Evidence,
    MalformedError,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.hypertext import Http, Winrm
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.identify import identify
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.kerberos import Kerberos
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ldap import Ldap
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.netbios_name import encode_name
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.rpc import Rpc
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.smb import NetbiosSession, Smb
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.snmp import Snmp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ssh import Ssh
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.tls import Tls
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.vmware_authd import VmwareAuthd
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret
from hypothesis import given
from hypothesis import strategies as st

CONFIRMED, UNEXPECTED, SILENT = ServiceStatus.CONFIRMED, ServiceStatus.UNEXPECTED, ServiceStatus.SILENT


@pytest.mark.parametrize(
    ("banner", "status", "product", "version"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", CONFIRMED, "OpenSSH", "9.2p1"),
        (b"SSH-2.0-OpenSSH_for_Windows_9.5\r\n", CONFIRMED, "OpenSSH_for_Windows", "9.5"),
        (b"SSH-1.99-Cisco-1.25\n", CONFIRMED, "Cisco", "1.25"),
        (b"SSH-2.0-dropbear_2022.83\r\n", CONFIRMED, "dropbear", "2022.83"),
        (b"SSH-2.0-mod_sftp\r\n", CONFIRMED, "mod_sftp", None),
        (b"SSH-2.0-\r\n", CONFIRMED, "", None),
        (b"no entry\r\nSSH-2.0-x_1\r\n", CONFIRMED, "x", "1"),
        (b"SSH-1.5-1.2.33\n", UNEXPECTED, "1.2.33", None),
        (b"Exceeded MaxStartups\r\n", SILENT, None, None),
        (b"Not allowed at this time\r\n", SILENT, None, None),
        (b"220 mail.example.com ESMTP Postfix\r\n", UNEXPECTED, None, None),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UNEXPECTED, None, None),
        (b"RFB 003.008\n", UNEXPECTED, None, None),
    ],
)
def test_ssh_greetings(banner: bytes, status: ServiceStatus, product: str | None, version: str | None) -> None:
    answer = Ssh().receive(banner)
    assert isinstance(answer, Evidence)
    assert (answer.status, answer.product, answer.version) == (status, product, version)


def test_ssh_says_nothing() -> None:
    assert Ssh().first() == b""


@pytest.mark.parametrize(
    ("response", "status", "text"),
    [
        (b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\r\n<html>", CONFIRMED, "HTTP, answers 200, nginx 1.22.1"),
        (b"HTTP/1.0 401 Unauthorized\nServer: micro httpd\n\n", CONFIRMED, "HTTP, answers 401, micro httpd"),
        (b"HTTP/1.1 301 \r\nLocation: https://x\r\n\r\n", CONFIRMED, "HTTP, answers 301"),
        (b"HTTP/1.1 abc\r\n\r\n", UNEXPECTED, "not HTTP"),
        (b"<html>hello", UNEXPECTED, "not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", UNEXPECTED, "not HTTP but TLS"),
    ],
)
def test_http_responses(response: bytes, status: ServiceStatus, text: str) -> None:
    answer = Http().receive(response)
    assert isinstance(answer, Evidence)
    assert answer.status is status
    assert answer.text.startswith(text)


_IDENTITY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><wsmid:IdentifyResponse'
    b' xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion>"
    b"<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
    b"<wsmid:ProductVersion>OS: 0.0.0 SP: 0.0 Stack: 3.0</wsmid:ProductVersion>"
    b"</wsmid:IdentifyResponse></s:Body></s:Envelope>"
)


def _http(code: int, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d x" % code, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("response", "status", "text"),
    [
        (_http(200, _IDENTITY), CONFIRMED, "WinRM, Microsoft Corporation OS: 0.0.0 SP: 0.0 Stack: 3.0"),
        (_http(401, b"", b"Server: Microsoft-HTTPAPI/2.0"), CONFIRMED, "WinRM, which identifies itself only after"),
        (_http(401, b"", b"WWW-Authenticate: Kerberos", b"WWW-Authenticate: Negotiate"), CONFIRMED, "WinRM, which"),
        (_http(401, b"", b"WWW-Authenticate: Basic"), UNEXPECTED, "not WinRM"),
        (_http(404, b"nothing here"), UNEXPECTED, "not WinRM"),
        (_http(200, b"<html>welcome</html>"), UNEXPECTED, "not WinRM"),
    ],
)
def test_winrm_responses(response: bytes, status: ServiceStatus, text: str) -> None:
    answer = Winrm().receive(response)
    assert isinstance(answer, Evidence)
    assert answer.status is status
    assert answer.text.startswith(text)


def test_winrm_waits_for_the_body() -> None:
    conversation = Winrm()
    response = _http(200, _IDENTITY)
    assert conversation.receive(response[:400]) is None
    answer = conversation.receive(response[400:])
    assert isinstance(answer, Evidence)
    assert answer.status is CONFIRMED


def test_winrm_asks_without_credentials() -> None:
    request = Winrm().first()
    head, _gap, body = request.partition(b"\r\n\r\n")
    assert b"WSMANIDENTIFY: unauthenticated" in head
    assert b"Authorization" not in head
    assert b"Content-Length: %d" % len(body) in head


def test_vmware_authd() -> None:
    greeting = (
        b"220 VMware Authentication Daemon Version 1.10: SSL Required, ServerDaemonProtocol:SOAP,"
        b" MKSDisplayProtocol:VNC , , NFCSSL supported/t\r\n"
    )
    answer = VmwareAuthd().receive(greeting)
    assert isinstance(answer, Evidence)
    assert (answer.status, answer.version) == (CONFIRMED, "1.10")
    stranger = VmwareAuthd().receive(b"220 ftp ready\r\n")
    assert isinstance(stranger, Evidence)
    assert stranger.text.startswith("not VMware authd but FTP")


@pytest.mark.parametrize(
    ("alert", "words"),
    [(70, "refuses version 1.2"), (40, "handshake failure"), (112, "unrecognized name"), (99, "alert 99")],
)
def test_tls_alert_is_tls(alert: int, words: str) -> None:
    answer = Tls().receive(b"\x15\x03\x03\x00\x02\x02" + bytes((alert,)))
    assert isinstance(answer, Evidence)
    assert answer.status is CONFIRMED
    assert words in answer.what


def test_tls_hello_without_readable_certificate() -> None:
    hello = b"\x02\x00\x00\x26\x03\x01" + bytes(32) + b"\0\x00\x2f\0"
    certificate = b"\x0b\x00\x00\x0a\x00\x00\x07\x00\x00\x04junk"
    record = b"\x16\x03\x01" + struct.pack("!H", len(hello + certificate)) + hello + certificate
    answer = Tls().receive(record)
    assert isinstance(answer, Evidence)
    assert (answer.status, answer.what) == (CONFIRMED, "TLS 1.0, with a certificate that cannot be read")


def test_tls_done_without_certificate() -> None:
    hello = b"\x02\x00\x00\x26\x03\x03" + bytes(32) + b"\0\x00\x2f\0"
    done = b"\x0e\x00\x00\x00"
    record = b"\x16\x03\x03" + struct.pack("!H", len(hello + done)) + hello + done
    answer = Tls().receive(record)
    assert isinstance(answer, Evidence)
    assert (answer.status, answer.what) == (CONFIRMED, "TLS 1.2")


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"\x83\x00\x00\x01\x82", CONFIRMED, "the called name is not present"),
        (b"\x83\x00\x00\x01\x99", CONFIRMED, "reason 0x99"),
        (b"\x84\x00\x00\x06\x0a\x00\x00\x01\x00\x8b", CONFIRMED, "points elsewhere"),
        (b"\x82\x00\x00\x07", UNEXPECTED, "not NetBIOS session service"),
        (b"\x00\x00\x00\x05hello", UNEXPECTED, "not NetBIOS session service"),
    ],
)
def test_netbios_session_answers(answer: bytes, status: ServiceStatus, words: str) -> None:
    evidence = NetbiosSession().receive(answer)
    assert isinstance(evidence, Evidence)
    assert evidence.status is status
    assert words in evidence.what


def test_netbios_session_that_ends_behind_its_answer_is_one() -> None:
    conversation = NetbiosSession()
    following = conversation.receive(b"\x82\x00\x00\x00")
    assert isinstance(following, bytes)
    assert b"SMB 2.???" in following
    assert conversation.ended() == Evidence(CONFIRMED, "NetBIOS session service")


def test_smb_old() -> None:
    header = b"\xffSMB\x72" + bytes(27)
    refused = Smb().receive(_framed(header + b"\x01\xff\xff\x00\x00"))
    chosen = Smb().receive(_framed(header + b"\x11\x00\x00" + bytes(32)))
    assert isinstance(refused, Evidence)
    assert isinstance(chosen, Evidence)
    assert (refused.what, chosen.what) == ("SMB 1, none of our dialects", "SMB 1, and nothing newer")


def test_smb_that_negotiates_for_ever_is_left() -> None:
    conversation = Smb()
    header = b"\xfeSMB\x40\x00" + bytes(58)
    wildcard = _framed(header + struct.pack("<HHH", 65, 1, 0x02FF) + bytes(60))
    answers = [conversation.receive(wildcard) for _turn in range(3)]
    assert [type(answer) for answer in answers] == [bytes, bytes, Evidence]
    assert answers[2] == Evidence(CONFIRMED, "SMB 2 or newer")


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def test_kerberos_wrong_realm_names_the_right_one() -> None:
    def field(number: int, contents: bytes) -> bytes:
        return ber.tlv(0xA0 + number, contents)

    error = ber.tlv(
        0x7E,
        ber.tlv(
            ber.SEQUENCE,
            field(0, ber.integer(5)),
            field(1, ber.integer(30)),
            field(6, ber.integer(68)),
            field(7, ber.octets(b"CORP.EXAMPLE.COM", ber.GENERAL_STRING)),
            field(9, ber.octets(b"AGENTLESS-AUDIT.INVALID", ber.GENERAL_STRING)),
        ),
    )
    answer = Kerberos().receive(_framed(error))
    assert answer == Evidence(CONFIRMED, "Kerberos KDC, answers wrong realm", domain="CORP.EXAMPLE.COM")


def test_ldap_that_wants_a_sign_in_is_ldap() -> None:
    done = ber.tlv(0x65, ber.integer(8, ber.ENUMERATED), ber.octets(), ber.octets(b"sign in"))
    answer = Ldap().receive(ber.tlv(ber.SEQUENCE, ber.integer(1), done))
    assert answer == Evidence(CONFIRMED, "LDAP, which answers with the result code 8")


def test_rpc_that_refuses_the_bind_is_no_endpoint_mapper() -> None:
    nak = struct.pack("<BBBB4sHHIHI", 5, 0, 13, 3, b"\x10\0\0\0", 22, 0, 1, 4, 0)
    answer = Rpc().receive(nak)
    assert isinstance(answer, Evidence)
    assert answer.status is UNEXPECTED


@pytest.mark.parametrize(
    ("engine", "product", "host"),
    [
        ("80001f8880a1b2c3d4e5f60000", "Net-SNMP", None),
        ("80000009030011223344aabb"[:22], "Cisco", "00:11:22:33:44:aa"),
        ("8000000901c0000201", "Cisco", "192.0.2.1"),
        ("80000009" + "02" + "20010db8" + "00" * 11 + "01", "Cisco", "2001:db8::1"),
        ("80001f8804" + b"switch1".hex(), "Net-SNMP", "switch1"),
        ("0000000b00000000aabbccdd", "HP", None),
        ("8000ffff05", "enterprise 65535", None),
        ("", None, None),
    ],
)
def test_snmp_engine_ids(engine: str, product: str | None, host: str | None) -> None:
    security = ber.tlv(
        ber.SEQUENCE, ber.octets(bytes.fromhex(engine)), ber.integer(3), ber.integer(9), *[ber.octets()] * 3
    )
    binding = ber.tlv(ber.SEQUENCE, ber.oid("1.3.6.1.6.3.15.1.1.4.0"), ber.tlv(0x41, b"\1"))
    report = ber.tlv(0xA8, ber.integer(5), ber.integer(0), ber.integer(0), ber.tlv(ber.SEQUENCE, binding))
    header = ber.tlv(ber.SEQUENCE, ber.integer(5), ber.integer(1500), ber.octets(b"\0"), ber.integer(3))
    message = ber.tlv(
        ber.SEQUENCE,
        ber.integer(3),
        header,
        ber.octets(security),
        ber.tlv(ber.SEQUENCE, ber.octets(), ber.octets(), report),
    )
    answer = Snmp(request_id=5).receive(message)
    assert isinstance(answer, Evidence)
    assert (answer.product, answer.host_name) == (product, host)


def test_snmp_tries_all_versions_with_a_community() -> None:
    conversation = Snmp(Secret("abc"))
    versions = [ber.Reader(conversation.first(attempt)).enter().integer() for attempt in range(4)]
    assert versions == [1, 0, 3, 1]
    assert all(ber.Reader(Snmp().first(attempt)).enter().integer() == 3 for attempt in range(3))


def test_secret_does_not_show() -> None:
    secret = Secret("geheim")
    options = ProbeOptions(snmp_community=secret)
    assert secret.reveal() == b"geheim"
    for text in (repr(secret), str(secret), f"{secret}", repr(options), repr([options])):
        assert "geheim" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@given(st.integers(-(2**62), 2**62))
def test_ber_integers(value: int) -> None:
    encoded = ber.integer(value)
    assert ber.Reader(encoded).integer() == value
    assert len(encoded) == 2 + max(1, ((value if value >= 0 else ~value).bit_length() // 8) + 1)


@given(st.binary(max_size=70000))
def test_ber_octets(value: bytes) -> None:
    assert ber.Reader(ber.octets(value)).take(ber.OCTET_STRING) == value


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=8))
def test_ber_object_identifiers(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    assert ber.oid_text(ber.Reader(ber.oid(text)).take(ber.OBJECT_IDENTIFIER)) == text


@given(st.binary(max_size=300))
def test_ber_reader_raises_nothing_else(data: bytes) -> None:
    try:
        for _tag, contents in ber.Reader(data).rest():
            ber.oid_text(contents)
            ber.within(contents).integer()
    except MalformedError:
        pass


def test_netbios_names_are_encoded() -> None:
    # the example of RFC 1001, 14.1 is "The NetBIOS name"
    assert encode_name(b"The NetBIOS nam", 0x65) == b"\x20FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF\0"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"SSH-2.0-x", "SSH"),
        (b"HTTP/1.1 200", "HTTP"),
        (b"220 x ESMTP Postfix", "SMTP"),
        (b"* OK IMAP4rev1", "IMAP"),
        (b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x124\x00\x02", "Remote Desktop"),
        (b"\xff\xfd\x18", "Telnet"),
        (b"J\x00\x00\x00\x0a8.0.33\0", "MySQL"),
        (b"\0\0\0\0", None),
        (b"", None),
    ],
)
def test_identify(data: bytes, name: str | None) -> None:
    assert identify(data, quote=False) == name


def test_raw_printing_gets_not_one_byte() -> None:
    probe = Probe(0, "h", "printer.raw", "192.0.2.1", Question(Protocol.TCP, 9100, "raw_print"))
    assert converse(probe, ProbeOptions()) is None
    assert "raw_print" not in STREAMS


def test_no_check_still_asks_over_udp() -> None:
    options = ProbeOptions(service_check=False)
    assert converse(Probe(0, "h", "r", "a", Question(Protocol.TCP, 22, "ssh")), options) is None
    assert isinstance(converse(Probe(0, "h", "r", "a", Question(Protocol.UDP, 161, "snmp")), options), Snmp)
    assert set(UNVERIFIABLE) == {"snmp_trap", "netbios_datagram", "named_pipes"}
