# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP probes through connections that an SSH server makes for us: for an audit host without Python.

The usual engine schedules; only the job is another. What such a vantage cannot tell is said: its own address, a reset
from a firewall's rejection, and anything but TCP.
"""

from __future__ import annotations

import errno
import os

from ...module_utils._core.sanitize import safe_text
from ...module_utils._core.vocabulary import ObservationStatus, Protocol
from ...module_utils._probe import constants
from ...module_utils._probe.conversations import converse
from ...module_utils._probe.dialogue import StreamJob
from ...module_utils._probe.engine import Engine
from ...module_utils._probe.guards import Conntrack, Descriptors, Neighbours
from ...module_utils._probe.judge import Refusal
from ...module_utils._probe.loop import READABLE, Job, Loop, Watcher
from ...module_utils._probe.names import resolve_by_system
from ...module_utils._probe.protocols.base import Conversation
from ...module_utils._probe.records import Endpoint, Outcome, Probe, ProbeOptions
from ...module_utils._probe.spread import Host
from .flows import PROHIBITED, Event, Flow, Kind
from .sessions import Sessions

_CLOSED = (errno.ECONNREFUSED,)
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_OWN = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# What other C libraries and servers than this machine's call the same errors.
_OTHER_WORDS = {
    "host is unreachable": errno.EHOSTUNREACH,
    "network unreachable": errno.ENETUNREACH,
    "operation timed out": errno.ETIMEDOUT,
    "too many open files": errno.EMFILE,
}
_CANNOT = "this vantage can't: without Python on the audit host only TCP can be forwarded, not {}"


class ForwardingEngine(Engine):
    """The engine, its packets sent by another machine: this one's own tables and descriptors set no bounds."""

    _sends_itself = False

    def __init__(self, options: ProbeOptions, sessions: Sessions) -> None:
        super().__init__(options, resolver=_resolve)
        self._sessions = sessions
        self._means.descriptors = _Room(sessions)
        self._means.neighbours = Neighbours((), 0)
        self._means.conntrack = Conntrack(lambda _path: None)
        self._loop.watch(sessions.bell.fileno(), READABLE, _Bell(sessions))

    def _make_job(self, probe: Probe, host: Host) -> Job:
        if probe.protocol is not Protocol.TCP:
            return CannotJob(self._loop, probe, host)
        self._means.bucket.spent += 1
        return ForwardJob(
            self._loop,
            probe,
            host,
            sessions=self._sessions,
            options=self._options,
            conversation=converse(probe, self._options),
        )


def _resolve(name: str) -> list[Endpoint]:
    """What the controller knows of a name: no SSH server tells what it knows. Raises OSError."""
    try:
        return resolve_by_system(name)
    except OSError as error:
        words = f"{error.strerror or error} (asked on the controller: this vantage can't be asked for names)"
        raise OSError(error.errno, words) from error


class _Room(Descriptors):
    """As many as the sessions take."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__(constants.CONCURRENCY)
        self._sessions = sessions

    @property
    def room(self) -> int:
        """How many more connections may be opened."""
        return self._sessions.room()


class _Bell(Watcher):
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Something came from a server: hand it to the jobs."""
        self._sessions.hand_out(now)


