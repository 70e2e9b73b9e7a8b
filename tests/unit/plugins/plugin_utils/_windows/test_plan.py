# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What would be added and removed on a host, and what is said where nothing of that would help."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import PsRemoting, VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Part, Plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.netsh import (
    add_arguments,
    delete_arguments,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.opening import opening_name, requirement_of
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.plan import plan

from .machine import RUNNING, WINRM_RULE, ok, request, snapshot

NAME = "agentless-audit windows.winrm tcp 5985 private 198.51.100.10"


def planned(rules: dict[str, str] | None, *ids: str, **options: Any) -> Plan:
    names = ("source", "state", "force", "psremoting", "profiles", "winrm", "openable", "destinations")
    asked = request(*(ids or ("windows.winrm",)), **{key: options.pop(key) for key in names if key in options})
    found = snapshot(rules, **{"active": (1,), **options})
    return plan(found, evaluate(found, asked), asked)


def stored(name: str, *pairs: str) -> str:
    """A rule of ours as Windows stores it."""
    body = pairs or ("Protocol=6", "Profile=Private", "LPort=5985", "RA4=198.51.100.10")
    return "|".join(("v2.31", "Action=Allow", "Active=TRUE", "Dir=In", *body, f"Name={name}")) + "|"


def test_a_closed_port_is_opened_for_the_source_alone() -> None:
    found = planned({})
    (opening,) = found.details.add
    assert opening.name == NAME
    assert add_arguments(opening) == (
        *("advfirewall", "firewall", "add", "rule", f"name={NAME}", "dir=in", "action=allow", "protocol=tcp"),
        *("localport=5985", "remoteip=198.51.100.10", "profile=private"),
    )
    which = (f"name={NAME}", "dir=in", "protocol=tcp", "localport=5985")
    assert delete_arguments(opening) == ("advfirewall", "firewall", "delete", "rule", *which)
    assert found.changes.changed
    assert found.details.remove == ()


def test_each_profile_gets_a_rule_of_its_own() -> None:
    found = planned({}, active=(0, 1), profiles=("domain", "private"))
    assert [opening.profiles for opening in found.details.add] == [("domain",), ("private",)]


def test_once_it_is_there_nothing_changes() -> None:
    opening = planned({}).details.add[0]
    found = planned({"{9}": stored(opening.name)})
    assert not found.changes.changed
    assert (found.details.add, found.details.remove) == ((), ())


def test_what_is_open_by_another_rule_is_left_alone() -> None:
    assert not planned({"{1}": WINRM_RULE}).changes.changed


@pytest.mark.parametrize(
    ("active", "profiles", "opened"),
    [((0,), (), ("domain",)), ((1,), (), ("private",)), ((2,), (), ()), ((2,), ("public",), ("public",)),
     ((0, 2), (), ("domain",))],
)  # fmt: skip
def test_which_profiles_are_opened(active: tuple[int, ...], profiles: tuple[str, ...], opened: tuple[str, ...]) -> None:
    found = planned({}, active=active, profiles=profiles)
    assert tuple(profile for item in found.details.add for profile in item.profiles) == opened
    if 2 in active and not profiles:
        assert "set profiles: [public]" in found.advice["windows.winrm"]


def test_local_rules_are_void_and_somebody_else_has_to_act() -> None:
    found = planned({}, gpo={"PrivateProfile": {"AllowLocalPolicyMerge": 0}})
    assert not found.changes.changed
    advice = found.advice["windows.winrm"]
    assert "AllowLocalPolicyMerge" in advice
    assert "New-NetFirewallRule -PolicyStore 'example.com\\NAME-OF-THE-GPO'" in advice
    assert 'advfirewall set store gpo="example.com\\NAME-OF-THE-GPO"' in advice
    assert f'add rule name="{NAME}"' in advice


@pytest.mark.parametrize("store", ["local", "gpo"])
def test_a_block_that_would_win(store: str) -> None:
    block = {"{B}": WINRM_RULE.replace("Allow", "Block")}
    found = planned(block) if store == "local" else planned({}, gpo={"FirewallRules": block})
    assert not found.changes.changed
    assert "{B}" in found.advice["windows.winrm"]
    assert ("New-NetFirewallRule" in found.advice["windows.winrm"]) == (store == "gpo")


def test_a_host_that_is_not_set_up_for_remoting() -> None:
    options: Any = {"running": {key: pid for key, pid in RUNNING.items() if key != "WinRM"}, "stopped": ["WinRM"]}
    found = planned({}, psremoting=PsRemoting.AUTO, **options)
    assert not found.changes.changed
    assert "winrm: configure" in found.refusals[0]
    assert "psremoting: false" in found.refusals[0]
    configured = planned({}, psremoting=PsRemoting.AUTO, winrm="configure", **options)
    assert configured.details.configure_winrm
    assert len(configured.details.add) == 1
    public = planned({}, psremoting=PsRemoting.AUTO, winrm="configure", active=(2,), **options)
    assert not public.changes.changed
    assert "Public" in public.refusals[0]


