# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPP: a question for a printer's attributes (RFC 8011, 4.2.5) in its binary form (RFC 8010, 3) over HTTP."""

from __future__ import annotations

import struct

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Evidence, MalformedError, bounded
from .hypertext import AGENT, Response, WebConversation
from .text import shown

_GET_PRINTER, _CUPS_GET_DEFAULT = 0x000B, 0x4001  # RFC 8011, 5.4.15; CUPS' own default printer
_OPERATION_GROUP, _END_OF_ATTRIBUTES = 0x01, 0x03
_KEYWORD, _URI, _CHARSET, _LANGUAGE = 0x44, 0x45, 0x47, 0x48
_MODEL, _NAME = b"printer-make-and-model", b"printer-name"
_PATHS = ((b"/ipp/print", _GET_PRINTER), (b"/", _CUPS_GET_DEFAULT))
_TYPE = b"application/ipp"
_REQUEST_ID = 1
_MOST_ATTRIBUTES = 64


def _attribute(tag: int, name: bytes, *values: bytes) -> bytes:
    """An attribute with its values; all but the first have an empty name (RFC 8010, 3.1.5)."""
    packed = b""
    for value in values:
        packed += struct.pack("!BH", tag, len(name)) + name + struct.pack("!H", len(value)) + value
        name = b""
    return packed


class Ipp(WebConversation):
    """Asks the printer that every modern one has, then the default printer of a print server."""

    name = "IPP"

    def __init__(self, host: str = "localhost") -> None:
        super().__init__()
        self._host = (f"[{host}]" if ":" in host else host).partition("%")[0].encode("ascii", "replace")
        self._asked = 0

    def first(self, attempt: int = 0) -> bytes:
        """The question to the printer itself."""
        return self._question(0)

    def _question(self, number: int) -> bytes:
        path, operation = _PATHS[number]
        body = (
            struct.pack("!BBHIB", 1, 1, operation, _REQUEST_ID, _OPERATION_GROUP)
            + _attribute(_CHARSET, b"attributes-charset", b"utf-8")
            + _attribute(_LANGUAGE, b"attributes-natural-language", b"en")
            + (_attribute(_URI, b"printer-uri", b"ipp://" + self._host + path) if operation == _GET_PRINTER else b"")
            + _attribute(_KEYWORD, b"requested-attributes", _MODEL, _NAME)
            + bytes((_END_OF_ATTRIBUTES,))
        )
        head = (
            b"POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        ) % (path, self._host, AGENT, _TYPE, len(body))
        return head + body

    def _judge(self, response: Response) -> Answer:
        if response.code != 200 or not (response.field(b"content-type") or b"").startswith(_TYPE):
            return self._learnt or self.unexpected(f"a web server that answers {response.code} to IPP")
        body = response.whole_body()
        if body is None:
            return None
        found = _attributes(body)
        product, version = response.server
        if _MODEL in found:
            return Evidence(
                ServiceStatus.CONFIRMED,
                "IPP printer",
                found[_MODEL],
                host_name=found.get(_NAME),
            )
        self._learnt = Evidence(ServiceStatus.CONFIRMED, "IPP, which names no printer", product, version)
        self._asked += 1
        return self._question(self._asked) if self._asked < len(_PATHS) else self._learnt


def _attributes(message: bytes) -> dict[bytes, str]:
    """The first value of each attribute of a response. Raises MalformedError for what is none."""
    _major, _minor, _status, number = struct.unpack("!BBHI", bounded(message, 0, 8, "its IPP header"))
    if number != _REQUEST_ID:
        raise MalformedError("it answers another IPP request")
    found: dict[bytes, str] = {}
    at = 8
    for _attribute_number in range(_MOST_ATTRIBUTES):
        tag = bounded(message, at, 1, "its IPP attributes")[0]
        at += 1
        if tag == _END_OF_ATTRIBUTES:
            break
        if tag < 0x10:  # a group begins (RFC 8010, 3.5.1)
            continue
        name, at = _text(message, at)
        value, at = _text(message, at)
        if name and name not in found:
            found[name] = shown(value)
    return found


def _text(message: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(bounded(message, at, 2, "its IPP attributes"), "big")
    return bounded(message, at + 2, size, "its IPP attributes"), at + 2 + size
