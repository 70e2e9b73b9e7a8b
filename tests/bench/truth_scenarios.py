# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The peers' modules over the scenarios that the verdicts are tested with: one question each, about the audit's source.

The question is the first port that the scenario names. Where a manager runs, ours opens the port on the same state made
anew, as the peer's module was asked to. Where the rules have none, ours is asked before the peer's rule and after it.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView

from tests.bench.site import CALLBACKS, Timed
from tests.bench.truth_rows import Row, failure_of, said_by, way
from tests.lab.shell import say
from tests.tools.cores import Core
from tests.tools.environments import ENVIRONMENTS
from tests.truth import test_truth
from tests.truth.field import SOURCES, Field, Probe
from tests.truth.judge import current_rules, host_view, judge
from tests.truth.managers import test_managers
from tests.truth.managers.stage import MissingImageError, Stage, probes_of

SOURCE = SOURCES[4][0]
_STATUS = {"passes": "open", "dropped": "blocked", "rejected": "blocked", "undecided": "unknown"}
_MODULES = {
    "firewalld": "ansible.posix.firewalld",
    "ufw": "community.general.ufw",
    "iptables": "ansible.builtin.iptables",
}
# A manager that does not answer is waited for no longer than this.
_TASK_S = 30


@dataclass(frozen=True)
class Question:
    """One port of a scenario; `manager` says which of the peers is asked."""

    name: str
    scenario: Mapping[str, Any]
    port: str
    manager: str

    @property
    def module(self) -> str:
        return _MODULES[self.manager]

    @property
    def probe(self) -> Probe:
        (probe,) = probes_of(SOURCE, [self.port])
        return probe

    def arguments(self) -> dict[str, Any]:
        """The module's, to open the port for everybody, as its documentation shows it."""
        protocol, _slash, port = self.port.partition("/")
        by_manager: dict[str, dict[str, Any]] = {
            "firewalld": {"port": f"{port}/{protocol}", "permanent": True, "immediate": True, "state": "enabled"},
            "ufw": {"rule": "allow", "proto": protocol, "to_port": port},
            "iptables": {"chain": "INPUT", "protocol": protocol, "destination_port": port, "jump": "ACCEPT"},
        }
        return by_manager[self.manager]


def manager_questions() -> list[Question]:
    """Those of the scenarios of firewalld and ufw, and of rules that are opened by iptables; one stage's together."""
    found = []
    for path in sorted(test_managers.FOLDER.glob("*.yml")):
        scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
        installed = "ufw" if scenario["manager"].endswith("ufw") else "firewalld"
        found += _questions(path, scenario, test_managers.PANEL, scenario.get("asked_manager", installed))
    return sorted(found, key=lambda question: (question.scenario["manager"], question.name))


def kernel_questions() -> list[Question]:
    """Those of the scenarios with rules of the iptables that the module runs, which is not the older backend's."""
    found = []
    for path in test_truth.SCENARIOS:
        scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "iptables" in scenario and not scenario.get("legacy"):
            found += _questions(path, scenario, test_truth.PANEL, "iptables")
    return found


def ask_about_managers(questions: Sequence[Question]) -> Iterator[Row]:
    """A row for each question whose stage can be made here; the others are named."""
    stage: Stage | None = None
    try:
        for question in questions:
            name = question.scenario["manager"]
            if stage is None or stage.name != name:
                if stage is not None:
                    stage.close()
                    stage = None
                try:
                    stage = Stage(name)
                except MissingImageError as error:
                    say(f"{question.name}: not asked: {error}")
                    continue
            yield _told(_manager_row(stage, question))
    finally:
        if stage is not None:
            stage.close()


def ask_about_kernels(questions: Sequence[Question]) -> Iterator[Row]:
    """A row for each question."""
    field = Field("peers")
    try:
        host = host_view(field)
        for question in questions:
            try:
                test_truth.load_scenario(field, dict(question.scenario))
                row = _kernel_row(field, host, question)
            finally:
                test_truth.unload_scenario(field, dict(question.scenario))
            yield _told(row)
    finally:
        field.close()


