# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""ESXi hosts by the vSphere API, end to end: real Ansible and pyVmomi against stand-ins from captured data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.esxi.fleets import AUDIT, World
from tests.standins.esxi.model import Host
from tests.standins.esxi.vsphere import Member
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)
PORTS = (80, 443, 902)


def shut(host: Host) -> Host:
    """Close the ports in the ways that there are: disabled, and another's list."""
    host.rulesets["webAccess"].enabled = False
    host.rulesets["vSphereClient"].allows_all = False
    host.rulesets["vSphereClient"].allowed = ["203.0.113.9", "127.0.0.1", "198.51.100.0/24", "2001:db8::/64"]
    host.rulesets["NFC"].allows_all = False
    return host


def test_one_vcenter_check_prepare_verify_withdraw(core: Core, world: World, release: Callable[..., Host]) -> None:
    hosts = [shut(release(version, f"esx{number}")) for number, version in enumerate(("6.5", "8.0.2", "8.0.3"))]
    server = world.serve([Member(host, cluster="C0") for host in hosts])
    before = {host.name: host.state() for host in hosts}

    checked = world.play(core, "check")
    assert "changed=0" in checked.stdout, checked.stdout + checked.stderr
    assert all(host.journal == [] for host in hosts)
    assert len(server.requests.methods) <= 10, server.requests.methods

    prepared = world.play(core, "prepare")
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    for host in hosts:
        assert [host.admits(AUDIT, port) for port in PORTS] == [True] * 3
        assert not any(host.admits("192.0.2.11", port) for port in PORTS)
        assert host.admits("203.0.113.9", 443)
        assert host.journal[:2] == [f"list webAccess: {AUDIT}", "enable webAccess"], "the list comes first"
        assert len(host.journal) == 3, host.journal

    again = world.play(core, "prepare")
    assert again.stdout.count("changed=0") == again.stdout.count("changed=") > 0

    withdrawn = world.play(core, "withdraw")
    assert withdrawn.returncode == 0, withdrawn.stdout + withdrawn.stderr
    assert {host.name: host.state() for host in hosts} == before
    assert list((world.folder / "state").glob("*.json")) == []


def test_one_host_by_itself(newest: Core, world: World, release: Callable[..., Host]) -> None:
    host = shut(release("8.0.3"))
    before = host.state()
    world.serve([Member(host)], vcenter=False)
    opened = world.play(newest, "prepare")
    assert opened.returncode == 0, opened.stdout + opened.stderr
    assert [host.admits(AUDIT, port) for port in PORTS] == [True] * 3
    assert world.play(newest, "withdraw").returncode == 0
    assert host.state() == before


def test_a_hosts_fault_is_its_own(newest: Core, world: World, release: Callable[..., Host]) -> None:
    members = [Member(shut(release("8.0.3", f"esx{number}")), cluster="C0") for number in range(6)]
    members[1].state = "notResponding"
    members[2].write_fault = "NoPermission"
    members[3].write_fault = "RestrictedVersion"
    members[4].vanishes_after = 2
    server = world.serve(members)
    server.page = 2
    result = world.task(newest, {"cluster": "C0"})
    told = {host["host"]: host for host in result["hosts"]}
    assert result["failed"]
    assert [name for name, host in told.items() if not host["failed"]] == ["esx0", "esx5"]
    for name, words in {
        "esx1": "notResponding",
        "esx2": "Host.Config.NetService",
        "esx3": "free licence",
        "esx4": "Unable to communicate",
    }.items():
        assert words in told[name]["msg"], told[name]["msg"]
    assert all(members[number].host.admits(AUDIT, 443) for number in (0, 5))


def test_somebody_elses_change_in_between_is_kept(newest: Core, world: World, release: Callable[..., Host]) -> None:
    """The host changes after it was read: nothing is written by the old reading, and the list keeps the new entry."""
    host = shut(release("8.0.3"))
    server = world.serve([Member(host)])
    seen = server.properties

    def properties(moid: str, paths: list[str]) -> Any:
        answer = seen(moid, paths)
        if moid.startswith("firewall") and "203.0.113.77" not in host.rulesets["vSphereClient"].allowed:
            host.rulesets["vSphereClient"].allowed.append("203.0.113.77")
        return answer

    server.properties = properties  # type: ignore[method-assign]
    result = world.task(newest, {})
    assert not result["failed"], result
    assert {"203.0.113.77", AUDIT} <= set(host.rulesets["vSphereClient"].allowed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"password": "wrong"}, "refuses user name or password"),
        ({"validate_certs": True}, "certificate"),
        ({"hosts": ["nobody"], "destination": "198.51.100.21"}, "no host of the name 'nobody'"),
        ({"cluster": "C9"}, "0 objects"),
        ({"cluster": "C0", "folder": "F"}, "not several"),
    ],
)
def test_what_is_wrong_is_told(
    newest: Core, world: World, release: Callable[..., Host], options: dict[str, Any], words: str
) -> None:
    world.serve([Member(release("8.0.3"), cluster="C0")])
    result = world.task(newest, {"systems": ["esxi"], "sources": [AUDIT], **options}, "--check")
    assert result["failed"]
    assert words in json.dumps(result), result


def test_an_ended_session_is_told(newest: Core, world: World, release: Callable[..., Host]) -> None:
    server = world.serve([Member(shut(release("8.0.3")))])
    server.requests.session_ends_after = 9
    result = world.task(newest, {})
    assert result["failed"]
    assert "session" in result["msg"], result["msg"]
