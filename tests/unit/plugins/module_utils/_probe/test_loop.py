# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: what has come is served before any time-out, on every kind of poller."""

from __future__ import annotations

import os
import select
import time

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus, Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.loop import READABLE, Job, Loop
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.names import parse_endpoint
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Outcome, Probe, Question
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.spread import Host, Subnet
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.timing import RoundTrips

_MANY = 1100  # more than epoll tells of in one call by default


class _Waiting(Job):
    """Notes what happened to it, and finishes at the first of it."""

    def __init__(self, loop: Loop, seen: list[str]) -> None:
        endpoint = parse_endpoint("127.0.0.1")
        assert endpoint is not None
        host = Host(endpoint, Subnet(RoundTrips(2.0)), is_on_link=False, source=None)
        super().__init__(loop, Probe(0, "h", "r", "127.0.0.1", Question(Protocol.TCP, 1, "none")), host)
        self._seen = seen

    def begin(self, now: float) -> None:
        pass

    def ready(self, fd: int, mask: int, now: float) -> None:
        self._note("ready")

    def wake(self, now: float) -> None:
        self._note("woken")

    def abandon(self, reason: str) -> None:
        self._note("abandoned")

    def _note(self, what: str) -> None:
        self._seen.append(what)
        self.finish(Outcome(ObservationStatus.OPEN, what))


@pytest.mark.parametrize("has_epoll", [True, False])
def test_a_late_look_still_sees_all_answers_first(monkeypatch: pytest.MonkeyPatch, has_epoll: bool) -> None:
    """A consumer that dawdles past every time-out loses no answer that had come by then."""
    if not has_epoll:
        monkeypatch.delattr(select, "epoll")
    loop = Loop()
    seen: list[str] = []
    pipes = [os.pipe() for _number in range(_MANY)]
    try:
        for reader, writer in pipes:
            job = _Waiting(loop, seen)
            job.due = time.monotonic()
            loop.watch(reader, READABLE, job)
            loop.arm_all([job], job.due)
            os.write(writer, b"!")
        time.sleep(0.05)
        loop.turn(0.0)
        assert seen == ["ready"] * _MANY
        for reader, _writer in pipes:
            loop.unwatch(reader)
    finally:
        loop.close()
        for ends in pipes:
            for end in ends:
                os.close(end)


def test_a_time_out_waits_for_one_more_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What falls due during the wait is woken only behind the next look, which may bring its answer."""
    loop = Loop()
    seen: list[str] = []
    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Sleeping:
        """Sleeps for a second, and sees nothing."""

        def poll(self, timeout_s: float) -> list[tuple[int, int]]:
            clock[0] += 1
            return []

    loop.close()
    monkeypatch.setattr(loop, "_poller", Sleeping())
    job = _Waiting(loop, seen)
    job.due = clock[0] + 0.1
    loop.arm_all([job], clock[0])
    loop.turn(5.0)
    assert seen == []
    loop.turn(5.0)
    assert seen == ["woken"]
    assert [outcome.evidence for _job, outcome in loop.finished] == ["woken"]


def test_a_job_finishes_once() -> None:
    loop = Loop()
    seen: list[str] = []
    job = _Waiting(loop, seen)
    job.wake(0.0)
    job.abandon("late")
    loop.close()
    assert len(loop.finished) == 1
