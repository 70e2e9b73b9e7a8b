# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dialogue against what a real service said, whole, in pieces and cut off."""

from __future__ import annotations

from typing import Callable

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import Conversation, Evidence
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.dns import Dns, DnsStream
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.kerberos import Kerberos
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ldap import Ldap
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.netbios_name import NetbiosName
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.rpc import Rpc
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.smb import NetbiosSession, Smb
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.snmp import Snmp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.ssh import Ssh
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.tls import Tls
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret

from tests.unit.plugins.module_utils._probe.protocols import captured

ID = 0x1234
HOST, DOMAIN = "services.lab.example.com", "lab.example.com"
STREAMS: dict[str, tuple[Callable[[], Conversation], tuple[bytes, ...], Evidence]] = {
    "ssh": (Ssh, captured.SSH, Evidence(ServiceStatus.CONFIRMED, "SSH 2.0", "OpenSSH", "9.2p1 Debian-2+deb12u10")),
    "ldap": (
        Ldap,
        captured.LDAP,
        Evidence(ServiceStatus.CONFIRMED, "LDAP", "Samba Team (https://www.samba.org)", "4.17.12-Debian", HOST, DOMAIN),
    ),
    "kerberos": (
        Kerberos,
        captured.KERBEROS,
        Evidence(ServiceStatus.CONFIRMED, "Kerberos KDC, answers client not found"),
    ),
    "rpc": (Rpc, captured.RPC, Evidence(ServiceStatus.CONFIRMED, "RPC endpoint mapper on 135")),
    "smb": (
        Smb,
        captured.SMB,
        Evidence(ServiceStatus.CONFIRMED, "SMB 3.1.1, signing required", None, None, HOST, DOMAIN),
    ),
    "netbios_session": (
        NetbiosSession,
        captured.NETBIOS_SESSION,
        Evidence(ServiceStatus.CONFIRMED, "SMB 3.1.1 over NetBIOS, signing required"),
    ),
    "dns_stream": (
        lambda: DnsStream(request_id=ID),
        captured.DNS_STREAM,
        Evidence(ServiceStatus.CONFIRMED, "DNS server (not recursive), answers NXDOMAIN"),
    ),
    "tls": (
        Tls,
        captured.TLS,
        Evidence(
            ServiceStatus.CONFIRMED,
            "TLS 1.2, certificate expires 2028-10-22",
            host_name="SERVICES.lab.example.com",
        ),
    ),
}
SYSTEM = "Linux services 6.12.10-generic #1 SMP PREEMPT_DYNAMIC @0 x86_64"
DATAGRAMS: dict[str, tuple[Callable[[], Conversation], bytes, Evidence]] = {
    "dns": (
        lambda: Dns(request_id=ID),
        captured.DNS[0],
        Evidence(ServiceStatus.CONFIRMED, "DNS server (not recursive), answers NXDOMAIN"),
    ),
    "netbios_name": (
        lambda: NetbiosName(request_id=ID),
        captured.NETBIOS_NAME[0],
        Evidence(
            ServiceStatus.CONFIRMED,
            "NetBIOS name service, file server, domain controller",
            host_name="SERVICES",
            domain="LAB",
        ),
    ),
    "snmp_v3": (
        lambda: Snmp(request_id=ID),
        captured.SNMP_V3[0],
        Evidence(ServiceStatus.CONFIRMED, "SNMPv3 agent (boot 1, up for 1474 s)", "Net-SNMP"),
    ),
    "snmp_v2c": (
        lambda: Snmp(Secret("audit-lab"), request_id=ID),
        captured.SNMP_V2C[0],
        Evidence(ServiceStatus.CONFIRMED, "SNMPv2c", SYSTEM, host_name="services"),
    ),
    "snmp_v1": (
        lambda: Snmp(Secret("audit-lab"), request_id=ID),
        captured.SNMP_V1[0],
        Evidence(ServiceStatus.CONFIRMED, "SNMPv1", SYSTEM, host_name="services"),
    ),
}


