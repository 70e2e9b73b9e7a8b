# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two services of systems that cannot be had here, by what they are known to answer: WinRM and VMware's authd."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading

WINRM_PORT, AUTHD_PORT = 5985, 902
_GREETING = (
    b"220 VMware Authentication Daemon Version 1.10: SSL Required, ServerDaemonProtocol:SOAP, MKSDisplayProtocol:VNC ,"
    b" , NFCSSL supported/t\r\n"
)
_IDENTITY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><wsmid:IdentifyResponse'
    b' xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion>"
    b"<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
    b"<wsmid:ProductVersion>OS: 0.0.0 SP: 0.0 Stack: 3.0</wsmid:ProductVersion>"
    b"</wsmid:IdentifyResponse></s:Body></s:Envelope>"
)
_ANSWER = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nServer: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\n\r\n%s"


class _Winrm(socketserver.BaseRequestHandler):
    """Identify is answered, anything else is refused as http.sys does."""

    def handle(self) -> None:
        request = b""
        self.request.settimeout(10)
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in request:
                more = self.request.recv(4096)
                if not more:
                    return
                request += more
                if not request.split(b" ")[0].isalpha():
                    self.request.sendall(_ANSWER % (b"400 Bad Request", 0, b""))
                    return
            if request.startswith(b"POST /wsman ") and b"WSMANIDENTIFY: unauthenticated" in request:
                self.request.sendall(_ANSWER % (b"200 OK", len(_IDENTITY), _IDENTITY))
            else:
                self.request.sendall(_ANSWER % (b"404 Not Found", 0, b""))


class _Authd(socketserver.BaseRequestHandler):
    """Greets, and waits."""

    def handle(self) -> None:
        self.request.settimeout(10)
        with contextlib.suppress(OSError):
            self.request.sendall(_GREETING)
            self.request.recv(1)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    address_family = socket.AF_INET
    request_queue_size = 128


def main() -> None:
    """Serve until killed."""
    for port, handler in ((WINRM_PORT, _Winrm), (AUTHD_PORT, _Authd)):
        threading.Thread(target=_Server(("", port), handler).serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
