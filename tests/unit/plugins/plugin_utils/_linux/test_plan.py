# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""From verdicts to steps: what is opened, what is withdrawn, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.journal import Entry, Journal
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.manager import Opening
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.plan import Details, plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot, Unit
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Plan, Request

from .hosts import ACCEPT, AUDIT, NETWORK, FakeManager, matches, request, snapshot, table

OPEN, BLOCKED = VerdictStatus.OPEN, VerdictStatus.BLOCKED
SSH = matches("tcp", "dport", 22)
FILE = "/etc/firewalld/zone.xml"


def planned(host: Snapshot, asked: Request) -> Plan:
    return plan(host, evaluate(host, asked), asked)


def details(found: Plan) -> Details:
    assert isinstance(found.details, Details)
    return found.details


def opening(source: str = AUDIT, place: str = "zone", port: int = 22, **changes: Any) -> Opening:
    return Opening("tcp", port, source, 4, place, **changes)


def owned(*openings: Opening, requirements: Sequence[str] = ("linux.ssh",), **changes: Any) -> Journal:
    entries = tuple(Entry("firewalld", item, tuple(requirements), True, True) for item in openings)
    return Journal(entries, {FILE: "etc__firewalld__zone.xml"}, {FILE: "abc"}, **changes)


def test_what_is_blocked_is_opened_now_and_where_the_zone_of_the_next_boot_is() -> None:
    found = planned(snapshot(table(), FakeManager()), request())
    assert [entry.opening for entry in details(found).final.entries] == [opening(), opening(place="stored-zone")]
    assert [(entry.runtime, entry.permanent) for entry in details(found).final.entries] == [
        (True, False),
        (False, True),
    ]
    assert details(found).intent.entries == details(found).final.entries
    assert details(found).backup == ("/etc/firewalld/stored-zone.xml",)
    assert found.changes.changed


def test_what_another_table_stops_then_is_not_opened_in_vain() -> None:
    """A rule of the one in charge alone would change nothing: it is not written, and the next obstacle is told."""
    both = json.loads(table())["nftables"] + json.loads(table(name="late"))["nftables"][1:]
    host = snapshot(json.dumps({"nftables": both}), FakeManager())
    found = planned(host, request())
    assert not found.changes.changed
    assert "alone opens nothing: then it is dropped by firewalld" in found.advice["linux.ssh"]


LOCKED = "DefaultZone=public\nLockdown=yes\n"


@pytest.mark.parametrize(
    ("settings", "listed", "writes"),
    [
        ("Lockdown=no\n", None, True),
        (LOCKED, None, True),
        (LOCKED, '<whitelist><user id="0"/></whitelist>', True),
        (LOCKED, '<whitelist><command name="/usr/bin/python3 -s /usr/bin/firewall-cmd*"/></whitelist>', True),
        (LOCKED, '<whitelist><user name="operator"/></whitelist>', False),
    ],
)
def test_a_lockdown_that_keeps_root_out_is_told(settings: str, listed: str | None, writes: bool) -> None:
    files = {"/etc/firewalld/firewalld.conf": settings}
    if listed:
        files["/etc/firewalld/lockdown-whitelist.xml"] = listed
    found = planned(snapshot(table(), FakeManager(), files=files), request())
    assert found.changes.changed is writes
    assert ("locked down" in found.advice.get("linux.ssh", "")) is not writes


def test_what_is_open_is_left_alone() -> None:
    assert not planned(snapshot(table([SSH, ACCEPT]), FakeManager(boots=OPEN)), request()).changes.changed
    assert not planned(snapshot('{"nftables": []}'), request()).changes.changed


def test_open_now_but_not_after_a_reboot_is_stored_only() -> None:
    host = snapshot(table([SSH, ACCEPT]), FakeManager())
    entries = details(planned(host, request())).final.entries
    assert [(entry.opening.place, entry.runtime, entry.permanent) for entry in entries] == [
        ("stored-zone", False, True)
    ]
    assert not planned(host, request(persistent=False)).changes.changed


def test_the_running_state_only() -> None:
    host = snapshot(table(), FakeManager(boots=OPEN))
    entries = details(planned(host, request())).final.entries
    assert [(entry.runtime, entry.permanent) for entry in entries] == [(True, False)]
    assert details(planned(host, request())).backup == ()


