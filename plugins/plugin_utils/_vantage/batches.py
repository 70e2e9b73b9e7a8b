# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes whose sockets are on a Windows machine: the usual engine schedules and judges, batches carry the rest.

What such a vantage cannot tell is said: a reset from a rejection, who rejected, and round trips but those of echoes.
"""

from __future__ import annotations

from dataclasses import replace

from ...module_utils._core.vocabulary import ObservationStatus, Protocol, ServiceStatus
from ...module_utils._probe import constants
from ...module_utils._probe.conversations import converse
from ...module_utils._probe.dialogue import StreamJob
from ...module_utils._probe.engine import Engine
from ...module_utils._probe.guards import Conntrack, Descriptors, Neighbours
from ...module_utils._probe.judge import Refusal
from ...module_utils._probe.loop import Job, Loop
from ...module_utils._probe.names import Names, Resolution
from ...module_utils._probe.protocols.base import Conversation, Evidence
from ...module_utils._probe.records import Outcome, Probe, ProbeOptions
from ...module_utils._probe.spread import Host
from . import winsock
from .asks import BROKEN, CLOSED, ECHO, FAILED, QUIET, TCP, UDP, Ask, Step, Told
from .courier import AskingJob, Courier

CONNECT_S = 3.0  # Windows repeats a SYN that was reset, so that a closed port answers late
FIRST_S = 0.5  # for the first SYN, where it is not the last: most that answer at all do so by then
_STREAM_QUIET_S = 0.2
_DATAGRAM_QUIET_S = 0.05
_BOUNDLESS = 1 << 30
_NO_SOURCE = "this vantage can't: Windows's ping takes no source_address"


def connect_wait_s(options: ProbeOptions) -> float:
    """The longest wait for one SYN: the option's, or what Windows takes where that was left alone."""
    return CONNECT_S if options.timeout_s == constants.TIMEOUT_S else options.timeout_s


class BatchEngine(Engine):
    """The engine, its packets sent by another machine, whose script keeps to the rate and to ``per_host``."""

    _sends_itself = False

    def __init__(self, options: ProbeOptions, courier: Courier, names: dict[str, Resolution]) -> None:
        super().__init__(replace(options, rate_per_s=_BOUNDLESS, per_host=_BOUNDLESS))
        self._given = options
        self._courier = courier
        self._means.descriptors = _Room()
        self._means.neighbours = Neighbours((), 0)
        self._means.conntrack = Conntrack(lambda _path: None)
        self._names = _Resolved(names, self._names)

    def _start_jobs(self, now: float) -> float:
        """Gather all that can be asked; when there is no more of it, have a batch of it carried."""
        before = len(self._running)
        pause_s = super()._start_jobs(now)
        if len(self._running) > before or self._courier.carry(self._end - now):
            return 0.0
        return pause_s

    def _make_job(self, probe: Probe, host: Host) -> Job:
        job = _JOBS.get(probe.protocol, StreamAskingJob)
        return job(self._loop, probe, host, courier=self._courier, options=self._given)


class _Room(Descriptors):
    """The sockets are elsewhere."""

    def __init__(self) -> None:
        super().__init__(constants.CONCURRENCY)
        self.limit = _BOUNDLESS


class _Resolved(Names):
    """Names that the machine has been asked for already."""

    def __init__(self, known: dict[str, Resolution], usual: Names) -> None:
        super().__init__(usual._workers, usual._resolver)
        self._known.update(known)


