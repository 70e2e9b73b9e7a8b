# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

from __future__ import annotations

import pytest

from tests.tools import suites
from tests.tools.suites import Background, Report, Step, run_step


def python(code: str, *, environments: tuple[str, ...] = ("tools",), timeout_s: int = 30) -> Step:
    return Step("a step", ("python", "-c", code), environments, timeout_s)


def run(*steps: Step) -> Report:
    report = Report()
    for step in steps:
        run_step(step, report)
    return report


def test_a_step_that_passes() -> None:
    report = run(python("pass"))
    assert [row.status for row in report.rows] == ["passed"]
    assert not report.failed


def test_a_failure_is_kept_although_the_next_step_passes() -> None:
    report = run(python("raise SystemExit(3)"), python("pass"))
    assert [row.status for row in report.rows] == ["FAILED", "passed"]
    assert report.failed


def test_a_step_is_stopped_when_its_time_is_over() -> None:
    report = run(python("import time; time.sleep(20)", timeout_s=1))
    assert [row.status for row in report.rows] == ["FAILED: over 1 s"]
    assert report.failed


def test_what_runs_beside_counts_and_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    background = Background([python("print('one'); raise SystemExit(3)"), python("print('two')")], report)
    background.finish()
    assert [row.status for row in report.rows] == ["FAILED", "passed"]
    assert capsys.readouterr().out == "\n=== a step\none\n\n=== a step\ntwo\n"


def test_what_could_not_be_started_beside_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_program(*arguments: object) -> tuple[int, list[str]]:
        raise FileNotFoundError("timeout")

    report = Report()
    monkeypatch.setattr(suites, "execute", no_program)
    Background([python("pass")], report).finish()
    assert report.failed


def test_what_a_step_says_it_could_not_run_is_told() -> None:
    report = run(python("print('not run: pslint, there is no PowerShell')"))
    assert report.not_run == ["a step: pslint, there is no PowerShell"]
    assert "not run: a step: pslint" in report.table()


def test_what_pytest_skips_is_told() -> None:
    report = run(python("print('SKIPPED [2] tests/a.py:1: needs root')"))
    assert report.not_run == ["a step: SKIPPED [2] tests/a.py:1: needs root"]


def test_a_step_without_its_python_does_not_run_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "missing", {"py38": "no Python 3.8"}.get)
    report = run(python("raise SystemExit(3)", environments=("py38",)))
    assert report.rows == []
    assert report.not_run == ["a step: py38: no Python 3.8"]


def test_a_step_runs_without_the_python_of_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "missing", {"core-2.21": "no Python 3.13"}.get)
    report = run(python("pass", environments=("tools", "core-2.21")))
    assert [row.status for row in report.rows] == ["passed"]
    assert report.not_run == ["a step: core-2.21: no Python 3.13"]


def test_an_unknown_suite_is_refused_with_the_names_of_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert suites.main(["lnit"]) == 2
    assert "no suite lnit; there are lint, unit" in capsys.readouterr().err


def test_without_a_python_for_the_tools_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "missing", lambda name: "no Python")
    monkeypatch.setattr(suites, "prepare", lambda names: pytest.fail("made an environment"))
    assert suites.main(["lint"]) == 1


def test_integration_is_the_last_suite_and_pytest_its_last_step() -> None:
    last = list(suites.SUITES)[-1]
    assert last == "integration"
    assert suites.SUITES[last]()[-1].argv[:3] == suites.PYTEST
