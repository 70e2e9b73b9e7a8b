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
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Tuple

from .._core.records import Observation
from .._core.vocabulary import ObservationStatus, Protocol
from . import constants
from .first_tries import IS_POSSIBLE, Answered, FirstTries
from .followups import Conclusion, advance, conclude, opening
from .greetings import Greetings
from .guards import Means
from .icmp import EchoChannel, EchoJob, PingJob, Runner
from .judge import judge_local
from .kinds import Kind, Kinds
from .lines import Answer, Lines, lines_of
from .loop import Job, Loop
from .names import Names, Resolution, Resolver, parse_endpoint, resolve_by_system
from .records import Endpoint, Outcome, Probe, ProbeOptions, Question, observe
from .shards import Listed, Shards, Source, shards_for
from .spread import Host, Spreader, Taken
from .tcp import TcpJob
from .udp import UdpChannel, UdpJob
from .workers import Workers

Numbered = Tuple[int, Observation]


class Engine:
    """One run. Use as a context manager, or let ``run`` come to its end: it closes everything on every way out."""

    # A subclass whose packets another machine sends says False: all its jobs are of its own ``_make_job``.
    _sends_itself = True

    def __init__(
        self,
        options: ProbeOptions,
        *,
        resolver: Resolver = resolve_by_system,
        runner: Runner | None = None,
        shards: int = 1,
    ) -> None:
        """``runner`` runs the ``ping`` program; ``shards`` is how many engines share this machine for one run."""
        now = time.monotonic()
        self._options = options
        self._runner = runner
        self._end = float("inf") if options.deadline_s is None else now + options.deadline_s
        self._loop = Loop()
        self._means = Means.of_this_machine(options, now, shards=shards)
        self._workers = Workers(self._loop)
        self._names = Names(self._workers, resolver)
        self._kinds = Kinds(options)
        self._hosts: dict[str, Host] = {}  # those that something is still asked of
        self._twins: dict[tuple[str, Question], list[Probe]] = {}  # probes that ask what is being asked already
        self._spreader = Spreader(options.per_host, options.timeout_s)
        self._has_near = False  # some host is on the own link
        self._held: deque[Taken] = deque()  # their neighbour entries would overflow the table, or no socket is free
        self._running: set[Job] = set()
        self._first_tries: FirstTries | None = None
        if IS_POSSIBLE and self._sends_itself:
            self._first_tries = self._loop.crowd = FirstTries(self._loop, self._means, self._kinds, self._running)
        self._greetings = Greetings()
        self._udp: dict[socket.AddressFamily, UdpChannel] = {}
        self._echo: dict[socket.AddressFamily, EchoChannel | None] = {}
        self._further: dict[tuple[int, str], Probe] = {}  # the follow-ups under way, by probe and address
        self._done: list[Answer] = []
        self._is_over = False
        self._accepted = 0  # probes and addresses taken in, and not yet told about

    def run(self, probes: Iterable[Probe]) -> Generator[Numbered, None, None]:
        """Observations with the index of their probe, in the order in which they were made.

        A probe of a name gives one observation for each of its addresses. ``probes`` is read as needed. When the
        deadline has come, everything that is left is told as ``local_error``.
        """
        vantage = self._options.vantage
        for probe, address, outcome in self.answers(probes):
            yield probe.index, observe(probe, address, outcome, vantage)

    def answers(self, probes: Iterable[Probe]) -> Generator[Answer, None, None]:
        """The same in the engine's own form."""
        if isinstance(probes, Sequence) and self._sends_itself:
            count = shards_for(probes)
            if count > 1:
                with self._shards_of(Listed(probes), count) as shards:
                    yield from shards.answers(probes)
                return
        for answers in self._turns(probes):
            yield from answers

    def _turns(self, probes: Iterable[Probe]) -> Iterator[list[Answer]]:
        """The same, made in this process, all answers of a turn of the loop together."""
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
                answers = self._collect()
                if answers:
                    yield answers
        finally:
            self.close()

    def lines(self, probes: Iterable[Probe], *, processes: int = 1) -> Iterator[Lines]:
        """The same as JSON lines, those of a turn together, which costs the least.

        More ``processes`` than one take a source: probes of addresses only, numbered in order.
        """
        if processes > 1 and isinstance(probes, Source):
            with self._shards_of(probes, processes, lines=True) as shards:
                yield from shards.lines()
            return
        for answers in self._turns(probes):
            yield len(answers), lines_of(answers, self._options.vantage)

    def _shards_of(self, probes: Source, count: int, *, lines: bool = False) -> Shards:
        def run(share: Iterable[Probe], options: ProbeOptions) -> Iterator[list[Answer]]:
            engine = Engine(options, runner=self._runner, shards=count)
            engine._end = self._end
            return engine._turns(share)

        self.close()
        return Shards(probes, self._options, count=count, run=run, lines=lines)

    def close(self) -> None:
        """Close every socket and end every thread, whatever is in flight."""
        self._abandon("the run was closed")
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
        room = constants.LOOKAHEAD - self._accepted
        batch = list(islice(source, room))
        self._accepted += len(batch)
        kinds, hosts, enlist = self._kinds, self._hosts, self._spreader.enlist
        for probe in batch:
            question = probe.question
            kind, host = kinds.get(question), hosts.get(probe.address)
            if kind is None or host is None or not kind.is_direct:
                self._accept(probe)
                continue
            if host.asked.setdefault(question, probe) is not probe:
                self._add_twin(host, question, probe)
                continue
            host.queue.append(probe)
            if not host.is_listed:
                enlist(host)
        return len(batch) == room

    def _accept(self, probe: Probe) -> None:
        kind = self._kinds.of(probe)
        host = self._hosts.get(probe.address)
        endpoint = host.endpoint if host is not None else parse_endpoint(probe.address)
        if kind.unverifiable is not None:
            outcome = Outcome(ObservationStatus.UNVERIFIABLE_FROM_HERE, kind.unverifiable)
            self._tell(probe, endpoint.address if endpoint else None, outcome)
        elif endpoint is not None:
            self._queue(probe, kind, endpoint)
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
            kind = self._kinds.of(probe)
            for endpoint in resolution:
                self._queue(probe, kind, endpoint)

    def _queue(self, probe: Probe, kind: Kind, endpoint: Endpoint) -> None:
        address = endpoint.address
        question = kind.question
        known = self._greetings.of(address, question) if kind.greets_once else None
        if known is not None:
            self._tell(probe, address, known)
            return
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = self._meet(endpoint)
        if host.asked.setdefault(question, probe) is probe:
            self._spreader.add(host, probe if kind.is_plain else opening(probe, self._options))
        else:
            self._add_twin(host, question, probe)

    def _add_twin(self, host: Host, question: Question, probe: Probe) -> None:
        """The host is being asked this already."""
        self._twins.setdefault((host.address, question), []).append(probe)

    def _take_twins(self, address: str, question: Question) -> list[Probe]:
        return self._twins.pop((address, question), []) if self._twins else []

    def _meet(self, endpoint: Endpoint) -> Host:
        is_on_link = self._means.neighbours.is_on_link(endpoint.address)
        self._has_near |= is_on_link
        subnet = self._spreader.subnet(endpoint.address)
        return Host(endpoint, subnet, is_on_link=is_on_link, source=self._options.source_address)

    def _abandon(self, reason: str) -> None:
        """End everything that is in flight with what is known."""
        if self._first_tries is not None:
            self._first_tries.all_as_jobs(time.monotonic())
        for job in list(self._running):
            job.abandon(reason)

    def _start_jobs(self, now: float) -> float:
        """Start what may start now; how long to wait until more may."""
        allowed, pause_s = self._means.allowance(now)
        in_flight = len(self._running) + len(self._first_tries or ())
        room = min(allowed, self._options.concurrency - in_flight, constants.STARTS_A_TURN)
        if room <= 0:
            return pause_s or constants.IDLE_S
        batch = self._gather(room, now)
        if len(batch) < room:
            pause_s = constants.RECHECK_S if self._held else constants.IDLE_S
        if batch:
            self._means.started = now
        if self._first_tries is not None:
            batch = self._first_tries.start(batch, now)
        jobs: list[Job] = []
        for place, (host, probe) in enumerate(batch):
            if not self._start(host, probe, now, jobs):
                self._held.extendleft(reversed(batch[place:]))
                pause_s = constants.RECHECK_S
                break
        if jobs:
            self._running.update(jobs)
            self._loop.arm_all([job for job in jobs if not job.is_done], now)
        return pause_s

    def _gather(self, room: int, now: float) -> list[Taken]:
        """The next ones, as many as there is room for, that the neighbour table has room for, too."""
        held = self._held
        batch: list[Taken] = []
        while held and len(batch) < room and self._admits(held[0], now):
            batch.append(held.popleft())
        while taken := self._spreader.take(room - len(batch)):
            if not self._has_near:
                batch += taken
                continue
            for one in taken:
                (batch if self._admits(one, now) else held).append(one)
        return batch

    def _admits(self, taken: Taken, now: float) -> bool:
        host = taken[0]
        return not host.is_on_link or self._means.neighbours.admits(host.address, now)

    def _start(self, host: Host, probe: Probe, now: float, jobs: list[Job]) -> bool:
        """Start a job and add it; False where the machine has no means for it at the moment."""
        try:
            job = self._make_job(probe, host)
            job.begin(now)
        except OSError as error:
            if self._means.descriptors.exhausted():
                return False
            refusal = judge_local(error.errno or 0)
            self._settle(probe, host, Outcome(refusal.status, refusal.evidence))
            return True
        jobs.append(job)
        return True

    def _make_job(self, probe: Probe, host: Host) -> Job:
        conversation = self._kinds.of(probe).converse(probe, self._options)
        if probe.protocol is Protocol.ICMP:
            return self._make_echo(probe, host)
        if probe.protocol is Protocol.UDP and conversation is not None:
            family = host.endpoint.family
            channel = self._udp.get(family)
            if channel is None:
                channel = self._udp[family] = UdpChannel(self._loop, family, self._means)
            return UdpJob(self._loop, probe, host, means=self._means, channel=channel, conversation=conversation)
        return TcpJob(self._loop, probe, host, self._means, conversation)

    def _make_echo(self, probe: Probe, host: Host) -> Job:
        family = host.endpoint.family
        if family not in self._echo:
            try:
                self._echo[family] = EchoChannel(self._loop, family, self._means)
            except PermissionError:
                self._echo[family] = None
        channel = self._echo[family]
        if channel is not None:
            return EchoJob(self._loop, probe, host, means=self._means, channel=channel)
        return PingJob(self._loop, probe, host, means=self._means, workers=self._workers, runner=self._runner)

    def _collect(self) -> list[Answer]:
        """Take the outcomes of the jobs that have finished, and hand out all that there are."""
        if self._first_tries is not None:
            self._settle_all(self._first_tries.take_answered())
        finished, self._loop.finished = self._loop.finished, []
        ended, settle = self._running.discard, self._settle
        for job, outcome in finished:
            ended(job)
            settle(job.probe, job.host, outcome)
        done, self._done = self._done, []
        return done

    def _settle_all(self, answered: Iterable[Answered]) -> None:
        """As ``_settle``, where no question can follow."""
        done, enlist = self._done, self._spreader.enlist
        before = len(done)
        for host, kind, outcome in answered:
            host.in_flight -= 1
            if host.queue and not host.is_listed:
                enlist(host)
            address = host.address
            if kind.greets_once:
                self._greetings.remember(address, kind.question, outcome)
            done.append((host.asked.pop(kind.question), address, outcome))
            if self._twins:
                done.extend((twin, address, outcome) for twin in self._take_twins(address, kind.question))
            if not host.asked:
                del self._hosts[address]
        self._accepted -= len(done) - before

    def _settle(self, probe: Probe, host: Host, outcome: Outcome) -> None:
        self._spreader.release(host)
        kind = self._kinds.of(probe)
        address = host.address
        if not kind.is_plain:
            step = conclude(probe, outcome) if self._is_over else advance(probe, outcome, self._options)
            if not isinstance(step, Conclusion):
                self._further[step.index, address] = step
                self._spreader.add(host, step)
                return
            if step.probe is not probe:
                probe = step.probe
                self._further.pop((probe.index, address), None)
                kind = self._kinds.of(probe)
            outcome = step.outcome
        if kind.greets_once:
            self._greetings.remember(address, kind.question, outcome)
        for one in (host.asked.pop(kind.question), *self._take_twins(address, kind.question)):
            self._tell(one, address, outcome)
        if not host.asked:
            del self._hosts[address]

    def _tell(self, probe: Probe, address: str | None, outcome: Outcome) -> None:
        self._accepted -= 1
        self._done.append((probe, address, outcome))

    def _give_up(self, source: Iterator[Probe]) -> Iterator[list[Answer]]:
        """The deadline has come: tell about everything that is left."""
        self._is_over = True
        self._abandon(self._reason)
        told = self._collect()
        self._names.abandon()
        for host in self._hosts.values():
            for question, probe in host.asked.items():
                outcome = conclude(self._further.get((probe.index, host.address), probe), self._unprobed()).outcome
                for one in (probe, *self._take_twins(host.address, question)):
                    self._tell(one, host.address, outcome)
        yield told + self._collect()
        unread: Iterator[Answer] = ((probe, None, self._unprobed()) for probe in source)
        while told := list(islice(unread, constants.LOOKAHEAD)):
            yield told

    @property
    def _reason(self) -> str:
        return f"the deadline of {self._options.deadline_s:g} s is reached"

    def _unprobed(self) -> Outcome:
        return Outcome(ObservationStatus.LOCAL_ERROR, f"not probed: {self._reason}")
