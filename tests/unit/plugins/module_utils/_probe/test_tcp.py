# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that stays silent: how often it is asked, and what must not be taken for its answer."""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Iterator

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    ObservationStatus,
    Protocol,
    ServiceStatus,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants, tcp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.first_tries import FirstTries
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.guards import Means
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.judge import IcmpError
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.kinds import Kinds
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.loop import ERROR, WRITABLE, Job, Loop
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.names import parse_endpoint
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.spread import Host, Subnet, Taken
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.tcp import STREAM, TcpJob
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.timing import RoundTrips

from tests.unit.plugins.module_utils._probe.protocols import captured

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux, which drops what a full queue gets"),
]
_OPTIONS = {"timeout_s": 0.2, "retries": 0}


@pytest.fixture
def silent() -> Iterator[Probe]:
    """A port of this machine that drops every SYN: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _number in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        time.sleep(0.05)
        yield Probe(0, "host", "r", "127.0.0.1", Question(Protocol.TCP, address[1], "none"))
        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("mask", [WRITABLE, WRITABLE | ERROR])
def test_an_event_of_a_former_socket_is_no_answer(silent: Probe, mask: int) -> None:
    """A descriptor number is used again; what is told of the socket that had it before is not this one's."""
    endpoint = parse_endpoint(silent.address)
    assert endpoint is not None
    now = time.monotonic()
    loop = Loop()
    host = Host(endpoint, Subnet(RoundTrips(2.0)), is_on_link=False, source=None)
    means = Means.of_this_machine(ProbeOptions(), now)
    job = TcpJob(loop, silent, host, means, None)
    job.begin(now)
    fd = next(iter(job._sockets))
    job.ready(fd, mask, now)
    assert not job.is_done
    assert means.descriptors.open == 1
    job.abandon("the test ends")
    job.abandon("twice")
    assert len(loop.finished) == 1
    assert means.descriptors.open == 0
    loop.close()


def _first_tries(*probes: Probe) -> tuple[Loop, FirstTries, list[Taken], set[Job]]:
    """Tries of these probes, and those that are left."""
    loop, kinds = Loop(), Kinds(ProbeOptions())
    running: set[Job] = set()
    endpoint = parse_endpoint(probes[0].address)
    assert endpoint is not None
    host = Host(endpoint, Subnet(RoundTrips(2.0)), is_on_link=False, source=None)
    for probe in probes:
        kinds.of(probe)
    tries = loop.crowd = FirstTries(loop, Means.of_this_machine(ProbeOptions(), time.monotonic()), kinds, running)
    return loop, tries, tries.start([(host, probe) for probe in probes], time.monotonic()), running


@pytest.mark.parametrize("mask", [WRITABLE, WRITABLE | ERROR])
def test_an_event_of_a_former_socket_answers_no_first_try(silent: Probe, mask: int) -> None:
    loop, tries, _left, running = _first_tries(silent)
    fd = next(iter(tries._flying))
    assert tries.serve([(fd, mask), (fd + 1, mask)], time.monotonic()) == [(fd + 1, mask)]
    assert tries.take_answered() == []
    assert [job.is_done for job in running] == [False]
    running.pop().abandon("the test ends")
    assert tries._means.descriptors.open == 0
    loop.close()


def test_a_first_try_that_nobody_answers_goes_on_as_a_job(silent: Probe) -> None:
    """When the shortest wait is over, with the SYN that was sent."""
    datagram = Probe(1, "host", "r", silent.address, Question(Protocol.UDP, 1, "snmp"))
    loop, tries, left, running = _first_tries(silent, datagram)
    assert [probe for _host, probe in left] == [datagram]
    sent = tries._sent[0][0]
    assert 0 < tries.wait_s(sent, 5.0) <= constants.FLOOR_S + 1e-9
    assert tries.expired(sent + constants.FLOOR_S / 2) == []
    late = tries.expired(sent + constants.FLOOR_S)
    assert set(late) == running
    assert [(job.probe, job.tries, job.due) for job in late] == [(silent, 1, sent + constants.FLOOR_S)]
    assert len(tries) == 0
    assert tries.wait_s(sent, 5.0) == 5.0
    late[0].abandon("the test ends")
    assert "1 SYN" in loop.finished[0][1].evidence
    loop.close()


def test_a_try_whose_descriptor_is_used_again_is_not_the_new_one(silent: Probe) -> None:
    """What was sent first is over; the time of the one that has its number now has not come."""
    loop, tries, _left, running = _first_tries(silent)
    sent, [one] = tries._sent[0]
    tries._flying[one[0]] = later = (*one[:5], sent + 1)
    assert tries.expired(sent + constants.FLOOR_S) == []
    assert tries._flying == {one[0]: later}
    tries.all_as_jobs(sent)
    running.pop().abandon("the test ends")
    loop.close()