def test_only_the_blocked_part_of_a_network_is_opened() -> None:
    host = snapshot(table([matches("ip", "saddr", NETWORK), SSH, ACCEPT]), FakeManager(boots=OPEN))
    entries = details(planned(host, request(sources=["192.0.2.0/27"]))).final.entries
    assert [entry.opening.source for entry in entries] == ["192.0.2.16/28"]


def test_everybody_is_one_opening() -> None:
    entries = details(planned(snapshot(table(), FakeManager(boots=OPEN)), request(sources=["any"]))).final.entries
    assert [entry.opening.source for entry in entries] == ["any"]


def test_a_rule_in_the_way_is_not_papered_over() -> None:
    host = snapshot(table(), FakeManager(deny="firewalld", boots=OPEN))
    found = planned(host, request())
    assert not found.changes.changed
    assert "would not win over the deny rule; override: true" in found.advice["linux.ssh"]
    entries = details(planned(host, request(override=True))).final.entries
    assert [entry.opening.ahead for entry in entries] == [True]


def test_a_foreign_rule_in_the_way_is_not_overridden() -> None:
    found = planned(snapshot(table(), FakeManager(deny="docker", boots=OPEN)), request(override=True))
    assert not found.changes.changed
    assert found.advice["linux.ssh"] == "an allow rule of firewalld would not win over the deny rule"


@pytest.mark.parametrize(
    ("units", "asked", "says"),
    [
        ({"firewalld": Unit("loaded", "inactive", "disabled")}, request(), "no firewall manager"),
        (
            {"firewalld": Unit("loaded", "failed", "enabled")},
            request(),
            "firewalld is started at boot and has failed now",
        ),
        (
            {"firewalld": Unit("masked", "inactive", "masked")},
            request(manager="firewalld"),
            "firewalld is asked for and is masked",
        ),
        (
            {"firewalld": Unit("loaded", "inactive", "disabled")},
            request(manager="firewalld"),
            "firewalld is asked for and is stopped",
        ),
        (
            {"firewalld": Unit("loaded", "active", "enabled")},
            request(manager="ufw"),
            "ufw is asked for and is not installed",
        ),
    ],
)
def test_without_a_manager_in_charge_the_way_on_is_told(units: dict[str, Unit], asked: Request, says: str) -> None:
    found = planned(snapshot(table(), FakeManager(mine=False), units=units), asked)
    assert not found.changes.changed
    assert says in found.advice["linux.ssh"]


def test_what_is_unknown_is_not_opened() -> None:
    limit = {"limit": {"rate": 5, "per": "minute"}}
    assert not planned(snapshot(table([SSH, limit, ACCEPT]), FakeManager()), request()).changes.changed


def test_what_may_not_be_opened_is_only_judged() -> None:
    assert not planned(snapshot(table(), FakeManager()), request(openable=frozenset())).changes.changed


def test_a_source_that_left_the_list_is_withdrawn_and_the_others_stay() -> None:
    host = snapshot(
        table([SSH, ACCEPT]),
        FakeManager(boots=OPEN),
        journal=owned(opening(), opening("192.0.2.99")),
        hashes={FILE: "abc"},
    )
    found = planned(host, request())
    assert [step.before for step in found.changes.steps] == ["allow tcp/22 from 192.0.2.99"]
    assert [action.argv for action in details(found).actions] == [("remove", "192.0.2.99")]
    assert [entry.opening.source for entry in details(found).final.entries] == [AUDIT]
    assert details(found).early == ()


@pytest.mark.parametrize(
    ("sources", "others", "added"),
    [
        ((AUDIT,), (), [AUDIT]),
        (("192.0.2.10", "192.0.2.11"), (), ["192.0.2.10/31"]),
        ((AUDIT,), (AUDIT,), []),
        (("198.51.100.9",), (), []),
    ],
)
def test_what_the_list_still_holds_of_a_network_that_left_it_stays_open(
    sources: Sequence[str], others: Sequence[str], added: Sequence[str]
) -> None:
    """It is open by our own rule, which goes: it needs one of its own, and the way that Ansible came by stays."""
    journal = owned(opening("192.0.2.0/24"), *map(opening, others))
    peer = ip_address(AUDIT), 22
    host = snapshot(table([SSH, ACCEPT]), FakeManager(boots=OPEN), journal=journal, hashes={FILE: "abc"}, peer=peer)
    found = planned(host, request(sources=sources))
    covered = AUDIT in sources
    removed = ["allow tcp/22 from 192.0.2.0/24"] if covered else []
    assert [step.before for step in found.changes.steps if step.before] == removed
    assert bool(found.refusals) is not covered
    assert [step.after for step in found.changes.steps if step.after] == [f"allow tcp/22 from {text}" for text in added]


