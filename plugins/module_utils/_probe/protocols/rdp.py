# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remote Desktop: a connection request ([MS-RDPBCGR] 2.2.1.1), to which a server answers which security it wants."""

from __future__ import annotations

import struct

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError, bounded

_TPKT = struct.Struct("!BBH")  # RFC 1006, 6: version, reserved, length
_VERSION = 3
_REQUEST, _CONFIRM, _DISCONNECT = 0xE0, 0xD0, 0x80  # X.224, 13
_NEGOTIATION_REQUEST, _NEGOTIATED = 1, 2
_TLS_OR_CREDSSP = 3
_SECURITY = {0: "its own security", 1: "TLS", 2: "CredSSP", 8: "CredSSP with early authorization"}


def _connect() -> bytes:
    negotiation = struct.pack("<BBHI", _NEGOTIATION_REQUEST, 0, 8, _TLS_OR_CREDSSP)
    connect = struct.pack("!BBHHB", 6 + len(negotiation), _REQUEST, 0, 0, 0) + negotiation
    return _TPKT.pack(_VERSION, 0, _TPKT.size + len(connect)) + connect


_CONNECT = _connect()


class Rdp(Conversation):
    """Asks for a connection, and goes."""

    name = "Remote Desktop"

    def first(self, attempt: int = 0) -> bytes:
        """The request, which offers TLS and CredSSP."""
        return _CONNECT

    def _classify(self, data: bytes) -> Answer:
        version, reserved, length = _TPKT.unpack(bounded(data, 0, _TPKT.size, "its header"))
        if version != _VERSION or reserved or not 11 <= length <= 256:
            raise MalformedError("it is no Remote Desktop packet")
        body = bounded(data, _TPKT.size, length - _TPKT.size, "its answer")
        if body[1] & 0xF0 not in (_CONFIRM, _DISCONNECT):
            raise MalformedError("it is no answer to a connection request")
        chosen = struct.unpack("<I", body[11:15])[0] if len(body) >= 15 and body[7] == _NEGOTIATED else None
        return Evidence(
            ServiceStatus.CONFIRMED,
            "Remote Desktop" + (f" with {_SECURITY[chosen]}" if chosen in _SECURITY else ""),
        )
