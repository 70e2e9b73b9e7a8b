# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many probes in several processes: the same answers, each once, and no process left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    ObservationStatus,
    Protocol,
    ServiceStatus,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants, shards
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.lines import Lines, lines_of
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Outcome,
    Probe,
    ProbeOptions,
    Question,
    observe,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.places import Places

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux"),
]
_OPTIONS = ProbeOptions(rate_per_s=1e6, service_check=False)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few probes count as many, on any machine; and nothing may be left behind."""
    monkeypatch.setattr(constants, "SHARD_FROM", 20)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert sorted(os.listdir("/proc/self/fd")) == before


def _probes(count: int, port: int) -> list[Probe]:
    return [
        Probe(number, f"host{number}", "r", f"127.0.0.{1 + number % 50}", Question(Protocol.TCP, port, str(number)))
        for number in range(count)
    ]


def test_the_same_answers_each_once() -> None:
    with socket.create_server(("127.0.0.7", 0), backlog=64) as listener:
        port = int(listener.getsockname()[1])
        found = list(Engine(_OPTIONS).run(_probes(300, port)))
    assert sorted(index for index, _observation in found) == list(range(300))
    for index, observation in found:
        assert observation.host == f"host{index}"
        assert observation.address == f"127.0.0.{1 + index % 50}"
        is_open = observation.address == "127.0.0.7"
        assert observation.status is (ObservationStatus.OPEN if is_open else ObservationStatus.CLOSED)
        assert observation.source_address is not None
        assert observation.rtt_ms is not None


def test_it_is_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shards.shards_for(_probes(20, 1)) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert shards.shards_for(_probes(20, 1)) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert shards.shards_for(_probes(20, 1)) == 1


def test_one_process_will_do() -> None:
    probes = _probes(20, 1)
    assert shards.shards_for(probes[1:]) == 1
    assert shards.shards_for(list(reversed(probes))) == 1
    named = Probe(20, "h", "r", "web1.example", Question(Protocol.TCP, 1, "none"))
    assert shards.shards_for([*probes, named]) == 1
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert shards.shards_for(probes) == 1
    done.set()
    thread.join()


def test_the_deadline_holds_for_all() -> None:
    found = dict(Engine(ProbeOptions(rate_per_s=30, deadline_s=0.5)).run(_probes(300, 1)))
    assert len(found) == 300
    statuses = {observation.status for observation in found.values()}
    assert statuses == {ObservationStatus.CLOSED, ObservationStatus.LOCAL_ERROR}
    late = [found[index] for index in found if found[index].status is ObservationStatus.LOCAL_ERROR]
    assert {observation.evidence for observation in late} == {"not probed: the deadline of 0.5 s is reached"}


def test_the_rate_is_shared() -> None:
    run = Engine(ProbeOptions(rate_per_s=100, deadline_s=1.0)).run(_probes(300, 1))
    made = sum(observation.status is ObservationStatus.CLOSED for _index, observation in run)
    assert 10 < made < 160  # each at its fourth of the rate; four times as many otherwise


def test_lines_are_made_by_the_processes(tmp_path: Path) -> None:
    """The same lines as one process makes; the places are read by each."""
    path = tmp_path / "places"
    path.write_text("# hosts\n" + "".join(f"127.0.0.{1 + n % 50} tcp/1 other{n // 50}\n\n" for n in range(300)))
    places = Places(str(path))
    assert (len(places), places.processes) == (300, 4)
    assert [probe.service for probe in places][49:51] == ["other0", "other1"]
    several = _steady(Engine(_OPTIONS).lines(places, processes=places.processes))
    assert several == _steady(Engine(_OPTIONS).lines(places))
    assert list(several) == list(range(300))


def test_shares_are_dealt_by_address(tmp_path: Path) -> None:
    """However a line is spaced: what is asked of a host once must be asked by one process."""
    path = tmp_path / "places"
    path.write_text("".join(f"127.0.0.{1 + n % 9}{' ' * (n % 3)}\ttcp/{n + 1}\n#\n" for n in range(90)))
    places = Places(str(path))
    dealt = [list(places.share(number, 4)) for number in range(4)]
    assert sorted(probe.index for share in dealt for probe in share) == list(range(90))
    assert [probe.port for probe in places] == list(range(1, 91))
    addresses = [{probe.address for probe in share} for share in dealt]
    assert sum(map(len, addresses)) == len(set().union(*addresses)) == 9


def _steady(lines: Iterable[Lines]) -> dict[int, dict[str, Any]]:
    """The rows in input order, but for what is measured."""
    rows = sorted(_rows(lines), key=lambda row: int(row["index"]))
    return {row["index"]: {**row, "rtt_ms": None} for row in rows}


def _rows(lines: Iterable[Lines]) -> Iterator[dict[str, Any]]:
    for count, text in lines:
        some = text.splitlines()
        assert len(some) == count
        yield from map(json.loads, some)


def test_names_are_left_to_one_process(tmp_path: Path) -> None:
    path = tmp_path / "places"
    path.write_text("127.0.0.1 tcp/1\n" * 30 + "web1.example tcp/1\n")
    assert Places(str(path)).processes == 1


def test_lines_of_a_killed_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _note_forks(monkeypatch)
    lines = Engine(ProbeOptions(rate_per_s=200, deadline_s=10)).lines(shards.Listed(_probes(300, 1)), processes=2)
    rows = list(_rows([next(iter(lines))]))
    os.kill(made[0], signal.SIGKILL)
    rows += _rows(lines)
    assert sorted(row["index"] for row in rows) == list(range(300))
    assert any("has ended too early" in row["evidence"] for row in rows)


def test_who_stops_listening_ends_them() -> None:
    run = Engine(ProbeOptions(rate_per_s=100)).run(_probes(300, 1))
    next(run)
    run.close()


def test_a_killed_process_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not told is our fault."""
    made = _note_forks(monkeypatch)
    run = Engine(ProbeOptions(rate_per_s=200, deadline_s=10)).run(_probes(300, 1))
    found = [next(run)]
    os.kill(made[0], signal.SIGKILL)
    found += run
    assert sorted(index for index, _observation in found) == list(range(300))
    lost = [observation for _index, observation in found if observation.status is ObservationStatus.LOCAL_ERROR]
    assert lost
    assert "has ended too early" in lost[0].evidence


def _note_forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that are forked from now on."""
    made: list[int] = []
    fork = os.fork

    def fork_and_note() -> int:
        made.append(fork())
        return made[-1]

    monkeypatch.setattr(os, "fork", fork_and_note)
    return made


@pytest.mark.parametrize("address", [None, "2001:db8::1", 'odd"\\\n\u2028'])
@pytest.mark.parametrize("rtt_s", [None, 0.0123456, 1e-7])
def test_a_line_is_that_of_the_record(address: str | None, rtt_s: float | None) -> None:
    probe = Probe(7, 'h"\u00e9', "linux.ssh", "name", Question(Protocol.ICMP, None if rtt_s else 22, "icmp_echo"))
    outcome = Outcome(ObservationStatus.OPEN, "a\tb", ServiceStatus.CONFIRMED, rtt_s, 2, address)
    line = lines_of([(probe, address, outcome)], "audit1")
    assert json.loads(line) == {"index": 7, **to_result(observe(probe, address, outcome, "audit1"))}
