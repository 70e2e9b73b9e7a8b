# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The HTTP side of a host: one port, plain or with TLS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from spnego.exceptions import SpnegoError

from tests.standins.winrm import soap
from tests.standins.winrm.host import Host
from tests.standins.winrm.shells import Shells
from tests.standins.winrm.signin import Session

_SOAP_TYPE = "application/soap+xml;charset=UTF-8"


class Server(ThreadingHTTPServer):
    """Serves one host until it is closed; `port` 0 takes a free one, `address` is one of the loopback's."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, host: Host, *, address: str = "127.0.0.1", port: int = 0, certificate: Path | None = None
    ) -> None:
        super().__init__((address, port), Handler)
        self.host = host
        self.shells = Shells(host)
        self.tls = certificate is not None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Shaken hands in the connection's own thread, so that one slow client does not stop the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def address(self) -> str:
        return str(self.server_address[0])

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> Server:
        """Serve in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread, the sockets and all shells."""
        self.shutdown()
        self._thread.join(timeout=5)
        self.server_close()
        self.shells.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a mistake of the stand-in."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection: NTLM signs the connection in, so it must be kept alive."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Microsoft-HTTPAPI/2.0", ""

    def setup(self) -> None:
        """Per connection."""
        super().setup()
        self.session = Session()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def service(self) -> Server:
        return cast("Server", self.server)

    def log_message(self, *_arguments: object) -> None:
        """Counters tell more."""

    def do_GET(self) -> None:
        """`/counters`, for those who are not in this process."""
        known = self.path == "/counters"
        data = json.dumps(self.service.host.counters()).encode() if known else b""
        self._reply(200 if known else 404, data, "application/json")

    def do_POST(self) -> None:
        """One request of WS-Management."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = self.service.host
        host.requests["http"] += 1
        if host.faults.refuse:
            return self._reply(503)
        if self.path.partition("?")[0] != "/wsman":
            return self._reply(404)
        if self.headers.get("WSMANIDENTIFY") == "unauthenticated":
            host.requests["Identify"] += 1
            return self._reply(200, soap.identify())
        challenges = self.session.step(self.headers.get("Authorization", ""))
        if challenges:
            return self._reply(401, challenges=challenges)
        if not data:
            return self._reply(200)  # a blank message that only signs in
        return self._operate(data)

    def _operate(self, data: bytes) -> None:
        content_type, protocol = self.headers.get("Content-Type", ""), ""
        relates_to = ""
        try:
            if content_type.startswith("multipart/encrypted"):
                protocol, data = self.session.unseal(content_type, data)
            request = soap.parse(data)
            relates_to = request.message
            host = self.service.host
            if request.operation == host.faults.drop_at and host.requests["Command"] >= host.faults.from_command:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            code, answer = 200, self.service.shells.answer(request)
        except soap.FaultError as error:
            code, answer = 500, soap.fault(error, relates_to)
        except (ElementTree.ParseError, SpnegoError, ValueError, IndexError):
            self._reply(400)  # a message that was sealed for another connection, say
            return
        if protocol:
            sealed_type, answer = self.session.seal(protocol, answer)
            self._reply(code, answer, sealed_type)
        else:
            self._reply(code, answer)

    def _reply(
        self, code: int, data: bytes = b"", content_type: str = _SOAP_TYPE, *, challenges: list[str] | None = None
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for challenge in challenges or self.session.last_token:
            self.send_header("WWW-Authenticate", challenge)
        self.session.last_token = []
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def make_certificate(path: Path) -> Path:
    """Write a certificate of 127.0.0.1 that nobody signed, with its key, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "standin")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
