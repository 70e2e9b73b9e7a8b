# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""One change set gives changed, diff, messages and result."""

from __future__ import annotations

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.changes import Change, ChangeSet, Scope

ADD = Change("add_rule", "zone public", "", "rule a", ("linux.ssh",))
SAME = Change("add_rule", "zone public", "rule b", "rule b", ("snmp.agent",))
DROP = Change("remove_rule", "zone public", "rule c\n", "", ("snmp.agent",))
LATER = Change("add_rule", "zone public", "", "rule a", (), Scope.PERMANENT)


def test_nothing_to_do_is_not_changed() -> None:
    for steps in ((), (SAME,)):
        found = ChangeSet(steps)
        assert (found.changed, found.diff(), found.messages(), found.to_result()) == (False, [], [], [])


def test_steps_on_one_target_and_scope_are_one_entry_of_the_diff() -> None:
    found = ChangeSet((ADD, SAME, LATER, DROP))
    assert found.changed
    assert found.diff() == [
        {
            "before_header": "zone public (both)",
            "after_header": "zone public (both)",
            "before": "rule c\n",
            "after": "rule a\n",
        },
        {
            "before_header": "zone public (permanent)",
            "after_header": "zone public (permanent)",
            "before": "",
            "after": "rule a\n",
        },
    ]


def test_result_is_plain_data_without_steps_that_change_nothing() -> None:
    assert ChangeSet((SAME, LATER)).to_result() == [
        {
            "kind": "add_rule",
            "target": "zone public",
            "before": "",
            "after": "rule a",
            "requirements": [],
            "scope": "permanent",
        }
    ]


def test_messages_say_what_where_when_and_for_what() -> None:
    replaced = Change("set_list", "ruleset sshServer", "all", "192.0.2.10\n", ("esxi.https",), Scope.RUNTIME)
    assert ChangeSet((ADD, DROP, LATER, replaced)).messages() == [
        "zone public: added rule a (now and after a reboot, for linux.ssh)",
        "zone public: removed rule c (now and after a reboot, for snmp.agent)",
        "zone public: added rule a (after a reboot)",
        "ruleset sshServer: replaced all by 192.0.2.10 (now, for esxi.https)",
    ]
