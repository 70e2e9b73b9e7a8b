# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What UDP requests and ICMP echoes have in common: one socket for all of a family, and asking again on silence."""

from __future__ import annotations

import errno
import socket
from abc import abstractmethod
from contextlib import suppress

from .._core.vocabulary import ObservationStatus, ServiceStatus
from . import constants
from .guards import Means
from .judge import IcmpError, Refusal, ask_for_errors, judge_icmp, judge_local, no_such_neighbour, read_error
from .loop import ERROR, READABLE, Job, Loop, Watcher
from .protocols.base import Evidence
from .records import Endpoint, Outcome, Probe, SocketAddress
from .spread import Host

_DATAGRAMS_A_TURN = 64  # so that a flood cannot hold the loop
_LONGEST_DATAGRAM = 65535
_PENDING_ERRORS = 16  # a queued error is also returned by the next send, whomever that was meant for


class DatagramJob(Job):
    """Asks, and asks again; each wait is DATAGRAM_INTERVAL_S, the last one the time-out."""

    def __init__(self, loop: Loop, probe: Probe, host: Host, *, means: Means) -> None:
        super().__init__(loop, probe, host)
        self._means = means
        self._begun = 0.0
        self._try_begun = 0.0
        self._source = means.options.source_address

    def begin(self, now: float) -> None:
        """Ask for the first time."""
        self._begun = now
        try:
            self._source = self._source or self.host.source or source_towards(self.endpoint)
        except OSError as error:
            self._end(judge_local(error.errno or 0))
            return
        self.host.source = self._source
        self.due = self._turn(now)
        if self.due <= now:
            self._ask(now)

    def wake(self, now: float) -> None:
        """Nothing came: ask again, or say so."""
        if self.tries <= self._means.options.retries:
            self._ask(now)
        elif self.host.is_on_link and self._means.neighbours.is_missing(self.host.address, now):
            self._end(no_such_neighbour(self.host.address, "ARP"))
        else:
            self._gave_up(now)

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Never called: the channel hears for all jobs of its family."""

    def abandon(self, reason: str) -> None:
        """Finish with what is known: nothing."""
        self._end(
            Refusal(ObservationStatus.LOCAL_ERROR, f"not probed to the end ({self.tries} requests sent): {reason}")
        )

    def failed(self, error: IcmpError) -> None:
        """An ICMP error about one of our datagrams."""
        self._means.answered(self.host)
        self.host.is_alive |= error.offender == plain_address(self.host.address)
        self._end(judge_icmp(error, target=self.host.address, own=self._source, protocol=self.probe.protocol))

    def _ask(self, now: float) -> None:
        options = self._means.options
        try:
            self._send()
        except OSError as error:
            self._end(judge_local(error.errno or 0))
            return
        self.tries += 1
        self._try_begun = now
        self._means.bucket.spent += 1
        is_last = self.tries > options.retries
        self.due = now + (options.timeout_s if is_last else min(constants.DATAGRAM_INTERVAL_S, options.timeout_s))

    def _end(
        self,
        refusal: Refusal,
        service: ServiceStatus = ServiceStatus.NOT_CHECKED,
        rtt_s: float | None = None,
        said: Evidence | None = None,
    ) -> None:
        self._release()
        self.finish(Outcome(refusal.status, refusal.evidence, service, rtt_s, self.tries, self._source, said))

    def _turn(self, now: float) -> float:
        """When the first request may be sent."""
        return now

    @abstractmethod
    def _send(self) -> None:
        """Send the request of this try. Raises OSError."""

    @abstractmethod
    def _gave_up(self, now: float) -> None:
        """All tries met silence: end with what that means."""

    @abstractmethod
    def _release(self) -> None:
        """Leave the channel."""


class Channel(Watcher):
    """A non-blocking datagram socket with its error queue. Subclasses find the job that an arrival belongs to."""

    def __init__(self, loop: Loop, sock: socket.socket, means: Means) -> None:
        self._loop = loop
        self._socket = sock
        self._means = means
        sock.setblocking(False)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ask_for_errors(sock, sock.family)
        if means.options.source_address is not None:
            sock.bind((means.options.source_address, 0))
        loop.watch(sock.fileno(), READABLE, self)

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Hand on what has arrived: errors first, since they clear the socket's error state."""
        if mask & ERROR:
            self._drain_errors()
        if mask & READABLE:
            for _turn in range(_DATAGRAMS_A_TURN):
                try:
                    data, sender = self._socket.recvfrom(_LONGEST_DATAGRAM)
                except OSError:
                    return
                self._arrived(data, sender, now)

    def send(self, payload: bytes, to: SocketAddress) -> None:
        """Send one datagram. Raises OSError for what keeps this very datagram from leaving."""
        for _turn in range(_PENDING_ERRORS):
            try:
                self._socket.sendto(payload, to)
                return
            except (BlockingIOError, InterruptedError) as error:
                raise OSError(errno.ENOBUFS, "the send buffer is full") from error
            except OSError:
                if not self._drain_errors():
                    raise
        self._socket.sendto(payload, to)

    def close(self) -> None:
        """Give the socket back."""
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()

    def _drain_errors(self) -> int:
        for count in range(_DATAGRAMS_A_TURN):
            queued = read_error(self._socket)
            if queued is None:
                return count
            self._erred(*queued)
        return _DATAGRAMS_A_TURN

    @abstractmethod
    def _arrived(self, data: bytes, sender: SocketAddress, now: float) -> None:
        """A datagram came."""

    @abstractmethod
    def _erred(self, error: IcmpError, data: bytes, sent_to: tuple[str, int]) -> None:
        """An ICMP error about the datagram ``data`` came."""


def source_towards(endpoint: Endpoint) -> str:
    """The address from which this machine would send there. Sends nothing. Raises OSError where there is no route."""
    with socket.socket(endpoint.family, socket.SOCK_DGRAM) as sock:
        sock.connect(endpoint.at(9))
        return str(sock.getsockname()[0])


def plain_address(address: str) -> str:
    """The address without the interface that a link-local one carries."""
    return address.partition("%")[0]
