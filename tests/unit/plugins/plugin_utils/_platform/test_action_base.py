# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The action base with a scripted platform: check mode, stale plans, failures and what counts as changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.changes import Change, ChangeSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Level,
    Protocol,
    VerdictStatus,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.action_base import FirewallAction
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.arguments import ARGUMENT_SPEC
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import (
    Command,
    Part,
    Plan,
    Request,
    Written,
)

OPENING = ChangeSet((Change("add_rule", "wall", "", "allow tcp/22", ("linux.ssh",)),))
VERDICT = Verdict(
    "linux.ssh", "web", "linux", Protocol.TCP, 22, Level.REQUIRED, VerdictStatus.BLOCKED, "a wall", True, True, "sshd"
)


class ScriptedPlatform:
    """Is open or closed by a script: one letter a read (``o`` or ``c``), one word a write."""

    name = "scripted"

    def __init__(self, reads: str, writes: Sequence[Written | Exception] = ()) -> None:
        self.reads, self.writes, self.withdrawing = list(reads), list(writes), False

    def read(self, request: Request) -> Command:
        return Command("/bin/sh", "read", "@@")

    def parse(self, parts: Mapping[str, Part], request: Request) -> str:
        return self.reads.pop(0)

    def evaluate(self, snapshot: str, request: Request) -> tuple[Verdict, ...]:
        return (replace(VERDICT, status=VerdictStatus.OPEN if snapshot == "o" else VerdictStatus.BLOCKED),)

    def plan(self, snapshot: str, verdicts: Sequence[Verdict], request: Request) -> Plan:
        todo = snapshot == ("o" if request.state == "absent" else "c")
        return Plan(OPENING if todo else ChangeSet(), advice={"linux.ssh": "ask the builder"})

    def write(self, snapshot: str, plan: Plan) -> Command:
        return Command("/bin/sh", "write", "@@")

    def written(self, parts: Mapping[str, Part]) -> Written:
        answer = self.writes.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def firewall(self, snapshot: str) -> Mapping[str, Any]:
        return {"kind": "wall"}


def run(platform: ScriptedPlatform, *, check_mode: bool = False, **given: Any) -> dict[str, Any]:
    action = FirewallAction.__new__(FirewallAction)
    action.platform = platform
    action._task = SimpleNamespace(check_mode=check_mode, diff=True)
    action._templar = None
    action._execute = lambda command: {}  # type: ignore[method-assign]
    options = {**{name: option.get("default") for name, option in ARGUMENT_SPEC.items()}, **given}
    variables = {"inventory_hostname": "web", "hostvars": {"web": {}}, "groups": {}}
    options.update(systems=["linux"], sources=["192.0.2.10"], destination="198.51.100.5")
    return action._audit(options, variables)


DONE, STALE = Written(stale=False), Written(stale=True)


def test_what_is_open_is_left_alone() -> None:
    result = run(ScriptedPlatform("o"))
    assert (result["changed"], result["failed"], result["readiness"]) == (False, False, "ready")


def test_opening_reads_again() -> None:
    result = run(ScriptedPlatform("co", [DONE]))
    assert (result["changed"], result["failed"]) == (True, False)
    assert [verdict["status"] for verdict in result["verdicts"]] == ["open"]
    assert result["diff"][0]["after"] == "allow tcp/22\n"


def test_check_mode_writes_nothing_and_fails_only_when_it_is_told_to() -> None:
    result = run(ScriptedPlatform("c"), check_mode=True)
    assert (result["changed"], result["failed"]) == (True, False)
    result = run(ScriptedPlatform("c"), check_mode=True, enforce=True)
    assert result["failed"]
    assert "web: linux.ssh (tcp/22) is blocked: a wall; ask the builder" in result["msg"]


def test_a_port_that_stays_blocked_fails_whatever_was_changed() -> None:
    result = run(ScriptedPlatform("cc", [Written(stale=False, errors=("step 3 failed",))]))
    assert result["failed"]
    assert result["msg"].startswith("step 3 failed; web: linux.ssh (tcp/22) is blocked")


def test_a_write_that_changed_nothing_is_not_changed() -> None:
    assert run(ScriptedPlatform("cc", [Written(stale=False, errors=("locked",))]))["changed"] is False


def test_a_write_without_an_error_and_without_an_effect_is_an_error() -> None:
    result = run(ScriptedPlatform("cc", [DONE]))
    assert result["failed"]
    assert "written without an error, and not there afterwards" in result["msg"]


def test_a_write_whose_answer_broke_off_is_read_again() -> None:
    result = run(ScriptedPlatform("co", [ReadError("broke off")]))
    assert (result["changed"], result["failed"]) == (True, True)
    assert "broke off" in result["msg"]


def test_a_stale_plan_is_made_anew() -> None:
    result = run(ScriptedPlatform("cco", [STALE, DONE]))
    assert (result["changed"], result["failed"]) == (True, False)


def test_another_run_may_have_done_the_work_meanwhile() -> None:
    result = run(ScriptedPlatform("co", [STALE]))
    assert (result["changed"], result["failed"]) == (False, False)


def test_a_host_that_never_stands_still_is_an_error() -> None:
    with pytest.raises(ReadError, match="3 times; nothing was written"):
        run(ScriptedPlatform("cccc", [STALE, STALE, STALE]))


def test_withdrawing_does_not_fail_for_what_is_closed_then() -> None:
    result = run(ScriptedPlatform("oc", [DONE]), state="absent")
    assert (result["changed"], result["failed"]) == (True, False)
