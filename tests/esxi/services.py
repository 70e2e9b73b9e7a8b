# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What answers at the audited addresses: SSH's greeting, HTTP, HTTPS, VMware's authd and WinRM. Runs in a namespace.

    python -m tests.esxi.services FOLDER    (with cert.pem and key.pem)
"""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import sys
import threading
from pathlib import Path

from tests.reach import matrix_standins

_PAGE = b"HTTP/1.1 301 Moved Permanently\r\nLocation: https:/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class _Ssh(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(10)
        with contextlib.suppress(OSError):
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            self.request.recv(1)


class _Http(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(10)
        with contextlib.suppress(OSError):
            self.request.recv(4096)
            self.request.sendall(_PAGE)


class _Https(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(10)
        with contextlib.suppress(OSError), _context.wrap_socket(self.request, server_side=True) as inner:
            inner.recv(4096)
            inner.sendall(_PAGE)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve until killed."""
    folder = Path(sys.argv[1])
    _context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    for port, handler in ((22, _Ssh), (80, _Http), (443, _Https)):
        threading.Thread(target=_Server(("", port), handler).serve_forever, daemon=True).start()
    matrix_standins.main()


if __name__ == "__main__":
    main()
