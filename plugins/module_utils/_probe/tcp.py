# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP probe: fresh SYNs until somebody answers, then the service's dialogue."""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress
from typing import Dict, Tuple

from .._core.vocabulary import ObservationStatus
from . import constants
from .dialogue import StreamJob
from .guards import Means
from .judge import (
    BROKEN_LATER,
    ERRORS_WANTED,
    EXHAUSTION,
    HAS_ERROR_QUEUE,
    TcpInfo,
    judge_local,
    judge_refused_connect,
    no_such_neighbour,
    read_error,
    read_round_trip,
    read_tcp_info,
)
from .loop import BROKEN, READABLE, WRITABLE, Loop
from .protocols.base import Answer, Conversation, Evidence
from .records import Probe
from .spread import Host

_NON_BLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)
STREAM = socket.SOCK_STREAM | _NON_BLOCKING
_IPV4 = socket.AF_INET
UNDER_WAY = frozenset({0, errno.EINPROGRESS})
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen on connect, so that each can serve many destinations
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: no TIME_WAIT is left behind
_NO_SOURCE = frozenset({"0.0.0.0", "::"})  # what the kernel calls the address of a socket that found no route


class TcpJob(StreamJob):
    """Every try is a new socket from a new port; earlier ones stay open, since their answer may only be late."""

    __slots__ = (
        "_begun", "_conversation", "_is_connected", "_last_wait_s", "_means", "_rtt_s", "_sockets", "_try_begun",
    )  # fmt: skip

    def __init__(self, loop: Loop, probe: Probe, host: Host, means: Means, conversation: Conversation | None) -> None:
        # As Job does; one call less for each probe.
        self.loop = loop
        self.probe = probe
        self.host = host
        self.is_done = False
        self.due = 0.0
        self.tries = 0
        self._means = means
        self._conversation = conversation
        self._sockets: Dict[int, Tuple[socket.SocketType, float]] = {}  # noqa: UP006 by descriptor, with its SYN's time
        self._begun = 0.0
        self._try_begun = 0.0
        self._rtt_s: float | None = None
        self._is_connected = False
        self._last_wait_s: float | None = None  # how long the last try is waited for, once it is known to be the last

    def begin(self, now: float) -> None:
        """Send the first SYN."""
        self._begun = now
        self._try(now)

    def take_over(self, fd: int, sock: socket.SocketType, begun: float) -> None:
        """The first SYN was sent at ``begun``, before there was a job for it."""
        self._sockets[fd] = (sock, begun)
        self._begun = self._try_begun = begun
        self.tries = 1
        self.due = begun + constants.FLOOR_S
        self.loop.hand(fd, self)

    def go_on_talking(self, rtt_s: float, asked: float) -> None:
        """The try that was taken over was answered, and the first question was put at ``asked``."""
        self._rtt_s = rtt_s
        self._is_connected = True
        self.due = asked + (self._conversation.patience_s if self._conversation else 0)

    def hear(self, fd: int, data: bytes, broken: int, said: Answer = None) -> None:
        """Go on behind what came, which the dialogue answers by ``said``."""
        sock = self._sockets[fd][0]
        self._weigh(sock, data, broken, said)
        self._read(sock)

    def wake(self, now: float) -> None:
        """The wait for this try, or for the service, is over, unless the estimate has grown meanwhile."""
        if self._is_connected:
            self._conclude(f"within {self._conversation.patience_s if self._conversation else 0:g} s")
            return
        options = self._means.options
        subnet = self.host.subnet
        wait_s = self._last_wait_s or subnet.round_trips.timeout_s
        if self._try_begun + wait_s > now:
            self.due = self._try_begun + wait_s
        elif self._last_wait_s is not None:
            self._gave_up(now)
        elif self.tries <= options.retries + (constants.TRIES_FOR_LOSS if subnet.has_loss else 0):
            self._try_again(now)
        elif options.confirm:
            self._last_wait_s = constants.CONFIRM_S
            self._try_again(now)
        else:
            self._gave_up(now)

    def ready(self, fd: int, mask: int, now: float) -> None:
        """A connect has succeeded or failed, or the service has said something."""
        sock = self._sockets[fd][0]
        if self._is_connected:
            self._read(sock)
            return
        if not mask & BROKEN:
            self._answered(fd, mask, now)
            return
        info = read_tcp_info(sock)  # before SO_ERROR, which resets what it counts
        self.failed(fd, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), info, now)

    def failed(self, fd: int, number: int, info: TcpInfo | None, now: float) -> None:
        """A connect has failed by this error number, 0 for none, with what the kernel counted before."""
        sock, begun = self._sockets[fd]
        if not number and info is not None and info.is_waiting:
            return  # what was told is of a socket that had this number before
        if number in BROKEN_LATER:
            self._measured(round_trip(info, now - begun))
            self._connected(fd, now, broken=number)
        elif number in (0, errno.ETIMEDOUT):
            self._drop(fd)  # the kernel gave this try up; the job's own clock decides
        else:
            self._refused(sock, number, info, now - begun)

    def abandon(self, reason: str) -> None:
        """Finish with what is known."""
        if self._is_connected:
            self._end(ObservationStatus.OPEN, f"connected; the service was not heard to the end: {reason}")
        else:
            self._end(ObservationStatus.LOCAL_ERROR, f"not probed to the end ({self.tries} SYNs sent): {reason}")

    def _gave_up(self, now: float) -> None:
        if self.host.is_on_link and self._means.neighbours.is_missing(self.host.address, now):
            self._end(*no_such_neighbour(self.host.address, "ARP"))
            return
        waited = f"{self.tries} SYN{'s' * (self.tries > 1)} within {now - self._begun:.1f} s"
        self._end(ObservationStatus.FILTERED, f"no answer to {waited}")

    def _try_again(self, now: float) -> None:
        if self._means.descriptors.room <= 0 and self._sockets:
            self._drop(next(iter(self._sockets)))
        try:
            self._try(now)
        except OSError as error:
            if not self._sockets:
                refusal = judge_local(error.errno or 0)
                self._end(refusal.status, refusal.evidence)
                return
            # No means for a fresh socket: the wait for the earlier ones becomes the last.
            self._last_wait_s = self.host.subnet.round_trips.timeout_s
            self._try_begun = now

    def _try(self, now: float) -> None:
        host, means = self.host, self._means
        family, address, scope = host.endpoint
        port = self.probe.port or 0
        source = means.options.source_address
        sock = socket.SocketType(family, STREAM)
        fd = sock.fileno()
        self._sockets[fd] = (sock, now)
        means.descriptors.open += 1
        try:
            if HAS_ERROR_QUEUE:
                sock.setsockopt(*ERRORS_WANTED[family])
            if source is not None or not _NON_BLOCKING:
                prepare(sock, source)
            number = sock.connect_ex((address, port) if family == _IPV4 else (address, port, 0, scope))
        except OSError as error:
            number = error.errno or errno.EINVAL
        if number in EXHAUSTION:
            self._drop(fd)
            raise OSError(number, "connect")
        means.bucket.spent += 1
        self.tries += 1
        self._try_begun = now
        self.due = now + constants.FLOOR_S
        if host.source is None:
            host.source = address_of(sock)
        if number not in UNDER_WAY:
            self._refused(sock, number, None, None)
        elif self._conversation is None:
            self.loop.watch(fd, WRITABLE, self)
        else:
            self.loop.watch_stream(fd, self)

    def _answered(self, fd: int, mask: int, now: float) -> None:
        sock, begun = self._sockets[fd]
        rtt_s = read_round_trip(sock)
        if rtt_s is not None:
            self._measured(rtt_s or now - begun)
        else:
            info = read_tcp_info(sock)
            if info is not None and info.is_waiting:
                return  # what was told is of a socket that had this number before
            self._measured(round_trip(info, now - begun))
        self._connected(fd, now)
        if mask & READABLE and not self.is_done:
            self._read(sock)

    def _connected(self, fd: int, now: float, *, broken: int = 0) -> None:
        self._is_connected = self.host.is_alive = True
        if len(self._sockets) > 1:
            self._drop_others(fd)
        sock = self._sockets[fd][0]
        conversation = self._conversation
        if conversation is None:
            if self.probe.service not in constants.LOGIN_SERVICES:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._end(ObservationStatus.OPEN, "connected, and reset at once" if broken else "connected")
        elif broken:
            self._read(sock, broken)
        else:
            self.due = now + conversation.patience_s
            self.loop.listen(fd)
            self._send(sock, conversation.first())

    def _drop_others(self, answered: int) -> None:
        """Close the other tries; if a later one was answered, and not the first, something gets lost on the way."""
        first = next(iter(self._sockets))
        if first != answered:
            self.host.subnet.has_loss = True
        for fd in [fd for fd in self._sockets if fd != answered]:
            self._drop(fd)

    def _measured(self, rtt_s: float | None) -> None:
        """Something came from the host, after so long; ``None`` where nobody knows which SYN it answers."""
        host = self.host
        if host.is_on_link:
            self._means.neighbours.answered(host.address)
        if rtt_s is None:
            host.subnet.has_loss = True
            return
        self._rtt_s = rtt_s
        host.subnet.round_trips.measured(rtt_s)

    def _refused(self, sock: socket.SocketType, number: int, info: TcpInfo | None, elapsed_s: float | None) -> None:
        # A reset leaves nothing in the queue.
        queued = None if number == errno.ECONNREFUSED and info and info.segments_in else read_error(sock)
        # A socket that is used again may still have one of its earlier connection.
        while queued and self.host.is_ipv4 and queued[2][0] not in ("", self.host.address):
            queued = read_error(sock)
        error = queued[0] if queued else None
        refusal = judge_refused_connect(number, info, error, target=self.host.address, own=self.host.source)
        if elapsed_s is not None and refusal.status in (ObservationStatus.CLOSED, ObservationStatus.REJECTED):
            self._measured(round_trip(info, elapsed_s))
        self.host.is_alive |= refusal.status is ObservationStatus.CLOSED
        self._end(refusal.status, refusal.evidence)

    def _read(self, sock: socket.SocketType, broken: int = 0) -> None:
        """Take all that has come: it is told of only once. The dialogue bounds how much that can be."""
        conversation = self._conversation
        while conversation is not None and not self.is_done:
            try:
                data = sock.recv(conversation.cap)
            except (BlockingIOError, InterruptedError):
                if not broken:
                    return
                data = b""
            except OSError as error:
                data, broken = b"", error.errno or errno.EIO
            self._weigh(sock, data, broken, conversation.receive(data) if data else None)

    def _weigh(self, sock: socket.SocketType, data: bytes, broken: int, said: Answer) -> None:
        """What follows from something that came, or from the end of the connection."""
        if isinstance(said, Evidence):
            self._told(said, said.text)
        elif broken:
            self._conclude(f"before the connection broke ({errno.errorcode.get(broken, broken)})", hung_up=True)
        elif not data:
            self._conclude("before the host closed the connection", hung_up=True)
        elif said is not None:
            self._send(sock, said)

    def _send(self, sock: socket.SocketType, payload: bytes) -> None:
        if not payload:
            return
        try:
            sock.send(payload)
        except OSError as error:
            broken = errno.errorcode.get(error.errno or 0, error.errno)
            self._conclude(f"before the connection broke ({broken})", hung_up=True)

    def _release(self) -> None:
        drop = self.loop.drop
        for fd, (sock, _begun) in self._sockets.items():
            drop(fd, sock)
        self._means.descriptors.open -= len(self._sockets)
        self._sockets.clear()

    def _drop(self, fd: int) -> None:
        self.loop.drop(fd, self._sockets.pop(fd)[0])
        self._means.descriptors.open -= 1


def prepare(sock: socket.SocketType, source: str | None) -> None:
    """What most sockets need no call for. Raises OSError."""
    if not _NON_BLOCKING:
        sock.setblocking(False)
    if source is not None:
        with suppress(OSError):  # not on every system; then a port is taken for each
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))


def address_of(sock: socket.SocketType) -> str | None:
    """The own address of a socket, or ``None`` if it found no route to take it from."""
    address = str(sock.getsockname()[0])
    return None if address in _NO_SOURCE else address


def round_trip(info: TcpInfo | None, elapsed_s: float) -> float | None:
    """How long an answer took, at most ``elapsed_s``.

    ``None`` behind a repeated SYN, since nobody knows which one was answered (Karn's algorithm: RFC 6298, 3).
    """
    if info is None:
        return elapsed_s
    return None if info.retransmits else info.rtt_s or elapsed_s
