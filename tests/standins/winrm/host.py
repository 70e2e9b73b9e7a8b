# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""One host: a machine, its programs, and what runs command lines on it; counts everything that it was asked."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections import Counter
from pathlib import Path

from tests.standins.engine import FULL, Engines, Work, find_engine
from tests.standins.winrm.answer import Answer, error
from tests.standins.winrm.cmdshell import Cmd
from tests.standins.winrm.door import Door
from tests.standins.winrm.faults import Faults, clixml
from tests.standins.winrm.machine import Machine
from tests.standins.winrm.natives import Natives

_ENCODED = re.compile(r'"?powershell(?:\.exe)?"? (?P<options>.*)-EncodedCommand (?P<script>\S+)', re.IGNORECASE)
_OPTIONS = re.compile(r"(?:-(?:NoProfile|NonInteractive|ExecutionPolicy (?:Unrestricted|Bypass)) )*", re.IGNORECASE)
_SCRIPT_ON_INPUT = ["cmd.exe", "/d", "/q", "/v:on"]


def _decoded(encoded: str) -> str:
    """An encoded script; empty where it is none."""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError):
        return ""


class Host:
    """A machine that answers command lines. `language_mode` is that of its PowerShell; `blocked` names shells that may
    not run there (`powershell`).
    """

    def __init__(self, machine: Machine, engines: Engines, *, language_mode: str = FULL) -> None:
        self.machine = machine
        self.engines = engines
        self.language_mode = language_mode
        self.blocked: set[str] = set()
        self.faults = Faults()
        self.natives = Natives(machine)
        self.requests: Counter[str] = Counter()
        self.shells_started: Counter[str] = Counter()
        self.wrapped: Counter[str] = Counter()
        self.scripts: list[tuple[str, str]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="standin-")
        self._door = Door(self.natives, Path(self._folder.name) / machine.name)

    @property
    def environment(self) -> dict[str, str]:
        """What an engine needs to play this machine."""
        return self._door.environment

    def counters(self) -> dict[str, dict[str, int]]:
        """Requests by operation, and processes started: native programs, shells, and what WinRS starts shells in."""
        return {
            "requests": dict(self.requests), "natives": dict(self.natives.started), "shells": dict(self.shells_started),
            "wrapped": dict(self.wrapped),
        }  # fmt: skip

    def reset_counters(self) -> None:
        """Begin counting anew."""
        for counter in (self.requests, self.natives.started, self.shells_started, self.wrapped):
            counter.clear()

    def reads_input(self, line: str) -> bool:
        """Whether the program waits for its standard input to end."""
        if not (found := _ENCODED.fullmatch(line.strip())):
            return line.lower().split() == _SCRIPT_ON_INPUT
        script = _decoded(found["script"])
        return "$input" in script or bool(_ENCODED.fullmatch(script.strip()))

    def run(self, line: str, stdin: bytes) -> Answer:
        """Run a command line as a shell of WinRS does: through cmd.exe, which starts the program."""
        if found := _ENCODED.fullmatch(line.strip()):
            if not _OPTIONS.fullmatch(found["options"]):
                return error(f"powershell: an option of {found['options']!r} is not known")
            return self._powershell(found["script"], stdin)
        self.shells_started["cmd"] += 1
        if line.lower().split() == _SCRIPT_ON_INPUT:
            return Cmd(self.natives.run).script(stdin.decode(errors="replace").replace("\r\n", "\n"))
        return Cmd(self.natives.run).command(line)

    def _powershell(self, encoded: str, stdin: bytes) -> Answer:
        self.shells_started["powershell"] += 1
        script = _decoded(encoded)
        if not script:
            return error("Cannot process the command because the value specified with -EncodedCommand is not valid.")
        if "powershell" in self.blocked or find_engine() is None:
            return error("This program is blocked by group policy. For more information, contact your administrator.")
        # Older connections wrap a command that is encoded already: PowerShell then does nothing but start PowerShell.
        if found := _ENCODED.fullmatch(script.strip()):
            return self._powershell(found["script"], stdin)
        body = stdin.decode(errors="replace")
        self.scripts.append((script, body))
        answer = self.engines.run(Work(script, body, self.environment, self.language_mode))
        return Answer(answer.rc, answer.out, clixml(answer.err.decode()) if answer.err else b"")

    def close(self) -> None:
        """End the programs' door and remove its folder."""
        self._door.close()
        self._folder.cleanup()
