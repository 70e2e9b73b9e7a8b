# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP probes: a real request, and open only by an answer that comes from that very port."""

from __future__ import annotations

import socket

from .._core.vocabulary import ObservationStatus, ServiceStatus
from .datagram import Channel, DatagramJob, plain_address
from .guards import Means
from .judge import IcmpError, Refusal
from .loop import Loop
from .protocols.base import Conversation, Evidence
from .records import Endpoint, Probe, SocketAddress


class UdpJob(DatagramJob):
    """One request and its answer."""

    def __init__(
        self,
        loop: Loop,
        probe: Probe,
        endpoint: Endpoint,
        *,
        means: Means,
        channel: UdpChannel,
        conversation: Conversation,
    ) -> None:
        super().__init__(loop, probe, endpoint, means=means)
        self._channel = channel
        self._conversation = conversation
        self._follow_up: bytes | None = None

    def arrived(self, data: bytes, now: float) -> None:
        """A datagram from the probed address and port."""
        self._means.neighbours.answered(self.endpoint.address)
        answer = self._conversation.receive(data)
        if isinstance(answer, bytes):
            self._follow_up = answer
            self.tries = 0
            self._ask(now)
        elif answer is not None:
            self._told(answer, now - self._try_begun if self.tries == 1 else None)

    def _told(self, evidence: Evidence, rtt_s: float | None) -> None:
        self._end(Refusal(ObservationStatus.OPEN, evidence.text), evidence.status, rtt_s)

    def _send(self) -> None:
        payload = self._conversation.first(self.tries) if self._follow_up is None else self._follow_up
        self._channel.ask(self, payload)

    def _gave_up(self, waited_s: float) -> None:
        evidence = self._conversation.ended()
        if evidence.status is ServiceStatus.UNEXPECTED:
            self._told(evidence, None)
            return
        tries = f"{self.tries} request{'s' * (self.tries > 1)} within {waited_s:.1f} s"
        self._end(
            Refusal(ObservationStatus.NO_ANSWER, f"{evidence.text} ({tries}; silence over UDP is no proof)"),
            evidence.status,
        )

    def _release(self) -> None:
        self._channel.forget(self)


class UdpChannel(Channel):
    """The one socket for all UDP probes of a family."""

    def __init__(self, loop: Loop, family: socket.AddressFamily, means: Means) -> None:
        super().__init__(loop, socket.socket(family, socket.SOCK_DGRAM), means)
        self._asked: dict[tuple[str, int], list[UdpJob]] = {}

    def ask(self, job: UdpJob, payload: bytes) -> None:
        """Send a request; what comes back from there is the job's."""
        jobs = self._asked.setdefault(_key(job), [])
        if job not in jobs:
            jobs.append(job)
        self.send(payload, job.endpoint.at(job.probe.port or 0))

    def forget(self, job: UdpJob) -> None:
        """The job waits no longer."""
        jobs = self._asked.get(_key(job), [])
        if job in jobs:
            jobs.remove(job)
        if not jobs:
            self._asked.pop(_key(job), None)

    def _arrived(self, data: bytes, sender: SocketAddress, now: float) -> None:
        for job in self._waiting(sender):
            job.arrived(data, now)

    def _erred(self, error: IcmpError, data: bytes, sent_to: tuple[str, int]) -> None:
        for job in self._waiting(sent_to):
            job.failed(error)

    def _waiting(self, peer: SocketAddress) -> list[UdpJob]:
        return list(self._asked.get((plain_address(peer[0]), peer[1]), ()))


def _key(job: UdpJob) -> tuple[str, int]:
    return plain_address(job.endpoint.address), job.probe.port or 0
