# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: probes in, observations out as they are made, all on one thread and within bounds.

TCP, UDP and ICMP share one loop. Probes are spread over subnets and hosts, started at the rate and within the means of
the machine, and each ends at the latest by its own time-outs. Nothing that a peer does raises; nothing of the input
fails without a record. What this machine itself cannot do is ``local_error``, never a statement about the peer.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict, deque
from collections.abc import Generator, Iterable, Iterator
from typing import Optional, Tuple

from .._core.records import Observation
from .._core.vocabulary import ObservationStatus, Protocol
from . import constants
from .conversations import converse, why_unverifiable
from .guards import Means
from .icmp import EchoChannel, EchoJob, PingJob, Runner
from .judge import judge_local
from .loop import Job, Loop
from .names import Names, Resolution, Resolver, parse_endpoint, resolve_by_system
from .records import Endpoint, Outcome, Probe, ProbeOptions, observe
from .spread import Spreader
from .tcp import TcpJob
from .timing import subnet_of
from .udp import UdpChannel, UdpJob
from .workers import Workers

Numbered = Tuple[int, Observation]
_Key = Tuple[str, Protocol, Optional[int], str]
_Waiting = Tuple[Probe, Endpoint]
_GREETED_ONCE = frozenset({"ssh"})  # sshd and fail2ban hold repeated greetings against their sender


