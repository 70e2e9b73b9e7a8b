# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo (RFC 792, RFC 4443): by an unprivileged datagram socket (icmp(7)), else a raw one, else the ``ping`` program."""

from __future__ import annotations

import os
import re
import socket
import struct
from contextlib import suppress
from math import ceil
from typing import Callable, List, Tuple, Union

from .._core.sanitize import safe_text
from .._core.vocabulary import ObservationStatus, ServiceStatus
from . import constants
from .datagram import Channel, DatagramJob, plain_address
from .guards import Means
from .judge import IcmpError, Refusal
from .loop import Job, Loop
from .records import Outcome, Probe, SocketAddress
from .spread import Host
from .workers import Workers

# Runs a command and gives its return code and output. Raises OSError if there is no such program.
Runner = Callable[[List[str]], Tuple[int, str]]

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h
_ICMP6_FILTER = 1  # linux/icmpv6.h
_PING_ANSWER = re.compile(r"bytes from .*?time[=<](?P<ms>[\d.]+)", re.DOTALL)
_PING_ERROR = re.compile(
    r"[Ff]rom (?P<sender>[0-9A-Fa-f.:]+)[^\n]*?(?P<words>(?:Destination|Packet|Communication|Time)[^\n]*)"
)
_NO_WAY_WORDS = ("Host Unreachable", "Net Unreachable", "No route", "Address unreachable", "Time")


class EchoJob(DatagramJob):
    """Echo requests until one is answered."""

    def __init__(self, loop: Loop, probe: Probe, host: Host, *, means: Means, channel: EchoChannel) -> None:
        super().__init__(loop, probe, host, means=means)
        self._channel = channel
        self.sequence: int | None = None

    def replied(self, now: float) -> None:
        """The fitting reply came."""
        self._means.answered(self.host)
        self.host.is_alive = True
        rtt_s = now - self._try_begun if self.tries == 1 else None
        self._end(Refusal(ObservationStatus.OPEN, "echo reply"), ServiceStatus.CONFIRMED, rtt_s)

    def _send(self) -> None:
        self._channel.ask(self)

    def _gave_up(self, now: float) -> None:
        self._end(_silence(self.tries, now - self._begun))

    def _release(self) -> None:
        self._channel.forget(self)


class EchoChannel(Channel):
    """The one ICMP socket of a family. Raises OSError (EACCES, EPERM) where this user may have none."""

    def __init__(self, loop: Loop, family: socket.AddressFamily, means: Means) -> None:
        self._family = family
        self._is_raw = False
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM, _PROTOCOL[family])
        except OSError:
            sock = socket.socket(family, socket.SOCK_RAW, _PROTOCOL[family])
            self._is_raw = True
            _hear_only_replies(sock)
        super().__init__(loop, sock, means)
        self._id = int.from_bytes(os.urandom(2), "big")
        self._token = os.urandom(8)
        self._sequence = 0
        self._asked: dict[int, EchoJob] = {}

    def ask(self, job: EchoJob) -> None:
        """Send an echo request with a sequence number that is the job's until it is done."""
        if job.sequence is None:
            while self._sequence in self._asked:
                self._sequence = (self._sequence + 1) & 0xFFFF
            job.sequence = self._sequence
            self._asked[job.sequence] = job
            self._sequence = (self._sequence + 1) & 0xFFFF
        header = _HEADER.pack(_REQUEST[self._family], 0, 0, self._id, job.sequence)
        packet = header[:2] + _checksum(header + self._token) + header[4:] + self._token
        self.send(packet, job.endpoint.at(0))

    def forget(self, job: EchoJob) -> None:
        """The job waits no longer."""
        if job.sequence is not None:
            self._asked.pop(job.sequence, None)

    def _arrived(self, data: bytes, sender: SocketAddress, now: float) -> None:
        if self._is_raw and self._family == socket.AF_INET and data:
            data = data[(data[0] & 0x0F) * 4 :]
        if len(data) < _HEADER.size:
            return
        kind, _code, _sum, identifier, sequence = _HEADER.unpack_from(data)
        is_ours = data[_HEADER.size :] == self._token and (not self._is_raw or identifier == self._id)
        job = self._asked.get(sequence)
        if (
            kind == _REPLY[self._family]
            and is_ours
            and job
            and plain_address(sender[0]) == plain_address(job.endpoint.address)
        ):
            job.replied(now)

    def _erred(self, error: IcmpError, data: bytes, sent_to: tuple[str, int]) -> None:
        if len(data) < _HEADER.size:
            return
        _kind, _code, _sum, identifier, sequence = _HEADER.unpack_from(data)
        job = self._asked.get(sequence)
        if (
            job
            and (not self._is_raw or identifier == self._id)
            and plain_address(sent_to[0]) == plain_address(job.endpoint.address)
        ):
            job.failed(error)


