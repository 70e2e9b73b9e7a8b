# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The evaluator and a second, naive one, which shares no code with it, agree on random policies."""

from __future__ import annotations

import os

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows import judge

from .random_policy import run

# The whole number is run on its own, as `python -m tests.unit.plugins.plugin_utils._windows.random_policy 1 50000`.
POLICIES = int(os.environ.get("AUDIT_PORTS_WINDOWS_POLICIES", "2500"))


@pytest.mark.timeout(0)
def test_two_evaluators_agree() -> None:
    result = run(1, POLICIES)
    assert not result.failures, "\n".join(result.failures)
    assert not result.missing(), f"came in less than 2% of the policies: {result.missing()}\n{result.table()}"


def test_a_wrong_evaluator_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluator that lets an allow rule win over a block."""
    right = judge._certain_outcome

    def wrong(roles: frozenset[judge.Role], allowed_by_default: bool) -> object:
        return right(roles - {judge.Role.BLOCKS} if judge.Role.ALLOWS in roles else roles, allowed_by_default)

    monkeypatch.setattr(judge, "_certain_outcome", wrong)
    result = run(1, 200, most_failures=1)
    assert result.failures
    assert "naive blocked" in result.failures[0]
