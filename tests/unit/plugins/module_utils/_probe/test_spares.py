# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that are used again: their connections are reset, they count anew, and nobody is told anything else."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus, Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import first_tries, spares
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.judge import TcpInfo, read_tcp_info
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.spares import Spares

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux dissolves a TCP connection so"),
]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        listener.settimeout(5)
        yield listener


@pytest.fixture(autouse=True)
def _from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "_WORTH_IT", 1)


def _connected(listener: socket.socket) -> socket.SocketType:
    sock = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(listener.getsockname())
    return sock


def test_a_connection_is_reset_and_the_socket_serves_again(listener: socket.socket) -> None:
    kept = Spares()
    sock = _connected(listener)
    own = sock.getsockname()
    peer, _address = listener.accept()
    assert kept.put(sock)
    assert kept.sockets == [sock]
    with peer, pytest.raises(ConnectionResetError):
        peer.recv(1)
    assert read_tcp_info(sock) == TcpInfo(0.0, 0, 0)
    sock.connect(listener.getsockname())
    again, address = listener.accept()
    assert address == sock.getsockname() != own
    sock.send(b"x")
    assert again.recv(1) == b"x"
    again.close()
    sock.close()


def test_below_what_it_is_worth_nothing_is_done(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "_WORTH_IT", 3)
    kept, socks = Spares(), [_connected(listener) for _number in range(4)]
    assert [kept.put(sock) for sock in socks] == [False, False, True, True]
    assert socks[0].getpeername() == listener.getsockname()
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("why", ["no libc", "counts go on", "refused"])
def test_where_it_is_not_possible_it_is_tried_once(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    calls = []

    def connect(fd: int, _place: bytes, _length: int) -> int:
        calls.append(fd)
        return -1 if why == "refused" else 0  # and the connection stands, with what was counted of it

    monkeypatch.setattr(spares, "_connect_of_libc", lambda: None if why == "no libc" else connect)
    kept, socks = Spares(), [_connected(listener) for _number in range(2)]
    assert [kept.put(sock) for sock in socks] == [False, False]
    assert len(calls) == (why != "no libc")
    assert kept.sockets == []
    for sock in socks:
        sock.close()


def test_one_that_cannot_be_dissolved_stays_the_callers(listener: socket.socket) -> None:
    kept, sock = Spares(), _connected(listener)
    assert kept.put(sock)
    closed = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM)
    closed.close()
    assert not kept.put(closed)
    kept.keep(0)
    assert kept.sockets == []
    assert sock.fileno() == -1


def test_the_engine_opens_a_few_for_many(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open and closed ports by turns: what was open before says nothing of what is closed now."""
    port = listener.getsockname()[1]
    probes = [
        Probe(number, "h", "r", f"127.0.0.{number % 5 + 1}", Question(Protocol.TCP, port, str(number)))
        for number in range(400)
    ]
    fresh = []

    class Fresh(socket.SocketType):  # type: ignore[misc]
        def __init__(self, *arguments: int) -> None:
            fresh.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(first_tries.socket, "SocketType", Fresh)
    options = ProbeOptions(service_check=False, per_host=10, rate_per_s=1e6)
    with Engine(options) as engine:
        found = [observation for _index, observation in engine.run(probes)]
    told = {(row.address, row.status, row.attempts) for row in found}
    others = {(f"127.0.0.{last}", ObservationStatus.CLOSED, 1) for last in range(2, 6)}
    assert told == {("127.0.0.1", ObservationStatus.OPEN, 1)} | others
    assert len(found) == 400
    assert 5 < len(fresh) < 100
