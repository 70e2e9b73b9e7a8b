# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Wine's cmd.exe and reg.exe, which nobody here wrote: the script for cmd.exe, its quoting, and the registry's text.

In the long runs alone, where Debian's `wine` is. Its netsh.exe and sc.exe do nothing, so they are never asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform import cmd
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command, Part
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts

from tests.standins.captures import captured
from tests.standins.winrm.machine import RULES
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.natives import Natives
from tests.windows.test_commands import script

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif("AUDIT_PORTS_SOAK" not in os.environ, reason="Wine runs in `make soak` alone"),
    pytest.mark.skipif(shutil.which("wine") is None, reason="no wine in PATH"),
]
KEY = r"HKLM\SOFTWARE\Example"
TEXTS = (
    "a (b) & c | d > e < f", "it's", "100,80-90; {x} @y #z", "name=value dir=in", "*+HTTP", "back\\slash x",
    r"%SystemRoot%\system32\svchost.exe", "~tilde` $dollar",
)  # fmt: skip


class Wine:
    """A Windows of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "WINEPREFIX": str(folder / "prefix"), "WINEDEBUG": "-all"}
        self._run(["wineboot", "-i"], "")

    def _run(self, argv: list[str], text: str) -> bytes:
        # From a file: from a pipe, Wine's cmd.exe reads no more than one line.
        file = self._folder / "input"
        file.write_bytes(text.replace("\n", "\r\n").encode())
        with file.open("rb") as stream:
            result = subprocess.run(
                ["wine", *argv], stdin=stream, capture_output=True, timeout=120, check=False, env=self._environment
            )
        return result.stdout

    def parts(self, command: Command) -> Mapping[str, Part]:
        return split_parts(self._run(command.program.split(), command.body).decode(), command.mark)

    def load(self, text: str) -> None:
        """Import a file of the registry editor."""
        self._run(["reg.exe", "import", self._file(text)], "")

    def run_file(self, text: str) -> tuple[int, list[str]]:
        """The return code of a .cmd file, and the lines that it says."""
        file = self._folder / "file.cmd"
        file.write_text(text, encoding="ascii", newline="")
        done = subprocess.run(
            ["wine", "cmd", "/d", "/c", f"Z:{file}".replace("/", "\\")],
            capture_output=True, text=True, timeout=120, check=False, env=self._environment,
        )  # fmt: skip
        return done.returncode, [line.strip() for line in done.stdout.splitlines() if line.strip()]

    def _file(self, text: str) -> str:
        file = self._folder / "load.reg"
        file.write_text("Windows Registry Editor Version 5.00\r\n\r\n" + text, encoding="utf-16", newline="")
        return f"Z:{file}".replace("/", "\\")

    def close(self) -> None:
        subprocess.run(["wineserver", "-k"], env=self._environment, check=False, timeout=60)


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    made = Wine(tmp_path_factory.mktemp("wine"))
    yield made
    made.close()


def test_words_reach_the_program_unchanged(wine: Wine) -> None:
    argv = [("reg.exe", "add", KEY, "/v", str(number), "/d", text, "/f") for number, text in enumerate(TEXTS)]
    add = [cmd.part(f"add {number}", words) for number, words in enumerate(argv)]
    parts = wine.parts(cmd.script("".join([*add, cmd.part("read", ("reg.exe", "query", KEY))])))
    assert [part.rc for part in parts.values()] == [0] * (len(TEXTS) + 1)
    stored = [line.split("    ")[3] for line in parts["read"].out.splitlines() if line.startswith("    ")]
    assert stored == [text.replace("%SystemRoot%", r"C:\windows") for text in TEXTS]


def test_steps_end_at_the_first_failure(wine: Wine) -> None:
    fine, missing = ("reg.exe", "query", "HKLM"), ("reg.exe", "query", KEY + r"\missing")
    steps = [cmd.part("one", fine), cmd.part("two", missing), cmd.part("three", fine), cmd.part("four", fine)]
    parts = wine.parts(cmd.script(cmd.all_of(steps)))
    assert {name: part.rc for name, part in parts.items()} == {"one": 0, "two": 1}
    parts = wine.parts(cmd.script(steps[1] + cmd.when_failed(steps[2])))
    assert {name: part.rc for name, part in parts.items()} == {"two": 1, "three": 0}


def test_a_registry_is_read_back_as_the_stand_in_prints_it(wine: Wine) -> None:
    if captured("win7_v2.10.regquery.txt") is None:
        pytest.skip("the captured data of Windows machines is not here")
    machine = MACHINES["win7"]()
    rules = "".join(f"{quoted(name)}={quoted(rule)}\r\n" for name, rule in machine.rules().items())
    wine.load(f"[{machine.registry.key(RULES).path}]\r\n{rules}")
    argv = ("reg.exe", "query", RULES)
    read = wine.parts(cmd.script(cmd.part("rules", argv)))["rules"]
    played = Natives(machine).run(argv).out.decode().replace("\r\n", "\n")
    assert read.rc == 0
    assert len(machine.rules()) > 300
    # Wine writes the key with letters of its own and has the values in another order.
    assert sorted(filter(None, read.out.lower().split("\n"))) == sorted(filter(None, played.lower().split("\n")))


def test_a_file_of_commands_is_read_as_we_do(wine: Wine) -> None:
    """Others stand in for netsh.exe, for what fails and what succeeds (its own `echo` alone is neither)."""
    text = script("windows", sources=["198.51.100.9", "192.0.2.0/24"])
    text = text.replace("netsh.exe advfirewall firewall show", "reg.exe query HKLM\\nothing")
    text = text.replace("netsh.exe", "cmd.exe /d /c echo").replace(r"query HKU\S-1-5-19", "query HKLM")
    added = [line.partition(" || ")[2] for line in text.split("\r\n") if " || " in line]
    assert wine.run_file(text) == (0, [line.removeprefix("cmd.exe /d /c echo ") for line in added])
    refused = wine.run_file(text.replace("reg.exe query HKLM >nul", "reg.exe query HKLM\\nothing >nul"))
    assert refused == (1, ["Nothing is done: run this as an administrator."])
    failing = wine.run_file(text.replace("cmd.exe /d /c echo", "cmd.exe /d /c exit 1"))
    assert failing == (1, [])


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
