# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that are used again: for the kernel a fresh one is a fifth of what a probe of an open port costs.

A TCP socket that is connected to an address of the family AF_UNSPEC gives its connection up and may have another one
(connect(2)). What it had is reset, as SO_LINGER has it on close. Python's own connect takes no such address.
"""

from __future__ import annotations

import socket
from typing import Callable, Optional

from .judge import TcpInfo, read_tcp_info

_NOWHERE = bytes(16)  # struct sockaddr with the family AF_UNSPEC, 0
_WORTH_IT = 500  # sockets; for fewer, loading ctypes costs more than it saves
_BLANK = TcpInfo(0.0, 0, 0)
_Connect = Callable[[int, bytes, int], int]


class Spares:
    """The sockets that wait for their next connection. What was set on them is still set."""

    def __init__(self) -> None:
        self.sockets: list[socket.SocketType] = []
        self._connect: Optional[_Connect] = None  # noqa: UP045
        self._offered = 0

    def put(self, sock: socket.SocketType) -> bool:
        """Reset its connection and keep it; ``False`` where that is not possible, and the socket still the caller's.

        Nothing may be registered for it, since it keeps its descriptor.
        """
        connect = self._connect
        if connect is None:
            return self._begin(sock)
        if connect(sock.fileno(), _NOWHERE, len(_NOWHERE)):
            return False
        self.sockets.append(sock)
        return True

    def keep(self, most: int) -> None:
        """Close those that are more."""
        while len(self.sockets) > max(most, 0):
            self.sockets.pop().close()

    def _begin(self, sock: socket.SocketType) -> bool:
        """Once there were enough: whether this kernel counts anew on a socket that is used again (since Linux 5.6)."""
        self._offered += 1
        if self._offered != _WORTH_IT:
            return False
        connect = _connect_of_libc()
        if connect is None or connect(sock.fileno(), _NOWHERE, len(_NOWHERE)) or read_tcp_info(sock) != _BLANK:
            return False
        self._connect = connect
        self.sockets.append(sock)
        return True


def _connect_of_libc() -> _Connect | None:
    """connect(2), which returns 0 or -1; ``None`` where Python cannot call it."""
    try:
        import ctypes

        connect = ctypes.CDLL(None).connect
        connect.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    except (ImportError, OSError, AttributeError):
        return None
    return connect
