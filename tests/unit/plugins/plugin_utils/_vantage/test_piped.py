# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine from memory in another Python, and what is said where that goes wrong."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus, Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Outcome,
    Probe,
    ProbeOptions,
    Question,
    observe,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.wire import pack_observation
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import piped
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.interface import VantageError

from tests.tools.environments import find_python

OPTIONS = ProbeOptions(vantage="audit1", service_check=False, snmp_community=Secret("geheim"))
_PYTHONS = [python for python in map(find_python, ("3.8", "3.11", "3.13")) if python] or [sys.executable]


class Pipe:
    """A channel of paramiko's over a local process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def sendall(self, data: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(data)

    def shutdown_write(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.stdin = None

    def settimeout(self, _timeout_s: float) -> None:
        pass

    def makefile_stderr(self, _mode: str) -> Any:
        return self._process.stderr


@pytest.fixture
def start() -> Iterator[Callable[[str], tuple[piped.Remote, Any]]]:
    """Starts the engine by a shell's command, as an SSH server does."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(command: str) -> tuple[piped.Remote, Any]:
        process = subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=-1
        )
        running.append(process)
        return piped.Remote(Pipe(process), process.stdout), process.stdout  # type: ignore[arg-type]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def _probes(*ports: int) -> list[Probe]:
    return [
        Probe(number, "web1", "linux.ssh", "127.0.0.1", Question(Protocol.TCP, port, "ssh"))
        for number, port in enumerate(ports)
    ]


@pytest.mark.parametrize("python", _PYTHONS)
def test_the_engine_runs_from_memory(start: Any, python: str, tmp_path: Path) -> None:
    """On the oldest and the newest Python, isolated from whatever is installed and from this directory."""
    remote, output = start(f"cd {tmp_path}; {piped.start_command(python + ' -I')}")
    version = piped.read_version(output)
    assert version is not None
    assert version >= piped.OLDEST
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (open_one, closed_one) = sorted(remote.observe(_probes(port, 1), OPTIONS), key=lambda item: item[0])
    assert (open_one[1].status.value, closed_one[1].status.value) == ("open", "closed")
    assert open_one[1].vantage == "audit1"
    assert list(tmp_path.iterdir()) == []


def test_thousands_of_probes_do_not_block_either_way(start: Any) -> None:
    remote, output = start(piped.start_command(sys.executable))
    assert piped.read_version(output)
    probes = [
        Probe(number, "web1", "r", f"127.0.{number // 200}.{1 + number % 200}", Question(Protocol.TCP, 1, "none"))
        for number in range(5000)
    ]
    options = ProbeOptions(vantage="audit1", rate_per_s=1e6)
    assert sorted(index for index, _row in remote.observe(probes, options)) == list(range(5000))


def test_the_command_is_one_that_any_shell_takes() -> None:
    """csh wants a quoted text on one line; between single quotes nothing else means anything to any of them."""
    command = piped.start_command("python3")
    assert "\n" not in command
    assert command.count("'") == 2
    assert "!" not in command


@pytest.mark.parametrize("shell", [*filter(shutil.which, ("sh", "bash", "dash", "zsh", "fish", "csh"))])
def test_the_command_is_the_same_in_the_shells_of_this_machine(shell: str) -> None:
    done = subprocess.run(
        [shell, "-c", piped.start_command(sys.executable)], input=b"\n", capture_output=True, timeout=20, check=False
    )
    assert piped.read_version(io.BytesIO(done.stdout)) == sys.version_info[:2], done.stderr


@pytest.mark.parametrize(
    ("output", "version"),
    [
        (b"", None),
        (b"welcome\r\n\r\nagentless-audit-ports:3.9\n", (3, 9)),
        (b"agentless-audit-ports:three\n", None),
        (b"no such program\n", None),
        (b"noise\n" * 1000 + b"agentless-audit-ports:3.9\n", None),
    ],
)
def test_version_is_found_behind_noise(output: bytes, version: tuple[int, int] | None) -> None:
    assert piped.read_version(io.BytesIO(output)) == version


class Silent:
    """A channel that takes everything and whose program ended with these words."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def sendall(self, data: bytes) -> None:
        pass

    def shutdown_write(self) -> None:
        pass

    def settimeout(self, timeout_s: float) -> None:
        pass

    def makefile_stderr(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._said)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"", "audit1: the engine there ended before its time: MemoryError"),
        (b'{"index": 0, "cut', "before its time"),
        (b"Killed\n", "no engine would: Killed"),
        (b"[1]\n", "no engine would"),
        (b'{"end": 3}\n', "3 observations were made on the audit host, and 0 came here"),
        (b'{"error": "no sockets\\u001b[31m"}\n', "has not the means to probe: no sockets$"),
        (b'{"index": 0, "requirement": "a"}\n', "cannot be read"),
        (b'{"index": "x"}\n', "cannot be read"),
    ],
)
def test_an_engine_that_breaks_off_is_an_error(output: bytes, words: str) -> None:
    remote = piped.Remote(Silent(b"Traceback ...\nMemoryError\n"), io.BytesIO(output))
    with pytest.raises(VantageError, match=words):
        list(remote.observe(_probes(1), OPTIONS))


def test_what_is_left_when_the_connection_breaks_is_our_fault() -> None:
    (first, second) = _probes(1, 2)
    outcome = Outcome(ObservationStatus.CLOSED, "refused")
    line = pack_observation(0, observe(first, "127.0.0.1", outcome, "elsewhere")) + "\n"
    remote = piped.Remote(Silent(b""), io.BytesIO(line.encode() + b'{"index": 1, "req'))
    (one, other) = remote.observe([first, second], OPTIONS)
    assert (one[0], one[1].status.value, one[1].vantage) == (0, "closed", "audit1")
    assert (other[0], other[1].status.value) == (1, "local_error")
    assert "ended before its time" in other[1].evidence


def test_the_community_is_in_no_command_line() -> None:
    assert "geheim" not in piped.start_command("python3")
    assert json.dumps("geheim").encode() not in piped.program()
