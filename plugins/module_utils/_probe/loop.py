# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread's turn of events: descriptors that are ready, then timers that are due."""

from __future__ import annotations

import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Tuple

from . import constants
from .records import Endpoint, Outcome, Probe
from .spread import Host
from .wheel import Wheel

READABLE, WRITABLE, ERROR, HUNG_UP = 1, 4, 8, 16  # the same numbers in poll(2) and epoll(7)
BROKEN = ERROR | HUNG_UP
# epoll(7), EPOLLET: tell of what changes, and not again of what still is.
_EDGES = 1 << 31
STREAM_EVENTS = READABLE | WRITABLE | _EDGES
TALK_EVENTS = READABLE | _EDGES  # the same of a stream that is connected already
Event = Tuple[int, int]  # a descriptor, and what it is ready for


class Watcher(ABC):
    """What wants to hear of its descriptors."""

    __slots__ = ()

    @abstractmethod
    def ready(self, fd: int, mask: int, now: float) -> None:
        """The descriptor has something; ``now`` is the monotonic clock behind the wait."""


class Job(Watcher):
    """A probe of one address in flight. It sets ``due`` and is woken then; when it knows, it calls ``finish``."""

    __slots__ = ("due", "host", "is_done", "loop", "probe", "tries")

    def __init__(self, loop: Loop, probe: Probe, host: Host) -> None:
        self.loop = loop
        self.probe = probe
        self.host = host
        self.is_done = False
        self.due = 0.0
        self.tries = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where the probe goes."""
        return self.host.endpoint

    @abstractmethod
    def begin(self, now: float) -> None:
        """Make the first try. Raises OSError where this machine's means are exhausted."""

    @abstractmethod
    def wake(self, now: float) -> None:
        """``due`` has come: try again, wait longer, or give up."""

    @abstractmethod
    def abandon(self, reason: str) -> None:
        """The run ends: finish with what is known, close everything."""

    def finish(self, outcome: Outcome) -> None:
        """Hand the outcome on; the job is over."""
        if not self.is_done:
            self.is_done = True
            self.loop.finished.append((self, outcome))


class Crowd(ABC):
    """Many descriptors with one watcher, which keeps their timers as well."""

    @abstractmethod
    def serve(self, events: Sequence[Event], now: float) -> Sequence[Event]:
        """See to the own ones of these events; what is left is of others."""

    @abstractmethod
    def wait_s(self, now: float, longest_s: float) -> float:
        """How long one may sleep until something is due, at most ``longest_s``."""

    @abstractmethod
    def expired(self, now: float) -> Sequence[Job]:
        """Jobs whose timers are to be set from now on."""


class Loop:
    """epoll where there is one, poll elsewhere; a timing wheel; and the jobs that have finished."""

    def __init__(self) -> None:
        self._poller: _Epoll | _Poll = _Epoll() if hasattr(select, "epoll") else _Poll()
        self.register = self._poller.register
        self._watchers: dict[int, Watcher] = {}  # by descriptor
        self._wheel: Wheel[Job] = Wheel(time.monotonic())
        self.crowd: Crowd | None = None
        self.finished: list[tuple[Job, Outcome]] = []

    def watch(self, fd: int, mask: int, watcher: Watcher) -> None:
        """Tell ``watcher`` when the descriptor is ready for any of ``mask``; errors are always told."""
        self.register(fd, mask)
        self._watchers[fd] = watcher

    def watch_stream(self, fd: int, watcher: Watcher) -> None:
        """Tell ``watcher`` once when the connect is over, and behind ``listen`` when something comes.

        What has come must then be read to its end: it may not be told of again.
        """
        self.register(fd, self._poller.of_a_stream)
        self._watchers[fd] = watcher

    def hand(self, fd: int, watcher: Watcher) -> None:
        """What is registered already is this watcher's from now on."""
        self._watchers[fd] = watcher

    def listen(self, fd: int) -> None:
        """The stream is connected: from now on tell of what comes."""
        self._poller.listen(fd)

    def unwatch(self, fd: int) -> None:
        """Stop watching; does nothing for a descriptor that is not watched."""
        if self._watchers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def drop(self, fd: int, sock: socket.SocketType) -> None:
        """Close a watched stream."""
        if self._watchers.pop(fd, None) is not None and not self._poller.forgets_what_is_closed:
            self._poller.unregister(fd)
        sock.close()

    def arm_all(self, jobs: Iterable[Job], now: float) -> None:
        """Wake each job when it is due."""
        soon = now + constants.RECHECK_S
        later = []
        for job in jobs:
            if job.due < soon:
                self._wheel.arm(job.due, job)
            else:
                later.append(job)
        if later:
            self._wheel.arm_all(soon, later)

    def turn(self, longest_s: float) -> None:
        """Wait for at most ``longest_s``, serve what is ready, wake what is due."""
        before = time.monotonic()
        crowd = self.crowd
        if crowd is not None:
            longest_s = crowd.wait_s(before, longest_s)
        events: Sequence[Event] = self._poller.poll(self._wheel.wait_s(before, longest_s))
        now = time.monotonic()
        for fd, mask in events if crowd is None else crowd.serve(events, now):
            watcher = self._watchers.get(fd)
            if watcher is not None:
                watcher.ready(fd, mask, now)
        # The clock from before the wait: an answer that was there in time is never overtaken by its own time-out.
        waiting = [job for job in self._wheel.expired(before) if not job.is_done]
        if crowd is not None:
            waiting += [job for job in crowd.expired(before) if not job.is_done]
        for job in waiting:
            if job.due <= before and not job.is_done:
                job.wake(now)
        self.arm_all([job for job in waiting if not job.is_done], now)

    def close(self) -> None:
        """Give the poller back."""
        self._watchers.clear()
        self._poller.close()


class _Epoll:
    """epoll(7), all that is ready in one call: what has come must be seen before its time-out is."""

    # Unless a child process, forked meanwhile, still has it: then a closed descriptor may be told of once more, maybe
    # under the number of a new one. Watchers look for themselves what is there.
    forgets_what_is_closed = True
    of_a_stream = STREAM_EVENTS

    def __init__(self) -> None:
        epoll = select.epoll()
        self.register, self.unregister = epoll.register, epoll.unregister
        self.close = epoll.close
        self._poll = epoll.poll

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        return self._poll(timeout_s, constants.EVENTS)

    def listen(self, fd: int) -> None:
        """It is listened to from the beginning."""


class _Poll:
    """poll(2) with epoll's units, for systems without epoll."""

    forgets_what_is_closed = False
    of_a_stream = WRITABLE

    def __init__(self) -> None:
        poll = select.poll()
        self.register, self.unregister = poll.register, poll.unregister
        self._modify, self._poll = poll.modify, poll.poll

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        return self._poll(timeout_s * 1000)

    def listen(self, fd: int) -> None:
        """Being writable is no news any more."""
        self._modify(fd, READABLE)

    def close(self) -> None:
        pass
