# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a program: a bar on a terminal alone, lines as they are found, and a clean end on every way out."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import engine
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import program
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.places import parse_place
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.program import bar_text

pytestmark = pytest.mark.timeout(30)
_COLLECTIONS = Path(program.__file__).parents[6]
_COMMAND = [sys.executable, "-m", program.__name__]
# A path that no test environment has a route for would do as well; this one refuses at once.
_PLACES = "".join(f"127.0.0.1 tcp/{port}\n" for port in range(1, 41))


def _start(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_COLLECTIONS)},
    )


def test_lines_on_a_pipe_and_no_bar() -> None:
    told, errors = _start("--no-service-check").communicate(_PLACES, timeout=20)
    rows = [json.loads(line) for line in told.splitlines()]
    assert sorted(row["index"] for row in rows) == list(range(40))
    assert {row["status"] for row in rows} <= {"open", "closed"}
    assert errors == ""


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    places = tmp_path / "places"
    places.write_text(_PLACES, encoding="ascii")
    output = tmp_path / "found"
    ours, theirs = pty.openpty()
    process = _start("--output", str(output), "--rate", "60", str(places), stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"\n" not in shown:
        shown += os.read(ours, 4096)
    assert process.wait(10) == 0
    os.close(ours)
    process.communicate()
    drawn = [part.partition("\x1b")[0] for part in shown.decode().split("\r") if part.startswith("[")]
    assert len(drawn) > 2
    assert drawn[-1].startswith(f"[{'#' * 30}] 40/40 ")
    assert len(output.read_text(encoding="ascii").splitlines()) == 40


def test_an_interrupt_keeps_what_is_written(tmp_path: Path) -> None:
    output = tmp_path / "found"
    process = _start("--output", str(output), "--rate", "10")
    assert process.stdin is not None
    process.stdin.write(_PLACES)
    process.stdin.close()
    process.stdin = None
    while not output.exists() or not output.read_text(encoding="ascii"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _told, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors == ""
    rows = [json.loads(line) for line in output.read_text(encoding="ascii").splitlines()]
    assert 0 < len(rows) < 40


def test_a_deadline_gives_all_that_is_known() -> None:
    told, _errors = _start("--rate", "20", "--deadline", "0.6").communicate(_PLACES, timeout=20)
    statuses = [json.loads(line)["status"] for line in told.splitlines()]
    assert len(statuses) == 40
    assert {"closed", "local_error"} <= set(statuses)


def test_nobody_reads_any_more() -> None:
    process = _start("--rate", "100")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(_PLACES)
    process.stdin.close()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_line_that_is_none_is_told() -> None:
    process = _start()
    _told, errors = process.communicate("127.0.0.1 tcp/1\nweb1\n", timeout=20)
    assert process.returncode == 2
    assert errors == "line 2: 'web1' is no address with tcp/PORT, udp/PORT or icmp\n"


def test_places() -> None:
    probe = parse_place("192.0.2.10 tcp/22 ssh\n", 3)
    assert (probe.index, probe.address, probe.protocol, probe.port, probe.service) == (
        3, "192.0.2.10", Protocol.TCP, 22, "ssh",
    )  # fmt: skip
    assert parse_place("2001:db8::1 icmp", 0).service == "icmp_echo"
    assert parse_place("web1.example udp/161 snmp", 0).port == 161


@pytest.mark.parametrize("line", ["a", "a tcp", "a tcp/0", "a tcp/65536", "a icmp/1", "a sctp/1", "a tcp/x", "a b c d"])
def test_no_places(line: str) -> None:
    with pytest.raises(InputError, match="line 1"):
        parse_place(line, 0)


def test_bar_texts() -> None:
    assert bar_text(0, 100, 0.0) == f"[{'.' * 30}] 0/100 0/s ?"
    assert bar_text(25_000, 100_000, 2.5) == f"[{'#' * 7}{'.' * 23}] 25,000/100,000 10,000/s 0:07 left"
    assert bar_text(5, None, 1.0) == "5 probed, 5/s"


def test_echo_by_the_ping_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither kind of socket is allowed."""

    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EPERM, "no socket")

    ping, places, output = (tmp_path / name for name in ("ping", "places", "found"))
    ping.write_text("#!/bin/sh\necho \"64 bytes from $6: icmp_seq=1 ttl=64 time=0.25 ms\"\n", encoding="ascii")
    ping.chmod(0o755)
    places.write_text("127.0.0.1 icmp\n", encoding="ascii")
    monkeypatch.setattr(engine, "EchoChannel", refuse)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert program.main(["--output", str(output), str(places)]) == 0
    row = json.loads(output.read_text(encoding="ascii"))
    assert (row["status"], row["evidence"], row["rtt_ms"]) == ("open", "echo reply (ping)", 0.25)
