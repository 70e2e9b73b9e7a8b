# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What a host's commands print, in any language, becomes one snapshot; what is missing is told."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Part
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.listeners import (
    Program,
    normal_path,
    parse_netstat,
    parse_services,
    program_at,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.network import network_of
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import NEEDED, PARTS
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import (
    active_profiles,
    parse_snapshot,
    third_party,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import Profile
from hypothesis import given
from hypothesis import strategies as st

from tests.captured import captured

from .machine import HEADINGS, MISSING, NETSTAT, WINRM_RULE, netsh_text, ok, parts, printed, snapshot


def test_a_whole_host() -> None:
    found = snapshot({"{1}": WINRM_RULE}, active=(0, 2))
    assert found.active == (Profile.DOMAIN, Profile.PUBLIC)
    assert found.services is not None
    assert (found.services["mpssvc"].running, found.services["mpssvc"].pid) == (True, 1104)
    assert (found.product, found.is_domain_controller, found.is_domain_member) == ("ServerNT", False, True)
    assert found.network.subnets == AddressSet.parse(["192.0.2.0/26", "2001:db8::/64", "fe80::/64", "192.0.2.5"])
    assert {str(address) for address in found.network.interfaces} >= {"192.0.2.5", "2001:db8::5"}
    assert (found.policy.version, found.elevated, found.third_party) == ((2, 31), True, None)
    assert [item.rule.id for item in found.policy.rules] == ["{1}"]
    assert str(found.dynamic) == "50000-50999"
    assert found.remoting.listens("http")
    assert found.pipes == {"RestrictNullSessAccess": "1"}


@pytest.mark.parametrize("name", NEEDED)
def test_without_the_rules_nothing_is_judged(name: str) -> None:
    with pytest.raises(ReadError, match=name):
        parse_snapshot(parts(**{name: None}))
    with pytest.raises(ReadError, match="Zugriff"):
        parse_snapshot(parts(**{name: Part(1, "", "FEHLER: Zugriff verweigert")}))


@pytest.mark.parametrize("name", [name for name, _argv in PARTS if name not in NEEDED])
def test_every_other_part_may_be_missing(name: str) -> None:
    parse_snapshot(parts(**{name: None}))
    parse_snapshot(parts(**{name: ok("\x00 garbage \ufffd")}))
    parse_snapshot(parts(**{name: MISSING}))


def test_a_policy_that_is_there_and_cannot_be_read_is_a_gap() -> None:
    root = printed({r"HKLM\SOFTWARE\Policies\Microsoft": {}, r"HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall": {}})
    found = parse_snapshot(parts(policies_root=ok(root), policy=Part(1, "", "denied")))
    assert any(item.rule.unclear for item in found.policy.rules)
    assert not any(item.rule.unclear for item in snapshot().policy.rules)


@pytest.mark.parametrize(
    ("every", "current", "expected"),
    [
        ("allprofiles_zh_win7.txt", "currentprofile_public_zh.txt", (Profile.PUBLIC,)),
        ("allprofiles_fr.txt", "currentprofile_public_zh.txt", None),
        ("allprofiles_fr.txt", "allprofiles_fr.txt", (Profile.DOMAIN, Profile.PRIVATE, Profile.PUBLIC)),
    ],
)
def test_headings_of_captures(every: str, current: str, expected: tuple[Profile, ...] | None) -> None:
    folder = captured("windows") / "netsh"
    texts = [(folder / name).read_text(encoding="utf-8") for name in (every, current)]
    assert active_profiles(*texts) == expected


def test_headings_that_do_not_fit_together() -> None:
    assert active_profiles(netsh_text(*HEADINGS), netsh_text("Elsewhere:")) is None
    assert active_profiles(netsh_text(*HEADINGS[:2]), netsh_text(HEADINGS[0])) is None
    assert active_profiles(None, netsh_text(HEADINGS[0])) is None
    assert active_profiles(netsh_text(*HEADINGS), "Ok.\r\n") is None


def test_who_is_in_charge() -> None:
    text = (captured("windows") / "netsh" / "show_global_en.txt").read_text(encoding="utf-8")
    assert third_party(text) is None
    taken = text.replace("FirewallRuleCategory                  Windows Firewall", "FirewallRuleCategory  Avast")
    assert third_party(taken) == "Avast"
    assert third_party(text.replace("Windows Firewall", "Pare-feu Windows")) is None
    assert third_party("") is None


def test_netstat_in_german() -> None:
    listeners, connections = parse_netstat(NETSTAT)
    here, there = ip_address("192.0.2.5"), ip_address("203.0.113.5")
    assert any(item.accepts("tcp", here, 5985) for item in listeners)
    assert any(item.accepts("tcp", here, 139) for item in listeners)
    assert not any(item.accepts("tcp", there, 139) for item in listeners)
    assert any(item.accepts("udp", here, 137) for item in listeners)
    assert [(item.port, str(item.peer)) for item in connections] == [(5985, "198.51.100.10")]


def test_services_in_any_language() -> None:
    text = (captured("windows") / "sc_query_shapes.txt").read_text(encoding="utf-8")
    assert parse_services(text.partition("#")[2].partition("\n")[2])["mpssvc"].running is True
    starting = parse_services("SERVICE_NAME: x\n        ÉTAT          : 2  START_PENDING\n  PID : 7\n")
    assert starting["x"].running is None


def test_the_program_behind_a_port() -> None:
    listeners, _connections = parse_netstat(NETSTAT)
    services = parse_services("SERVICE_NAME: RpcSs\nDISPLAY_NAME: x\n    STATE : 4  RUNNING\n    PID : 812\n")
    assert program_at(listeners, services, "tcp", 135) == Program("", frozenset({"rpcss"}))
    assert program_at(listeners, services, "tcp", 445) == Program("system")
    assert program_at(listeners, services, "tcp", 8080) is None


@pytest.mark.parametrize("folder", [r"C:\Windows\System32", r"%WinDir%\system32", r"\SystemRoot\system32"])
def test_one_program_by_many_names(folder: str) -> None:
    assert normal_path(rf"{folder}\SvcHost.exe") == r"%systemroot%\system32\svchost.exe"


def test_local_subnets_that_are_given() -> None:
    network = network_of(["192.0.2.5/24", "2001:db8::5/64"])
    found = network.resolve("localsubnet", 4)
    assert found is not None
    assert ip_address("192.0.2.200") in found
    assert ip_address("192.0.3.1") not in found
    assert network.resolve("dns", 4) is None


@given(st.sampled_from([name for name, _argv in PARTS]), st.text(max_size=120))
def test_any_text_in_any_part(name: str, text: str) -> None:
    parse_snapshot(parts(**{name: ok(text)}))
