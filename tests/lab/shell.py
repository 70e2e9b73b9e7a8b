# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Running commands, progress lines, and the one lock of the lab."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RUN_DIR = Path("/run/audit-ports-lab")
LOCK = Path("/run/lock/audit-ports-lab.lock")
LOCK_WAIT_S = 600

_started_at = time.monotonic()


class LabError(Exception):
    """The lab cannot do what was asked; the text says what and what next."""


def say(text: str) -> None:
    """One progress line with the seconds since the start of the command."""
    print(f"[{time.monotonic() - _started_at:5.1f} s] {text}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    input_text: str | None = None,
    timeout_s: float = 120,
    log: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    With `log`, for builds, both outputs go to that file instead of into the result, and the command ends with this
    process, however that ends. Raises LabError when the command cannot be
    started, takes longer than `timeout_s`, or (with `check`) does not return 0.
    """
    try:
        if log is None:
            done = subprocess.run(
                argv, input=input_text, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
            )
        else:
            with log.open("w", encoding="utf-8") as out:
                done = subprocess.run(
                    ["setpriv", "--pdeathsig", "TERM", *argv],
                    stdin=subprocess.DEVNULL,
                    check=False,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=timeout_s,
                )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed: run `tests/lab/lab up` as root, it installs it") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"no end after {timeout_s:.0f} s: {' '.join(argv)}") from error
    if check and done.returncode != 0:
        text = _last_lines(log.read_text(encoding="utf-8", errors="replace") if log else done.stderr or done.stdout)
        where = f" (all of it: {log})" if log else ""
        raise LabError(f"return code {done.returncode} from: {' '.join(argv)}{where}\n{text}")
    return done


def podman_argv(*arguments: str) -> list[str]:
    """podman with runc: crun refuses machines whose cgroups are hybrid."""
    return ["podman", "--log-level=error", "--runtime", "runc", *arguments]


def podman(
    *arguments: str,
    check: bool = True,
    input_text: str | None = None,
    timeout_s: float = 120,
    log: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    return run(podman_argv(*arguments), check=check, input_text=input_text, timeout_s=timeout_s, log=log)


@contextmanager
def lab_lock() -> Iterator[None]:
    """Only one command at a time changes the lab; waits `LOCK_WAIT_S` at most. The lock ends with its process."""
    with LOCK.open("w", encoding="utf-8") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise LabError(f"another lab command has held {LOCK} for {LOCK_WAIT_S} s") from error
                time.sleep(0.2)
        # Children must not inherit the lock, or a container's monitor would hold it: CLOEXEC is Python's default.
        yield


def require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and containers with systemd: run it as root")


def _last_lines(text: str, count: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
