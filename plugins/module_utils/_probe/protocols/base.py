# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dialogue with a service is: bytes in, bytes or evidence out, and no I/O.

Whoever does the I/O connects, sends ``first()``, and hands what comes back to ``receive`` until that gives Evidence;
when the peer closes or the time is up, ``ended`` says what was learnt. A dialogue takes at most three exchanges, looks
at a capped number of bytes in each, and never raises whatever the peer sends.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Union

from ..._core.vocabulary import ServiceStatus
from .. import constants
from .identify import identify


class MalformedError(ValueError):
    """The bytes are not what the protocol's specification allows; the text says which part."""


class IncompleteError(MalformedError):
    """The bytes are the beginning of something that may still become right."""


class _Said(NamedTuple):
    status: ServiceStatus
    what: str
    product: str | None = None
    version: str | None = None
    host_name: str | None = None
    domain: str | None = None
    port: int | None = None
    asked: str | None = None
    instead: str | None = None
    hung_up: bool = False


class Evidence(_Said):
    """What a service let us know: that it is the one we asked for, or what it is instead.

    ``what`` is a short text that stands alone. ``product`` to ``domain`` are what the protocol itself gave away, and
    ``port`` is where it sends its callers on. Where the answer does not fit, ``asked`` is the protocol that was asked
    for and ``instead`` what the bytes are by all appearances, ``None`` while nothing tells.
    """

    _text: str | None = None  # services that say the same share one of these, and its text

    @property
    def is_riddle(self) -> bool:
        """Whether something else than what was asked for may be there, and nothing tells yet what."""
        return self.asked is not None and self.instead is None

    @property
    def text(self) -> str:
        """All of it as one line for people."""
        if self._text is None:
            self._text = self._line()
        return self._text

    def _line(self) -> str:
        text = self.what
        if self.product:
            text += f", {self.product} {self.version}" if self.version else f", {self.product}"
        if self.host_name:
            text += f", host {self.host_name}"
        return f"{text}, domain {self.domain}" if self.domain else text


# What `receive` answers: evidence (done), bytes to send next, or None (more must come first).
Answer = Union[Evidence, bytes, None]


class Conversation:
    """One dialogue over a stream. Subclasses give ``name``, ``first`` and ``_classify``."""

    name: ClassVar[str]
    cap: ClassVar[int] = constants.READ_CAP
    # Whether a stranger's own words may be shown; not where it could echo our request with a secret in it.
    shows_strangers: ClassVar[bool] = True
    # Whether the server speaks first and we say nothing at all.
    listens_only: ClassVar[bool] = False

    # As each begins: most are over after one answer, and never have other values of their own.
    _buffer = b""
    _exchange = 1
    _learnt: Evidence | None = None  # enough for a verdict already; later exchanges only add to it
    _patience_s: float | None = None

    @property
    def patience_s(self) -> float:
        """How long to wait for all of the dialogue, after the connection stands."""
        return constants.SERVICE_S if self._patience_s is None else self._patience_s

    @patience_s.setter
    def patience_s(self, seconds: float) -> None:
        self._patience_s = seconds

    def first(self, attempt: int = 0) -> bytes:
        """The bytes that open the dialogue on try ``attempt``; empty where the server speaks first."""
        return b""

    def receive(self, data: bytes) -> Answer:
        """Judge what came, together with what came before in this exchange."""
        heard = self._buffer = (self._buffer + data)[: self.cap]
        try:
            answer = self._classify(heard)
        except IncompleteError:
            answer = None
        except MalformedError as error:
            return self._learnt or self.unexpected(str(error))
        if isinstance(answer, Evidence):
            return answer
        if answer is not None:
            self._exchange += 1
            self._buffer = b""
            if self._exchange > constants.EXCHANGES:
                return self._learnt or self.unexpected("it asks for ever more")
        elif len(heard) >= self.cap:
            return self._learnt or self.unexpected(f"nothing that fits in its first {self.cap} bytes")
        return answer

    def ended(self, *, hung_up: bool = False) -> Evidence:
        """The verdict when nothing more will come: the peer ``hung_up``, or the time is up."""
        if self._learnt is not None:
            return self._learnt
        if self._buffer:
            return self.unexpected("its answer is incomplete")
        if self._exchange > 1:
            return self.unexpected("it stops half-way through the dialogue")
        # One that hangs up before it was told anything turns callers away; nothing else that we say would reach it.
        asked = None if hung_up and self.listens_only else self.name
        what = f"nothing that could be {self.name}: not one byte came back"
        return Evidence(ServiceStatus.SILENT, what, asked=asked, hung_up=hung_up)

    def unexpected(self, problem: str) -> Evidence:
        """Evidence that this is not our service, with what it is instead as far as its bytes tell."""
        instead = identify(self._buffer, quote=self.shows_strangers)
        what = f"not {self.name} but {instead}" if instead else f"not {self.name}: {problem}"
        return Evidence(ServiceStatus.UNEXPECTED, what, asked=self.name, instead=instead)

    def _classify(self, data: bytes) -> Answer:
        """Judge all bytes of this exchange. May raise MalformedError, or IncompleteError for "more must come"."""
        raise NotImplementedError


class DatagramConversation(Conversation):
    """A dialogue over UDP: each datagram is judged alone, and one that does not fit is kept as what came instead."""

    def receive(self, data: bytes) -> Answer:
        """Judge one datagram; ``None`` if it is no answer to our question."""
        try:
            return self._classify(data[: self.cap])
        except MalformedError:
            self._buffer = data[: self.cap]
            return None

    def ended(self, *, hung_up: bool = False) -> Evidence:
        """The verdict when the time is up."""
        if self._buffer:
            return self.unexpected("what came back is no answer to the question")
        return Evidence(ServiceStatus.SILENT, f"no {self.name} answer", asked=self.name)


def bounded(data: bytes, start: int, length: int, what: str) -> bytes:
    """``data[start:start+length]``, all of it there. Raises IncompleteError naming the part that is cut off."""
    if start < 0 or length < 0 or start + length > len(data):
        raise IncompleteError(f"{what} is cut off")
    return data[start : start + length]
