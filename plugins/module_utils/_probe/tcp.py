# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP probe: fresh SYNs until somebody answers, then the service's dialogue."""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress

from .._core.vocabulary import ObservationStatus, ServiceStatus
from . import constants
from .guards import Means
from .judge import (
    BROKEN_LATER,
    EXHAUSTION,
    TcpInfo,
    ask_for_errors,
    judge_local,
    judge_refused_connect,
    no_such_neighbour,
    read_error,
    read_tcp_info,
)
from .loop import ERROR, HUNG_UP, READABLE, WRITABLE, Job, Loop
from .protocols.base import Conversation, Evidence
from .records import Endpoint, Outcome, Probe
from .timing import subnet_of

_NON_BLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen on connect, so that each can serve many destinations
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: no TIME_WAIT is left behind
_NO_SOURCE = ("0.0.0.0", "::")  # what the kernel calls the address of a socket that found no route
# A reset makes these write an error into their log, where a tidy end is a line among many.
_LOGIN_SERVICES = frozenset({"ssh"})


class TcpJob(Job):
    """Every try is a new socket from a new port; earlier ones stay open, since their answer may only be late."""

    def __init__(
        self, loop: Loop, probe: Probe, endpoint: Endpoint, *, means: Means, conversation: Conversation | None
    ) -> None:
        super().__init__(loop, probe, endpoint)
        self._means = means
        self._conversation = conversation
        self._subnet = subnet_of(endpoint.address)
        self._sockets: dict[int, tuple[socket.socket, float]] = {}  # by descriptor, with the time of the SYN
        self._begun = 0.0
        self._try_begun = 0.0
        self._source: str | None = None
        self._rtt_s: float | None = None
        self._is_connected = False

    def begin(self, now: float) -> None:
        """Send the first SYN."""
        self._begun = now
        self._try(now)

    def wake(self, now: float) -> None:
        """The wait for this try, or for the service, is over, unless the estimate has grown meanwhile."""
        if self._is_connected:
            self._conclude(f"within {constants.SERVICE_S:g} s")
            return
        wait_s = self._means.round_trips.timeout_s(self._subnet)
        if self._try_begun + wait_s > now:
            self.due = self._try_begun + wait_s
        elif self.tries > self._means.options.retries:
            self._gave_up(now)
        else:
            self._try_again(now)

    def ready(self, fd: int, mask: int, now: float) -> None:
        """A connect has succeeded or failed, or the service has said something."""
        sock, begun = self._sockets[fd]
        if self._is_connected:
            self._read(sock)
            return
        info = read_tcp_info(sock)  # before SO_ERROR, which resets what it counts
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == 0 and not mask & (ERROR | HUNG_UP):
            self._connected(sock, info, now, begun)
        elif number in BROKEN_LATER:
            self._connected(sock, info, now, begun, broken=number)
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
        if self._means.neighbours.is_missing(self.endpoint.address, now):
            self._end(*no_such_neighbour(self.endpoint.address, "ARP"))
            return
        waited = f"{self.tries} SYN{'s' * (self.tries > 1)} within {now - self._begun:.1f} s"
        self._end(ObservationStatus.FILTERED, f"no answer to {waited}")

    def _try_again(self, now: float) -> None:
        if not self._means.descriptors.has_room and self._sockets:
            self._drop(next(iter(self._sockets)))
        try:
            self._try(now)
        except OSError as error:
            if not self._sockets:
                refusal = judge_local(error.errno or 0)
                self._end(refusal.status, refusal.evidence)
                return
            # No means for a fresh socket: the wait for the earlier ones becomes the last.
            self.tries = self._means.options.retries + 1
            self._try_begun = now

    def _try(self, now: float) -> None:
        sock = socket.socket(self.endpoint.family, socket.SOCK_STREAM | _NON_BLOCKING)
        fd = sock.fileno()
        self._sockets[fd] = (sock, now)
        self._means.descriptors.open += 1
        number = self._connect(sock)
        if number in EXHAUSTION:
            self._drop(fd)
            raise OSError(number, "connect")
        self._means.bucket.spend()
        self.tries += 1
        self._try_begun = now
        self.due = now + constants.FLOOR_S
        if self._source is None:
            self._source = sock.getsockname()[0]
        if number in (0, errno.EINPROGRESS):
            self.loop.watch(fd, WRITABLE, self)
        else:
            self._refused(sock, number, None, None)

    def _connect(self, sock: socket.socket) -> int:
        source = self._means.options.source_address
        try:
            if not _NON_BLOCKING:
                sock.setblocking(False)
            ask_for_errors(sock, self.endpoint.family)
            if self._conversation is None and self.probe.service not in _LOGIN_SERVICES:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            if source is not None:
                with suppress(OSError):  # not on every system; then a port is taken for each
                    sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            return sock.connect_ex(self.endpoint.at(self.probe.port or 0))
        except OSError as error:
            return error.errno or errno.EINVAL

    def _connected(
        self, sock: socket.socket, info: TcpInfo | None, now: float, begun: float, *, broken: int = 0
    ) -> None:
        self._measured(info, now - begun)
        self._is_connected = True
        for fd in [fd for fd in self._sockets if fd != sock.fileno()]:
            self._drop(fd)
        if self._conversation is None:
            self._end(ObservationStatus.OPEN, "connected" if not broken else "connected, and reset at once")
            return
        if broken:
            self._read(sock, broken)
            return
        self.due = now + constants.SERVICE_S
        self.loop.rewatch(sock.fileno(), READABLE)
        self._send(sock, self._conversation.first())

    def _measured(self, info: TcpInfo | None, elapsed_s: float) -> None:
        self._means.neighbours.answered(self.endpoint.address)
        if info is not None and info.retransmits:
            return  # nobody knows which SYN was answered (Karn's algorithm: RFC 6298, 3)
        self._rtt_s = (info.rtt_s if info is not None else 0.0) or elapsed_s
        self._means.round_trips.measured(self._subnet, self._rtt_s)

    def _refused(self, sock: socket.socket, number: int, info: TcpInfo | None, elapsed_s: float | None) -> None:
        queued = read_error(sock)
        error = queued[0] if queued else None
        refusal = judge_refused_connect(number, info, error, target=self.endpoint.address, own=self._source)
        if elapsed_s is not None and refusal.status in (ObservationStatus.CLOSED, ObservationStatus.REJECTED):
            self._measured(info, elapsed_s)
        self._end(refusal.status, refusal.evidence)

    def _read(self, sock: socket.socket, broken: int = 0) -> None:
        if self._conversation is None:
            return
        try:
            data = sock.recv(self._conversation.cap)
        except (BlockingIOError, InterruptedError):
            if not broken:
                return
            data = b""
        except OSError as error:
            data, broken = b"", error.errno or errno.EIO
        answer = self._conversation.receive(data) if data else None
        if broken and not isinstance(answer, Evidence):
            self._conclude(f"before the connection broke ({errno.errorcode.get(broken, broken)})")
            return
        if not data:
            self._conclude("before the host closed the connection")
            return
        if isinstance(answer, bytes):
            self._send(sock, answer)
        elif answer is not None:
            self._told(answer, answer.text)

    def _send(self, sock: socket.socket, payload: bytes) -> None:
        if not payload:
            return
        try:
            sock.send(payload)
        except OSError as error:
            self._conclude(f"before the connection broke ({errno.errorcode.get(error.errno or 0, error.errno)})")

    def _conclude(self, when: str) -> None:
        if self._conversation is not None:
            evidence = self._conversation.ended()
            self._told(evidence, f"{evidence.text} ({when})")

    def _told(self, evidence: Evidence, text: str) -> None:
        self._end(ObservationStatus.OPEN, text, evidence.status)

    def _end(self, status: ObservationStatus, text: str, service: ServiceStatus = ServiceStatus.NOT_CHECKED) -> None:
        for fd in list(self._sockets):
            self._drop(fd)
        source = None if self._source in _NO_SOURCE else self._source
        self.finish(Outcome(status, text, service, self._rtt_s, self.tries, source))

    def _drop(self, fd: int) -> None:
        sock, _begun = self._sockets.pop(fd)
        self.loop.unwatch(fd)
        sock.close()
        self._means.descriptors.open -= 1