class StreamAskingJob(AskingJob, StreamJob):
    """A connection, and the dialogue over it. A further exchange repeats the first ones on a connection of its own."""

    def __init__(self, loop: Loop, probe: Probe, host: Host, *, courier: Courier, options: ProbeOptions) -> None:
        super().__init__(loop, probe, host, courier=courier, options=options)
        wait_s = connect_wait_s(options)
        self._waits_s = [wait_s] * max(1, options.retries)
        if options.retries:
            self._waits_s.insert(0, min(FIRST_S, wait_s))
        if options.confirm:
            self._waits_s.append(max(wait_s, constants.CONFIRM_S))
        self._rtt_s: float | None = None  # nobody measures it
        self._is_connected = False
        self._is_patient = False
        self._open_dialogue()

    def _open_dialogue(self) -> None:
        self._conversation: Conversation | None = converse(self.probe, self._options)
        self._steps = [Step(self._conversation.first())] if self._conversation is not None else []

    @property
    def is_slow(self) -> bool:
        """Those that were silent once."""
        return self.tries > 0 and not self._is_connected

    def ask(self) -> Ask:
        """A connect with the next wait, and all exchanges so far."""
        said = self._conversation
        patience_s = said.patience_s if said is not None else 0.0
        return Ask(
            kind=TCP,
            address=self.endpoint.address,
            port=self.probe.port or 0,
            wait_s=max(self._waits_s) if self._is_connected else self._waits_s[self.tries],
            patience_s=patience_s,
            quiet_s=patience_s if self._is_patient else _STREAM_QUIET_S,
            cap=said.cap if said is not None else 0,
            steps=tuple(self._steps),
            reset=said is None and self.probe.service not in constants.LOGIN_SERVICES,
        )

    def told(self, told: Told) -> None:
        """Connected, refused, or silent."""
        if told.code == 0 or (told.code in winsock.BROKEN_LATER and not self._is_connected):
            self._connected(told)
        elif self._is_connected:
            self._conclude(f"a further connection for it failed: Winsock {told.code}")
        elif told.code == winsock.TIMED_OUT:
            self._silent()
        else:
            self.tries += 1
            self._end(*winsock.judge_connect(told.code))

    def abandon(self, reason: str) -> None:
        """Finish with what is known."""
        if self._is_connected:
            self._end(ObservationStatus.OPEN, f"connected; the service was not heard to the end: {reason}")
        else:
            super().abandon(reason)

    def _silent(self) -> None:
        self.tries += 1
        if self.tries < len(self._waits_s):
            self._courier.add(self)
            return
        waited_s = sum(self._waits_s)
        words = f"no answer to {self.tries} connect{'s' * (self.tries > 1)} within {waited_s:.1f} s"
        if max(self._waits_s) < CONNECT_S:
            words += f"; Windows is told of a closed port later than that: give a timeout of {CONNECT_S:g} s to be sure"
        self._end(ObservationStatus.FILTERED, words)

    def _connected(self, told: Told) -> None:
        if not self._is_connected:
            self.tries += 1
            self._is_connected = self.host.is_alive = True
            self.host.source = self.host.source or told.own
        if self._conversation is None:
            self._end(ObservationStatus.OPEN, "connected, and reset at once" if told.code else "connected")
            return
        data = b"".join(told.payloads()) if told.step == len(self._steps) - 1 else b""
        answer = self._conversation.receive(data) if data else None
        if isinstance(answer, bytes):
            self._steps[-1] = Step(self._steps[-1].payload, len(data))
            self._steps.append(Step(answer))
            self._courier.add(self)
        elif answer is not None:
            self._told(answer, answer.text)
        elif told.how in (CLOSED, BROKEN) or told.code:
            self._conclude("before the host closed the connection", hung_up=True)
        elif told.how == QUIET and not self._is_patient:
            self._is_patient = True  # more may come after a pause
            self._open_dialogue()
            self._courier.add(self)
        else:
            self._conclude(f"within {self._conversation.patience_s:g} s")


