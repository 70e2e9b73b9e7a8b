# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile services for the target, and a storm of ICMP errors; run in its namespace, they serve until they are killed.

    python -m tests.reach.hostile ADDRESS OTHER_ADDRESS VANTAGE
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

# What a client of the protocol takes for the beginning of an answer, with lengths that promise too much.
MALFORMED = {
    7101: ("ldap", bytes.fromhex("3084ffffffff020101618400000000")),
    7102: ("kerberos", bytes.fromhex("7fffffff7e82ffff3082ffff")),
    7103: ("rpc", bytes.fromhex("05000c0310000000ffff000001000000ffffffffffffffffff")),
    7104: ("rpc_endpoint_map", bytes.fromhex("050002031000000018000000010000000000000000000000ffffffff")),
    7105: ("tls", bytes.fromhex("160303ffff0200ffff0303")),
    7106: ("smb", bytes.fromhex("00ffffffFE534D42400001000000000000000100")),
    7107: ("winrm", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n<a" + b"<b>" * 200),
    7108: ("netbios_session", bytes.fromhex("8200ffff")),
    7109: ("dns", bytes.fromhex("ffff1234818000010001000000000c")),
}
ENDLESS, DRIPPING, RESETTING = 7110, 7111, 7112
FROM_ANOTHER_ADDRESS, FROM_ANOTHER_PORT = 7161, 7162
_STORM_PAUSE_S = 0.001


def _malformed(beginning: bytes) -> Callable[[socket.socket], None]:
    def serve(peer: socket.socket) -> None:
        peer.recv(65536)
        for _turn in range(20):
            peer.sendall(beginning + os.urandom(512))

    return serve


def _endless(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"A" * 65536)


def _dripping(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"\x30")
        time.sleep(1)


def _resetting(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _listen(port: int, serve: Callable[[socket.socket], None]) -> None:
    listener = socket.create_server(("", port), backlog=512)

    def talk(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            serve(peer)

    def accept() -> None:
        while True:
            peer, _address = listener.accept()
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _answer_from(port: int, asked: str, answering: socket.socket) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((asked, port))

    def serve() -> None:
        while True:
            request, peer = sock.recvfrom(65535)
            answering.sendto(request, peer)

    threading.Thread(target=serve, daemon=True).start()


def _storm(vantage: str, own: str) -> None:
    """ICMP port unreachable without end, about datagrams of the vantage that were never sent."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    ends = socket.inet_aton(vantage), socket.inet_aton(own)
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 60, 1, 0, 64, 17, 0, *ends)
    while True:
        for port in range(32768, 61000, 97):
            packet = struct.pack("!BBHI", 3, 3, 0, 0) + quoted + struct.pack("!HHHH", port, 161, 40, 0)
            total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            with contextlib.suppress(OSError):
                sock.sendto(packet[:2] + struct.pack("!H", checksum) + packet[4:], (vantage, 0))
        time.sleep(_STORM_PAUSE_S)


def main() -> None:
    """Serve."""
    address, other, vantage = sys.argv[1:]
    for port, (_service, beginning) in MALFORMED.items():
        _listen(port, _malformed(beginning))
    for port, serve in ((ENDLESS, _endless), (DRIPPING, _dripping), (RESETTING, _resetting)):
        _listen(port, serve)
    for port, source in ((FROM_ANOTHER_ADDRESS, (other, FROM_ANOTHER_ADDRESS)), (FROM_ANOTHER_PORT, (address, 0))):
        answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        answering.bind(source)
        _answer_from(port, address, answering)
    threading.Thread(target=_storm, args=(vantage, other), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
