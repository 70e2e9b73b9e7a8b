# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""ESXi hosts by the vSphere API: Ansible and pyVmomi against stand-ins from captured data, many tasks in each play."""

from __future__ import annotations

import venv
from collections.abc import Callable
from typing import Any

import pytest

from tests.esxi.fleets import AUDIT, OURS, World, close_all
from tests.standins.esxi.model import Host
from tests.standins.esxi.vsphere import PASSWORD, USER, Member
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)
PORTS = (80, 443, 902)
WITHDRAW = {OURS: {"state": "absent"}}


def shut(host: Host) -> Host:
    """Close the ports, with the address by which the API is reached on the list beside others."""
    close_all(host).rulesets["vSphereClient"].allowed += ["127.0.0.1", "198.51.100.0/24", "2001:db8::/64"]
    return host


def test_one_host_by_itself(newest: Core, world: World, release: Callable[..., Host]) -> None:
    """Opened in the order that lets nobody else in, by as few calls as there are changes, and restored."""
    host = shut(release("8.0.3"))
    before = host.state()
    server = world.serve([Member(host)], vcenter=False)
    opened, again, withdrawn = world.tasks(newest, [{OURS: {}}, {OURS: {}}, WITHDRAW])
    assert not opened["failed"], opened["msg"]
    assert opened["firewall"]["maintenance"] is False
    assert host.journal[:2] == [f"list webAccess: {AUDIT}", "enable webAccess"], "the list comes first"
    assert host.journal[2].startswith("list vSphereClient: "), host.journal
    assert [opened["changed"], again["changed"], withdrawn["changed"]] == [True, False, True]
    writes = [name.removesuffix("Ruleset") for name in server.requests.methods if name.endswith("Ruleset")]
    assert writes == ["Update", "Enable", "Update", "Disable", "Update", "Update"]
    assert server.requests.methods.count("Login") == 3, "one session for each task"
    assert host.state() == before


def test_a_hosts_fault_is_its_own(newest: Core, world: World, release: Callable[..., Host]) -> None:
    faults: dict[str, dict[str, Any]] = {
        "fine": {},
        "disconnected": {"state": "notResponding"},
        "no rights to write": {"write_fault": "NoPermission"},
        "no rights to read": {"read_fault": "NoPermission"},
        "free licence": {"write_fault": "RestrictedVersion"},
        "vanishing": {"vanishes_after": 2},
        "in maintenance": {"maintenance": True},
        "in lockdown": {"lockdown": "lockdownStrict"},
        "slow": {"slow_s": 0.4},
        "fine as well": {},
    }
    words = {
        "disconnected": "notResponding",
        "no rights to write": "Host.Config.NetService",
        "no rights to read": "NoPermission",
        "free licence": "free licence",
        "vanishing": "Unable to communicate",
    }
    members = [Member(shut(release("8.0.3", name)), cluster="C0", **fault) for name, fault in faults.items()]
    world.serve(members).page = 2
    # One that the inventory does not have, and one that it has by another name.
    del world.variables["fine as well"]
    world.variables["renamed"] = {**world.variables.pop("slow"), "audit_ports_vsphere_name": "slow"}
    about = {"systems": ["esxi"], "sources": [AUDIT], "destination": "198.51.100.21"}
    result = world.task(newest, {"cluster": "C0", **about})
    told = {host["host"]: host for host in result["hosts"]}
    assert result["failed"]
    assert set(told) == {*faults, "renamed"} - {"slow"}
    kept = {path.name for path in (world.folder / "state").glob("*.json")}
    assert {"renamed.esxi.json", "fine%20as%20well.esxi.json"} <= kept
    assert {name for name, host in told.items() if host["failed"]} == set(words)
    for name, word in words.items():
        assert word in told[name]["msg"], told[name]["msg"]
    for member in members:
        assert member.host.admits(AUDIT, 443) == (member.host.name not in words), member.host.name
    assert told["in maintenance"]["firewall"]["maintenance"] is True
    assert told["in lockdown"]["firewall"]["lockdown"] == "lockdownStrict"


