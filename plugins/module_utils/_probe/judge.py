# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell from what the kernel saw who ended a try, and how: never from the error number alone.

A firewall's rejection and a host's own refusal give the same error number. The count of segments in TCP_INFO tells a
reset from an ICMP error, and the socket's error queue tells who sent that ICMP error, of which type and code (ip(7),
tcp(7), IP_RECVERR). Both work without privileges.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from enum import Enum
from typing import NamedTuple

from .._core.vocabulary import ObservationStatus, Protocol

# As numbers of Python's own: the enumerations' take longer to convert with every call.
_TCP, _TCP_INFO = int(socket.IPPROTO_TCP), getattr(socket, "TCP_INFO", 0)
HAS_INFO = hasattr(socket, "TCP_INFO")
HAS_ERROR_QUEUE = hasattr(socket, "MSG_ERRQUEUE")
IP_RECVERR = 11  # linux/in.h
IPV6_RECVERR = 25  # linux/in6.h
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # linux/errqueue.h: struct sock_extended_err
_ORIGIN_LOCAL, _ORIGIN_ICMP, _ORIGIN_ICMP6 = 1, 2, 3
TCP_INFO_BYTES = 144  # up to segs_in
_SEGMENTS_IN = 140  # linux/tcp.h: offsets in struct tcp_info
_TOTAL_RETRANSMITS = 100
_SYN_SENT = 2  # linux/tcp_states.h
_STANDS = frozenset({1, 8})  # the same: established, and closed by the other side
_CLOSED = 7  # the same
_READ_INFO = struct.Struct("=B67xI28xI36xI").unpack_from  # state, rtt, total_retrans, segs_in
_READ_OLD_INFO = struct.Struct("=B67xI28xI").unpack_from
_OLD_INFO_BYTES = _TOTAL_RETRANSMITS + 4

OUR_FAULTS = {
    errno.EMFILE: "no free file descriptor",
    errno.ENFILE: "no free file descriptor on the whole machine",
    errno.ENOBUFS: "no buffer space",
    errno.ENOMEM: "no memory",
    errno.EADDRNOTAVAIL: "no free local port, or the source address is not one of this machine's",
    errno.EACCES: "this machine's own policy forbids it",
    errno.EPERM: "this machine's own firewall drops it",
    errno.EAFNOSUPPORT: "this machine does not speak this address family",
    errno.EINVAL: "this machine cannot use the address",
}
# A reset gives these only once the connection stood (tcp_reset in the kernel); before that it is ECONNREFUSED.
BROKEN_LATER = frozenset({errno.ECONNRESET, errno.EPIPE})
EXHAUSTION = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1
_V4_UNREACHABLE = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    5: "source route failed", 6: "network unknown", 7: "host unknown", 8: "source host isolated",
    9: "network administratively prohibited", 10: "host administratively prohibited",
    11: "network unreachable for this type of service", 12: "host unreachable for this type of service",
    13: "communication administratively prohibited", 14: "host precedence violation", 15: "precedence cutoff",
}  # fmt: skip
_V4_NO_WAY = frozenset({0, 1, 5, 6, 7, 8, 11, 12})
# RFC 4443, 3.1
_V6_UNREACHABLE = {
    0: "no route", 1: "administratively prohibited", 2: "beyond the scope of the source address",
    3: "address unreachable", 4: "port unreachable",
    5: "source address failed the policy", 6: "route rejected", 7: "source route failed",
}  # fmt: skip
_V6_NO_WAY = frozenset({0, 2, 3, 7})
_UNREACHABLE_TYPE = {4: 3, 6: 1}
_TIME_EXCEEDED_TYPE = {4: 11, 6: 3}
_PORT_UNREACHABLE = {4: 3, 6: 4}
_NEIGHBOUR_SILENT = {4: 1, 6: 3}  # what a kernel tells itself when a neighbour does not answer


