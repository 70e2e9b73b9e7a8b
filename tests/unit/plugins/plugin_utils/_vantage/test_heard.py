# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module tells by the name of its process how far it is, and whoever waits for it reads that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import telling
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.heard import (
    listener,
    new_mark,
    parse_names,
)

pytestmark = pytest.mark.timeout(20)


class _Local:
    """A connection to this machine, as Ansible's own runs commands."""

    transport = "local"

    def __init__(self) -> None:
        self.commands: list[tuple[str, Any, bool]] = []

    def exec_command(self, command: str, in_data: Any = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        self.commands.append((command, in_data, sudoable))
        done = subprocess.run(command, shell=True, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr


def _rows(*indexes: int) -> Iterator[Any]:
    return ((index, None) for index in indexes)


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="needs Linux")
def test_a_process_is_heard_while_it_runs() -> None:
    mark, connection = new_mark(), _Local()
    code = (
        f"import sys; from {telling.__name__} import tell_while\n"
        "rows = ((index, None) for index in range(300) if index or not print('up', flush=True))\n"
        f"telling = tell_while('{mark}', rows)\n"
        "for index in range(200): next(telling)\n"
        "import time; time.sleep(1.1); next(telling); print('told', flush=True); sys.stdin.read()\n"
    )
    listen = listener(connection, mark)
    assert listen is not None
    assert listen() is None
    environ = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["up\n", "told\n"]
        assert listen() == 201
        process.kill()
    assert listen() is None
    assert {(in_data, sudoable) for _command, in_data, sudoable in connection.commands} == {(None, False)}


def test_addresses_of_one_name_are_one_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = tmp_path / "comm"
    monkeypatch.setattr(telling, "_NAME", str(name))
    monkeypatch.setattr(telling, "_PERIOD_S", 0.0)
    assert [index for index, _row in telling.tell_while("0123abcd", _rows(7, 7, 9))] == [7, 7, 9]
    assert name.read_text(encoding="ascii") == "0123abcd2"


def test_no_name_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_NAME", "/nonexistent/comm")
    assert len(list(telling.tell_while("0123abcd", _rows(1, 2)))) == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", None),
        ("0123abcd1f\n", 31),
        ("0123abcd0\n0123abcd2a\n0123abcd7\n", 42),  # processes that it was divided into keep its name
        ("0123abcd\n0123abcdxyz\nbash\n0123abc12\n", None),
    ],
)
def test_names_of_processes(text: str, number: int | None) -> None:
    assert parse_names(text, "0123abcd") == number


def test_what_cannot_be_heard() -> None:
    class Broken(_Local):
        def exec_command(self, command: str, in_data: Any = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
            raise RuntimeError("gone")

    class Other(_Local):
        transport = "httpapi"

    listen = listener(Broken(), "0123abcd")
    assert listen is not None
    assert listen() is None
    assert listener(Other(), "0123abcd") is None