class Engine:
    """One run. Use as a context manager, or let ``run`` come to its end: it closes everything on every way out."""

    def __init__(
        self, options: ProbeOptions, *, resolver: Resolver = resolve_by_system, runner: Runner | None = None
    ) -> None:
        now = time.monotonic()
        self._options = options
        self._runner = runner
        self._end = float("inf") if options.deadline_s is None else now + options.deadline_s
        self._loop = Loop()
        self._means = Means.of_this_machine(options, now)
        self._workers = Workers(self._loop)
        self._names = Names(self._workers, resolver)
        self._spreader: Spreader[_Waiting] = Spreader(options.per_host)
        self._held: deque[_Waiting] = deque()  # their neighbour entries would overflow the table
        self._running: dict[Job, Endpoint] = {}
        self._twins: dict[_Key, list[Probe]] = {}  # the probes that ask the same; the job works for all of them
        self._greeted: OrderedDict[_Key, Outcome] = OrderedDict()
        self._udp: dict[socket.AddressFamily, UdpChannel] = {}
        self._echo: dict[socket.AddressFamily, EchoChannel | None] = {}
        self._done: list[Numbered] = []
        self._started = now
        self._is_over = False
        self._accepted = 0  # probes and addresses taken in, and not yet told about

    def run(self, probes: Iterable[Probe]) -> Generator[Numbered, None, None]:
        """Observations with the index of their probe, in the order in which they were made.

        A probe of a name gives one observation for each of its addresses. ``probes`` is read as needed. When the
        deadline has come, everything that is left is told as ``local_error``.
        """
        source = iter(probes)
        try:
            while self._take_in(source) or self._accepted or self._done:
                now = time.monotonic()
                if now >= self._end:
                    yield from self._give_up(source)
                    return
                self._names.give_up_late(now)
                pause_s = min(self._start_jobs(now), self._end - now)
                self._loop.turn(0.0 if self._done or self._loop.finished else pause_s)
                yield from self._collect()
        finally:
            self.close()

    def close(self) -> None:
        """Close every socket and end every thread, whatever is in flight."""
        for job in list(self._running):
            job.abandon("the run was closed")
        for channel in (*self._udp.values(), *filter(None, self._echo.values())):
            channel.close()
        self._running.clear()
        self._udp.clear()
        self._echo.clear()
        self._workers.close()
        self._loop.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _take_in(self, source: Iterator[Probe]) -> bool:
        """Read probes up to the bound. Whether there may be more."""
        while self._accepted < constants.LOOKAHEAD:
            probe = next(source, None)
            if probe is None:
                return False
            self._accepted += 1
            self._accept(probe)
        return True

    def _accept(self, probe: Probe) -> None:
        endpoint = parse_endpoint(probe.address)
        unverifiable = why_unverifiable(probe)
        if unverifiable is not None:
            outcome = Outcome(ObservationStatus.UNVERIFIABLE_FROM_HERE, unverifiable)
            self._tell(probe, endpoint.address if endpoint else None, outcome)
        elif endpoint is not None:
            self._queue(probe, endpoint)
        else:
            self._names.find(probe.address, lambda resolution: self._resolved(probe, resolution))

    def _resolved(self, probe: Probe, resolution: Resolution) -> None:
        if self._is_over:
            self._tell(probe, None, self._unprobed())
        elif isinstance(resolution, str):
            words = f"the name {probe.address} does not resolve on the vantage: {resolution}"
            self._tell(probe, None, Outcome(ObservationStatus.NAME_ERROR, words))
        else:
            self._accepted += len(resolution) - 1
            for endpoint in resolution:
                self._queue(probe, endpoint)

    def _queue(self, probe: Probe, endpoint: Endpoint) -> None:
        key = _key(probe, endpoint)
        if key in self._greeted:
            self._tell(probe, endpoint.address, self._greeted[key])
        elif key in self._twins:
            self._twins[key].append(probe)
        else:
            self._twins[key] = [probe]
            self._spreader.add(subnet_of(endpoint.address), endpoint.address, (probe, endpoint))

    def _start_jobs(self, now: float) -> float:
        """Start what may start now; how long to wait until more may."""
        while self._means.descriptors.has_room and len(self._running) < self._options.concurrency:
            pause_s = self._means.bucket.wait_s(now)
            if self._means.conntrack.is_crowded(now):
                pause_s = max(pause_s, self._started + constants.CROWDED_PAUSE_S - now)
            if pause_s > 0:
                return pause_s
            waiting = self._next(now)
            if waiting is None or not self._start(*waiting, now):
                return constants.RECHECK_S if self._held else constants.IDLE_S
            self._started = now
        return constants.IDLE_S

    def _next(self, now: float) -> _Waiting | None:
        """The next one that the neighbour table has room for."""
        if self._held and self._means.neighbours.admits(self._held[0][1].address, now):
            return self._held.popleft()
        while True:
            waiting = self._spreader.take()
            if waiting is None or self._means.neighbours.admits(waiting[1].address, now):
                return waiting
            self._held.append(waiting)

    def _start(self, probe: Probe, endpoint: Endpoint, now: float) -> bool:
        """Start a job; False where the machine has no means for it at the moment."""
        try:
            job = self._make_job(probe, endpoint)
            job.begin(now)
        except OSError as error:
            if self._means.descriptors.exhausted():
                self._held.appendleft((probe, endpoint))
                return False
            refusal = judge_local(error.errno or 0)
            self._settle(probe, endpoint, Outcome(refusal.status, refusal.evidence))
            return True
        self._running[job] = endpoint
        if not job.is_done:
            self._loop.arm(job, now)
        return True

    def _make_job(self, probe: Probe, endpoint: Endpoint) -> Job:
        conversation = converse(probe, self._options)
        if probe.protocol is Protocol.ICMP:
            return self._make_echo(probe, endpoint)
        if probe.protocol is Protocol.UDP and conversation is not None:
            channel = self._udp.get(endpoint.family)
            if channel is None:
                channel = self._udp[endpoint.family] = UdpChannel(self._loop, endpoint.family, self._means)
            return UdpJob(self._loop, probe, endpoint, means=self._means, channel=channel, conversation=conversation)
        return TcpJob(self._loop, probe, endpoint, means=self._means, conversation=conversation)

    def _make_echo(self, probe: Probe, endpoint: Endpoint) -> Job:
        if endpoint.family not in self._echo:
            try:
                self._echo[endpoint.family] = EchoChannel(self._loop, endpoint.family, self._means)
            except PermissionError:
                self._echo[endpoint.family] = None
        channel = self._echo[endpoint.family]
        if channel is not None:
            return EchoJob(self._loop, probe, endpoint, means=self._means, channel=channel)
        return PingJob(self._loop, probe, endpoint, means=self._means, workers=self._workers, runner=self._runner)

    def _collect(self) -> Iterator[Numbered]:
        """Turn the jobs that have finished into observations, and hand out all that there are."""
        finished, self._loop.finished = self._loop.finished, []
        for job, outcome in finished:
            del self._running[job]
            self._settle(job.probe, job.endpoint, outcome)
        done, self._done = self._done, []
        yield from done

    def _settle(self, probe: Probe, endpoint: Endpoint, outcome: Outcome) -> None:
        self._spreader.release(endpoint.address)
        key = _key(probe, endpoint)
        if probe.service in _GREETED_ONCE and outcome.status is ObservationStatus.OPEN:
            self._greeted[key] = outcome
            if len(self._greeted) > constants.REMEMBERED_GREETINGS:
                self._greeted.popitem(last=False)
        for twin in self._twins.pop(key):
            self._tell(twin, endpoint.address, outcome)

    def _tell(self, probe: Probe, address: str | None, outcome: Outcome) -> None:
        self._accepted -= 1
        self._done.append((probe.index, observe(probe, address, outcome, self._options.vantage)))

    def _give_up(self, source: Iterator[Probe]) -> Iterator[Numbered]:
        """The deadline has come: tell about everything that is left."""
        self._is_over = True
        for job in list(self._running):
            job.abandon(self._reason)
        yield from self._collect()
        self._names.abandon()
        for key, twins in self._twins.items():
            for twin in twins:
                self._tell(twin, key[0], self._unprobed())
        yield from self._collect()
        for probe in source:
            yield probe.index, observe(probe, None, self._unprobed(), self._options.vantage)

    @property
    def _reason(self) -> str:
        return f"the deadline of {self._options.deadline_s:g} s is reached"

    def _unprobed(self) -> Outcome:
        return Outcome(ObservationStatus.LOCAL_ERROR, f"not probed: {self._reason}")


def _key(probe: Probe, endpoint: Endpoint) -> _Key:
    return endpoint.address, probe.protocol, probe.port, probe.service
