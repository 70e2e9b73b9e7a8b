# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A real PowerShell engine for tests: where it is, and one that stays warm between commands.

The engine is the archive beside the project, unpacked once into `build/engine`, else the `pwsh` of PATH. To start one
takes a second of processor time, so a warm one runs each command in a runspace of its own; `run_cold` starts one as a
Windows machine would, for what a runspace cannot show (`exit`, an engine within an engine).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import Queue

from tests.standins.captures import ENGINE_ARCHIVE
from tests.standins.winrm.answer import Answer
from tests.tools.environments import BUILD

MISSING = "no PowerShell engine: neither the archive beside the project nor a pwsh in PATH"
FULL, CONSTRAINED = "FullLanguage", "ConstrainedLanguage"
_LOOP = Path(__file__).with_name("engine_loop.ps1")
_COMMAND_TIMEOUT_S = 60
# What a runspace of a warm engine cannot give: an exit code, a console of its own, an engine within the engine.
_COLD = re.compile(r"\bexit\b|\[(?:System\.)?Console\]|\bpowershell\b(?!\.\w)", re.IGNORECASE)
_WARM_AT_MOST = 2
_QUIET = {"DOTNET_TieredPGO": "0", "DOTNET_gcConcurrent": "0", "POWERSHELL_TELEMETRY_OPTOUT": "1", "NO_COLOR": "1"}


@lru_cache(maxsize=1)
def find_engine() -> Path | None:
    """The engine's program, unpacked if need be; None where there is none."""
    folder = BUILD / "engine"
    program = folder / "pwsh" / "pwsh"
    if ENGINE_ARCHIVE.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not program.is_file():
                with tarfile.open(ENGINE_ARCHIVE) as archive:
                    archive.extractall(folder / "new", filter="data")
                (folder / "new" / "pwsh").rename(folder / "pwsh")
        return program
    found = shutil.which("pwsh")
    return Path(found) if found else None


@dataclass(frozen=True)
class Work:
    """One command for an engine: a script, its standard input, its language mode, the environment of its natives."""

    script: str
    input: str
    environment: Mapping[str, str]
    language_mode: str = FULL


class Engines:
    """Warm engines, started when they are needed, behind `prefix` (a network namespace's). Close them."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self.prefix = tuple(prefix)
        self.commands = 0
        self.processes = 0
        self._idle: Queue[subprocess.Popen[str] | None] = Queue()
        for _place in range(_WARM_AT_MOST):
            self._idle.put(None)

    def run(self, work: Work) -> Answer:
        """Run a command in a warm engine, or in one of its own where it matters."""
        self.commands += 1
        if _COLD.search(work.script) or _COLD.search(work.input):
            self.processes += 1
            return run_cold(work)
        with self._engine() as engine:
            return _run_warm(engine, work)

    @contextlib.contextmanager
    def _engine(self) -> Iterator[subprocess.Popen[str]]:
        engine = self._idle.get()
        if engine is None or engine.poll() is not None:
            self.processes += 1
            engine = _start_warm(self.prefix)
        try:
            yield engine
        except BaseException:
            engine.kill()
            engine.wait()
            raise
        finally:
            self._idle.put(engine)

    def close(self) -> None:
        """End the engines."""
        while not self._idle.empty():
            engine = self._idle.get()
            if engine is not None:
                assert engine.stdin is not None
                engine.stdin.close()
                engine.wait(timeout=20)
                assert engine.stdout is not None
                engine.stdout.close()


def _start_warm(prefix: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, str(_program()), "-NoProfile", "-File", str(_LOOP)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
        env={**os.environ, **_QUIET},
    )  # fmt: skip


def _program() -> Path:
    program = find_engine()
    if program is None:
        raise RuntimeError(MISSING)
    return program


def _run_warm(engine: subprocess.Popen[str], work: Work) -> Answer:
    assert engine.stdin is not None
    assert engine.stdout is not None
    request = {
        "script": work.script, "lines": work.input.splitlines(), "environment": dict(work.environment),
        "language_mode": work.language_mode,
    }  # fmt: skip
    watchdog = threading.Timer(_COMMAND_TIMEOUT_S, engine.kill)
    watchdog.start()
    try:
        engine.stdin.write(json.dumps(request) + "\n")
        engine.stdin.flush()
        answer = engine.stdout.readline()
    finally:
        watchdog.cancel()
    if not answer:
        raise RuntimeError(f"the engine ended (return code {engine.poll()}) while it ran a script")
    said = json.loads(answer)
    out = "".join(f"{line}\r\n" for line in said["output"])
    errors = "".join(f"{line}\r\n" for line in said["errors"])
    return Answer(int(said["failed"]), out.encode(), errors.encode())


def run_cold(work: Work) -> Answer:
    """Run a command in an engine of its own, as powershell.exe runs an encoded command."""
    encoded = base64.b64encode(work.script.encode("utf-16-le")).decode()
    options = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Unrestricted", "-EncodedCommand", encoded]
    result = subprocess.run(
        [str(_program()), *options],
        input=work.input.encode(), capture_output=True, timeout=_COMMAND_TIMEOUT_S, check=False,
        env={**os.environ, **_QUIET, **work.environment, "PWSH_LANGUAGE_MODE": work.language_mode},
    )  # fmt: skip
    return Answer(result.returncode, _lines_of_windows(result.stdout), _lines_of_windows(result.stderr))


def _lines_of_windows(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
