# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The collection's own playbooks on one fleet: ESXi hosts over SSH and by a vCenter, a Windows and a Linux host.

Verification sends real packets to the hosts' addresses, where a filter drops what their rulesets do not let in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.esxi.field import CONTROLLER, Field
from tests.esxi.fleets import Fleet, World, close_all
from tests.standins.engine import find_engine
from tests.standins.esxi.model import Host
from tests.standins.esxi.vsphere import Member
from tests.standins.winrm.fixture import Fleet as WindowsFleet
from tests.standins.winrm.fixture import inventory_variables
from tests.standins.winrm.server import Server
from tests.tools.cores import Core
from tests.windows.playing import Played, play

pytestmark = pytest.mark.timeout(300)
BY_SSH = {"ssh65": "6.5", "ssh802": "8.0.2"}
BY_API = {"api70": "7.0", "api803": "8.0.3"}
RELEASES = {**BY_SSH, **BY_API}
ADDRESSES = {name: f"198.51.100.{21 + number}" for number, name in enumerate(RELEASES)}
LINUX = {"linux1": "198.51.100.41"}
WINDOWS = {"win10": "192.0.2.10"}
BYSTANDER = "203.0.113.9"


@pytest.fixture
def windows(core: Core, newest: Core) -> Iterator[Server | None]:
    """A Windows host, on the newest core alone: what it needs of each core is the Windows suite's matter."""
    if core != newest or find_engine() is None:
        yield None
        return
    with WindowsFleet() as made:
        yield made.start("win10")


@pytest.fixture
def field(tmp_path: Path, world: World) -> Iterator[Field]:
    with Field((*ADDRESSES.values(), *LINUX.values(), *WINDOWS.values()), tmp_path) as made:
        yield made


def states(hosts: dict[str, Host]) -> dict[str, Any]:
    return {name: host.state() for name, host in hosts.items()}


def registry(windows: Server | None) -> str:
    """What a Windows host keeps of its firewall, and all else."""
    return windows.host.machine.registry.text("HKLM") if windows else ""


def told(inventory: Path) -> dict[str, Any]:
    """The report at the end of the last playbook."""
    lines = map(json.loads, inventory.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines())
    found: list[dict[str, Any]] = [
        line["data"] for line in lines if str(line.get("action")).endswith("readiness_report")
    ]
    return found[-1]


def readiness(inventory: Path) -> dict[str, str]:
    """Each host's readiness."""
    return {row["host"]: row["readiness"] for row in told(inventory)["hosts"]}


def test_check_prepare_verify_withdraw(
    core: Core,
    newest: Core,
    fleet: Fleet,
    world: World,
    field: Field,
    windows: Server | None,
    release: Callable[..., Host],
) -> None:
    hosts = {name: close_all(release(version, name)) for name, version in RELEASES.items()}
    for name in BY_SSH:
        fleet.add(hosts[name])
    vcenter = world.serve([Member(hosts[name], cluster="C0") for name in BY_API])
    before, keys = states(hosts), registry(windows)
    inventory = fleet.folder / "fleet.json"
    inventory.write_text(json.dumps(_inventory(core, fleet, world, field, windows)))

    def run(playbook: str) -> Played:
        options = ("--limit", "audit_targets,localhost", "-e", "audit_ports_force=true")
        return play(core, Path(f"agentless.audit_ports.{playbook}"), inventory, *options)

    if core == newest:  # on the others the play `verify` judges, and what is shut is not dropped
        filtered = {ADDRESSES[name]: host for name, host in hosts.items()}
        field.filter(filtered)
        checked = run("check")
        assert checked.returncode == 0, checked.said
        shut = dict.fromkeys((*RELEASES, *(WINDOWS if windows else ())), "not_ready")
        assert readiness(inventory) == {**shut, "linux1": "ready"}
        assert all(host.journal == [] for host in hosts.values())
        assert len(vcenter.requests.methods) <= 10, vcenter.requests.methods
        prepared = run("prepare")
        assert prepared.returncode == 0, prepared.said
        field.filter(filtered)

    verified = run("site")
    assert verified.returncode == 0, verified.said
    if core == newest:
        assert verified.said.count("changed=0") == verified.said.count("changed=") > 0, "nothing was left to prepare"
    for host in hosts.values():
        assert [host.admits(CONTROLLER, port) for port in (80, 443, 902)] == [True] * 3
        assert not any(host.admits("203.0.113.211", port) for port in (80, 443, 902))
        assert host.admits(BYSTANDER, 443), "who was let in before still is"
    assert set(readiness(inventory).values()) == {"ready"}, verified.said
    rows = [row for row in told(inventory)["diagnoses"] if row["host"] in ADDRESSES]
    assert [row["status"] for row in rows] == ["fine"] * len(rows)
    assert len(rows) == 3 * len(ADDRESSES)
    assert {item["service"] for row in rows for item in row["observations"]} == {"confirmed"}

    withdrawn = run("withdraw")
    assert withdrawn.returncode == 0, withdrawn.said
    assert states(hosts) == before
    assert registry(windows) == keys
    assert list((fleet.folder / "state").glob("*.json")) == []


def _inventory(core: Core, fleet: Fleet, world: World, field: Field, windows: Server | None) -> dict[str, Any]:
    by_ssh = {name: {**own, "audit_ports_address": ADDRESSES[name]} for name, own in fleet.variables.items()}
    by_api = {name: {**own, "audit_ports_address": ADDRESSES[name]} for name, own in world.variables.items()}
    linux = {
        "ansible_connection": "local",
        "ansible_shell_executable": str(field.shell()),
        "target_become": False,
        "audit_ports_address": LINUX["linux1"],
    }
    own = {"win10": {**inventory_variables(windows), "audit_ports_address": WINDOWS["win10"]}} if windows else {}
    groups = {
        "audit_hosts": {"hosts": {"audit1": {"audit_ports_source": CONTROLLER}}},
        "audit_targets": {"children": dict.fromkeys(("audit_esxi", "audit_linux", "audit_windows"))},
        "audit_esxi": {"children": {"by_ssh": None, "by_api": None}},
        "by_ssh": {"hosts": by_ssh, "vars": fleet.login()},
        "by_api": {"hosts": by_api, "vars": world.login(core)},
        "audit_linux": {"hosts": {"linux1": linux}},
        "audit_windows": {"hosts": own},
    }
    return {"all": {"children": groups}}
