# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Run the test suites, and tell the time of each step and by name what could not run here.

    tests/tools/run suites [NAME ...]

Without a name all of them run, to the end even if one fails; the exit code is 1 if any failed. What needs processors
and nothing else of the machine runs beside the rest, which mostly waits for containers and time-outs. The integration
suite is the last, so that pytest's closing line ends the run, with the table of the others just before it.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.tools.environments import BUILD, CORES, ENVIRONMENTS, ROOT, missing, prepare, version_of

COLLECTION = "ansible_collections.agentless.audit_ports"
TABLE = BUILD / "suites.txt"
PYTEST = ("python", "-m", "pytest")


@dataclass(frozen=True)
class Step:
    """One command: a program of the first environment's bin directory with its arguments, run at the project's root.

    Without that environment's Python the step can't run; without another's, a part of it can't.
    """

    title: str
    argv: tuple[str, ...]
    environments: tuple[str, ...] = ("tools",)
    timeout_s: int = 600


@dataclass
class Row:
    """A line of the table: what became of a step."""

    step: str
    seconds: float
    status: str


@dataclass
class Report:
    """What became of all steps, and what did not run."""

    rows: list[Row] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def failed(self) -> bool:
        return any(row.status != "passed" for row in self.rows)

    def table(self) -> str:
        """Return the rows, the time since the start, and what was not run, as text."""
        lines = [f"{row.step:<36}{row.seconds:7.1f} s  {row.status}" for row in self.rows]
        lines.append(f"{'since the start':<36}{time.monotonic() - self.started:7.1f} s")
        return "\n".join([*lines, *(f"not run: {reason}" for reason in self.not_run)])


def mypy_packages() -> tuple[str, ...]:
    """Return the packages that mypy checks: all of plugins/, and the tools."""
    folders = sorted(path.name for path in (ROOT / "plugins").iterdir() if any(path.rglob("*.py")))
    packages = [f"{COLLECTION}.plugins.{folder}" for folder in folders]
    return tuple(argument for package in [*packages, "tests.tools"] for argument in ("-p", package))


def lint() -> tuple[Step, ...]:
    return (
        Step("lint: ruff", ("ruff", "check")),
        Step("lint: sources", ("python", "-m", "tests.tools.sources")),
        Step("lint: mypy", ("mypy", *mypy_packages())),
        Step("lint: yamllint", ("yamllint", "--strict", ".")),
        Step("lint: ansible-lint", ("ansible-lint",)),
        Step("lint: changelog fragments", ("antsibull-changelog", "lint")),
    )


def unit() -> tuple[Step, ...]:
    module_utils = (*PYTEST, "tests/unit/plugins/module_utils")
    everything = (*PYTEST, "tests/unit")
    return (
        Step(f"unit: Python {version_of('py38')}, module_utils", module_utils, ("py38",)),
        Step(f"unit: Python {version_of('tools')}, ansible-core 2.19", everything),
        Step(f"unit: Python {version_of('core-2.21')}, ansible-core 2.21", everything, ("core-2.21",)),
    )


def sanity() -> tuple[Step, ...]:
    return tuple(
        Step(f"sanity: ansible-core {core}", ("python", "-m", "tests.tools.sanity", core), (CORES[core], "tools"))
        for core in ("2.19", "2.21")
    )


def importer() -> tuple[Step, ...]:
    return (Step("importer", ("python", "-m", "tests.tools.importer"), ("importer",)),)


def machine() -> tuple[Step, ...]:
    """Install and build what the lab, the network namespaces and the containers of the suites after this one need, or
    say what is missing.
    """
    return (
        Step("tools of the machine", ("python", "-c", "from tests.lab.tools import ensure_tools; ensure_tools()")),
        Step("images", ("python", "-m", "tests.lab", "images", "--all"), timeout_s=900),
    )


def truth() -> tuple[Step, ...]:
    return (Step("truth: verdicts against packets", (*PYTEST, "tests/truth"), timeout_s=900),)


def reach() -> tuple[Step, ...]:
    return (Step("reach: probes against services", (*PYTEST, "tests/reach", "tests/fuzz")),)


def windows() -> tuple[Step, ...]:
    random = "tests.unit.plugins.plugin_utils._windows.random_policy"
    return (
        Step("windows: real clients and PowerShell", (*PYTEST, "tests/windows"), timeout_s=900),
        Step("windows: random policies", ("python", "-m", random, "1", "50000")),
    )


def esxi() -> tuple[Step, ...]:
    return (Step("esxi: real clients", (*PYTEST, "tests/esxi")),)


