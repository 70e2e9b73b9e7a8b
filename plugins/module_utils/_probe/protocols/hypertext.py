# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: a request for the root page (RFC 9110, RFC 9112), and WinRM's Identify (DSP0226, 11), without a sign-in."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError
from .text import shown

_STATUS = re.compile(rb"HTTP/(?P<version>\d\.\d) (?P<code>\d{3})(?: [^\r\n]*)?$")
_AGENT = b"agentless-audit-ports"
_PRODUCT = re.compile(r"(?P<product>[^/\s]+)/(?P<version>\S+)")


class _Response(NamedTuple):
    code: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def is_complete(self) -> bool:
        """Whether all of the body that was announced is there."""
        length = self.headers.get(b"content-length", b"")
        return length.isdigit() and len(self.body) >= int(length[:9])

    @property
    def server(self) -> tuple[str | None, str | None]:
        """Product and version that the Server header tells."""
        words = shown(self.headers.get(b"server", b""))
        found = _PRODUCT.match(words)
        return (found["product"], found["version"]) if found else (words or None, None)


def _parse(data: bytes) -> _Response | None:
    """A response once its header is there, ``None`` before. Raises MalformedError for what is no HTTP."""
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise MalformedError("its answer is no HTTP")
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        head, end, body = data.partition(b"\n\n")
    if not end:
        return None
    first, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    status = _STATUS.match(first)
    if not status:
        raise MalformedError("its status line is no HTTP")
    headers: dict[bytes, bytes] = {}
    for name, _colon, value in (line.partition(b":") for line in lines):
        key = name.strip().lower()
        headers[key] = headers[key] + b", " + value.strip() if key in headers else value.strip()
    return _Response(int(status["code"]), headers, body)


class Http(Conversation):
    """Asks for the root page; any status is an answer."""

    name = "HTTP"
    cap = 16384

    def first(self, attempt: int = 0) -> bytes:
        """A request of HTTP 1.0, which needs no host name and ends the connection."""
        return b"GET / HTTP/1.0\r\nUser-Agent: %s\r\nAccept: */*\r\n\r\n" % _AGENT

    def _classify(self, data: bytes) -> Answer:
        response = _parse(data)
        if response is None:
            return None
        return Evidence(ServiceStatus.CONFIRMED, f"HTTP, answers {response.code}", *response.server)


_IDENTIFY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    b' xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>"
)
_VENDOR = re.compile(rb"<(?:\w+:)?ProductVendor>([^<]*)<")
_VERSION = re.compile(rb"<(?:\w+:)?ProductVersion>([^<]*)<")
_PROTOCOL = b"schemas.dmtf.org/wbem/wsman"
_WINDOWS_SERVER = b"microsoft-httpapi"
_SIGN_IN = (401, 403)


class Winrm(Conversation):
    """Asks a WS-Management service to identify itself, without a sign-in."""

    name = "WinRM"
    cap = 16384

    def first(self, attempt: int = 0) -> bytes:
        """The Identify request with the header that lets it pass unauthenticated."""
        head = (
            b"POST /wsman HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\nWSMANIDENTIFY: unauthenticated\r\n"
            b"Content-Type: application/soap+xml;charset=UTF-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        )
        return head % (_AGENT, len(_IDENTIFY)) + _IDENTIFY

    def _classify(self, data: bytes) -> Answer:
        response = _parse(data)
        if response is None:
            return None
        if response.code in _SIGN_IN and _is_windows(response):
            return Evidence(
                ServiceStatus.CONFIRMED, "WinRM, which identifies itself only after a sign-in", *response.server
            )
        if response.code != 200:
            return self.unexpected(f"a web server that answers {response.code} to Identify")
        version = _VERSION.search(response.body)
        if version and _PROTOCOL in response.body:
            vendor = _VENDOR.search(response.body)
            product = shown(vendor[1]) if vendor else None
            return Evidence(ServiceStatus.CONFIRMED, "WinRM", product, shown(version[1]))
        if response.is_complete:
            raise MalformedError("its answer is no identity")
        return None


def _is_windows(response: _Response) -> bool:
    asks = response.headers.get(b"www-authenticate", b"").lower()
    return _WINDOWS_SERVER in response.headers.get(b"server", b"").lower() or b"negotiate" in asks
