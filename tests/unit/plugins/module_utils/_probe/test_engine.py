# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on loopback, with names, threads and programs that the test makes up."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Observation, to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    ObservationStatus,
    Protocol,
    ServiceStatus,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants, engine, icmp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.first_tries import FirstTries
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.names import parse_endpoint
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Endpoint,
    Probe,
    ProbeOptions,
    Question,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.spread import Taken

from tests.unit.plugins.module_utils._probe.listening import listening

pytestmark = pytest.mark.timeout(30)


def _probe(index: int, port: int, *, address: str = "127.0.0.1", service: str = "none", protocol: str = "tcp") -> Probe:
    return Probe(index, f"host{index}", f"r{index}", address, Question(Protocol(protocol), port, service))


def _run(*probes: Probe, **options: object) -> dict[int, Observation]:
    return dict(Engine(ProbeOptions(**options)).run(probes))  # type: ignore[arg-type]


@contextmanager
def _listening(banner: bytes = b"") -> Iterator[int]:
    def serve(peer: socket.socket) -> None:
        peer.sendall(banner)
        peer.recv(1)

    with listening(serve) as port:
        yield port


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_open_and_closed() -> None:
    with _listening(b"SSH-2.0-x_1\r\n") as port:
        found = _run(_probe(0, port, service="ssh"), _probe(1, _free_port()), _probe(2, port))
    assert [found[index].status for index in range(3)] == [
        ObservationStatus.OPEN,
        ObservationStatus.CLOSED,
        ObservationStatus.OPEN,
    ]
    assert found[0].service is ServiceStatus.CONFIRMED
    assert found[0].host == "host0"
    assert found[0].source_address == "127.0.0.1"
    assert found[0].rtt_ms is not None
    assert to_result(found[0])["evidence"] == "SSH 2.0, x 1"


def test_no_service_check_connects_only() -> None:
    with _listening(b"SSH-2.0-x_1\r\n") as port:
        found = _run(_probe(0, port, service="ssh"), service_check=False)
    assert (found[0].status, found[0].service) == (ObservationStatus.OPEN, ServiceStatus.NOT_CHECKED)


def test_an_answer_is_told_at_once() -> None:
    """Nobody waits for what might still come while there is something to tell."""
    begun = time.monotonic()
    with _listening() as port:
        _index, found = next(Engine(ProbeOptions()).run([_probe(0, port)]))
        assert time.monotonic() - begun < 0.8 * constants.IDLE_S
    assert found.status is ObservationStatus.OPEN


def test_nothing_in_nothing_out() -> None:
    assert _run() == {}


@pytest.mark.parametrize("service", ["snmp_trap", "netbios_datagram", "named_pipes", "none"])
def test_what_no_packet_can_tell_is_not_probed(service: str) -> None:
    protocol = {"snmp_trap": "udp", "netbios_datagram": "udp"}.get(service, "service")
    found = _run(_probe(0, 162, service=service, protocol=protocol))
    assert found[0].status is ObservationStatus.UNVERIFIABLE_FROM_HERE
    assert found[0].attempts == 0
    assert len(found[0].evidence) > 20


