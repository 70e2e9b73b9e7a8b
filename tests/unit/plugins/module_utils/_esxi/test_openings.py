# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Opening rulesets for sources, and taking exactly that back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.openings import (
    Openings,
    Want,
    withdraw,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.openings import open_for as open_on
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.rulesets import (
    HostFirewall,
    PortRule,
    Ruleset,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.state import Record, parse_record
from hypothesis import given
from hypothesis import strategies as st

AUDIT = AddressSet.parse("192.0.2.10")
OTHER = AddressSet.parse("198.51.100.7")
NOBODY = AddressSet()


def open_for(firewall: HostFirewall, record: Record, wants: list[Want], sources: AddressSet) -> Openings:
    """Asked about every port of every ruleset."""
    return open_on(firewall, record, wants, sources, {item.key for item in firewall.rulesets})


def ruleset(key: str, *ports: int, enabled: bool = True, allowed: list[str] | None = None, **more: object) -> Ruleset:
    rules = tuple(PortRule(True, True, "tcp", port, port) for port in ports)
    return replace(
        Ruleset(key, enabled, allowed is None, tuple(allowed or ()), rules),
        **more,  # type: ignore[arg-type]
    )


def host(*rulesets: Ruleset) -> HostFirewall:
    return HostFirewall(rulesets, incoming_blocked=True)


def after(firewall: HostFirewall, openings: Openings) -> HostFirewall:
    """The host once the changes are made."""
    changed = {change.before.key: change.after for change in openings.changes}
    return replace(firewall, rulesets=tuple(changed.get(item.key, item) for item in firewall.rulesets))


def want(port: int, needed: AddressSet = AUDIT) -> Want:
    return Want(f"test.{port}", "tcp", port, needed)


def test_a_list_in_use_is_added_to() -> None:
    firewall = host(ruleset("webAccess", 80, allowed=["198.51.100.0/24"]))
    openings = open_for(firewall, Record(), [want(80)], AUDIT)
    assert [change.after.allowed for change in openings.changes] == [("198.51.100.0/24", "192.0.2.10")]
    assert openings.changes[0].added == ("192.0.2.10",)


def test_a_disabled_ruleset_gets_the_sources_alone_and_is_enabled() -> None:
    """Enabled as it is, it would let everyone in, or those that somebody once listed."""
    for listed in (None, ["203.0.113.9"]):
        firewall = host(ruleset("webAccess", 80, enabled=False, allowed=listed))
        result = after(firewall, open_for(firewall, Record(), [want(80)], AUDIT)).rulesets[0]
        assert (result.enabled, result.allows_all, result.allowed) == (True, False, ("192.0.2.10",))


def test_one_change_for_two_ports_of_one_ruleset() -> None:
    firewall = host(ruleset("vSphereClient", 443, 902, enabled=False))
    openings = open_for(firewall, Record(), [want(443), want(902, OTHER)], AUDIT | OTHER)
    assert [change.requirements for change in openings.changes] == [("test.443", "test.902")]
    assert set(openings.changes[0].after.allowed) == {"192.0.2.10", "198.51.100.7"}


def test_902_is_opened_by_vsphereclient_and_never_by_nfc_beside_it() -> None:
    nfc, client = ruleset("NFC", 902, allowed=[]), ruleset("vSphereClient", 443, 902, allowed=[])
    openings = open_for(host(nfc, client), Record(), [want(902)], AUDIT)
    assert [change.before.key for change in openings.changes] == ["vSphereClient"]
    owned = replace(client, can_list=False)
    openings = open_for(host(nfc, owned), Record(), [want(902)], AUDIT)
    assert openings.changes == ()
    assert "owned by the system" in openings.advice["test.902"]


def test_no_span_of_ports_and_not_ssh() -> None:
    span = Ruleset("gdbserver", False, True, rules=(PortRule(True, True, "tcp", 1000, 9999),))
    openings = open_for(host(span, ruleset("sshServer", 22, allowed=[])), Record(), [want(1234), want(22)], AUDIT)
    assert openings.changes == ()
    assert set(openings.advice) == {"test.1234", "test.22"}


def test_no_ruleset_of_ones_own() -> None:
    openings = open_for(host(ruleset("webAccess", 80)), Record(), [want(8080)], AUDIT)
    assert openings.changes == ()
    assert "no ruleset" in openings.advice["test.8080"]


def test_everyone_must_be_asked_for_and_opens_to_all() -> None:
    firewall = host(ruleset("webAccess", 80, allowed=["198.51.100.7"]))
    openings = open_for(firewall, Record(), [want(80, AddressSet.any(4))], AddressSet.any(4))
    assert openings.changes[0].after.allows_all is True
    opened = after(firewall, openings)
    assert after(opened, withdrawn(opened, openings.record)) == firewall


def withdrawn(firewall: HostFirewall, record: Record, told: AddressSet = NOBODY) -> Openings:
    return withdraw(firewall, record, told, NOBODY, 443)


RULESETS = st.builds(
    lambda key, enabled, everyone, allowed: replace(
        ruleset(key, *{"webAccess": (80,), "vSphereClient": (443, 902), "NFC": (902,)}[key]),
        enabled=enabled,
        allows_all=everyone,
        allowed=() if everyone else tuple(dict.fromkeys(allowed)),
    ),
    st.just("webAccess"),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(["198.51.100.7", "192.0.2.0/30", "2001:db8::/32", "192.0.2.10/32"]), max_size=3),
)


