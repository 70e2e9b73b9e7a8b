# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP probes: a real request, and open only by an answer that comes from that very port."""

from __future__ import annotations

import socket
from contextlib import suppress

from .._core.vocabulary import ObservationStatus, Protocol, ServiceStatus
from . import constants
from .datagram import Channel, DatagramJob, plain_address
from .followups import FollowUp
from .guards import Means
from .judge import IcmpError, Refusal, judge_icmp
from .loop import Loop
from .protocols.base import Conversation, Evidence
from .records import Probe, SocketAddress
from .spread import Host


class UdpJob(DatagramJob):
    """One request and its answer."""

    def __init__(
        self,
        loop: Loop,
        probe: Probe,
        host: Host,
        *,
        means: Means,
        channel: UdpChannel,
        conversation: Conversation,
    ) -> None:
        super().__init__(loop, probe, host, means=means)
        self._channel = channel
        self._conversation = conversation
        self._follow_up: bytes | None = None
        self._waited_s = 0.0

    def arrived(self, data: bytes, now: float) -> None:
        """A datagram from the probed address and port."""
        self._means.answered(self.host)
        self.host.is_alive = True
        answer = self._conversation.receive(data)
        if isinstance(answer, bytes):
            self._follow_up = answer
            self.tries = 0
            self._ask(now)
        elif answer is not None:
            self._told(answer, now - self._try_begun if self.tries == 1 else None)

    def _told(self, evidence: Evidence, rtt_s: float | None) -> None:
        self._end(Refusal(ObservationStatus.OPEN, evidence.text), evidence.status, rtt_s, evidence)

    def _send(self) -> None:
        payload = self._conversation.first(self.tries) if self._follow_up is None else self._follow_up
        self._channel.ask(self, payload)

    def control_failed(self, error: IcmpError) -> None:
        """An ICMP error about the control question."""
        target = self.host.address
        self.host.control = judge_icmp(error, target=target, own=self._source, protocol=Protocol.UDP).status
        self.host.is_alive |= error.offender == plain_address(target)

    def _turn(self, now: float) -> float:
        """A host sends few ICMP errors: more ports than that are asked one after the other."""
        if isinstance(self.probe, FollowUp):
            return now  # a port that was asked already
        early_s = (constants.UDP_BURST - 1) * constants.UDP_PACE_S
        turn = max(now, self.host.next_udp - early_s)
        self.host.next_udp = max(now, self.host.next_udp) + constants.UDP_PACE_S
        return turn

    def _gave_up(self, now: float) -> None:
        self._waited_s = self._waited_s or now - self._begun
        if self._asks_control(now):
            return
        evidence = self._conversation.ended()
        if evidence.status is ServiceStatus.UNEXPECTED:
            self._told(evidence, None)
            return
        tries = f"{self.tries} request{'s' * (self.tries > 1)} within {self._waited_s:.1f} s"
        words = f"{evidence.text} ({tries}; silence over UDP is no proof); {self._otherwise()}"
        self._end(
            Refusal(ObservationStatus.NO_ANSWER, words),
            evidence.status,
            said=evidence,
        )

    def _asks_control(self, now: float) -> bool:
        """Whether the host's answer to a port that nobody listens on is still awaited; asks for it."""
        host = self.host
        if host.control is not None or self.probe.port == constants.CONTROL_PORT:
            return False
        if now >= host.control_until:
            if host.control_tries >= constants.CONTROL_TRIES:
                return False
            host.control_tries += 1
            host.control_until = now + constants.DATAGRAM_INTERVAL_S
            self._channel.ask_control(self)
        self.due = min(host.control_until, now + constants.RECHECK_S)
        return True

    def _otherwise(self) -> str:
        """What else is known of the host."""
        if self.host.control is ObservationStatus.CLOSED:
            return "the host itself refuses another UDP port: a rule drops these requests, or the service stays mute"
        if self.host.control is not None:
            return f"another UDP port of this host: {self.host.control.value}"
        if self.host.is_alive:
            return "the host answers otherwise, and is silent about another UDP port too"
        return "nothing else came from this host"

    def _release(self) -> None:
        self._channel.forget(self)


class UdpChannel(Channel):
    """The one socket for all UDP probes of a family."""

    def __init__(self, loop: Loop, family: socket.AddressFamily, means: Means) -> None:
        super().__init__(loop, socket.socket(family, socket.SOCK_DGRAM), means)
        self._asked: dict[tuple[str, int], list[UdpJob]] = {}

    def ask(self, job: UdpJob, payload: bytes) -> None:
        """Send a request; what comes back from there is the job's."""
        self._expect(job, job.probe.port or 0)
        self.send(payload, job.endpoint.at(job.probe.port or 0))

    def ask_control(self, job: UdpJob) -> None:
        """Send nothing to a port where nobody listens; what that earns is told to the job."""
        self._expect(job, constants.CONTROL_PORT)
        with suppress(OSError):  # then it is only not known
            self.send(b"", job.endpoint.at(constants.CONTROL_PORT))

    def forget(self, job: UdpJob) -> None:
        """The job waits no longer."""
        for key in (_key(job, job.probe.port or 0), _key(job, constants.CONTROL_PORT)):
            jobs = self._asked.get(key, [])
            if job in jobs:
                jobs.remove(job)
            if not jobs:
                self._asked.pop(key, None)

    def _expect(self, job: UdpJob, port: int) -> None:
        jobs = self._asked.setdefault(_key(job, port), [])
        if job not in jobs:
            jobs.append(job)

    def _arrived(self, data: bytes, sender: SocketAddress, now: float) -> None:
        for job in self._waiting(sender):
            if sender[1] == job.probe.port:
                job.arrived(data, now)

    def _erred(self, error: IcmpError, data: bytes, sent_to: tuple[str, int]) -> None:
        for job in self._waiting(sent_to):
            if sent_to[1] == job.probe.port:
                job.failed(error)
            else:
                job.control_failed(error)

    def _waiting(self, peer: SocketAddress) -> list[UdpJob]:
        return list(self._asked.get((plain_address(peer[0]), peer[1]), ()))


def _key(job: UdpJob, port: int) -> tuple[str, int]:
    return plain_address(job.endpoint.address), port
