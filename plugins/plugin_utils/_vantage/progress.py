# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says every ten seconds how far a run is: a worker process of Ansible has no terminal for anything livelier."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from ...module_utils._probe.wire import Numbered

PERIOD_S = 10.0
Say = Callable[[str], object]
Listen = Callable[[], "int | None"]


class Progress:
    """Counts what passes through ``watch`` and, while entered, says a line every PERIOD_S from a thread of its own.

    Without ``watch`` (the probes run in a module, which is heard at its end only) ``listen`` says how many are done;
    where that is not known, the line tells how long it has been.
    """

    def __init__(
        self, say: Say, total: int, vantage: str, rate_per_s: float, *, listen: Listen | None = None
    ) -> None:
        self._say = say
        self._total = total
        self._vantage = vantage
        self._least_s = total / rate_per_s
        self._listen = listen
        self._begun = time.monotonic()
        self._done: set[int] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="audit-ports-progress", daemon=True)

    def watch(self, observed: Iterator[Numbered]) -> Iterator[Numbered]:
        """Pass everything on."""
        self._done = done = set()
        for index, observation in observed:
            done.add(index)
            yield index, observation

    def line(self, elapsed_s: float) -> str:
        """How far it is: rate, probes done of all, and the time left."""
        where = f"reachability from {self._vantage}"
        done = self._count()
        if done is None:
            return (
                f"{where}: {self._total} probes under way for {elapsed_s:.0f} s;"
                f" at the rate that is set they take at least {self._least_s:.0f} s"
            )
        rate = done / elapsed_s
        left = f"about {(self._total - done) / rate:.0f} s left" if done else "nothing is heard yet"
        return f"{where}: {done} of {self._total} probes done, {rate:.0f} a second, {left}"

    def _count(self) -> int | None:
        """How many probes are done, ``None`` where nobody tells."""
        if self._done is not None:
            return len(self._done)
        return self._listen() if self._listen is not None else None

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._over.set()
        self._thread.join(PERIOD_S)  # listening may take its time, and its answer is not needed any more

    def _work(self) -> None:
        while not self._over.wait(PERIOD_S):
            line = self.line(time.monotonic() - self._begun)
            if not self._over.is_set():
                self._say(line)
