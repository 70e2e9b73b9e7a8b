# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Run playbooks as users do, and keep what every task returned. The standard library is all that this needs."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.cores import Core
from tests.tools.environments import BUILD

CALLBACKS = Path(__file__).resolve().parent / "callback"
COLLECTION = "agentless.audit_ports"
FIREWALL = f"{COLLECTION}.linux_firewall"
REPORT = f"{COLLECTION}.readiness_report"


@dataclass(frozen=True)
class Result:
    """What one task returned on one host; `status` is ok, failed, unreachable or skipped."""

    host: str
    task: str
    action: str
    status: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run of `ansible-playbook`: what it printed, what every task returned, and the recap's numbers by host."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    results: tuple[Result, ...]
    stats: Mapping[str, Mapping[str, int]]

    @property
    def said(self) -> str:
        """All that was printed, for messages of failed assertions."""
        return self.stdout + self.stderr

    @property
    def recap(self) -> str:
        """The lines of Ansible's own recap."""
        return self.stdout.partition("PLAY RECAP")[2].partition("\n")[2].strip()

    def of(self, action: str, host: str | None = None, *, task: str | None = None) -> tuple[Result, ...]:
        """The results of an action, on one host or under one task's name where given."""
        return tuple(
            result
            for result in self.results
            if result.action == action and host in (None, result.host) and (task is None or task in result.task)
        )

    def firewall(self, host: str) -> Mapping[str, Any]:
        """What the firewall plugin returned for a host, the last time that it ran there in this run."""
        return self.of(FIREWALL, host)[-1].data

    def failed(self, host: str) -> bool:
        """Whether the firewall plugin failed on a host, or did not reach it, the last time that it ran there."""
        return self.of(FIREWALL, host)[-1].status in ("failed", "unreachable")

    def verdict(self, host: str, requirement: str) -> Mapping[str, Any]:
        found: list[Mapping[str, Any]] = self.firewall(host)["verdicts"]
        return next(verdict for verdict in found if verdict["requirement"] == requirement)

    @property
    def report(self) -> Mapping[str, Any]:
        """What the report at the end of a playbook returned: `hosts`, `diagnoses`, `table`."""
        return self.of(REPORT)[-1].data

    def readiness(self) -> dict[str, str]:
        """Each reported host's readiness."""
        return {host["host"]: host["readiness"] for host in self.report["hosts"]}

    def rows(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """The report's rows by host and requirement."""
        return {(row["host"], row["requirement"]): row for row in self.report["diagnoses"]}

    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {host: numbers["changed"] for host, numbers in self.stats.items()}


def play(
    core: Core,
    *argv: str,
    inventory: Path,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 120,
) -> Run:
    """Run `ansible-playbook ARGV -i inventory` of this core from the lab's audit host; it may fail.

    A first argument without a dot or a slash is a playbook of the collection. Raises subprocess.TimeoutExpired.
    """
    playbook, *options = argv
    name = playbook if "." in playbook or "/" in playbook else f"{COLLECTION}.{playbook}"
    scratch = BUILD / "integration"
    scratch.mkdir(parents=True, exist_ok=True)
    handle, record = tempfile.mkstemp(suffix=".jsonl", dir=scratch)
    os.close(handle)
    settings = {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "AUDIT_PORTS_RECORD": record,
    }
    started = time.monotonic()
    done = core.run(
        "ansible-playbook", name, "-i", str(inventory), *options,
        environ={**settings, **(environ or {})}, timeout_s=timeout_s,
    )  # fmt: skip
    seconds = time.monotonic() - started
    lines = [json.loads(line) for line in Path(record).read_text(encoding="utf-8").splitlines()]
    Path(record).unlink()
    stats: dict[str, dict[str, int]] = next((line["stats"] for line in lines if "stats" in line), {})
    results = tuple(Result(**line) for line in lines if "stats" not in line)
    return Run(done.returncode, done.stdout, done.stderr, seconds, results, stats)


def warnings_of(run: Run) -> list[str]:
    """The warnings and deprecations that Ansible printed."""
    return re.findall(r"^\[(?:WARNING|DEPRECATION WARNING|ERROR)\]: .*", run.said, re.MULTILINE)
