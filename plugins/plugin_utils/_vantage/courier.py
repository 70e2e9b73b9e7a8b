# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries questions to a Windows machine, a batch at a time, and the answers back to whoever asked."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Protocol

from ...module_utils._core.vocabulary import ObservationStatus
from ...module_utils._probe.loop import Job, Loop
from ...module_utils._probe.records import Outcome, Probe, ProbeOptions
from ...module_utils._probe.spread import Host
from .._platform.interface import Command
from .asks import BATCH, Answers, Ask, Told, read_answers, write_batch
from .interface import VantageError

_LOST_AT_MOST = 2  # exchanges in a row that come to no end


class Machine(Protocol):
    """A Windows machine that runs commands."""

    def run(self, command: Command) -> tuple[str, str]:
        """What it writes to standard output and standard error. Raises VantageError where it is not reached."""

    def close(self) -> None:
        """Nothing more is to be run."""


class AskingJob(Job):
    """A probe of one address that is asked in one batch after the other; nothing of it happens here in between."""

    def __init__(self, loop: Loop, probe: Probe, host: Host, *, courier: Courier, options: ProbeOptions) -> None:
        super().__init__(loop, probe, host)
        self._courier = courier
        self._options = options
        self.due = float("inf")

    @property
    @abstractmethod
    def is_slow(self) -> bool:
        """Whether it will probably hold up the whole batch: such ones wait together."""

    def begin(self, now: float) -> None:
        """Ask in one of the next batches."""
        self._courier.add(self)

    def wake(self, now: float) -> None:
        """Never called: it has no timer."""

    def ready(self, fd: int, mask: int, now: float) -> None:
        """Never called: it has no socket."""

    def abandon(self, reason: str) -> None:
        """Finish with what is known: nothing."""
        self.finish(Outcome(ObservationStatus.LOCAL_ERROR, f"not probed to the end: {reason}", attempts=self.tries))

    @abstractmethod
    def ask(self) -> Ask:
        """The question of this turn."""

    @abstractmethod
    def told(self, told: Told) -> None:
        """Its answer: finish, or ask again."""


class Courier:
    """One exchange at a time. ``exchanges`` is how many there were."""

    def __init__(self, machine: Machine, options: ProbeOptions) -> None:
        self._machine = machine
        self._options = options
        self._quick: deque[AskingJob] = deque()
        self._slow: deque[AskingJob] = deque()
        self._lost = 0
        self._over = ""
        self._has_answered = False
        self.exchanges = 0

    def add(self, job: AskingJob) -> None:
        """Ask in one of the next batches; the slow ones are gathered, so that they wait together."""
        if self._over:
            job.abandon(self._over)
        else:
            (self._slow if job.is_slow else self._quick).append(job)

    def carry(self, longest_s: float) -> bool:
        """Carry one batch there and its answers back. Whether there was one.

        Raises VantageError where the machine cannot be probed from at all.
        """
        jobs: list[AskingJob] = []
        while len(jobs) < BATCH and (self._quick or self._slow):
            jobs.append((self._quick or self._slow).popleft())
        jobs = [job for job in jobs if not job.is_done]
        if not jobs:
            return False
        told, trouble = self.ask([job.ask() for job in jobs], longest_s)
        missing = dict(enumerate(jobs))
        for row in told:
            if row.number in missing:
                missing.pop(row.number).told(row)
        if trouble is not None:
            self._broke(trouble)
        for job in missing.values():
            self.add(job)
        return True

    def ask(self, asks: Sequence[Ask], longest_s: float) -> Answers:
        """The answers to one batch. Raises VantageError as ``carry`` does."""
        self.exchanges += 1
        command = write_batch(asks, self._options, longest_s)
        try:
            output, errors = self._machine.run(command)
            answers = read_answers(output, errors, command.mark, len(asks))
        except VantageError as error:
            if not self._has_answered:
                raise
            return Answers([], str(error))
        self._has_answered = self._has_answered or bool(answers.told)
        if not answers.told and answers.trouble is None:
            return Answers([], "the script had no time to tell anything")
        if answers.trouble is None:
            self._lost = 0
        return answers

    def _broke(self, trouble: str) -> None:
        """Once is chance; after that, nothing more is asked."""
        self._lost += 1
        if self._lost >= _LOST_AT_MOST:
            self._over = trouble
            for job in chain(self._quick, self._slow):
                job.abandon(trouble)
            self._quick.clear()
            self._slow.clear()