class IcmpError(NamedTuple):
    """An error from a socket's error queue. ``version`` is 4 or 6, or 0 for an error of this machine's own making."""

    number: int
    version: int
    type: int
    code: int
    offender: str | None

    @property
    def words(self) -> str:
        """Type and code in the words of their RFC."""
        if self.type == _TIME_EXCEEDED_TYPE.get(self.version):
            name = "time exceeded"
        elif self.type == _UNREACHABLE_TYPE.get(self.version):
            names = _V4_UNREACHABLE if self.version == 4 else _V6_UNREACHABLE
            name = names.get(self.code, "unreachable")
        else:
            name = "error"
        protocol = "ICMP" if self.version == 4 else "ICMPv6"
        return f"{protocol} {name} ({self.type}/{self.code}) from {self.offender or 'an unnamed sender'}"


class Refusal(NamedTuple):
    """How a try was ended by somebody: the status, and the words for it."""

    status: ObservationStatus
    evidence: str


class Standing(Enum):
    """How a first SYN fares: it is on its way, or nobody can tell; the connection stands; it was refused."""

    UNKNOWN = 0
    STANDS = 1
    FAILED = 2


_ON_ITS_WAY, _HAS_FAILED = (Standing.UNKNOWN, 0.0), (Standing.FAILED, 0.0)


class TcpInfo(NamedTuple):
    """What the kernel counted on a TCP socket; ``segments_in`` is ``None`` where the kernel is too old to count."""

    rtt_s: float
    retransmits: int
    segments_in: int | None
    is_waiting: bool = False  # the SYN is still without an answer


# The socket option that has ICMP errors queued on a socket, where the system can.
ERRORS_WANTED = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_RECVERR, 1),
    socket.AF_INET6: (socket.IPPROTO_IPV6, IPV6_RECVERR, 1),
}
if not HAS_ERROR_QUEUE:
    ERRORS_WANTED.clear()


def ask_for_errors(sock: socket.SocketType, family: int) -> None:
    """Have ICMP errors queued on the socket, where the system can."""
    wanted = ERRORS_WANTED.get(socket.AddressFamily(family))
    if wanted:
        sock.setsockopt(*wanted)


def read_error(sock: socket.SocketType) -> tuple[IcmpError, bytes, tuple[str, int]] | None:
    """The next queued error with the datagram that it is about and where that was sent to, or ``None``."""
    if not HAS_ERROR_QUEUE:
        return None
    try:
        data, ancillary, _flags, sent_to = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for level, kind, content in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
            error = parse_extended_error(content)
            if error:
                return error, data, (sent_to[0], sent_to[1]) if sent_to else ("", 0)
    return None


def parse_extended_error(content: bytes) -> IcmpError | None:
    """Read a ``sock_extended_err`` and the offender's address behind it; ``None`` if it is neither ICMP nor local."""
    if len(content) < _EXTENDED_ERROR.size:
        return None
    number, origin, kind, code, _pad, _info, _data = _EXTENDED_ERROR.unpack_from(content)
    version = {_ORIGIN_LOCAL: 0, _ORIGIN_ICMP: 4, _ORIGIN_ICMP6: 6}.get(origin)
    if version is None:
        return None
    return IcmpError(number, version, kind, code, _offender(content[_EXTENDED_ERROR.size :]))


