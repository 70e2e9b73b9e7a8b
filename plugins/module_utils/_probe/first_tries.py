# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP probes that take the usual course, many at a time: a SYN, its answer, and at most one question and one reply.

Most ports answer the first SYN, and most services tell by the first thing they say what they are. Such a probe is no
job of its own, with sockets and timers: it is one entry in a table, and all that a turn of the loop brings is seen to
in one go. Where more comes of it (a refusal, silence, a longer dialogue) a job goes on from there. Only on Linux.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import deque
from collections.abc import Iterable
from typing import Dict, List, Set, Tuple, cast

from .._core.vocabulary import ObservationStatus, ServiceStatus
from . import constants
from .followups import FollowUp
from .guards import Means
from .judge import (
    ERRORS_WANTED,
    HAS_ERROR_QUEUE,
    HAS_INFO,
    Standing,
    judge_refused_connect,
    read_round_trip,
    read_standing,
    read_tcp_info,
)
from .kinds import Kind, Kinds
from .loop import BROKEN, READABLE, TALK_EVENTS, Crowd, Event, Job, Loop
from .protocols.base import Conversation, Evidence
from .records import Outcome, Probe
from .spares import Spares
from .spread import Host, Taken
from .tcp import RESET_ON_CLOSE, STREAM, UNDER_WAY, TcpJob, address_of, prepare, round_trip

_Begun = Tuple[socket.SocketType, Host, Probe, Kind]
_Try = Tuple[int, socket.SocketType, Host, Probe, Kind, float]  # its descriptor first, last when the SYN was sent
_Talk = Tuple[_Try, Conversation, float]  # a try that was answered, what is being asked, and the round trip in seconds
Answered = Tuple[Host, Kind, Outcome]

IS_POSSIBLE = hasattr(select, "epoll") and HAS_ERROR_QUEUE and HAS_INFO
_TOLD = READABLE | BROKEN
_OPEN, _NOT_CHECKED = ObservationStatus.OPEN, ServiceStatus.NOT_CHECKED
_STANDS, _FAILED = Standing.STANDS, Standing.FAILED
_SOCKET, _LINGER = int(socket.SOL_SOCKET), int(socket.SO_LINGER)  # which are quicker to convert than enumerations