@given(RULESETS, st.sampled_from(["192.0.2.10", "192.0.2.0/24", "2001:db8::10", "any"]))
def test_opening_lets_exactly_the_sources_in_and_withdrawing_restores_everything(item: Ruleset, text: str) -> None:
    sources = AddressSet.parse(text)
    firewall = host(item)
    admitted = (item.admitted() or NOBODY) if item.enabled else NOBODY
    needed = sources - admitted
    openings = open_for(firewall, Record(), [want(80, needed)] if needed else [], sources)
    opened = after(firewall, openings)
    now = opened.rulesets[0]
    assert now.enabled or not needed
    if needed:
        assert (now.admitted() or NOBODY) == (AddressSet.any() if text == "any" else admitted | sources)
    again = open_for(opened, openings.record, [], sources)
    assert again.changes == ()
    assert parse_record(openings.record.to_text("esx1"), "file") == openings.record
    assert after(opened, withdrawn(opened, openings.record)) == firewall


def test_a_change_that_broke_off_half_way_is_ours_all_the_same() -> None:
    firewall = host(ruleset("webAccess", 80, enabled=False))
    openings = open_for(firewall, Record(), [want(80)], AUDIT)
    half = host(replace(after(firewall, openings).rulesets[0], enabled=False))
    assert after(half, withdrawn(half, openings.record)) == firewall
    again = open_for(half, openings.record, [want(80)], AUDIT)
    assert after(half, withdrawn(after(half, again), again.record)) == firewall


def test_what_somebody_else_added_since_stays() -> None:
    firewall = host(ruleset("webAccess", 80, enabled=False))
    openings = open_for(firewall, Record(), [want(80)], AUDIT)
    opened = after(firewall, openings).rulesets[0]
    edited = host(replace(opened, allowed=(*opened.allowed, "203.0.113.9")))
    result = after(edited, withdrawn(edited, openings.record)).rulesets[0]
    assert (result.enabled, result.allowed) == (True, ("203.0.113.9",))


def test_what_somebody_else_opened_to_everyone_is_not_closed() -> None:
    firewall = host(ruleset("webAccess", 80, allowed=["198.51.100.7"]))
    openings = open_for(firewall, Record(), [want(80)], AUDIT)
    edited = host(replace(after(firewall, openings).rulesets[0], allows_all=True))
    taken = withdrawn(edited, openings.record)
    assert taken.changes == ()
    assert "opened to everyone by somebody else" in taken.refusals[0]
    assert taken.record == openings.record


def test_sources_that_left_are_taken_off_and_those_that_stay_are_left_alone() -> None:
    firewall = host(ruleset("webAccess", 80, allowed=["203.0.113.9"]))
    both = open_for(firewall, Record(), [want(80, AUDIT | OTHER)], AUDIT | OTHER)
    opened = after(firewall, both)
    fewer = open_for(opened, both.record, [], OTHER)
    assert fewer.changes[0].removed == ("192.0.2.10",)
    assert after(opened, fewer).rulesets[0].allowed == ("203.0.113.9", "198.51.100.7")
    assert after(after(opened, fewer), withdrawn(after(opened, fewer), fewer.record)) == firewall


def test_without_a_record_exactly_the_named_entries_go() -> None:
    firewall = host(ruleset("webAccess", 80, allowed=["192.0.2.10/32", "192.0.2.0/24"]), ruleset("NFC", 902))
    taken = withdrawn(firewall, Record(), AUDIT)
    assert [(change.before.key, change.removed) for change in taken.changes] == [("webAccess", ("192.0.2.10/32",))]


def test_who_manages_the_host_is_not_shut_out() -> None:
    firewall = host(ruleset("vSphereClient", 443, 902, allowed=["198.51.100.7"]))
    openings = open_for(firewall, Record(), [want(443)], AUDIT)
    opened = after(firewall, openings)
    taken = withdraw(opened, openings.record, NOBODY, AUDIT, 443)
    assert taken.changes == ()
    assert "without force" in taken.refusals[0]
    assert withdraw(opened, openings.record, NOBODY, OTHER, 443).changes != ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "rulesets": []}', '{"format": 1, "rulesets": [{}]}'])
def test_a_damaged_record_is_told_with_its_file(text: str) -> None:
    with pytest.raises(ReadError, match=r"esx1\.json"):
        parse_record(text, "esx1.json")