def _offender(content: bytes) -> str | None:
    if len(content) < 8:
        return None
    family = int.from_bytes(content[:2], "little" if struct.pack("=H", 1) == b"\1\0" else "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, content[4:8])
    if family == socket.AF_INET6 and len(content) >= 24:
        return socket.inet_ntop(socket.AF_INET6, content[8:24])
    return None


def read_tcp_info(sock: socket.SocketType) -> TcpInfo | None:
    """What the kernel counted, or ``None`` where it does not tell."""
    info = _read_tcp_info(sock, TCP_INFO_BYTES)
    segments: int | None = None
    if len(info) >= _SEGMENTS_IN + 4:
        state, rtt_us, retransmits, segments = _READ_INFO(info)
    elif len(info) >= _OLD_INFO_BYTES:
        state, rtt_us, retransmits = _READ_OLD_INFO(info)
    else:
        return None
    return TcpInfo(rtt_us / 1e6, retransmits, segments, state == _SYN_SENT)


def read_standing(sock: socket.SocketType) -> tuple[Standing, float]:
    """How a first SYN fares, and the round trip in seconds where the connection stands. Never raises OSError."""
    try:
        state, rtt_us, retransmits = _READ_OLD_INFO(sock.getsockopt(_TCP, _TCP_INFO, _OLD_INFO_BYTES))
    except (OSError, struct.error):
        return _ON_ITS_WAY
    if state in _STANDS:
        return _ON_ITS_WAY if retransmits or not rtt_us else (Standing.STANDS, rtt_us / 1e6)
    return _HAS_FAILED if state == _CLOSED else _ON_ITS_WAY


def read_round_trip(sock: socket.SocketType) -> float | None:
    """The round trip of a connection that stands and whose first SYN was answered, 0 where nobody has measured it.

    ``None`` for every other socket, and where the kernel does not tell.
    """
    if not HAS_INFO:
        return None
    try:
        state, rtt_us, retransmits = _READ_OLD_INFO(sock.getsockopt(_TCP, _TCP_INFO, _OLD_INFO_BYTES))
    except (OSError, struct.error):
        return None
    return None if retransmits or state not in _STANDS else rtt_us / 1e6


def _read_tcp_info(sock: socket.SocketType, most: int) -> bytes:
    """The kernel's struct tcp_info up to ``most`` octets, none where it does not tell."""
    if not HAS_INFO:
        return b""
    try:
        return sock.getsockopt(_TCP, _TCP_INFO, most)
    except OSError:
        return b""


def judge_icmp(error: IcmpError, *, target: str, own: str | None, protocol: Protocol) -> Refusal:
    """Who ended the try by an ICMP error: the target itself, a firewall, a router without a way, or this machine."""
    if not error.version:
        return judge_local(error.number)
    target = target.partition("%")[0]
    is_unreachable = error.type == _UNREACHABLE_TYPE[error.version]
    if error.offender == own and own != target:
        if is_unreachable and error.code == _NEIGHBOUR_SILENT[error.version]:
            asked = "ARP" if error.version == 4 else "neighbour discovery"
            return no_such_neighbour(target, asked)
        return Refusal(ObservationStatus.LOCAL_ERROR, f"the vantage's own firewall rejects it: {error.words}")
    if error.offender == target:
        if is_unreachable and error.code == _PORT_UNREACHABLE[error.version] and protocol is Protocol.UDP:
            return Refusal(ObservationStatus.CLOSED, f"refused by the host itself: {error.words}")
        return Refusal(ObservationStatus.REJECTED, f"rejected by a firewall on the host itself: {error.words}")
    no_way = _V4_NO_WAY if error.version == 4 else _V6_NO_WAY
    if is_unreachable and error.code not in no_way:
        return Refusal(ObservationStatus.REJECTED, f"rejected by a firewall on the way: {error.words}")
    return Refusal(ObservationStatus.UNREACHABLE, f"no way there: {error.words}")


def no_such_neighbour(target: str, asked: str) -> Refusal:
    """Nobody on the own link has the address; ``asked`` is the protocol that found so."""
    words = f"no such host on this network: nobody answers {asked} for {target}"
    return Refusal(ObservationStatus.UNREACHABLE, words)


def judge_refused_connect(
    number: int, info: TcpInfo | None, error: IcmpError | None, *, target: str, own: str | None
) -> Refusal:
    """Why a TCP connect failed with this error number, from the kernel's count and the error queue."""
    if error is not None:
        return judge_icmp(error, target=target, own=own, protocol=Protocol.TCP)
    if number == errno.ECONNREFUSED:
        if info is None or info.segments_in is None:
            return Refusal(
                ObservationStatus.CLOSED,
                "connection refused: a TCP reset or an ICMP error, this vantage cannot tell which",
            )
        if info.segments_in:
            return Refusal(ObservationStatus.CLOSED, "refused by a TCP reset, of the host or of a firewall in its name")
        return Refusal(ObservationStatus.REJECTED, "rejected by an ICMP error whose sender the kernel does not tell")
    return judge_local(number)


def judge_local(number: int) -> Refusal:
    """What an error means that the kernel gave without anything from the network."""
    name = errno.errorcode.get(number, str(number))
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
        return Refusal(ObservationStatus.UNREACHABLE, f"no route from this vantage ({name}: {os.strerror(number)})")
    # A number that names no error is none of strerror's; it may be larger than what C takes.
    reason = OUR_FAULTS.get(number) or (os.strerror(number) if number in errno.errorcode else "an unknown error")
    return Refusal(ObservationStatus.LOCAL_ERROR, f"the vantage itself could not probe: {reason} ({name})")
