# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: a request for the root page (RFC 9110, RFC 9112), and WinRM's Identify (DSP0226, 11), without a sign-in."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError
from .text import shown

_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})(?: [^\r\n]*)?(?:\r?\n|\Z)")
AGENT = b"agentless-audit-ports"
_PRODUCT = re.compile(r"(?P<product>[^/\s]+)/(?P<version>\S+)")

# What web servers say to plain HTTP on a port of HTTPS: nginx, Apache, Go.
_WANTS_TLS = re.compile(rb"to (an )?HTTPS (port|server)|to an SSL-enabled server|requires TLS", re.IGNORECASE)
_LONGEST_CHUNKS = 64
_BAD_REQUEST = 400


class Response(NamedTuple):
    """One response: its status, its header as it came, and of its body what has come."""

    code: int
    head: bytes
    body: bytes

    def field(self, name: bytes) -> bytes | None:
        """The value of a header field, those of several joined (RFC 9110, 5.2), or ``None`` where there is none."""
        values = _field(name).findall(self.head)
        return b", ".join(map(bytes.strip, values)) if values else None

    @property
    def is_complete(self) -> bool:
        """Whether all of the body that was announced is there."""
        length = self.field(b"content-length") or b""
        return length.isdigit() and len(self.body) >= int(length[:9])

    def whole_body(self) -> bytes | None:
        """The body with its chunks joined (RFC 9112, 7.1), or ``None`` until all of it is there.

        Without a length the body ends with the connection: then what there is, is taken for all.
        """
        if (self.field(b"transfer-encoding") or b"").lower() != b"chunked":
            return self.body if self.is_complete or self.field(b"content-length") is None else None
        joined, rest = b"", self.body
        for _chunk in range(_LONGEST_CHUNKS):
            size_line, end, rest = rest.partition(b"\r\n")
            size = size_line.partition(b";")[0].strip()
            if not end:
                return None
            if not re.match(rb"[0-9A-Fa-f]{1,6}$", size):
                raise MalformedError("a chunk of its body has no size")
            length = int(size, 16)
            if not length:
                return joined
            if len(rest) < length + 2:
                return None
            joined += rest[:length]
            rest = rest[length + 2 :]
        raise MalformedError("its body has too many chunks")

    @property
    def server(self) -> tuple[str | None, str | None]:
        """Product and version that the Server header tells."""
        return _product(self.field(b"server") or b"")


@lru_cache(maxsize=None)  # one for each name
def _field(name: bytes) -> re.Pattern[bytes]:
    """What finds the values of a field behind the status line; a line without a colon is a field without a value."""
    return re.compile(rb"\n[^\S\n]*%s[^\S\n]*(?::([^\n]*))?(?=\n|\Z)" % re.escape(name), re.IGNORECASE)


def _product(server: bytes) -> tuple[str | None, str | None]:
    words = shown(server)
    found = _PRODUCT.match(words)
    return (found["product"], found["version"]) if found else (words or None, None)


def _parse(data: bytes) -> Response | None:
    """A response once its header is there, ``None`` before. Raises MalformedError for what is no HTTP."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        head, end, body = data.partition(b"\n\n")
    status = _STATUS.match(head) if end else None
    if status:
        return Response(int(status[1]), head, body)
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise MalformedError("its answer is no HTTP")
    if end:
        raise MalformedError("its status line is no HTTP")
    return None


class WebConversation(Conversation):
    """A dialogue over HTTP. Subclasses judge a response whose header is complete."""

    cap = 16384

    def _classify(self, data: bytes) -> Answer:
        response = _parse(data)
        if response is None:
            return None
        if response.code == _BAD_REQUEST:
            if _WANTS_TLS.search(response.body):
                product, version = response.server
                server = f" ({product} {version})" if product and version else ""
                what = f"TLS: a web server{server} that speaks HTTPS alone"
                return Evidence(ServiceStatus.UNEXPECTED, f"not {self.name} but {what}", asked=self.name, instead=what)
            announced = response.field(b"content-length") is not None
            if announced and not response.is_complete and len(data) < self.cap:
                return None  # the reason is in the body
        return self._judge(response)

    def ended(self, *, hung_up: bool = False) -> Evidence:
        """The verdict when nothing more will come; of a body that never came whole, by its header."""
        try:
            response = _parse(self._buffer) if self._buffer and self._learnt is None else None
            answer = self._judge(response) if response is not None else None
        except MalformedError:
            answer = None
        return answer if isinstance(answer, Evidence) else super().ended(hung_up=hung_up)

    def _judge(self, response: Response) -> Answer:
        """The verdict, or ``None`` where more of the body is needed."""
        raise NotImplementedError


_GET = b"GET / HTTP/1.0\r\nUser-Agent: %s\r\nAccept: */*\r\n\r\n" % AGENT


class Http(WebConversation):
    """Asks for the root page; any status is an answer."""

    name = "HTTP"

    def first(self, attempt: int = 0) -> bytes:
        """A request of HTTP 1.0, which needs no host name and ends the connection."""
        return _GET

    def _judge(self, response: Response) -> Answer:
        return _answers(response.code, response.field(b"server") or b"")


@lru_cache(maxsize=256)  # in a fleet most servers are the same
def _answers(code: int, server: bytes) -> Evidence:
    return Evidence(ServiceStatus.CONFIRMED, f"HTTP, answers {code}", *_product(server))


_IDENTIFY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    b' xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>"
)
_POST = (
    b"POST /wsman HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\nWSMANIDENTIFY: unauthenticated\r\n"
    b"Content-Type: application/soap+xml;charset=UTF-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
) % (AGENT, len(_IDENTIFY)) + _IDENTIFY
_VENDOR = re.compile(rb"<(?:\w+:)?ProductVendor>([^<]*)<")
_VERSION = re.compile(rb"<(?:\w+:)?ProductVersion>([^<]*)<")
_PROTOCOL = b"schemas.dmtf.org/wbem/wsman"
_WINDOWS_SERVER = b"microsoft-httpapi"
_SIGN_IN = (401, 403)


class Winrm(WebConversation):
    """Asks a WS-Management service to identify itself, without a sign-in."""

    name = "WinRM"

    def first(self, attempt: int = 0) -> bytes:
        """The Identify request with the header that lets it pass unauthenticated."""
        return _POST

    def _judge(self, response: Response) -> Answer:
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


def _is_windows(response: Response) -> bool:
    asks = (response.field(b"www-authenticate") or b"").lower()
    return _WINDOWS_SERVER in (response.field(b"server") or b"").lower() or b"negotiate" in asks
