# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DCE/RPC: a bind (C706, 12.6.4.3; [MS-RPCE] 2.2.2), which needs no sign-in, to the endpoint mapper (C706, appendix O)
or to the management interface that every RPC server has (C706, appendix Q)."""

from __future__ import annotations

import struct
from typing import NamedTuple, Tuple
from uuid import UUID

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError, bounded
from .text import shown

HEADER = struct.Struct("<BBBB4sHHI")  # version, minor, type, flags, data representation, length, auth length, call
BIND_ACK, BIND_NAK, FAULT = 12, 13, 3
_BIND = 11
_WHOLE = 0x03  # first and last fragment
_LAST = 0x02
_LITTLE_ENDIAN = b"\x10\0\0\0"
_FRAGMENT = 4280
_VERSIONS = ((5, 0), (5, 1))
_ACCEPTED = 0

Syntax = Tuple[UUID, int, int]
ENDPOINT_MAPPER: Syntax = (UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), 3, 0)
_MANAGEMENT: Syntax = (UUID("afa8bd80-7d8a-11c9-bef4-08002b102989"), 1, 0)
_NDR: Syntax = (UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2, 0)


class Packet(NamedTuple):
    """One packet of connection-oriented RPC; ``order`` is the byte order of its numbers, as struct writes it."""

    kind: int
    is_last: bool
    order: str
    body: bytes

    def number(self, at: int, what: str) -> int:
        """The 16-bit number at this place of the body."""
        return int(struct.unpack(self.order + "H", bounded(self.body, at, 2, what))[0])


def packet(kind: int, call: int, body: bytes) -> bytes:
    """A packet of one fragment, in little-endian order."""
    return HEADER.pack(5, 0, kind, _WHOLE, _LITTLE_ENDIAN, HEADER.size + len(body), 0, call) + body


def bind(interface: Syntax, call: int) -> bytes:
    """The bind to an interface with the transfer syntax NDR."""
    context = struct.pack("<HBB", 0, 1, 0) + _syntax(interface) + _syntax(_NDR)
    return packet(_BIND, call, struct.pack("<HHIBBH", _FRAGMENT, _FRAGMENT, 0, 1, 0, 0) + context)


def parse_packet(data: bytes, call: int) -> tuple[Packet, bytes]:
    """The first packet, an answer to ``call``, and what comes behind it. Raises MalformedError or IncompleteError."""
    version, minor, kind, flags, representation, length, _auth, number = HEADER.unpack(
        bounded(data, 0, HEADER.size, "its RPC header")
    )
    order = "<" if representation[0] & 0x10 else ">"
    if order == ">":
        length, number = struct.unpack(">H", data[8:10])[0], struct.unpack(">I", data[12:16])[0]
    if (version, minor) not in _VERSIONS or number != call or length < HEADER.size:
        raise MalformedError("it is no answer of connection-oriented RPC")
    body = bounded(data, 0, length, "its RPC answer")[HEADER.size :]
    return Packet(kind, bool(flags & _LAST), order, body), data[length:]


def _syntax(syntax: Syntax) -> bytes:
    return syntax[0].bytes_le + struct.pack("<HH", *syntax[1:])


_CALL = 1
_BIND_MAPPER, _BIND_MANAGEMENT = bind(ENDPOINT_MAPPER, _CALL), bind(_MANAGEMENT, _CALL)


class Rpc(Conversation):
    """Binds to the endpoint mapper, and calls nothing."""

    name = "RPC endpoint mapper"

    def first(self, attempt: int = 0) -> bytes:
        """The bind."""
        return _BIND_MAPPER

    def _classify(self, data: bytes) -> Answer:
        answer, _rest = parse_packet(data, _CALL)
        if answer.kind == BIND_ACK:
            return _bound(answer)
        if answer.kind == BIND_NAK:
            reason = answer.number(0, "its reason")
            return Evidence(ServiceStatus.UNEXPECTED, f"RPC, but it refuses the endpoint mapper (reason {reason})")
        if answer.kind == FAULT:
            return Evidence(ServiceStatus.UNEXPECTED, "RPC, but it answers a bind with a fault")
        raise MalformedError("it answers a bind with something else")


class RpcService(Conversation):
    """Binds to the management interface of whatever RPC server is there; a refusal proves RPC just as well."""

    name = "RPC"

    def first(self, attempt: int = 0) -> bytes:
        """The bind."""
        return _BIND_MANAGEMENT

    def _classify(self, data: bytes) -> Answer:
        answer, _rest = parse_packet(data, _CALL)
        if answer.kind not in (BIND_ACK, BIND_NAK, FAULT):
            raise MalformedError("it answers a bind with something else")
        return Evidence(ServiceStatus.CONFIRMED, "RPC service")


def _bound(answer: Packet) -> Evidence:
    """A bind_ack: sizes, association, the secondary address (here the port), then the result for our one context."""
    size = answer.number(8, "its address")
    port = shown(bounded(answer.body, 10, size, "its address").rstrip(b"\0"), 16)
    at = (10 + size + 3) // 4 * 4  # aligned, and the header is a multiple of 4, too
    result = answer.number(at + 4, "its result")
    if result != _ACCEPTED:
        return Evidence(ServiceStatus.UNEXPECTED, f"RPC, but there is no endpoint mapper behind it (result {result})")
    return Evidence(ServiceStatus.CONFIRMED, "RPC endpoint mapper" + (f" on {port}" if port else ""))