def test_a_host_that_hangs_stops_no_other(newest: Core, world: World, release: Callable[..., Host]) -> None:
    """The joint answer waits for it longer than a request may take: then each host is read by its own call."""
    members = [Member(shut(release("8.0.3", name)), cluster="C0") for name in ("one", "hanging", "two")]
    members[1].slow_s = 8.0
    world.serve(members, release="6.5")
    result = world.task(newest, {"cluster": "C0", "timeout": 2}, "--check")
    told = {host["host"]: host for host in result["hosts"]}
    assert {name: host["failed"] for name, host in told.items()} == {"one": False, "hanging": True, "two": False}
    assert "timed out" in told["hanging"]["msg"], told["hanging"]["msg"]


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


def test_what_is_wrong_is_told(newest: Core, world: World, release: Callable[..., Host]) -> None:
    server = world.serve([Member(shut(release("8.0.3")), cluster="C0")])
    locked = world.serve([Member(release("8.0.3", "esx2"), lockdown="lockdownNormal")], vcenter=False)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"password": "wrong"}, "refuses user name or password"),
        ({"validate_certs": True}, "the certificate of localhost:"),
        ({"validate_certs": True}, "Add its authority to the certificates of the machine"),
        ({"hosts": ["nobody"], "destination": "198.51.100.21"}, "no host of the name 'nobody'"),
        ({"cluster": "C9"}, "0 objects"),
        ({"cluster": "C0", "folder": "F"}, "not several"),
        ({"port": 1}, "cannot be reached by the vSphere API"),
        ({"port": locked.port}, "lockdown mode lets in its exception users alone"),
    ]
    about = {"systems": ["esxi"], "sources": [AUDIT]}
    results = world.tasks(newest, [{OURS: {**about, **options}} for options, _words in cases], "--check")
    for (options, words), result in zip(cases, results, strict=True):
        assert result["failed"], (options, result)
        assert words in str(result), (options, result)
    server.requests.session_ends_after = len(server.requests.methods) + 7
    (ended,) = world.tasks(newest, [{OURS: {}}])
    assert ended["failed"]
    assert "session ended" in ended["msg"], ended["msg"]


def test_elsewhere_than_the_controllers_process(newest: Core, world: World, release: Callable[..., Host]) -> None:
    """With an environment of its own a task is made by the module, as on another host: the same results; and the login
    comes from the environment where nothing else says it.
    """
    host = shut(release("8.0.3"))
    before = host.state()
    server = world.serve([Member(host)], vcenter=False)
    own = {"environment": {"TZ": "UTC"}}
    venv.create(world.folder / "bare", symlinks=True)  # a Python without pyVmomi
    bare = {"vars": {"ansible_python_interpreter": str(world.folder / "bare" / "bin" / "python")}}
    login = {
        "VMWARE_USER": USER,
        "VMWARE_PASSWORD": PASSWORD,
        "VMWARE_PORT": str(server.port),
        "VMWARE_VALIDATE_CERTS": "false",
    }
    nothing = {f"audit_ports_vsphere_{name}": None for name in ("username", "password", "validate_certs", "port")}
    for variables in world.variables.values():
        del variables["audit_ports_vsphere_port"]
    tasks = [{OURS: {}, **own}, {OURS: {"state": "absent"}, **own}, {OURS: {}, **own, **bare}]
    opened, withdrawn, missing = world.tasks(newest, tasks, environ=login, **nothing)
    assert not opened["failed"], opened["msg"]
    assert {verdict["status"] for verdict in opened["verdicts"]} == {"open"}
    assert withdrawn["changed"], withdrawn["msg"]
    assert host.state() == before
    assert server.requests.methods.count("Login") == 4, "one for each run of the module"
    assert missing["failed"]
    assert "pip install pyvmomi" in missing["msg"], missing["msg"]
