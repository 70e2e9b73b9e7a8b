# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's services: well-behaved ones, wrong ones and hostile ones, each on its port of every address."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols import ber

from tests.unit.plugins.module_utils._probe.protocols import captured

SSH_BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
COMMUNITY = b"letmesee"


def _greet(banner: bytes) -> Callable[[socket.socket], None]:
    def serve(peer: socket.socket) -> None:
        peer.sendall(banner)
        peer.recv(1)

    return serve


def _silent(peer: socket.socket) -> None:
    peer.recv(1)


def _reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _endless(peer: socket.socket) -> None:
    for _chunk in range(1600):  # 100 MiB
        peer.sendall(b"A" * 65536)


def _drip(peer: socket.socket) -> None:
    for _second in range(60):
        peer.sendall(b"S")
        time.sleep(1)


def _replay(*answers: bytes) -> Callable[[socket.socket], None]:
    def serve(peer: socket.socket) -> None:
        for answer in answers:
            peer.recv(4096)
            peer.sendall(answer)
        peer.recv(1)

    return serve


def _web_alone(peer: socket.socket) -> None:
    """Hangs up on everybody who does not speak HTTP."""
    if peer.recv(4096).startswith(b"GET "):
        peer.sendall(b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n")


TCP = {
    135: _replay(*captured.ENDPOINT_MAP),  # which names 49153
    49153: _replay(*captured.RPC_SERVICE),
    7004: _web_alone,
    22: _greet(SSH_BANNER),
    2222: _greet(b"please behave\r\n" + SSH_BANNER),
    2121: _greet(b"220 ftp.example.com ready\r\n"),
    7000: _silent,
    7001: _reset,
    7002: _endless,
    7003: _drip,
}


def _snmp(request: bytes) -> bytes | None:
    """A version 3 report, or sysDescr for the right community; silence for the wrong one."""
    message = ber.Reader(request).enter()
    version = message.integer()
    if version == 3:
        number = message.enter().integer()
        header = ber.tlv(ber.SEQUENCE, ber.integer(number), ber.integer(1500), ber.octets(b"\0"), ber.integer(3))
        engine = bytes.fromhex("80001f8804") + b"switch1"
        security = ber.tlv(
            ber.SEQUENCE, ber.octets(engine), ber.integer(4), ber.integer(77), ber.octets(), ber.octets(), ber.octets()
        )
        binding = ber.tlv(ber.SEQUENCE, ber.oid("1.3.6.1.6.3.15.1.1.4.0"), ber.tlv(0x41, b"\1"))
        report = ber.tlv(0xA8, ber.integer(number), ber.integer(0), ber.integer(0), ber.tlv(ber.SEQUENCE, binding))
        scoped = ber.tlv(ber.SEQUENCE, ber.octets(engine), ber.octets(), report)
        return ber.tlv(ber.SEQUENCE, ber.integer(3), header, ber.octets(security), scoped)
    if message.take(ber.OCTET_STRING) != COMMUNITY:
        return None
    number = message.enter(0xA0).integer()
    binding = ber.tlv(ber.SEQUENCE, ber.oid("1.3.6.1.2.1.1.1.0"), ber.octets(b"Example switch 3.1"))
    response = ber.tlv(0xA2, ber.integer(number), ber.integer(0), ber.integer(0), ber.tlv(ber.SEQUENCE, binding))
    return ber.tlv(ber.SEQUENCE, ber.integer(version), ber.octets(COMMUNITY), response)


UDP: dict[int, Callable[[bytes], bytes | None]] = {
    161: _snmp,
    1161: lambda request: b"what?",
    1162: lambda request: None,
    1163: lambda request: request,
}


def _serve_tcp(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    def talk(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            serve(peer)

    while True:
        peer, _address = listener.accept()
        threading.Thread(target=talk, args=(peer,), daemon=True).start()


def _serve_udp(sock: socket.socket, answer: Callable[[bytes], bytes | None]) -> None:
    while True:
        request, peer = sock.recvfrom(65535)
        reply = answer(request)
        if reply is not None:
            sock.sendto(reply, peer)


def main() -> None:
    """Serve until killed."""
    for port, serve in TCP.items():
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        threading.Thread(target=_serve_tcp, args=(listener, serve), daemon=True).start()
    # One UDP socket per address: a wildcard socket answers from the address of the route, not from the one asked.
    for port, answer in UDP.items():
        for family, address in ((socket.AF_INET, "10.77.1.10"), (socket.AF_INET6, "fd77:1::10")):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.bind((address, port))
            threading.Thread(target=_serve_udp, args=(sock, answer), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
