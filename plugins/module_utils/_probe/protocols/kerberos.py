# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kerberos: a request for a ticket that no KDC grants (RFC 4120, 5.4.1), whose refusal shows that it is one (5.9.1)."""

from __future__ import annotations

import random
from functools import lru_cache

from ..._core.vocabulary import ServiceStatus
from . import ber
from .base import Answer, Conversation, DatagramConversation, Evidence, MalformedError, bounded
from .text import shown

REALM = "AGENTLESS-AUDIT.INVALID"  # of a reserved domain (RFC 2606, 2), so that no account anywhere is meant
_CLIENT = "agentless-audit"
_REQUEST, _REPLY, _ERROR = 0x6A, 0x6B, 0x7E  # APPLICATION 10, 11, 30
_ANSWERS = (_REPLY, _ERROR)
_VERSION, _REQUEST_TYPE, _ERROR_TYPE = 5, 10, 30
_TILL = b"20370913024805Z"
_ENCRYPTIONS = (18, 17, 23)
_BIT_STRING = 0x03
_LONGEST = 65536
_CODES = {
    6: "client not found", 7: "server not found", 14: "encryption type not supported", 25: "pre-authentication needed",
    60: "generic error", 68: "wrong realm",
}  # fmt: skip


def _field(number: int, contents: bytes) -> bytes:
    return ber.tlv(0xA0 + number, contents)


def _principal(kind: int, *names: str) -> bytes:
    texts = ber.tlv(ber.SEQUENCE, *(ber.octets(name.encode(), ber.GENERAL_STRING) for name in names))
    return ber.tlv(ber.SEQUENCE, _field(0, ber.integer(kind)), _field(1, texts))


class Kerberos(Conversation):
    """One AS-REQ over TCP, its length in front (RFC 4120, 7.2.2)."""

    name = "Kerberos"

    def first(self, attempt: int = 0) -> bytes:
        """Length and request."""
        return _LENGTH + _fresh_request()

    def _classify(self, data: bytes) -> Answer:
        length = int.from_bytes(bounded(data, 0, 4, "its length"), "big")
        if not 0 < length < _LONGEST:
            raise MalformedError("its length is no Kerberos message's")
        if len(data) > 4:
            _check_kind(data[4])
        return _judge(bounded(data, 4, length, "its message"))


class KerberosDatagram(DatagramConversation):
    """The same over UDP (RFC 4120, 7.2.1)."""

    name = "Kerberos"

    def first(self, attempt: int = 0) -> bytes:
        """The request."""
        return _fresh_request()

    def _classify(self, data: bytes) -> Answer:
        _check_kind(data[0] if data else 0)
        return _judge(data)


# The same in every request: all but the nonce.
_HEADER = _field(1, ber.integer(_VERSION)) + _field(2, ber.integer(_REQUEST_TYPE))
_BEFORE_NONCE = b"".join(
    (
        _field(0, ber.tlv(_BIT_STRING, bytes(5))),
        _field(1, _principal(1, _CLIENT)),
        _field(2, ber.octets(REALM.encode(), ber.GENERAL_STRING)),
        _field(3, _principal(2, "krbtgt", REALM)),
        _field(5, ber.octets(_TILL, ber.GENERALIZED_TIME)),
    )
)
_AFTER_NONCE = _field(8, ber.tlv(ber.SEQUENCE, *(ber.integer(kind) for kind in _ENCRYPTIONS)))


def _request(nonce: bytes) -> bytes:
    body = ber.tlv(ber.SEQUENCE, _BEFORE_NONCE, _field(7, ber.tlv(ber.INTEGER, nonce)), _AFTER_NONCE)
    return ber.tlv(_REQUEST, ber.tlv(ber.SEQUENCE, _HEADER, _field(4, body)))


# A nonce is a positive number of four octets, which none of the lengths around it depends on.
_SAMPLE = b"\x7e\x57\x7e\x57"
_HEAD, _TAIL = _request(_SAMPLE).split(_SAMPLE)
_LENGTH = len(_request(_SAMPLE)).to_bytes(4, "big")


def _fresh_request() -> bytes:
    return _HEAD + (random.getrandbits(31) | 1 << 24).to_bytes(4, "big") + _TAIL


def _check_kind(first: int) -> None:
    if first not in _ANSWERS:
        raise MalformedError("it is no Kerberos answer")


# What matters of an error, by its context tags: pvno, msg-type, error-code, crealm and realm (RFC 4120, 5.9.1).
_TOLD = (0xA0, 0xA1, 0xA6, 0xA7, 0xA9)


def _judge(message: bytes) -> Evidence:
    """A reply or an error, whole."""
    tag, contents = ber.within(message).any()
    fields = ber.by_tag(ber.within(contents).take(ber.SEQUENCE))
    if tag == _REPLY:
        return Evidence(ServiceStatus.CONFIRMED, "Kerberos KDC, which grants a ticket to anybody")
    return _refused(*map(fields.get, _TOLD))


@lru_cache(maxsize=128)  # a KDC says the same every time, but for the hour
def _refused(version: bytes | None, kind: bytes | None, code: bytes | None, *realms: bytes | None) -> Evidence:
    if _number(version) != _VERSION or _number(kind) != _ERROR_TYPE:
        raise MalformedError("it is no Kerberos error")
    number = _number(code)
    what = f"Kerberos KDC, answers {_CODES.get(number, f'with the code {number}')}"
    return Evidence(ServiceStatus.CONFIRMED, what, domain=_realm(realms))


def _number(field: bytes | None) -> int:
    return ber.within(field or b"").integer()


def _realm(realms: tuple[bytes | None, ...]) -> str | None:
    """The realm that the KDC names: the client's right one ([MS-KILE] 3.3.5.1.1), else its own, if it is not ours."""
    for field in realms:
        if field is not None:
            realm = shown(ber.within(field).take(ber.GENERAL_STRING))
            if realm and realm != REALM:
                return realm
    return None
