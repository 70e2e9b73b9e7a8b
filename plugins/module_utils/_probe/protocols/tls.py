# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS: a hello of version 1.2 (RFC 5246, 7.4), whose answer carries the certificate in the clear.

A server that speaks nothing older than 1.3 refuses it with an alert (RFC 8446, 4.2.1), which proves TLS just as well.
"""

from __future__ import annotations

import os
import re
import struct

from ..._core.vocabulary import ServiceStatus
from . import ber
from .base import Answer, Conversation, Evidence, MalformedError, bounded
from .text import shown

_ALERT, _HANDSHAKE = 21, 22
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _HELLO_DONE = 1, 2, 11, 14
_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_LARGEST_RECORD = 16384 + 2048  # RFC 5246, 6.2.3
_PROTOCOL_VERSION = 70
_ALERTS = {40: "handshake failure", 47: "illegal parameter", 80: "internal error", 112: "unrecognized name"}
_SUITES = (
    0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0xC009, 0xC00A, 0xC013, 0xC014,
    0x009C, 0x009D, 0x003C, 0x002F, 0x0035, 0x000A, 0x00FF,
)  # fmt: skip
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
_COMMON_NAME = "2.5.4.3"
_UTC_TIME = 0x17
_TIME = re.compile(rb"(?P<year>\d{2}|\d{4})(?P<month>\d\d)(?P<day>\d\d)\d{4}")


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def _numbers(values: tuple[int, ...]) -> bytes:
    return struct.pack(f"!H{len(values)}H", 2 * len(values), *values)


_EXTENSIONS = b"".join(
    (
        _extension(10, _numbers(_GROUPS)),
        _extension(11, b"\x01\x00"),
        _extension(13, _numbers(_SIGNATURES)),
        _extension(23, b""),
    )
)
_BEFORE_RANDOM = struct.pack("!H", 0x0303)
_AFTER_RANDOM = b"\0" + _numbers(_SUITES) + b"\x01\x00" + struct.pack("!H", len(_EXTENSIONS)) + _EXTENSIONS


class Tls(Conversation):
    """Says hello, reads what the server says of itself, and goes."""

    name = "TLS"
    cap = 65536

    def __init__(self, *, random: bytes | None = None) -> None:
        super().__init__()
        self._random = os.urandom(32) if random is None else random

    def first(self, attempt: int = 0) -> bytes:
        """The client's hello."""
        body = _BEFORE_RANDOM + self._random + _AFTER_RANDOM
        hello = bytes((_CLIENT_HELLO,)) + len(body).to_bytes(3, "big") + body
        return struct.pack("!BHH", _HANDSHAKE, 0x0301, len(hello)) + hello

    def _classify(self, data: bytes) -> Answer:
        handshake, alert = _records(data)
        if alert is not None and not handshake:
            return _refused(alert)
        version: str | None = None
        for kind, message in _messages(handshake):
            if kind == _SERVER_HELLO:
                number = int.from_bytes(bounded(message, 0, 2, "its hello"), "big")
                version = _VERSIONS.get(number, f"TLS of version {number:#06x}")
                self._learnt = Evidence(ServiceStatus.CONFIRMED, version)
            elif version is None:
                raise MalformedError("it begins a handshake with something else than a hello")
            elif kind == _CERTIFICATE:
                return _certified(version, message)
            elif kind == _HELLO_DONE:
                return self._learnt
        return self._learnt if alert is not None else None


def _records(data: bytes) -> tuple[bytes, int | None]:
    """The handshake bytes of all complete records, and the alert that ends them (RFC 5246, 6.2.1 and 7.2)."""
    handshake, at = b"", 0
    while len(data) - at >= 5:
        kind, major, _minor, length = struct.unpack("!BBBH", data[at : at + 5])
        if kind not in (_ALERT, _HANDSHAKE) or major != 3 or not 0 < length <= _LARGEST_RECORD:
            raise MalformedError("it is no TLS record")
        body = data[at + 5 : at + 5 + length]
        if len(body) < length:
            break
        if kind == _ALERT:
            return handshake, int(body[-1])
        handshake += body
        at += 5 + length
    if data and data[0] not in (_ALERT, _HANDSHAKE):
        raise MalformedError("it is no TLS record")
    return handshake, None


def _messages(handshake: bytes) -> list[tuple[int, bytes]]:
    """The complete handshake messages (RFC 5246, 7.4)."""
    found, at = [], 0
    while len(handshake) - at >= 4:
        length = int.from_bytes(handshake[at + 1 : at + 4], "big")
        if at + 4 + length > len(handshake):
            break
        found.append((handshake[at], handshake[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def _refused(alert: int) -> Evidence:
    if alert == _PROTOCOL_VERSION:
        return Evidence(
            ServiceStatus.CONFIRMED, "TLS, which refuses version 1.2 and so speaks 1.3 alone, or 1.1 at best"
        )
    return Evidence(ServiceStatus.CONFIRMED, f"TLS, which refuses our hello ({_ALERTS.get(alert, f'alert {alert}')})")


def _certified(version: str, message: bytes) -> Evidence:
    """What the first certificate of a Certificate message says; what cannot be read of it is left out."""
    try:
        length = int.from_bytes(bounded(message, 3, 3, "its certificate"), "big")
        name, expiry = _certificate(bounded(message, 6, length, "its certificate"))
    except MalformedError:
        return Evidence(ServiceStatus.CONFIRMED, f"{version}, with a certificate that cannot be read")
    return Evidence(ServiceStatus.CONFIRMED, f"{version}, certificate expires {expiry}", host_name=name)


def _certificate(data: bytes) -> tuple[str | None, str]:
    """The subject's common name and the last day of validity (RFC 5280, 4.1)."""
    fields = ber.within(data).enter().enter()
    tag, _number = fields.any()
    if tag == 0xA0:  # the version came first
        fields.any()
    for _field in ("signature", "issuer"):
        fields.any()
    validity, subject = fields.enter(), fields.enter()
    validity.any()
    tag, text = validity.any()
    found = _TIME.match(text)
    if not found:
        raise MalformedError("it has no date of expiry")
    year = found["year"].decode()
    if tag == _UTC_TIME:  # RFC 5280, 4.1.2.5.1
        year = ("19" if int(year[:2]) >= 50 else "20") + year[:2]
    expiry = f"{year}-{found['month'].decode()}-{found['day'].decode()}"
    return _common_name(subject), expiry


def _common_name(subject: ber.Reader) -> str | None:
    while subject:
        attribute = subject.enter(ber.SET).enter()
        kind = ber.oid_text(attribute.take(ber.OBJECT_IDENTIFIER))
        _tag, value = attribute.any()
        if kind == _COMMON_NAME:
            return shown(value)
    return None