def test_rpc_opens_the_mapper_and_wmi_and_never_every_rpc_service() -> None:
    found = planned({}, "windows.rpc_epmap", "windows.rpc_dynamic")
    assert [(item.protocol, item.port, item.service) for item in found.details.add] == [
        ("tcp", 135, ""),
        ("tcp", None, "winmgmt"),
    ]
    arguments = add_arguments(found.details.add[1])
    assert "program=%SystemRoot%\\system32\\svchost.exe" in arguments
    assert not any(word.startswith("localport") for word in arguments)


def test_pipes_and_smb_are_one_rule() -> None:
    found = planned({}, "windows.smb", "windows.named_pipes")
    assert [(item.requirement, item.port) for item in found.details.add] == [("windows.smb", 445)]
    assert found.changes.steps[0].requirements == ("windows.smb", "windows.named_pipes")


def test_an_echo() -> None:
    found = planned({}, "network_scan.icmp_echo")
    assert "protocol=icmpv4:8,any" in add_arguments(found.details.add[0])


@pytest.mark.parametrize(
    ("source", "remotes"),
    [("any", ["any"]), ("0.0.0.0/0", ["0.0.0.0-255.255.255.255"]), ("198.51.100.0/24", ["198.51.100.0/24"]),
     ("198.51.100.1-198.51.100.2", ["198.51.100.1", "198.51.100.2"])],
)  # fmt: skip
def test_sources(source: str, remotes: list[str]) -> None:
    assert [item.remote for item in planned({}, source=source).details.add] == remotes


def test_sources_that_left_are_withdrawn() -> None:
    name = NAME.replace("198.51.100.10", "203.0.113.7")
    old = stored(name).replace("198.51.100.10", "203.0.113.7")
    found = planned({"{8}": old, "{9}": stored(NAME)})
    assert [item.name for item in found.details.remove] == [name]
    assert found.details.add == ()


def test_doubles_of_ours_become_one_under_a_name_of_its_own() -> None:
    found = planned({"{8}": stored(NAME), "{9}": stored(NAME)})
    assert [item.name for item in found.details.add] == [f"{NAME} (2)"]
    assert [item.name for item in found.details.remove] == [NAME]
    again = planned({"{7}": stored(f"{NAME} (2)")})
    assert not again.changes.changed


def test_absent_withdraws_exactly_ours() -> None:
    rules = {"{1}": WINRM_RULE, "{9}": stored(NAME), "{8}": stored("agentless-audit windows.smb tcp 445 private any")}
    quiet = ok("  TCP    0.0.0.0:5985           0.0.0.0:0              ABHÖREN          4\n")
    found = planned(rules, state="absent", netstat=quiet)
    assert [item.name for item in found.details.remove] == [NAME]
    assert found.details.add == ()


def test_absent_refuses_to_cut_the_line_that_it_sits_on() -> None:
    found = planned({"{9}": stored(NAME)}, state="absent")
    assert not found.changes.changed
    assert "force: true" in found.refusals[0]
    assert planned({"{9}": stored(NAME)}, state="absent", force=True).changes.changed


def test_an_account_that_is_not_elevated_changes_nothing() -> None:
    found = planned({}, elevated=Part(1, "", "ERROR"))
    assert not found.changes.changed
    assert "elevated" in found.refusals[0]
    assert "elevated" in found.advice["windows.winrm"]


def test_what_is_unknown_is_not_opened() -> None:
    found = planned({}, stopped=["MpsSvc"], running={key: pid for key, pid in RUNNING.items() if key != "MpsSvc"})
    assert not found.changes.changed


def test_what_may_not_be_opened_is_only_judged() -> None:
    assert not planned({}, openable=frozenset()).changes.changed


def test_names() -> None:
    name = opening_name("windows.winrm", "tcp", 5985, ("private",), "2001:db8::/64")
    assert name == "agentless-audit windows.winrm tcp 5985 private 2001:db8::-64"
    assert requirement_of(name) == "windows.winrm"
    assert requirement_of("Web server") is None
    with pytest.raises(InputError):
        opening_name("Ümlaut", "tcp", 1, (), "any")


@pytest.mark.parametrize("status", [VerdictStatus.OPEN])
def test_what_is_planned_opens_the_port(status: VerdictStatus) -> None:
    """The rule, stored as netsh stores it, makes the verdict open."""
    opening = planned({}).details.add[0]
    found = snapshot({"{9}": stored(opening.name)}, active=(1,))
    assert evaluate(found, request("windows.winrm"))[0].status is status
