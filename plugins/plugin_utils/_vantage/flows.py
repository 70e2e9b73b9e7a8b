# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many forwarded connections in one SSH session, without a thread for each, and with the server's own words.

paramiko keeps one refusal for a whole session and drops its text; here every answer goes to the flow that it is for
(RFC 4254, 5.1 and 7.2). A flow's window is never refilled: no peer can send more than WINDOW bytes.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

from .client import paramiko

# RFC 4250, 4.1.2
_OPEN, _OPENED, _REFUSED, _DATA, _EOF, _CLOSE = 90, 91, 92, 94, 96, 97
WINDOW = 65536
PROHIBITED = 1  # RFC 4254, 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED
_PACKET = 32768
_ORIGIN = ("127.0.0.1", 0)


class Kind(Enum):
    """What can happen to a flow."""

    OPENED = "opened"
    REFUSED = "refused"
    DATA = "data"
    CLOSED = "closed"
    LOST = "lost"  # the whole session broke


class Event(NamedTuple):
    """Something that the server said about a flow. ``reason`` is the code of a refusal (RFC 4254, 5.1)."""

    flow: Flow
    kind: Kind
    data: bytes = b""
    reason: int = 0


class Mailbox:
    """Events from the threads that read the sessions, for the one thread that judges them; a bell rings for each."""

    def __init__(self) -> None:
        self.bell, self._button = socket.socketpair()
        self.bell.setblocking(False)
        self._button.setblocking(False)
        self._events: deque[Event] = deque()

    def put(self, event: Event) -> None:
        """Called by a session's thread."""
        self._events.append(event)
        with suppress(OSError):  # full: it rings already; closed: nobody listens any more
            self._button.send(b"!")

    def take(self) -> list[Event]:
        """All that has come, in its order."""
        with suppress(BlockingIOError):
            while self.bell.recv(4096):
                pass
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def close(self) -> None:
        """Close the bell."""
        self.bell.close()
        self._button.close()


class Flow:
    """One forwarded connection. ``owner`` is whoever opened it, ``None`` once nobody wants to hear of it any more."""

    def __init__(self, session: Session, number: int, owner: Any) -> None:
        self.session = session
        self.number = number
        self.owner = owner
        self.opened_at = time.monotonic()
        self.is_answered = False  # the server has told what became of the connect
        self.is_slow = False
        self._remote: int | None = None

    def accepted(self, remote: int) -> None:
        """The connection stands; the server calls it ``remote``."""
        self._remote = remote

    def send(self, data: bytes) -> None:
        """Send bytes to the peer: few, never more than any server's window."""
        if self._remote is None:
            return
        message = paramiko.Message()
        message.add_byte(bytes([_DATA]))
        message.add_int(self._remote)
        message.add_string(data)
        self.session.say(message)

    def close(self) -> None:
        """Nobody wants to hear of it any more. One that is not answered yet is closed when it is."""
        self.owner = None
        if self._remote is not None:
            message = paramiko.Message()
            message.add_byte(bytes([_CLOSE]))
            message.add_int(self._remote)
            self._remote = None
            self.session.say(message)

    def _unlink(self) -> None:
        """Called by paramiko for every channel when the session ends."""
        self.session.lost(self)


_Transport: Any = paramiko.Transport if paramiko else object


class Session(_Transport):  # type: ignore[misc]
    """An SSH session of paramiko's that carries flows beside its usual channels."""

    def __init__(self, *arguments: Any, mailbox: Mailbox, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.mailbox = mailbox
        self.flows: dict[int, Flow] = {}  # all that the server has not closed yet
        handlers = self._handler_table
        self._usual = {kind: handlers[kind] for kind in (_OPENED, _REFUSED)}
        handlers[_OPENED] = self._flow_opened
        handlers[_REFUSED] = self._flow_refused
        usual_ones: dict[int, Callable[[Any, Any], Any]] = _Transport._channel_handler_table
        self._channel_handler_table = {kind: _for_flows(kind, usual) for kind, usual in usual_ones.items()}

    def open_flow(self, address: str, port: int, owner: Any) -> Flow:
        """Have the server connect to ``address``; what becomes of it is put into the mailbox."""
        with self.lock:
            number = self._next_channel()
            flow = self.flows[number] = Flow(self, number, owner)
            self._channels.put(number, flow)
            self.channels_seen[number] = True
        message = paramiko.Message()
        message.add_byte(bytes([_OPEN]))
        message.add_string("direct-tcpip")
        message.add_int(number)
        message.add_int(WINDOW)
        message.add_int(_PACKET)
        message.add_string(address)
        message.add_int(port)
        message.add_string(_ORIGIN[0])
        message.add_int(_ORIGIN[1])
        self.say(message)
        return flow

    def say(self, message: Any) -> None:
        """Send a message. A session that broke is told of by its thread, not here."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._send_user_message(message)

    def lost(self, flow: Flow) -> None:
        """The session ends, and the flow with it."""
        if self.flows.pop(flow.number, None) is not None:
            self.mailbox.put(Event(flow, Kind.LOST))

    def _flow_opened(self, message: Any) -> None:
        number = message.get_int()
        flow = self.flows.get(number)
        if flow is None:
            message.rewind()
            self._usual[_OPENED](message)
            return
        flow.accepted(message.get_int())
        self.mailbox.put(Event(flow, Kind.OPENED))

    def _flow_refused(self, message: Any) -> None:
        number = message.get_int()
        flow = self.flows.pop(number, None)
        if flow is None:
            message.rewind()
            self._usual[_REFUSED](message)
            return
        self._channels.delete(number)
        reason = message.get_int()
        self.mailbox.put(Event(flow, Kind.REFUSED, message.get_string(), reason))


def _for_flows(kind: int, usual: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The handler of a channel's message that tells flows from paramiko's own channels."""

    def handle(channel: Any, message: Any) -> Any:
        if not isinstance(channel, Flow):
            return usual(channel, message)
        if kind == _DATA:
            channel.session.mailbox.put(Event(channel, Kind.DATA, message.get_string()))
        elif kind == _EOF:
            channel.session.mailbox.put(Event(channel, Kind.CLOSED))
        elif kind == _CLOSE:
            channel.session.flows.pop(channel.number, None)
            channel.session._channels.delete(channel.number)
            channel.session.mailbox.put(Event(channel, Kind.CLOSED))
        return None

    return handle
