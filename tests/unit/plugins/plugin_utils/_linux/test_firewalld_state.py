# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What firewalld says of itself on D-Bus: as it is read, and what follows for a change and for a reboot."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.plan import plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import firewalld_state
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Part

from .hosts import FakeManager, request, snapshot, table


@pytest.mark.parametrize(
    ("rc", "out", "err", "state"),
    [
        (0, 'v s "RUNNING"\n', "", "RUNNING"),
        (0, 'v s "FAILED"\n', "", "FAILED"),
        (1, "", "Call failed: Connection timed out", "silent"),
        (1, "", "Call failed: The name org.fedoraproject.FirewallD1 was not provided", ""),
        (0, "", "", ""),
    ],
)
def test_the_state_is_read(rc: int, out: str, err: str, state: str) -> None:
    assert firewalld_state(Part(rc, out, err)) == state


def test_a_host_that_was_not_asked_has_no_state() -> None:
    assert firewalld_state(None) == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [("silent", "does not answer on D-Bus"), ("FAILED", "state FAILED"), ("RUNNING", ""), ("", "")],
)
def test_nothing_is_tried_with_a_firewalld_that_takes_no_change(state: str, words: str) -> None:
    host = snapshot(table(), FakeManager(), firewalld_state=state)
    found = plan(host, evaluate(host, request()), request())
    assert found.changes.changed is not bool(words)
    assert words in found.advice.get("linux.ssh", "")


def test_what_a_firewalld_loads_at_boot_that_failed_now_is_not_known() -> None:
    persistent = [
        evaluate(snapshot(table(), FakeManager(), firewalld_state=state), request())[0].persistent
        for state in ("RUNNING", "FAILED")
    ]
    assert persistent[0] is not None
    assert persistent[1] is None