def molecule() -> tuple[Step, ...]:
    return (
        Step("podman connection", ("python", "-m", "tests.tools.podman_connection")),
        Step("scenarios", ("molecule", "test", "--all"), timeout_s=900),
    )


def integration() -> tuple[Step, ...]:
    environments = ("tools", *(name for name in CORES.values() if name != "tools"))
    return (Step("integration", (*PYTEST, "tests/integration"), environments, timeout_s=1500),)


_COMPUTING = (lint, unit, sanity, importer)
_WAITING = (machine, truth, reach, windows, esxi, molecule, integration)
SUITES = {suite.__name__: suite for suite in (*_COMPUTING, *_WAITING)}
# How a line begins that tells what was not run: the tools of this folder, and pytest.
NOT_RUN = ("not run: ", "SKIPPED ")

Say = Callable[[str], None]


def say(text: str) -> None:
    """Print text as it is, at once."""
    print(text, end="", flush=True)


class Background:
    """Steps that run one after the other beside those in the foreground; what they say is shown between those."""

    def __init__(self, steps: Sequence[Step], report: Report) -> None:
        self._steps = steps
        self._report = report
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        # An interrupted run ends without it; its command ends with the pipe that it writes to.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for step in self._steps:
            lines: list[str] = []
            try:
                run_step(step, self._report, say=lines.append)
            except OSError as error:
                self._report.rows.append(Row(step.title, 0, f"FAILED: {error}"))
            self._said.put("".join(lines))

    def show(self) -> None:
        """Print what the steps said that have ended since the last time."""
        while not self._said.empty():
            say(self._said.get())

    def finish(self) -> None:
        """Wait for all of them, and print the rest."""
        self._thread.join()
        self.show()


def run_step(step: Step, report: Report, extra: Mapping[str, str] | None = None, say: Say = say) -> None:
    """Run one step, its output said as it comes, and add its row and what it could not run.

    `extra` adds to its environment variables.
    """
    reasons = {environment: missing(environment) for environment in step.environments}
    report.not_run += [f"{step.title}: {environment}: {reason}" for environment, reason in reasons.items() if reason]
    if reasons[step.environments[0]]:
        return
    say(f"\n=== {step.title}\n")
    started = time.monotonic()
    returncode, left_out = execute(step, extra or {}, say)
    report.not_run += [f"{step.title}: {reason}" for reason in left_out]
    status = {0: "passed", 124: f"FAILED: over {step.timeout_s} s"}.get(returncode, "FAILED")
    report.rows.append(Row(step.title, time.monotonic() - started, status))


def execute(step: Step, extra: Mapping[str, str], say: Say) -> tuple[int, list[str]]:
    """Run a step's command; return its code (124 where it took too long) and what it says it could not run."""
    directory = ENVIRONMENTS[step.environments[0]].bin
    environ = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        "NO_COLOR": "1",
        "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
    command = ["timeout", "--kill-after=10", str(step.timeout_s), str(directory / step.argv[0]), *step.argv[1:]]
    left_out = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace",
    ) as process:
        for line in process.stdout or ():
            say(line)
            if line.startswith(NOT_RUN):
                left_out.append(line.removeprefix(NOT_RUN[0]).rstrip())
    return process.returncode, left_out


def main(names: list[str]) -> int:
    """Run the suites `names`, all without a name; return the exit code."""
    unknown = sorted(set(names) - set(SUITES))
    if unknown:
        print(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    chosen = [SUITES[name] for name in names or SUITES]
    computing = [step for suite in chosen if suite in _COMPUTING for step in suite()]
    waiting = [step for suite in chosen if suite in _WAITING for step in suite()]
    if reason := missing("tools"):
        print(f"the environment of the tools can't be made: {reason}", file=sys.stderr)
        return 1
    report = Report()
    prepare({"tools", *(environment for step in [*computing, *waiting] for environment in step.environments)})
    report.rows.append(Row("set-up", time.monotonic() - report.started, "passed"))
    foreground, beside = (waiting, computing) if waiting else (computing, [])
    background = Background(beside, report)
    for step in foreground[:-1]:
        run_step(step, report)
        background.show()
    background.finish()
    run_last_step(foreground[-1], report)
    return int(report.failed)


def run_last_step(step: Step, report: Report) -> None:
    """Run the last step; pytest shows the table itself, above its closing line, anything else has it printed below."""
    TABLE.write_text(report.table())
    if step.argv[: len(PYTEST)] == PYTEST:
        run_step(step, report, {"AUDIT_PORTS_SUITES": str(TABLE)})
    else:
        run_step(step, report)
        say(f"\n{report.table()}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
