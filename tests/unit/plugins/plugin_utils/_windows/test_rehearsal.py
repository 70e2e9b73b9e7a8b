# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The made-up host that is judged before Ansible forks: it is a whole one, and goes the ways that real ones go."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.arguments import ARGUMENT_SPEC
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows import rehearsal
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.platform import WindowsPlatform


def test_the_host_is_read_whole_and_something_is_to_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plan = WindowsPlatform.plan

    def watched(*arguments: object) -> object:
        _platform, snapshot, verdicts, _request = arguments
        found = plan(*arguments)  # type: ignore[arg-type]
        seen.append((snapshot, verdicts, found))
        return found

    monkeypatch.setattr(WindowsPlatform, "plan", watched)
    rehearsal.rehearse(ARGUMENT_SPEC)
    snapshot, verdicts, found = seen[0]
    assert len(snapshot.policy.rules) == 5
    assert snapshot.policy.version == (2, 31)
    assert [profile.value for profile in snapshot.active] == ["private"]
    assert snapshot.network.subnets
    assert [*snapshot.network.interfaces.values()] == ["1"]
    assert None not in (snapshot.services, snapshot.listeners, snapshot.product)
    assert {VerdictStatus.OPEN, VerdictStatus.BLOCKED} <= {verdict.status for verdict in verdicts}
    assert found.changes.changed
    assert not found.refusals
