# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a long run."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import progress as module
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.progress import Progress


def _watched(progress: Progress, *indexes: int) -> None:
    rows: Any = ((index, None) for index in indexes)
    assert [index for index, _row in progress.watch(rows)] == list(indexes)


def test_line_tells_rate_done_and_time_left() -> None:
    progress = Progress(print, 400, "audit1", 1000)
    _watched(progress, *range(100), 5, 6)  # two names with a second address: no further probes
    assert progress.line(10) == "reachability from audit1: 100 of 400 probes done, 10 a second, about 30 s left"


def test_line_before_the_first_answer() -> None:
    progress = Progress(print, 400, "audit1", 1000)
    _watched(progress)
    assert progress.line(10) == "reachability from audit1: 0 of 400 probes done, 0 a second, nothing is heard yet"


def test_line_of_a_module() -> None:
    assert Progress(print, 5000, "audit1", 100).line(20) == (
        "reachability from audit1: 5000 probes under way for 20 s; at the rate that is set they take at least 50 s"
    )


def test_line_of_a_module_that_is_heard() -> None:
    progress = Progress(print, 400, "audit1", 1000, listen=lambda: 100)
    assert progress.line(10) == "reachability from audit1: 100 of 400 probes done, 10 a second, about 30 s left"
    assert "under way for 10 s" in Progress(print, 400, "audit1", 1000, listen=lambda: None).line(10)


@pytest.mark.timeout(10)
def test_it_is_said_again_and_again_also_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.02)
    heard, twice = [], threading.Event()

    def say(line: str) -> None:
        heard.append(line)
        if len(heard) == 2:
            twice.set()

    with Progress(say, 9, "controller", 1000):
        assert twice.wait(5)
    said = len(heard)
    assert not twice.wait(0) or len(heard) == said
    assert [thread for thread in threading.enumerate() if thread.name == "audit-ports-progress"] == []
