# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The collection's own playbooks on five Windows machines, over Ansible's winrm connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.standins.engine import Engines
from tests.standins.winrm.fixture import Fleet
from tests.standins.winrm.machines import MACHINES
from tests.tools.cores import cores
from tests.windows.playing import Played, play, write_inventory

pytestmark = pytest.mark.timeout(300)
SOURCE = "198.51.100.9"
OPENED = ("win7", "win10", "win11")


def test_check_prepare_withdraw(fleet: Fleet, engines: Engines, tmp_path: Path) -> None:
    servers = {name: fleet.start(name) for name in MACHINES}
    inventory = write_inventory(tmp_path / "hosts.json", servers)
    groups = json.loads(inventory.read_text())
    groups["audit_targets"] = {"children": {"audit_windows": {}}}
    groups["audit_hosts"] = {"hosts": {"audit1": {"audit_ports_source": SOURCE, "ansible_connection": "local"}}}
    inventory.write_text(json.dumps(groups))
    before = {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()}

    def run(playbook: str, *options: str) -> Played:
        limit = ("--limit", "audit_targets,localhost", "-e", "audit_ports_force=true")
        return play(cores()[-1], Path(f"agentless.audit_ports.{playbook}"), inventory, *limit, *options)

    checked = run("check")
    assert checked.returncode == 0, checked.said
    assert {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()} == before

    prepared = run("prepare")
    assert prepared.returncode != 0, "a domain controller under policy and a foreign firewall stay as they are"
    for name, server in servers.items():
        ours = [rule for rule in server.host.machine.rules().values() if "|Name=agentless-audit " in rule]
        assert [f"RA4={SOURCE}|" in rule for rule in ours] == [True] * (name in OPENED), (name, ours)
    assert "managed_policy" in prepared.said

    withdrawn = run("withdraw")
    assert withdrawn.returncode == 0, withdrawn.said
    assert {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()} == before