def test_everything_is_closed_behind_a_run() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with _listening() as port:
        run = Engine(ProbeOptions()).run([_probe(number, port, service=str(number)) for number in range(9)])
        next(run)
        run.close()
        _run(*(_probe(number, port, service="ssh") for number in range(3)), deadline_s=0.2)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_memory_does_not_hold_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes are read as they are needed, not all at once."""
    monkeypatch.setattr(constants, "LOOKAHEAD", 10)
    port, read = _free_port(), 0

    def probes() -> Iterator[Probe]:
        nonlocal read
        for number in range(200):
            read += 1
            yield _probe(number, port, service=str(number))

    told = 0
    for _index, _observation in Engine(ProbeOptions(rate_per_s=1e6)).run(probes()):
        told += 1
        assert read <= told + 2 * constants.LOOKAHEAD
    assert told == 200


def test_greeted_once_however_late_the_second_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "LOOKAHEAD", 1)
    begun: list[int] = []
    start = FirstTries.start

    def start_and_note(tries: FirstTries, batch: list[Taken], now: float) -> list[Taken]:
        begun.extend(probe.index for _host, probe in batch)
        return start(tries, batch, now)

    monkeypatch.setattr(FirstTries, "start", start_and_note)
    with _listening(b"SSH-2.0-x_1\r\n") as port:
        found = _run(_probe(0, port, service="ssh"), _probe(1, _free_port()), _probe(2, port, service="ssh"))
    assert begun == [0, 1]
    assert found[2].evidence == found[0].evidence
    assert found[2].host == "host2"


def test_hanging_resolver_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "RESOLVE_S", 0.2)
    release = threading.Event()

    def resolve(name: str) -> list[Endpoint]:
        release.wait(5)
        return []

    begun = time.monotonic()
    found = dict(Engine(ProbeOptions(), resolver=resolve).run([_probe(0, 1, address="hangs.example")]))
    release.set()
    assert found[0].status is ObservationStatus.NAME_ERROR
    assert "no answer from the resolver" in found[0].evidence
    assert time.monotonic() - begun < 2


def test_name_without_address() -> None:
    found = dict(Engine(ProbeOptions(), resolver=lambda name: []).run([_probe(0, 1, address="empty.example")]))
    assert found[0].status is ObservationStatus.NAME_ERROR
    assert found[0].address is None


def test_absurd_name_is_a_name_error() -> None:
    found = _run(_probe(0, 1, address="a" * 300 + ".example"), _probe(1, 1, address=""))
    assert {found[0].status, found[1].status} <= {ObservationStatus.NAME_ERROR, ObservationStatus.CLOSED}
    assert found[0].status is ObservationStatus.NAME_ERROR


def test_no_descriptor_at_all_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    run = Engine(ProbeOptions())
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "SocketType", refuse)
    found = dict(run.run([_probe(0, 1), _probe(1, 53, protocol="udp"), _probe(2, 0, protocol="icmp")]))
    assert {observation.status for observation in found.values()} == {ObservationStatus.LOCAL_ERROR}
    assert "EMFILE" in found[0].evidence


def test_exhaustion_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for three sockets, ten probes are made three at a time."""
    real, opened = socket.SocketType, 0

    class Limited(real):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **options: object) -> None:
            nonlocal opened
            if opened >= 3:
                raise OSError(errno.EMFILE, "Too many open files")
            opened += 1
            super().__init__(*arguments, **options)

        def close(self) -> None:
            nonlocal opened
            opened -= 1
            super().close()

    port = _free_port()
    run = Engine(ProbeOptions(per_host=10))
    monkeypatch.setattr(socket, "SocketType", Limited)
    found = dict(run.run([_probe(number, port, service=str(number)) for number in range(10)]))
    assert {observation.status for observation in found.values()} == {ObservationStatus.CLOSED}
    assert len(found) == 10


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((0, "64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.02 ms"), "open"),
        ((1, ""), "filtered"),
        (None, "local_error"),
    ],
)
def test_ping_program_is_the_last_resort(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str] | None, status: str
) -> None:
    def forbid(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    commands: list[list[str]] = []

    def runner(command: list[str]) -> tuple[int, str]:
        commands.append(command)
        if answer is None:
            raise FileNotFoundError(errno.ENOENT, "ping")
        return answer

    monkeypatch.setattr(engine, "EchoChannel", forbid)
    found = dict(Engine(ProbeOptions(), runner=runner).run([_probe(0, 0, protocol="icmp")]))
    assert found[0].status.value == status
    assert commands == [["ping", "-n", "-c", "1", "-w", "4", "127.0.0.1"]]
    if status == "local_error":
        assert found[0].evidence == icmp.NO_MEANS


def test_no_echo_without_a_socket_and_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine by itself starts no program; it says what it would need."""

    def forbid(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, "ping socket")

    monkeypatch.setattr(engine, "EchoChannel", forbid)
    found = dict(Engine(ProbeOptions()).run([_probe(0, 0, protocol="icmp")]))
    assert found[0].status is ObservationStatus.LOCAL_ERROR
    assert "grant CAP_NET_RAW; the ping program is not used here" in found[0].evidence


def test_an_address_that_has_two_names_is_probed_once() -> None:
    endpoints = [endpoint for endpoint in [parse_endpoint("127.0.0.1")] if endpoint]
    with _listening(b"SSH-2.0-x_1\r\n") as port:
        run = Engine(ProbeOptions(), resolver=lambda name: endpoints)
        found = dict(run.run([_probe(n, port, address=f"name{n}.example", service="ssh") for n in range(3)]))
    assert {observation.service for observation in found.values()} == {ServiceStatus.CONFIRMED}
    assert len(found) == 3