class CannotJob(Job):
    """What no SSH server forwards."""

    def begin(self, now: float) -> None:
        """Say so."""
        words = _CANNOT.format("UDP" if self.probe.protocol is Protocol.UDP else "ICMP")
        self.finish(Outcome(ObservationStatus.UNVERIFIABLE_FROM_HERE, words))

    def wake(self, now: float) -> None:
        """Never called: it is over at once."""

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Never called."""

    def abandon(self, reason: str) -> None:
        """Never called."""


class ForwardJob(StreamJob):
    """One connection by the SSH server. Its kernel repeats the SYN by itself, so there is one try with all the time."""

    def __init__(
        self,
        loop: Loop,
        probe: Probe,
        host: Host,
        *,
        sessions: Sessions,
        options: ProbeOptions,
        conversation: Conversation | None,
    ) -> None:
        super().__init__(loop, probe, host)
        self._sessions = sessions
        self._patience_s = options.timeout_s * (1 + options.retries)
        self._conversation = conversation
        self._rtt_s: float | None = None  # nobody tells it
        self._flow: Flow | None = None
        self._is_connected = False

    def begin(self, now: float) -> None:
        """Have the server connect."""
        self.tries += 1
        self.due = now + self._patience_s
        self._flow = self._sessions.open(self.endpoint.address, self.probe.port or 0, self)
        if self._flow is None:
            self._end(ObservationStatus.LOCAL_ERROR, self._sessions.trouble)

    def wake(self, now: float) -> None:
        """Nothing more will be waited for."""
        if self._is_connected and self._conversation is not None:
            self._conclude(f"within {self._conversation.patience_s:g} s")
        else:
            waited = f"no answer to the audit host's SYNs within {self._patience_s:.1f} s"
            self._end(ObservationStatus.FILTERED, waited)

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Never called: the sessions hear for all jobs."""

    def abandon(self, reason: str) -> None:
        """Finish with what is known."""
        if self._is_connected:
            self._end(ObservationStatus.OPEN, f"connected; the service was not heard to the end: {reason}")
        else:
            self._end(ObservationStatus.LOCAL_ERROR, f"not probed to the end: {reason}")

    def told(self, event: Event, now: float) -> None:
        """Something became of the connection."""
        if event.kind is Kind.OPENED:
            self._opened(now)
        elif event.kind is Kind.REFUSED:
            self._refused(event, now)
        elif event.kind is Kind.DATA:
            self._arrived(event.data)
        elif event.kind is Kind.CLOSED:
            self._conclude("before the host closed the connection", hung_up=True)
        else:
            self.abandon("the SSH session with the audit host broke")

    def _opened(self, now: float) -> None:
        self._is_connected = True
        if self._conversation is None:
            self._end(ObservationStatus.OPEN, "connected")
            return
        self.due = now + self._conversation.patience_s
        self._send(self._conversation.first())

    def _refused(self, event: Event, now: float) -> None:
        words = safe_text(event.data.decode("utf-8", "replace"))
        if self._sessions.is_exhausted(event.flow, event.reason, words) and self.tries == 1:
            self.begin(now)
            return
        refusal = judge_refusal(event.reason, words, is_crowded=self.tries > 1)
        self._end(refusal.status, refusal.evidence)

    def _arrived(self, data: bytes) -> None:
        if self._conversation is None:
            return
        answer = self._conversation.receive(data)
        if isinstance(answer, bytes):
            self._send(answer)
        elif answer is not None:
            self._told(answer, answer.text)

    def _send(self, payload: bytes) -> None:
        if payload and self._flow is not None:
            self._flow.send(payload)

    def _release(self) -> None:
        self.host.source = None  # the server's own, which it does not tell
        if self._flow is not None:
            self._sessions.forget(self._flow)


def judge_refusal(reason: int, words: str, *, is_crowded: bool) -> Refusal:
    """What a server's refusal to connect means. OpenSSH gives the text of the error that its own connect met.

    ``is_crowded``: a fresh session was refused just as one with many connections was.
    """
    told = f"the audit host's SSH server says {words!r}"
    if reason == PROHIBITED:
        return Refusal(
            ObservationStatus.LOCAL_ERROR,
            f"this vantage is not allowed to connect there ({told}): see AllowTcpForwarding, PermitOpen and the key's "
            "restrictions on the audit host, or install Python there",
        )
    number = _number_of(words)
    if number in _CLOSED:
        return Refusal(
            ObservationStatus.CLOSED, f"a TCP reset or an ICMP error, this vantage can't tell which ({told})"
        )
    if number in _UNREACHABLE:
        return Refusal(
            ObservationStatus.UNREACHABLE,
            f"nobody there, or a firewall rejects it, this vantage can't tell which ({told})",
        )
    if number == errno.ETIMEDOUT:
        return Refusal(ObservationStatus.FILTERED, f"no answer ({told})")
    if number in _OWN or not is_crowded:
        return Refusal(
            ObservationStatus.LOCAL_ERROR,
            f"the audit host could not even start to connect ({told}): no route from there, its own firewall, "
            "or no means; its log may tell",
        )
    return Refusal(ObservationStatus.LOCAL_ERROR, f"the vantage is exhausted: too many silent connections ({told})")


def _number_of(words: str) -> int | None:
    """The error that the words stand for."""
    low = words.lower()
    for text, number in _OTHER_WORDS.items():
        if text in low:
            return number
    known = (*_CLOSED, *_UNREACHABLE, errno.ETIMEDOUT, *_OWN)
    return next((number for number in known if os.strerror(number).lower() in low), None)
