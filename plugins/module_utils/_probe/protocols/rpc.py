# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DCE/RPC: a bind to the endpoint mapper (C706, 12.6.4.3 and appendix O; [MS-RPCE] 2.2.2), which needs no sign-in."""

from __future__ import annotations

import struct
from uuid import UUID

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError, bounded
from .text import shown

_HEADER = struct.Struct("<BBBB4sHHI")  # version, minor, type, flags, data representation, length, auth length, call
_BIND, _BIND_ACK, _BIND_NAK, _FAULT = 11, 12, 13, 3
_WHOLE = 0x03  # first and last fragment
_LITTLE_ENDIAN = b"\x10\0\0\0"
_FRAGMENT = 4280
_CALL = 1
_ENDPOINT_MAPPER = (UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), 3, 0)
_NDR = (UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2, 0)
_ACCEPTED = 0


def _syntax(syntax: tuple[UUID, int, int]) -> bytes:
    return syntax[0].bytes_le + struct.pack("<HH", *syntax[1:])


class Rpc(Conversation):
    """Binds to the endpoint mapper, and calls nothing."""

    name = "RPC endpoint mapper"

    def first(self, attempt: int = 0) -> bytes:
        """The bind."""
        context = struct.pack("<HBB", 0, 1, 0) + _syntax(_ENDPOINT_MAPPER) + _syntax(_NDR)
        body = struct.pack("<HHIBBH", _FRAGMENT, _FRAGMENT, 0, 1, 0, 0) + context
        return _HEADER.pack(5, 0, _BIND, _WHOLE, _LITTLE_ENDIAN, _HEADER.size + len(body), 0, _CALL) + body

    def _classify(self, data: bytes) -> Answer:
        version, minor, kind, _flags, representation, length, _auth, call = _HEADER.unpack(
            bounded(data, 0, _HEADER.size, "its RPC header")
        )
        order = "<" if representation[0] & 0x10 else ">"
        if order == ">":
            length, call = struct.unpack(">H", data[8:10])[0], struct.unpack(">I", data[12:16])[0]
        if (version, minor) not in ((5, 0), (5, 1)) or call != _CALL or length < _HEADER.size:
            raise MalformedError("it is no answer of connection-oriented RPC")
        body = bounded(data, 0, length, "its RPC answer")[_HEADER.size :]
        if kind == _BIND_ACK:
            return _bound(body, order)
        if kind == _BIND_NAK:
            reason = struct.unpack(order + "H", bounded(body, 0, 2, "its reason"))[0]
            return Evidence(ServiceStatus.UNEXPECTED, f"RPC, but it refuses the endpoint mapper (reason {reason})")
        if kind == _FAULT:
            return Evidence(ServiceStatus.UNEXPECTED, "RPC, but it answers a bind with a fault")
        raise MalformedError("it answers a bind with something else")


def _bound(body: bytes, order: str) -> Evidence:
    """A bind_ack: sizes, association, the secondary address (here the port), then the result for our one context."""
    size = struct.unpack(order + "H", bounded(body, 8, 2, "its address"))[0]
    port = shown(bounded(body, 10, size, "its address").rstrip(b"\0"), 16)
    at = (10 + size + 3) // 4 * 4  # aligned, and the header is a multiple of 4, too
    result = struct.unpack(order + "H", bounded(body, at + 4, 2, "its result"))[0]
    if result != _ACCEPTED:
        return Evidence(ServiceStatus.UNEXPECTED, f"RPC, but there is no endpoint mapper behind it (result {result})")
    return Evidence(ServiceStatus.CONFIRMED, "RPC endpoint mapper" + (f" on {port}" if port else ""))