class FirstTries(Crowd):
    """All that take the usual course; the jobs that go on from it are added to ``running``."""

    def __init__(self, loop: Loop, means: Means, kinds: Kinds, running: Set[Job]) -> None:  # noqa: UP006
        self._loop = loop
        self._means = means
        self._kinds = kinds
        self._running = running
        self._flying: Dict[int, _Try] = {}  # noqa: UP006 by descriptor
        self._talking: Dict[int, _Talk] = {}  # noqa: UP006 by descriptor
        self._fresh: List[_Talk] = []  # noqa: UP006 the same, begun in the last turn, and not registered
        # What was begun in one turn is together, the earliest first.
        self._sent: deque[tuple[float, list[_Try]]] = deque()
        self._asked: deque[tuple[float, list[_Talk]]] = deque()
        self._spares = Spares()
        self._handed: List[Job] = []  # noqa: UP006 whose timers nobody has set yet
        self._answered: List[Answered] = []  # noqa: UP006

    def __len__(self) -> int:
        return len(self._flying) + len(self._talking) + len(self._fresh)

    def start(self, batch: Iterable[Taken], now: float) -> list[Taken]:
        """Send a SYN for all that ask for a connection; what is left is no such probe, or could not be sent."""
        kind_of = self._kinds.get
        source, ipv4, new = self._means.options.source_address, socket.AF_INET, socket.SocketType
        ipv4_errors, spares = ERRORS_WANTED[ipv4], self._spares.sockets
        sent: list[_Begun] = []
        left: list[Taken] = []
        for taken in batch:
            host, probe = taken
            kind = kind_of(probe.question)
            if kind is None or not kind.is_stream:
                left.append(taken)
                continue
            try:
                if host.is_ipv4 and source is None:
                    if spares:
                        sock = spares.pop()
                    else:
                        sock = new(ipv4, STREAM)
                        sock.setsockopt(*ipv4_errors)
                    number = sock.connect_ex((host.address, kind.port))
                else:
                    sock = _socket_to(host.endpoint.family, source)
                    number = sock.connect_ex(host.endpoint.at(kind.port))
            except OSError:
                left.append(taken)
                continue
            if number not in UNDER_WAY:
                sock.close()
                left.append(taken)
                continue
            sent.append((sock, host, probe, kind))
            if host.source is None:
                host.source = address_of(sock)
        if sent:
            self._means.descriptors.open += len(sent)
            self._means.bucket.spent += len(sent)
            self._watch(sent, now)
            self._spares.keep(self._means.descriptors.room)
        return left

    def _watch(self, sent: list[_Begun], now: float) -> None:
        """Many near hosts have answered by the time that the last SYN of a turn is sent; wait for the others."""
        silent: list[_Try] = []
        register, put = self._loop.register, self._spares.put
        is_free = self._means.options.source_address is None  # to leave from any address
        for sock, host, probe, kind in sent:
            standing, rtt_s = read_standing(sock)
            if standing is _STANDS and kind.is_plain:
                self._open(host, kind, rtt_s)
                if not (is_free and host.is_ipv4 and put(sock)):
                    _reset(sock)
                continue
            fd = sock.fileno()
            one = (fd, sock, host, probe, kind, now)
            if standing is _STANDS:
                talk = self._ask(one, rtt_s, now)
                if talk is not None:
                    self._fresh.append(talk)
            elif standing is _FAILED:
                if self._refused(one, now) and not (is_free and host.is_ipv4 and put(sock)):
                    sock.close()
            else:
                self._flying[fd] = one
                register(fd, kind.events)
                silent.append(one)
        if silent:
            self._sent.append((now, silent))

    def _watch_talks(self, now: float) -> None:
        """Many near services have answered by the next turn; wait for the others."""
        talks, self._fresh = self._fresh, []
        silent = [talk for talk in talks if not self._hear(talk, now, is_fresh=True)]
        for talk in silent:
            fd = talk[0][0]
            self._talking[fd] = talk
            self._loop.register(fd, TALK_EVENTS)
        if silent:
            self._asked.append((now, silent))

    def serve(self, events: Iterable[Event], now: float) -> list[Event]:
        """See to what is told of the own descriptors; what is left is of others."""
        flying, talking = self._flying, self._talking
        asked: list[_Talk] = []
        left: list[Event] = []
        self._watch_talks(now)
        for event in events:
            fd, mask = event
            one = flying.pop(fd, None)
            if one is not None:
                self._answer(one, mask, now, asked)
                continue
            talk = talking.get(fd)
            if talk is None:
                left.append(event)
            elif mask & _TOLD and self._hear(talk, now):
                talking.pop(fd, None)
        if asked:
            self._asked.append((now, asked))
        return left

    def _answer(self, one: _Try, mask: int, now: float, asked: list[_Talk]) -> None:
        """A first SYN was answered; the service that is waited for then is added to ``asked``."""
        fd, sock, host, _probe, kind, begun = one
        if mask & BROKEN:
            if self._refused(one, now):
                sock.close()
            return
        rtt_s = read_round_trip(sock)
        if rtt_s is None:
            self._go_on(one).ready(fd, mask, now)
        elif kind.is_plain:
            self._open(host, kind, rtt_s or now - begun)
            _reset(sock)
        else:
            talk = self._ask(one, rtt_s or now - begun, now)
            if talk is not None and not (mask & READABLE and self._hear(talk, now)):
                self._talking[fd] = talk
                asked.append(talk)

    def wait_s(self, now: float, longest_s: float) -> float:
        """How long until the earliest must be looked after, at most ``longest_s``; not at all with answers to tell."""
        if self._answered or self._fresh:
            return 0.0
        for waiting in (self._sent, self._asked):
            if waiting:
                longest_s = min(max(waiting[0][0] + constants.FLOOR_S - now, 0.0), longest_s)
        return longest_s

    def expired(self, now: float) -> list[Job]:
        """The jobs that go on since the last look; nobody is waited for here longer than the shortest wait."""
        while self._sent and self._sent[0][0] + constants.FLOOR_S <= now:
            _begun, tries = self._sent.popleft()
            for one in tries:
                if self._flying.get(one[0]) is one:
                    del self._flying[one[0]]
                    self._go_on(one)
        while self._asked and self._asked[0][0] + constants.FLOOR_S <= now:
            begun, talks = self._asked.popleft()
            for talk in talks:
                if self._talking.get(talk[0][0]) is talk:
                    del self._talking[talk[0][0]]
                    self._talk_on(talk, begun)
        handed, self._handed = self._handed, []
        return handed

    def take_answered(self) -> list[Answered]:
        """Those that are over since the last time."""
        answered, self._answered = self._answered, []
        return answered

    def all_as_jobs(self, now: float) -> None:
        """Nothing more is waited for."""
        self._sent.clear()
        self._asked.clear()
        self._spares.keep(0)
        flying, self._flying = self._flying, {}
        talks, self._talking, self._fresh = [*self._fresh, *self._talking.values()], {}, []
        for one in flying.values():
            self._go_on(one)
        for talk in talks:
            self._talk_on(talk, now)

    def _open(self, host: Host, kind: Kind, rtt_s: float) -> None:
        """The first SYN was answered by the first SYN-ACK, and no more is asked."""
        self._met(host, rtt_s)
        self._means.descriptors.open -= 1
        # As Outcome(...) does, which takes five times as long.
        outcome = tuple.__new__(Outcome, (_OPEN, "connected", _NOT_CHECKED, rtt_s, 1, host.source, None))
        self._answered.append((host, kind, outcome))

    def _refused(self, one: _Try, now: float) -> bool:
        """Where the first SYN was answered by a reset, that is all, and the socket is the caller's to close.

        ``False`` of anything else: a job has it, and finds out what it was.
        """
        fd, sock, host, probe, kind, begun = one
        info = read_tcp_info(sock)  # before SO_ERROR, which resets what it counts
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        rtt_s = round_trip(info, now - begun)
        is_reset = number == errno.ECONNREFUSED and info is not None and info.segments_in
        if not is_reset or rtt_s is None or isinstance(probe, FollowUp):
            self._go_on(one).failed(fd, number, info, now)
            return False
        self._met(host, rtt_s)
        self._means.descriptors.open -= 1
        refusal = judge_refused_connect(number, info, None, target=host.address, own=host.source)
        self._answered.append((host, kind, Outcome(*refusal, _NOT_CHECKED, rtt_s, 1, host.source)))
        return True

    def _met(self, host: Host, rtt_s: float) -> None:
        host.is_alive = True
        if host.is_on_link:
            self._means.neighbours.answered(host.address)
        host.subnet.round_trips.measured(rtt_s)

    def _ask(self, one: _Try, rtt_s: float, now: float) -> _Talk | None:
        """The service is there: put the first question to it; ``None`` where it does not take that."""
        fd, sock, host, probe, kind, _begun = one
        self._met(host, rtt_s)
        # A stream that is not plain has one.
        conversation = cast(Conversation, kind.converse(probe, self._means.options))
        talk = (one, conversation, rtt_s)
        question = conversation.first()
        try:
            if question:
                sock.send(question)
        except OSError as error:
            self._talk_on(talk, now).hear(fd, b"", error.errno or errno.EIO)
            return None
        return talk

    def _hear(self, talk: _Talk, now: float, *, is_fresh: bool = False) -> bool:
        """Where the first thing that a service says tells what it is, that is all; else a job goes on.

        ``False`` if it has said nothing yet. ``is_fresh``: its descriptor is not registered.
        """
        (fd, sock, host, probe, kind, _begun), conversation, rtt_s = talk
        data, broken = b"", 0
        try:
            data = sock.recv(conversation.cap)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            broken = error.errno or errno.EIO
        said = conversation.receive(data) if data else None
        if isinstance(said, Evidence) and not said.is_riddle and not isinstance(probe, FollowUp):
            sock.close()
            self._means.descriptors.open -= 1
            outcome = tuple.__new__(Outcome, (_OPEN, said.text, said.status, rtt_s, 1, host.source, said))
            self._answered.append((host, kind, outcome))
        else:
            job = self._talk_on(talk, now)
            job.hear(fd, data, broken, said)
            if is_fresh and not job.is_done:
                self._loop.register(fd, TALK_EVENTS)
        return True

    def _go_on(self, one: _Try) -> TcpJob:
        """A job that has made this try."""
        _fd, _sock, _host, probe, kind, _begun = one
        return self._job(one, kind.converse(probe, self._means.options))

    def _talk_on(self, talk: _Talk, asked: float) -> TcpJob:
        """A job that goes on with a dialogue."""
        one, conversation, rtt_s = talk
        job = self._job(one, conversation)
        job.go_on_talking(rtt_s, asked)
        return job

    def _job(self, one: _Try, conversation: Conversation | None) -> TcpJob:
        fd, sock, host, probe, _kind, begun = one
        job = TcpJob(self._loop, probe, host, self._means, conversation)
        job.take_over(fd, sock, begun)
        self._running.add(job)
        self._handed.append(job)
        return job


def _reset(sock: socket.SocketType) -> None:
    sock.setsockopt(_SOCKET, _LINGER, RESET_ON_CLOSE)
    sock.close()


def _socket_to(family: socket.AddressFamily, source: str | None) -> socket.SocketType:
    """A socket for a try. Raises OSError."""
    sock = socket.SocketType(family, STREAM)
    sock.setsockopt(*ERRORS_WANTED[family])
    prepare(sock, source)
    return sock