def test_withdrawing_everything_puts_the_files_back() -> None:
    host = snapshot(table([SSH, ACCEPT]), FakeManager(boots=OPEN), journal=owned(opening()), hashes={FILE: "abc"})
    found = details(planned(host, request(state="absent")))
    assert found.early == (FILE,)
    assert [action.text for action in found.actions] == ["True False"]
    assert found.final.entries == ()


def test_a_file_that_somebody_edited_is_not_put_back() -> None:
    host = snapshot(table([SSH, ACCEPT]), FakeManager(boots=OPEN), journal=owned(opening()), hashes={FILE: "other"})
    found = details(planned(host, request(state="absent")))
    assert (found.early, found.late, found.edited) == ((), (), (FILE,))
    assert [action.text for action in found.actions] == ["True True"]


def test_a_manager_s_copy_is_put_back_only_with_what_it_is_a_copy_of() -> None:
    """Nobody knows how a run that was killed left the file: the host compares it once our rules are gone."""
    journal = replace(owned(opening()), files={FILE: "x", f"{FILE}.old": "y"}, left={})
    hashes = {FILE: "other", f"{FILE}.old": "another"}
    host = snapshot(table([SSH, ACCEPT]), FakeManager(boots=OPEN), journal=journal, hashes=hashes)
    found = details(planned(host, request(state="absent")))
    assert (found.early, found.late, found.copies) == ((), (), (f"{FILE}.old",))
    known = {FILE: "abc", f"{FILE}.old": "def"}
    host = replace(host, journal=replace(journal, left=known), hashes=known)
    assert details(planned(host, request(state="absent"))).copies == ()


def test_ufw_files_are_put_back_after_its_command() -> None:
    journal = Journal(
        (Entry("ufw", opening(place=""), ("linux.ssh",), True, True),), {"/etc/ufw/.xml": "x"}, {"/etc/ufw/.xml": "abc"}
    )
    host = snapshot(
        table([SSH, ACCEPT]), FakeManager("ufw", boots=OPEN), journal=journal, hashes={"/etc/ufw/.xml": "abc"}
    )
    found = details(planned(host, request(state="absent")))
    assert (found.early, found.late) == ((), ("/etc/ufw/.xml",))


def test_an_opening_for_two_requirements_stays_until_both_are_withdrawn() -> None:
    journal = owned(opening(port=139), requirements=("windows.netbios_session", "nas.netbios_session"))
    host = snapshot(table(), FakeManager(boots=OPEN), journal=journal)
    found = planned(host, request("nas.netbios_session", state="absent"))
    assert not found.changes.changed
    assert details(found).final.entries[0].requirements == ("windows.netbios_session",)


def test_requirements_that_are_not_asked_for_are_left_alone() -> None:
    host = snapshot(table(), FakeManager(boots=OPEN), journal=owned(opening()))
    assert not planned(host, request("snmp.agent", state="absent")).changes.changed


@pytest.mark.parametrize(
    ("peer", "refused"), [((AUDIT, 22), True), ((AUDIT, 2222), False), (("192.0.2.11", 22), False)]
)
def test_the_way_by_which_ansible_came_is_not_closed_without_force(peer: tuple[str, int], refused: bool) -> None:
    host = snapshot(
        table([SSH, ACCEPT]),
        FakeManager(boots=OPEN),
        journal=owned(opening()),
        hashes={FILE: "abc"},
        peer=(ip_address(peer[0]), peer[1]),
    )
    found = planned(host, request(state="absent"))
    assert bool(found.refusals) is refused
    assert found.changes.changed is not refused
    assert planned(host, request(state="absent", force=True)).changes.changed


def test_without_root_nothing_is_planned() -> None:
    assert not planned(snapshot(table(), FakeManager(), problem="needs root"), request()).changes.changed