def test_sockets_to_be_used_again_take_no_descriptors_from_probes(silent: Probe) -> None:
    loop, tries, _left, running = _first_tries(silent)
    one = next(iter(tries._flying.values()))
    tries._spares.sockets += [socket.SocketType(socket.AF_INET, STREAM) for _number in range(4)]
    tries._means.descriptors.limit = 3
    tries.start([(one[2], silent)], time.monotonic())
    assert (tries._means.descriptors.open, len(tries._spares.sockets)) == (2, 1)
    tries.all_as_jobs(time.monotonic())
    assert tries._spares.sockets == []
    for job in running:
        job.abandon("the test ends")
    assert tries._means.descriptors.open == 0
    loop.close()


def test_first_tries_without_descriptors_are_left(silent: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> socket.SocketType:
        raise OSError(errno.EMFILE, "no more")

    monkeypatch.setattr(socket, "SocketType", refuse)
    loop, tries, left, running = _first_tries(silent, silent)
    assert [probe for _host, probe in left] == [silent, silent]
    assert (len(tries), running, tries._means.descriptors.open) == (0, set(), 0)
    loop.close()


@pytest.mark.parametrize(("has_loss", "confirm", "attempts"), [(False, False, 1), (True, False, 3), (False, True, 2)])
def test_how_often_silence_is_asked(
    monkeypatch: pytest.MonkeyPatch, silent: Probe, has_loss: bool, confirm: bool, attempts: int
) -> None:
    """Where packets get lost more often, and once more where silence is to be confirmed."""
    monkeypatch.setattr(constants, "CONFIRM_S", 0.3)
    engine = Engine(ProbeOptions(**_OPTIONS, confirm=confirm))  # type: ignore[arg-type]
    engine._spreader.subnet(silent.address).has_loss = has_loss
    found = dict(engine.run([silent]))
    assert found[0].status is ObservationStatus.FILTERED
    assert found[0].attempts == attempts
    assert f"no answer to {attempts} SYN" in found[0].evidence


@pytest.mark.parametrize("first", [b"", captured.SSH[0][:5], captured.SSH[0]])
def test_a_service_is_heard_whatever_it_has_said_by_the_next_turn(first: bytes) -> None:
    """It is registered then only if more is waited for; what it says later must be told of."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = Probe(0, "host", "r", "127.0.0.1", Question(Protocol.TCP, listener.getsockname()[1], "ssh"))
        loop, tries, _left, running = _first_tries(probe)
        peer, _address = listener.accept()
        with peer:
            peer.send(first)
            assert len(tries) == 1
            assert tries.wait_s(time.monotonic(), 5.0) == 0.0
            loop.turn(0.0)
            assert len(tries) + len(running) == 1 or first == captured.SSH[0]
            peer.send(captured.SSH[0][len(first) :])
            loop.turn(1.0)
            outcomes = [outcome for *_rest, outcome in tries.take_answered()]
            outcomes += [outcome for _job, outcome in loop.finished]
        assert [(outcome.status, outcome.service) for outcome in outcomes] == [
            (ObservationStatus.OPEN, ServiceStatus.CONFIRMED)
        ]
        assert len(tries) == tries._means.descriptors.open == 0
        loop.close()


def test_a_run_that_ends_knows_of_services_that_were_just_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = Probe(0, "host", "r", "127.0.0.1", Question(Protocol.TCP, listener.getsockname()[1], "ssh"))
        loop, tries, _left, running = _first_tries(probe)
        tries.all_as_jobs(time.monotonic())
        assert len(tries) == 0
        running.pop().abandon("the test ends")
        assert [outcome.status for _job, outcome in loop.finished] == [ObservationStatus.OPEN]
        assert tries._means.descriptors.open == 0
        loop.close()


def test_an_error_of_a_socket_s_earlier_connection_is_not_this_ones(
    silent: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, tries, _left, running = _first_tries(silent)
    tries.all_as_jobs(time.monotonic())
    queued = [
        (IcmpError(errno.EHOSTUNREACH, 4, 3, 13, "192.0.2.254"), b"", ("192.0.2.9", 22)),
        (IcmpError(errno.EHOSTUNREACH, 4, 3, 10, "192.0.2.253"), b"", (silent.address, silent.port or 0)),
    ]
    monkeypatch.setattr(tcp, "read_error", lambda _sock: queued.pop(0) if queued else None)
    job = running.pop()
    assert isinstance(job, TcpJob)
    job.failed(next(iter(job._sockets)), errno.EHOSTUNREACH, None, time.monotonic())
    [(_job, outcome)] = loop.finished
    assert outcome.status is ObservationStatus.REJECTED
    assert "(3/10) from 192.0.2.253" in outcome.evidence
    loop.close()