def talk(conversation: Conversation, exchanges: tuple[bytes, ...], size: int) -> Evidence:
    """The verdict when every exchange comes in pieces of this size, and the peer closes then."""
    for number, exchange in enumerate(exchanges):
        for start in range(0, len(exchange), size):
            answer = conversation.receive(exchange[start : start + size])
            if isinstance(answer, Evidence):
                return answer
            if isinstance(answer, bytes):
                assert answer
                assert number + 1 < len(exchanges), "it asks for more than the service was asked"
                assert start + size >= len(exchange), "it goes on before the answer is whole"
    return conversation.ended()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [65536, 97, 1])
def test_stream_is_confirmed(name: str, size: int) -> None:
    """However the bytes are cut into pieces, the evidence is the same."""
    make, exchanges, expected = STREAMS[name]
    assert talk(make(), exchanges, size) == expected


@pytest.mark.parametrize("name", DATAGRAMS)
def test_datagram_is_confirmed(name: str) -> None:
    """One datagram is enough."""
    make, data, expected = DATAGRAMS[name]
    assert make().receive(data) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_first_exchange_cut_off_is_not_confirmed(name: str) -> None:
    """No beginning of the first answer, however long, is taken for the whole."""
    make, exchanges, _expected = STREAMS[name]
    first = exchanges[0]
    for length in range(0, len(first) - 1, max(1, len(first) // 200)):
        conversation = make()
        answer = conversation.receive(first[:length]) if length else None
        if name == "tls" and length > len(first) // 2:
            continue  # the certificate is whole before the last message is
        assert answer is None, (length, answer)
        evidence = conversation.ended()
        if name != "tls":
            assert evidence.status is (ServiceStatus.UNEXPECTED if length else ServiceStatus.SILENT)


# Behind these bytes come records, or counters, that say nothing we tell.
LOOKED_AT = {"dns": 27, "netbios_name": 57 + 18 * 8}


@pytest.mark.parametrize("name", DATAGRAMS)
def test_datagram_cut_off_is_not_confirmed(name: str) -> None:
    """No beginning of the answer says anything else, and none is taken for the whole before all we look at is there."""
    make, data, expected = DATAGRAMS[name]
    for length in range(len(data)):
        answer = make().receive(data[:length])
        assert answer is None or (answer == expected and name in LOOKED_AT and length >= LOOKED_AT[name]), length


@pytest.mark.parametrize("name", DATAGRAMS)
def test_answer_to_another_request_does_not_fit(name: str) -> None:
    """A datagram with another number is kept as a stranger's."""
    _make, data, _expected = DATAGRAMS[name]
    conversations: dict[str, Conversation] = {
        "dns": Dns(request_id=1),
        "netbios_name": NetbiosName(request_id=1),
        "snmp_v3": Snmp(request_id=1),
        "snmp_v2c": Snmp(Secret("audit-lab"), request_id=1),
        "snmp_v1": Snmp(Secret("audit-lab"), request_id=1),
    }
    assert conversations[name].receive(data) is None
    assert conversations[name].ended().status is ServiceStatus.UNEXPECTED


@pytest.mark.parametrize("speaks", STREAMS)
@pytest.mark.parametrize("asked", STREAMS)
def test_strangers_are_unexpected(asked: str, speaks: str) -> None:
    """Each service's own bytes, said to each other dialogue, are never taken for what was asked."""
    if asked == speaks:
        return
    make = STREAMS[asked][0]
    conversation = make()
    for exchange in STREAMS[speaks][1]:
        answer = conversation.receive(exchange)
        if isinstance(answer, Evidence):
            break
    else:
        answer = conversation.ended()
    assert isinstance(answer, Evidence)
    assert answer.status is ServiceStatus.UNEXPECTED, answer


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_at_all_is_silence(name: str) -> None:
    """Not one byte is silence, which is not the same as something else."""
    conversation = STREAMS[name][0]()
    conversation.first()
    assert conversation.ended().status is ServiceStatus.SILENT


def test_a_name_server_is_no_netbios_node() -> None:
    """DNS servers answer a node status request, too: that there is no such name."""
    conversation = NetbiosName(request_id=ID)
    assert conversation.receive(captured.DNS[0]) is None
    assert conversation.ended().what == "not NetBIOS name service but a name service in the format of DNS"
