# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A plan for an ESXi host: what is withdrawn is what was asked about."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.rulesets import (
    HostFirewall,
    PortRule,
    Ruleset,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.plan import plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.snapshot import Snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request

AUDIT = NamedSource("192.0.2.10", AddressSet.parse("192.0.2.10"))


def ruleset(key: str, *ports: int) -> Ruleset:
    return Ruleset(key, True, False, ("203.0.113.9",), tuple(PortRule(True, True, "tcp", port, port) for port in ports))


def request(*names: str, state: str = "present") -> Request:
    rows = tuple(get_requirement(f"esxi.{name}") for name in names)
    return Request(
        host="esx1",
        systems=("esxi",),
        requirements=rows,
        openable=frozenset(row.id for row in rows),
        sources={SourceRole.AUDIT_HOST: (AUDIT,)},
        destinations=(ip_address("198.51.100.21"),),
        state=state,
    )


def test_what_is_withdrawn_is_what_was_asked_about() -> None:
    rulesets = (ruleset("webAccess", 80), ruleset("vSphereClient", 443, 902))
    before = Snapshot(HostFirewall(rulesets, incoming_blocked=True))
    asked = request("http", "https", "authd")
    opened = plan(before, evaluate(before, asked), asked, 22)
    after = tuple(change.after for change in opened.details.changes)
    assert [item.allowed for item in after] == [("203.0.113.9", "192.0.2.10")] * 2
    now = replace(before, firewall=replace(before.firewall, rulesets=after), record=opened.details.record)

    one = request("http", state="absent")
    taken = plan(now, evaluate(now, one), one, 22)
    assert [change.before.key for change in taken.details.changes] == ["webAccess"]
    assert [kept.key for kept in taken.details.record.rulesets] == ["vSphereClient"]

    every = request("http", "https", "authd", state="absent")
    assert len(plan(now, evaluate(now, every), every, 22).details.changes) == 2


def test_another_task_for_another_port_and_source_takes_nothing_off() -> None:
    """Sources that left are taken off a ruleset only by a task that asks about all that the ruleset opens."""
    rulesets = (ruleset("webAccess", 80), ruleset("vSphereClient", 443, 902))
    before = Snapshot(HostFirewall(rulesets, incoming_blocked=True))
    asked = request("http", "https", "authd")
    opened = plan(before, evaluate(before, asked), asked, 22)
    after = tuple(change.after for change in opened.details.changes)
    now = replace(before, firewall=replace(before.firewall, rulesets=after), record=opened.details.record)

    other = {SourceRole.AUDIT_HOST: (NamedSource("198.51.100.9", AddressSet.parse("198.51.100.9")),)}
    https = replace(request("https"), sources=other)
    changes = plan(now, evaluate(now, https), https, 22).details.changes
    assert [(change.before.key, change.added, change.removed) for change in changes] == [
        ("vSphereClient", ("198.51.100.9",), ())
    ]
    every = replace(asked, sources=other)
    moved = plan(now, evaluate(now, every), every, 22).details.changes
    assert [(change.added, change.removed) for change in moved] == [(("198.51.100.9",), ("192.0.2.10",))] * 2


def test_a_ruleset_stays_until_the_last_requirement_that_needs_it_is_withdrawn() -> None:
    """443 and 902 are of one ruleset: whoever needs the one still does when the other is withdrawn."""
    before = Snapshot(HostFirewall((ruleset("vSphereClient", 443, 902),), incoming_blocked=True))
    https = request("https")
    opened = plan(before, evaluate(before, https), https, 22)
    assert opened.details.record.rulesets[0].requirements == ("esxi.https",)
    after = tuple(change.after for change in opened.details.changes)
    now = replace(before, firewall=replace(before.firewall, rulesets=after), record=opened.details.record)

    # Open already by what is ours: nothing to write, and still noted.
    authd = request("authd")
    noted = plan(now, evaluate(now, authd), authd, 22)
    assert not noted.changes.changed
    now = replace(now, record=noted.details.record)
    assert now.record.rulesets[0].requirements == ("esxi.https", "esxi.authd")

    first = request("https", state="absent")
    kept = plan(now, evaluate(now, first), first, 22)
    assert not kept.changes.changed
    assert "until esxi.authd" in kept.advice["esxi.https"]
    now = replace(now, record=kept.details.record)
    assert now.record.rulesets[0].requirements == ("esxi.authd",)

    last = request("authd", state="absent")
    gone = plan(now, evaluate(now, last), last, 22)
    assert [change.after for change in gone.details.changes] == list(before.firewall.rulesets)
    assert gone.details.record.rulesets == ()