class DatagramAskingJob(AskingJob):
    """Requests over UDP, all tries in one exchange."""

    is_slow = True

    def __init__(self, loop: Loop, probe: Probe, host: Host, *, courier: Courier, options: ProbeOptions) -> None:
        super().__init__(loop, probe, host, courier=courier, options=options)
        self._conversation: Conversation | None = converse(probe, options)
        self._follow_up: bytes | None = None
        self._is_patient = False

    def ask(self) -> Ask:
        """The request of each try, or what the answer to it is to be answered with."""
        said, follow_up = self._conversation, self._follow_up
        tries = range(self._options.retries + 1)
        first = said.first if said is not None else lambda attempt: b""
        interval_s = min(constants.DATAGRAM_INTERVAL_S, self._options.timeout_s)
        patience_s = self._options.timeout_s
        return Ask(
            kind=UDP,
            address=self.endpoint.address,
            port=self.probe.port or 0,
            wait_s=interval_s,
            patience_s=patience_s,
            quiet_s=interval_s * len(tries) + patience_s if self._is_patient else _DATAGRAM_QUIET_S,
            cap=said.cap if said is not None else 0,
            steps=tuple(Step(first(attempt) if follow_up is None else follow_up) for attempt in tries),
        )

    def told(self, told: Told) -> None:
        """Datagrams, an ICMP error, or silence."""
        self.tries = told.step + 1
        self.host.source = self.host.source or told.own
        if told.code:
            self._end(winsock.judge_datagram(told.code))
            return
        payloads = told.payloads()
        for data in payloads:
            answer = self._conversation.receive(data) if self._conversation is not None else None
            if isinstance(answer, bytes):
                self._follow_up = answer
                self._courier.add(self)
                return
            if answer is not None:
                self._end(Refusal(ObservationStatus.OPEN, answer.text), answer.status, answer)
                return
        if payloads and not self._is_patient:
            self._is_patient = True  # the right answer may come behind the wrong one
            self._courier.add(self)
        else:
            self._gave_up()

    def _gave_up(self) -> None:
        evidence = self._conversation.ended() if self._conversation is not None else None
        if evidence is None or evidence.status is ServiceStatus.UNEXPECTED:
            text = evidence.text if evidence else "no request to send"
            self._end(Refusal(ObservationStatus.OPEN, text), ServiceStatus.UNEXPECTED, evidence)
            return
        requests = f"{self.tries} request{'s' * (self.tries > 1)}"
        words = f"{evidence.text} ({requests}; silence over UDP is no proof)"
        self._end(Refusal(ObservationStatus.NO_ANSWER, words), evidence.status, evidence)

    def _end(
        self,
        refusal: Refusal,
        service: ServiceStatus = ServiceStatus.NOT_CHECKED,
        said: Evidence | None = None,
    ) -> None:
        self.finish(Outcome(refusal.status, refusal.evidence, service, None, self.tries, self.host.source, said))


class EchoAskingJob(AskingJob):
    """Echo requests by Windows's own ping, which needs no privileges."""

    is_slow = True

    def begin(self, now: float) -> None:
        """Ask in one of the next batches, unless a source address is wanted, which it cannot be given."""
        if self._options.source_address is not None:
            self.finish(Outcome(ObservationStatus.UNVERIFIABLE_FROM_HERE, _NO_SOURCE))
        else:
            super().begin(now)

    def ask(self) -> Ask:
        """All tries."""
        return Ask(
            kind=ECHO,
            address=self.endpoint.address,
            wait_s=min(constants.DATAGRAM_INTERVAL_S, self._options.timeout_s),
            patience_s=self._options.timeout_s,
            steps=(Step(b""),) * (self._options.retries + 1),
        )

    def told(self, told: Told) -> None:
        """A reply, an ICMP error, or silence."""
        self.tries = told.step + 1
        if told.code in (winsock.ECHO_TIMED_OUT, winsock.TIMED_OUT):
            requests = f"{self.tries} echo request{'s' * (self.tries > 1)}"
            self._end(Refusal(ObservationStatus.FILTERED, f"no reply to {requests}"), None)
            return
        sender = told.data[0] if told.data else ""
        has_sent = told.how != FAILED
        refusal = (
            winsock.judge_echo(told.code, sender, self.endpoint.address)
            if has_sent
            else winsock.judge_datagram(told.code)
        )
        self._end(refusal, told.ms / 1000 if refusal.status is ObservationStatus.OPEN else None)

    def _end(self, refusal: Refusal, rtt_s: float | None) -> None:
        service = ServiceStatus.CONFIRMED if refusal.status is ObservationStatus.OPEN else ServiceStatus.NOT_CHECKED
        self.finish(Outcome(refusal.status, refusal.evidence, service, rtt_s, self.tries, self.host.source))


_JOBS: dict[Protocol, type[AskingJob]] = {Protocol.ICMP: EchoAskingJob, Protocol.UDP: DatagramAskingJob}