class PingJob(Job):
    """Asks the ``ping`` program, on a worker thread; it sends one request a second until it is answered."""

    def __init__(
        self, loop: Loop, probe: Probe, host: Host, *, means: Means, workers: Workers, runner: Runner | None
    ) -> None:
        super().__init__(loop, probe, host)
        self._means = means
        self._workers = workers
        self._runner = runner

    def begin(self, now: float) -> None:
        """Start the program, where there is somebody to run it."""
        options = self._means.options
        if self._runner is None:
            self.finish(Outcome(ObservationStatus.LOCAL_ERROR, f"{_NO_SOCKET}; the ping program is not used here"))
            return
        self._means.bucket.spent += 1
        self.tries = options.retries + 1
        patience_s = ceil(options.retries * constants.DATAGRAM_INTERVAL_S + options.timeout_s)
        self.due = now + patience_s + options.timeout_s
        command = ["ping", "-n", "-c", "1", "-w", str(patience_s), self.endpoint.address]
        if options.source_address is not None:
            command[1:1] = ["-I", options.source_address]
        runner = self._runner
        self._workers.call(lambda: _run(runner, command), lambda answer: self._told(answer, patience_s))

    def wake(self, now: float) -> None:
        """The program did not end in time."""
        self.abandon("the ping program did not end")

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Never called: the workers tell."""

    def abandon(self, reason: str) -> None:
        """Finish without the program's answer."""
        self.finish(Outcome(ObservationStatus.LOCAL_ERROR, f"not probed to the end: {reason}"))

    def _told(self, answer: Union[Tuple[int, str], OSError], patience_s: float) -> None:  # noqa: UP006, UP007
        if isinstance(answer, OSError):
            self.finish(Outcome(ObservationStatus.LOCAL_ERROR, NO_MEANS))
            return
        refusal, rtt_s = judge_ping(*answer, target=self.endpoint.address, tries=self.tries, waited_s=patience_s)
        service = ServiceStatus.CONFIRMED if refusal.status is ObservationStatus.OPEN else ServiceStatus.NOT_CHECKED
        self.finish(Outcome(refusal.status, refusal.evidence, service, rtt_s, self.tries))


def _run(runner: Runner, command: list[str]) -> tuple[int, str] | OSError:
    try:
        return runner(command)
    except OSError as error:
        return error


_NO_SOCKET = (
    "the vantage may not send ICMP echo requests: widen the sysctl net.ipv4.ping_group_range to a group of this user,"
    " or grant CAP_NET_RAW"
)
NO_MEANS = f"{_NO_SOCKET}, or install the ping program"


def judge_ping(code: int, output: str, *, target: str, tries: int, waited_s: float) -> tuple[Refusal, float | None]:
    """What the output of ``ping`` (iputils, BusyBox) says; and the round trip in seconds if there was a reply."""
    answered = _PING_ANSWER.search(output)
    if code == 0 and answered:
        return Refusal(ObservationStatus.OPEN, "echo reply (ping)"), float(answered["ms"]) / 1000
    erred = _PING_ERROR.search(output)
    if erred:
        told = f'{erred["sender"]} answers "{safe_text(erred["words"], 80)}" (ping)'
        if erred["sender"] != target and any(words in erred["words"] for words in _NO_WAY_WORDS):
            return Refusal(ObservationStatus.UNREACHABLE, f"no way there: {told}"), None
        return Refusal(ObservationStatus.REJECTED, f"rejected: {told}"), None
    if code == 1:
        return _silence(tries, waited_s), None
    words = safe_text(output.strip() or f"return code {code}", 120)
    return Refusal(ObservationStatus.LOCAL_ERROR, f"the ping program failed: {words}; {NO_MEANS}"), None


def _silence(tries: int, waited_s: float) -> Refusal:
    requests = f"{tries} echo request{'s' * (tries > 1)} within {waited_s:.1f} s"
    return Refusal(ObservationStatus.FILTERED, f"no reply to {requests}")


def _hear_only_replies(sock: socket.socket) -> None:
    with suppress(OSError):  # a raw socket hears all ICMP of the machine otherwise, which is only more to pass over
        if sock.family == socket.AF_INET:
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << _REPLY[socket.AF_INET])))
        else:
            blocked = [0xFFFFFFFF] * 8
            blocked[129 // 32] &= ~(1 << 129 % 32)
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
