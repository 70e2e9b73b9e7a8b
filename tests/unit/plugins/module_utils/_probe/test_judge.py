# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who ended a try, from what the kernel reports."""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus as Status
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.icmp import judge_ping
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.judge import (
    IcmpError,
    TcpInfo,
    judge_icmp,
    judge_local,
    judge_refused_connect,
    parse_extended_error,
)
from hypothesis import given
from hypothesis import strategies as st

TARGET, OWN, ROUTER = "192.0.2.5", "192.0.2.1", "192.0.2.254"


def _v4(code: int, offender: str | None = ROUTER, kind: int = 3) -> IcmpError:
    return IcmpError(errno.EHOSTUNREACH, 4, kind, code, offender)


@pytest.mark.parametrize(
    ("error", "protocol", "status", "words"),
    [
        (_v4(13), Protocol.TCP, Status.REJECTED, "(3/13) from 192.0.2.254"),
        (_v4(10, TARGET), Protocol.TCP, Status.REJECTED, "on the host itself"),
        (_v4(3, TARGET), Protocol.TCP, Status.REJECTED, "on the host itself"),
        (_v4(3, TARGET), Protocol.UDP, Status.CLOSED, "refused by the host itself"),
        (_v4(3), Protocol.UDP, Status.REJECTED, "on the way"),
        (_v4(1), Protocol.TCP, Status.UNREACHABLE, "no way there"),
        (_v4(1, TARGET), Protocol.TCP, Status.REJECTED, "on the host itself"),
        (_v4(1, OWN), Protocol.TCP, Status.UNREACHABLE, "nobody answers ARP"),
        (_v4(13, OWN), Protocol.TCP, Status.LOCAL_ERROR, "own firewall"),
        (_v4(0, kind=11), Protocol.TCP, Status.UNREACHABLE, "time exceeded"),
        (_v4(99), Protocol.TCP, Status.REJECTED, "unreachable (3/99)"),
        (_v4(13, None), Protocol.TCP, Status.REJECTED, "an unnamed sender"),
        (IcmpError(0, 6, 1, 1, "2001:db8::fe"), Protocol.TCP, Status.REJECTED, "ICMPv6 administratively prohibited"),
        (IcmpError(0, 6, 1, 3, "2001:db8::fe"), Protocol.TCP, Status.UNREACHABLE, "address unreachable"),
        (IcmpError(0, 6, 3, 0, "2001:db8::fe"), Protocol.TCP, Status.UNREACHABLE, "time exceeded"),
        (IcmpError(errno.EMSGSIZE, 0, 0, 0, None), Protocol.UDP, Status.LOCAL_ERROR, "EMSGSIZE"),
    ],
)
def test_icmp(error: IcmpError, protocol: Protocol, status: Status, words: str) -> None:
    refusal = judge_icmp(error, target=TARGET, own=OWN, protocol=protocol)
    assert refusal.status is status
    assert words in refusal.evidence


def test_a_probe_of_oneself_is_not_ones_own_firewall() -> None:
    refusal = judge_icmp(_v4(13, OWN), target=OWN, own=OWN, protocol=Protocol.TCP)
    assert refusal.status is Status.REJECTED


@pytest.mark.parametrize(
    ("number", "info", "error", "status"),
    [
        (errno.ECONNREFUSED, TcpInfo(0, 0, 1), None, Status.CLOSED),
        (errno.ECONNREFUSED, TcpInfo(0, 0, 0), None, Status.REJECTED),
        (errno.ECONNREFUSED, TcpInfo(0, 0, None), None, Status.CLOSED),
        (errno.ECONNREFUSED, None, None, Status.CLOSED),
        (errno.ECONNREFUSED, TcpInfo(0, 0, 0), _v4(3, TARGET), Status.REJECTED),
        (errno.EHOSTUNREACH, TcpInfo(0, 0, 0), _v4(10), Status.REJECTED),
        (errno.EHOSTUNREACH, None, None, Status.UNREACHABLE),
        (errno.ENETUNREACH, None, None, Status.UNREACHABLE),
        (errno.EADDRNOTAVAIL, None, None, Status.LOCAL_ERROR),
        (errno.EACCES, None, None, Status.LOCAL_ERROR),
        (errno.EPERM, None, None, Status.LOCAL_ERROR),
    ],
)
def test_refused_connect(number: int, info: TcpInfo | None, error: IcmpError | None, status: Status) -> None:
    assert judge_refused_connect(number, info, error, target=TARGET, own=OWN).status is status


def test_a_kernel_that_does_not_count_says_less() -> None:
    refusal = judge_refused_connect(errno.ECONNREFUSED, None, None, target=TARGET, own=OWN)
    assert "cannot tell which" in refusal.evidence


@given(st.integers(1, 200))
def test_local_errors_never_say_closed(number: int) -> None:
    assert judge_local(number).status in (Status.LOCAL_ERROR, Status.UNREACHABLE)


def test_extended_errors_are_read() -> None:
    v4 = struct.pack("=IBBBBII", errno.EHOSTUNREACH, 2, 3, 13, 0, 0, 0)
    v4 += struct.pack("=HH4s8s", socket.AF_INET, 0, socket.inet_aton(ROUTER), bytes(8))
    assert parse_extended_error(v4) == IcmpError(errno.EHOSTUNREACH, 4, 3, 13, ROUTER)
    v6 = struct.pack("=IBBBBII", errno.EACCES, 3, 1, 1, 0, 0, 0)
    v6 += struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 0)
    assert parse_extended_error(v6) == IcmpError(errno.EACCES, 6, 1, 1, "2001:db8::1")
    assert parse_extended_error(v4[:16]) == IcmpError(errno.EHOSTUNREACH, 4, 3, 13, None)
    assert parse_extended_error(b"") is None


@given(st.binary(max_size=60))
def test_any_extended_error_is_lived_with(content: bytes) -> None:
    error = parse_extended_error(content)
    if error is not None:
        judge_icmp(error, target=TARGET, own=OWN, protocol=Protocol.TCP)


@pytest.mark.parametrize(
    ("code", "output", "status"),
    [
        (0, "64 bytes from 192.0.2.5: icmp_seq=1 ttl=64 time=0.421 ms", Status.OPEN),
        (0, "64 bytes from 192.0.2.5: seq=0 ttl=64 time=0.100 ms", Status.OPEN),
        (1, "From 192.0.2.254 icmp_seq=1 Destination Host Unreachable\n", Status.UNREACHABLE),
        (1, "From 192.0.2.254 icmp_seq=1 Packet filtered\n", Status.REJECTED),
        (1, "From 192.0.2.5 icmp_seq=1 Destination Host Unreachable\n", Status.REJECTED),
        (1, "1 packets transmitted, 0 received, 100% packet loss", Status.FILTERED),
        (2, "ping: socket: Operation not permitted", Status.LOCAL_ERROR),
    ],
)
def test_ping_program(code: int, output: str, status: Status) -> None:
    refusal, rtt_s = judge_ping(code, output, target=TARGET, tries=3, waited_s=4)
    assert refusal.status is status
    assert (rtt_s is not None) == (status is Status.OPEN)
