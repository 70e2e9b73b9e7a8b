# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Real packets, by the standard library alone: run in a host's network to listen, in the controller's to ask.

    packets.py listen tcp/443 udp/161 ...      until it is ended
    packets.py ask ADDRESS tcp/443 ...         prints {"tcp/443": true, ...}: whether a packet got in and was answered

A refusal and silence are one: not in.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import sys

_SILENCE_S = 0.7  # for a wire in memory on a busy machine


def listen(targets: list[str]) -> None:
    """Accept connections and send datagrams back, for ever."""
    watch = selectors.DefaultSelector()
    for target in targets:
        listener = _socket(target)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", int(target.partition("/")[2])))
        if listener.type == socket.SOCK_STREAM:
            listener.listen(16)
        watch.register(listener, selectors.EVENT_READ)
    while True:
        for key, _events in watch.select():
            listener = key.fileobj
            assert isinstance(listener, socket.socket)
            with contextlib.suppress(OSError):
                if listener.type == socket.SOCK_STREAM:
                    listener.accept()[0].close()
                else:
                    listener.sendto(*listener.recvfrom(512))


def ask(address: str, targets: list[str]) -> dict[str, bool]:
    """Whether each gets in."""
    return {target: _gets_in(address, target) for target in targets}


def _gets_in(address: str, target: str) -> bool:
    with _socket(target) as sender:
        sender.settimeout(_SILENCE_S)
        try:
            sender.connect((address, int(target.partition("/")[2])))
            if sender.type == socket.SOCK_DGRAM:
                sender.send(b"?")
                sender.recv(512)
        except OSError:
            return False
        return True


def _socket(target: str) -> socket.socket:
    kind = socket.SOCK_STREAM if target.startswith("tcp/") else socket.SOCK_DGRAM
    return socket.socket(socket.AF_INET, kind)


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "listen":
        listen(rest)
    else:
        print(json.dumps(ask(rest[0], rest[1:])))