def _questions(path: Path, scenario: Mapping[str, Any], panel: Sequence[str], manager: str) -> list[Question]:
    """The one of a scenario; none where no peer is for its manager, or nothing but the echo is asked."""
    own = [name for part in ("reasons", "expect") for name in scenario.get(part, ())]
    named = [name.rpartition(" ")[2] for name in own if name.partition(" ")[0] in (SOURCE, name)]
    ports = [port for port in (*named, *scenario.get("panel", panel)) if port != "icmp"]
    return [Question(path.stem, scenario, ports[0], manager)] if ports and manager in _MODULES else []


def _manager_row(stage: Stage, question: Question) -> Row:
    play = test_managers.Play(stage, {**question.scenario, "panel": [question.port], "sources": [SOURCE]})
    undo = "\n".join(question.scenario.get("undo", ()))

    def got_in() -> bool:
        return stage.observe([question.probe])[question.probe] == "passes"

    def begin() -> None:
        stage.begin(question.scenario.get("files", {}), question.scenario.get("setup", ()))

    try:
        begin()
        before, verdict = got_in(), play.look().verdicts[0]
        answer = _ask(question, stage.argv("/usr/bin/python3"))
        peer_after = got_in()
        stage.run(undo)
        begin()
        play.product.write(play.look())
        ours_after, verdict_after = got_in(), play.look().verdicts[0]
    finally:
        stage.run(undo)
    ours_said = (verdict.status.value, verdict_after.status.value)
    return _row(question, before, (answer, peer_after), (ours_said, ours_after), verdict.reason)


def _kernel_row(field: Field, host: HostView, question: Question) -> Row:
    def look() -> tuple[bool, str, str]:
        ruleset = current_rules(field, iptables=True, ipset="ipset" in question.scenario)
        outcome = judge(ruleset, host, question.probe)
        got_in = field.observe([question.probe])[question.probe] == "passes"
        return got_in, _STATUS[outcome.fate.value], outcome.reason

    before, said, reason = look()
    with field.inside("host"):
        answer = _ask(question, [sys.executable])
    after, said_after, _reason = look()
    return _row(question, before, (answer, after), ((said, said_after), after), reason)


def _row(
    question: Question, before: bool, peer: tuple[Timed, bool], ours: tuple[tuple[str, str], bool], reason: str
) -> Row:
    return Row(
        name=question.name,
        state=question.scenario["what"],
        port=question.port,
        module=question.module,
        before=before,
        peer_said=said_by(peer[0]),
        peer_after=peer[1],
        ours_said=ours[0],
        ours_after=ours[1],
        reason=reason,
        peer_message=failure_of(peer[0]),
    )


def _ask(question: Question, interpreter: Sequence[str]) -> Timed:
    """What the peer's module answers, as Ansible runs it with this Python.

    Raises RuntimeError where Ansible itself did not come to an end.
    """
    core = Core("peers", ENVIRONMENTS["peers"].bin)
    with tempfile.TemporaryDirectory(prefix="audit-ports-bench-") as folder:
        record, python = Path(folder, "record.jsonl"), Path(folder, "python")
        python.write_text(f'#!/bin/sh\nexec {shlex.join(interpreter)} "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        settings = {
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_STDOUT_CALLBACK": "timed",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_TASK_TIMEOUT": str(_TASK_S),
            "AUDIT_PORTS_TIMED": str(record),
        }
        where = ("all", "-i", "stage,", "-c", "local", "-e", f"ansible_python_interpreter={python}")
        task = ("-m", question.module, "-a", json.dumps(question.arguments()))
        done = core.run("ansible", *where, *task, in_lab=False, environ=settings, timeout_s=2 * _TASK_S)
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    if len(lines) != 1:
        raise RuntimeError(f"{question.name}: {done.stdout + done.stderr}")
    return Timed(**json.loads(lines[0]))


def _told(row: Row) -> Row:
    """The row, with a line of progress."""
    peer = f"{row.module} {row.peer_said}, {way(row.before)} -> {way(row.peer_after)}: {row.peer_truth}"
    ours = f"ours {' -> '.join(row.ours_said)}, {way(row.before)} -> {way(row.ours_after)}: {row.ours_truth}"
    say(f"{row.name} {row.port}: {peer}; {ours}")
    if row.peer_message:
        say(f"    {row.peer_message}")
    return row
