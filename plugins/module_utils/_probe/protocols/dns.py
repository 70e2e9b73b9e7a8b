# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS: a question that any server can answer by itself (RFC 1035, 4; RFC 6761, 6.3), over UDP and TCP."""

from __future__ import annotations

import random
import struct
from functools import lru_cache

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, DatagramConversation, Evidence, MalformedError, bounded

_HEADER = struct.Struct("!HHHHHH")
_QUESTION = b"\x09localhost\0" + struct.pack("!HH", 1, 1)  # type A, class IN
_IS_RESPONSE = 0x8000
_RECURSES = 0x0080
_OPCODE = 0x7800
_CODE = 0x000F
_CODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


def _question(number: int) -> bytes:
    """The address of localhost, recursion not desired: nothing is asked of other servers for us."""
    return _HEADER.pack(number, 0, 1, 0, 0, 0) + _QUESTION


def _judge(message: bytes, number: int) -> Evidence:
    """A response to our question, whatever its code: who answers so is a name server."""
    found, flags, questions, _answers, _authorities, _more = _HEADER.unpack(
        bounded(message, 0, _HEADER.size, "its DNS header")
    )
    if found != number or not flags & _IS_RESPONSE or flags & _OPCODE:
        raise MalformedError("it is no DNS response to our question")
    if questions and message[_HEADER.size : _HEADER.size + len(_QUESTION)].lower() != _QUESTION:
        raise MalformedError("it repeats another question")
    return _server(flags & _CODE, bool(flags & _RECURSES))


@lru_cache(maxsize=None)  # there are few
def _server(code: int, recurses: bool) -> Evidence:
    word = _CODES[code] if code < len(_CODES) else f"code {code}"
    recursion = "recursive" if recurses else "not recursive"
    return Evidence(ServiceStatus.CONFIRMED, f"DNS server ({recursion}), answers {word}")


class Dns(DatagramConversation):
    """One question in one datagram."""

    name = "DNS"

    def __init__(self, *, request_id: int | None = None) -> None:
        super().__init__()
        self._id = random.getrandbits(16) if request_id is None else request_id

    def first(self, attempt: int = 0) -> bytes:
        """The question; the same on every try, so that a late answer still fits."""
        return _question(self._id)

    def _classify(self, data: bytes) -> Answer:
        return _judge(data, self._id)


class DnsStream(Conversation):
    """The same question behind its length (RFC 1035, 4.2.2)."""

    name = "DNS"

    def __init__(self, *, request_id: int | None = None) -> None:
        super().__init__()
        self._id = random.getrandbits(16) if request_id is None else request_id

    def first(self, attempt: int = 0) -> bytes:
        """Length and question."""
        question = _question(self._id)
        return struct.pack("!H", len(question)) + question

    def _classify(self, data: bytes) -> Answer:
        length = int.from_bytes(bounded(data, 0, 2, "its length"), "big")
        if length < _HEADER.size:
            raise MalformedError("its DNS message is too short")
        head = bounded(data, 2, min(length, _HEADER.size), "its DNS header")
        if int.from_bytes(head[:2], "big") != self._id:
            raise MalformedError("it is no DNS response to our question")
        return _judge(bounded(data, 2, length, "its DNS message"), self._id)
