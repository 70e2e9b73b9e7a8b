# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocking calls (name resolution, the ``ping`` program) on a few threads, answers handed to the loop's thread."""

from __future__ import annotations

import queue
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Any, Callable

from . import constants
from .loop import READABLE, Loop, Watcher

_Task = Callable[[], Any]
_Told = Callable[[Any], None]


class Workers(Watcher):
    """At most WORKERS daemon threads, started as they are needed; one that hangs holds up nothing but itself."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._tasks: queue.Queue[tuple[_Task, _Told] | None] = queue.Queue()
        self._answers: deque[tuple[_Told, Any]] = deque()
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        loop.watch(self._bell.fileno(), READABLE, self)

    def call(self, task: _Task, told: _Told) -> None:
        """Run ``task``, which must not raise, on a thread, then ``told`` with its answer on the loop's thread."""
        self._tasks.put((task, told))
        if not self._idle.acquire(blocking=False) and self._threads < constants.WORKERS:
            self._threads += 1
            threading.Thread(target=self._work, name="audit-ports-worker", daemon=True).start()

    def ready(self, fd: int, mask: int, now: float) -> None:
        """The bell rang: tell what has been answered."""
        with suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        while self._answers:
            told, answer = self._answers.popleft()
            told(answer)

    def close(self) -> None:
        """Let the threads end when they are done; nothing more is told."""
        for _thread in range(self._threads):
            self._tasks.put(None)
        self._loop.unwatch(self._bell.fileno())
        self._bell.close()
        self._button.close()

    def _work(self) -> None:
        while True:
            item = self._tasks.get()
            if item is None:
                return
            task, told = item
            self._answers.append((told, task()))
            with suppress(OSError):  # full: it rings already; closed: nobody listens any more
                self._button.send(b"!")
            self._idle.release()
