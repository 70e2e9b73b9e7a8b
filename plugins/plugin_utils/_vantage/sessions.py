# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH sessions of one run: how much each may bear, when a fresh one is needed, and who hears what they say.

sshd keeps a connect that meets silence for about two minutes, whatever becomes of us, and has 1,024 descriptors for a
session by default. Nothing but the end of the session frees them.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .client import close
from .flows import PROHIBITED, Event, Flow, Kind, Mailbox, Session
from .interface import VantageError

WINDOW = 300  # connects that one session is waiting for and that may still be quick
SLOW_S = 1.5  # a connect that takes longer will most likely never be answered
MOST_SLOW = 400  # silent connects, after which a session takes no more
MOST_SESSIONS = 5
_CROWD = 100  # so many connections, and a refusal without a reason may be for want of descriptors
_MOST_LOSSES = 3


class Owner(Protocol):
    """Who opens connections."""

    def told(self, event: Event, now: float) -> None:
        """Something became of a connection of its own."""


class _Load:
    """One session, and what it bears."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.session: Session = client.get_transport()
        self.waiting: deque[Flow] = deque()  # in the order of opening; answered ones are passed over
        self.quick = 0
        self.slow = 0
        self.is_full = False
        self.wanted = 0  # flows that somebody waits for

    def room(self, now: float) -> int:
        while self.waiting and (self.waiting[0].is_answered or self.waiting[0].opened_at + SLOW_S <= now):
            flow = self.waiting.popleft()
            if not flow.is_answered:
                flow.is_slow = True
                self.quick -= 1
                self.slow += 1
        self.is_full = self.is_full or self.slow >= MOST_SLOW
        return 0 if self.is_full else WINDOW - self.quick

    def opened(self, flow: Flow) -> None:
        self.waiting.append(flow)
        self.quick += 1
        self.wanted += 1

    def answered(self, flow: Flow) -> None:
        if not flow.is_answered:
            flow.is_answered = True
            if flow.is_slow:
                self.slow -= 1
            else:
                self.quick -= 1


class Sessions:
    """Opens connections in whichever session has room. ``trouble`` says why none can be opened any more."""

    def __init__(
        self,
        client: Any,
        mailbox: Mailbox,
        reconnect: Callable[[Mailbox], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mailbox = mailbox
        self._reconnect = reconnect
        self._clock = clock
        self._loads = [_Load(client)]
        self._losses = 0
        self.trouble = ""

    @property
    def bell(self) -> socket.socket:
        """Readable when something has come."""
        return self._mailbox.bell

    def room(self) -> int:
        """How many connections may be opened now; where none can be any more, ``open`` is to be asked why."""
        if self._find() is None:
            return WINDOW if self.trouble else 0
        now = self._clock()
        return sum(load.room(now) for load in self._loads)

    def open(self, address: str, port: int, owner: Owner) -> Flow | None:
        """Have a server connect for ``owner``; ``None`` where there is none left, see ``trouble``."""
        load = None if self.trouble else self._find() or self._roomiest()
        if load is None:
            return None
        flow = load.session.open_flow(address, port, owner)
        load.opened(flow)
        return flow

    def forget(self, flow: Flow) -> None:
        """Its owner has what it wanted."""
        if flow.owner is None:
            return
        flow.close()
        load = self._load_of(flow)
        if load is None:
            return
        load.wanted -= 1
        if load.is_full and not load.wanted:
            self._drop(load)

    def is_exhausted(self, flow: Flow | None, reason: int, words: str) -> bool:
        """Whether this refusal may be for want of descriptors: then its session takes no more, and a fresh one may.

        OpenSSH gives no reason then but the words "open failed".
        """
        load = None if flow is None else self._load_of(flow)
        if load is None or reason == PROHIBITED or words not in ("", "open failed") or len(load.session.flows) < _CROWD:
            return False
        load.is_full = True
        if flow is not None:
            self.forget(flow)
        return True

    def hand_out(self, now: float) -> None:
        """Tell the owners what has come."""
        for event in self._mailbox.take():
            self._hand_out(event, now)

    def close(self) -> None:
        """End all sessions."""
        for load in list(self._loads):
            self._drop(load)

    def _hand_out(self, event: Event, now: float) -> None:
        flow, owner = event.flow, event.flow.owner
        load = self._load_of(flow)
        if load is not None and event.kind is not Kind.LOST:
            load.answered(flow)
        if owner is None:
            if event.kind is not Kind.LOST:
                flow.close()  # opened after all, long after anybody cared
        else:
            if event.kind is Kind.OPENED:
                self._losses = 0
            owner.told(event, now)

    def _find(self) -> _Load | None:
        """A session with room; a fresh one where all are full and there may be one more."""
        now = self._clock()
        self._bury()
        for load in self._loads:
            if load.room(now) > 0:
                return load
        if self.trouble or len(self._loads) >= MOST_SESSIONS or not all(load.is_full for load in self._loads):
            return None
        return self._connect()

    def _connect(self) -> _Load | None:
        try:
            load = _Load(self._reconnect(self._mailbox))
        except VantageError as error:
            self.trouble = f"no further SSH session with the audit host: {error}"
            return None
        self._loads.append(load)
        return load

    def _bury(self) -> None:
        """Give up the sessions that broke, and those that nobody waits for and that take no more."""
        for load in list(self._loads):
            if load.is_full and not load.wanted:
                self._drop(load)
            elif not load.session.is_active():
                self._drop(load)
                self._losses += 1
                if self._losses > _MOST_LOSSES:
                    self.trouble = "the SSH sessions with the audit host break again and again"

    def _roomiest(self) -> _Load | None:
        return min(self._loads, key=lambda load: len(load.session.flows), default=None)

    def _load_of(self, flow: Flow) -> _Load | None:
        return next((load for load in self._loads if load.session is flow.session), None)

    def _drop(self, load: _Load) -> None:
        self._loads.remove(load)
        close(load.client)
