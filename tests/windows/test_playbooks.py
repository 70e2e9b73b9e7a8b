# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The collection's own playbooks on five Windows machines, over Ansible's winrm connection.

Each machine has an address of the loopback, where it answers at WinRM's own port, so that `verify` can probe it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.standins.engine import Engines
from tests.standins.winrm.fixture import Fleet
from tests.standins.winrm.machines import MACHINES
from tests.tools.cores import cores
from tests.windows.playing import Played, play, write_inventory

pytestmark = pytest.mark.timeout(300)
SOURCE = "127.0.0.1"
OPENED = ("win7", "win10", "win11")


def test_check_prepare_verify_withdraw(fleet: Fleet, engines: Engines, tmp_path: Path) -> None:
    servers = {
        name: fleet.start(name, address=f"127.0.59.{number}", port=5985) for number, name in enumerate(MACHINES, 1)
    }
    inventory = write_inventory(tmp_path / "hosts.json", servers)
    groups = json.loads(inventory.read_text())
    for name, server in servers.items():
        groups["windows"]["hosts"][name]["audit_ports_address"] = server.address
    groups["audit_targets"] = {"children": {"audit_windows": {}}}
    groups["audit_hosts"] = {"hosts": {"audit1": {"audit_ports_source": SOURCE, "ansible_connection": "local"}}}
    inventory.write_text(json.dumps(groups))

    def registries() -> dict[str, str]:
        return {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()}

    def run(playbook: str, *options: str) -> Played:
        limit = ("--limit", "audit_targets,localhost", "-e", "audit_ports_force=true")
        return play(cores()[-1], Path(f"agentless.audit_ports.{playbook}"), inventory, *limit, *options)

    before = registries()
    checked = run("check")
    assert checked.returncode == 0, checked.said
    assert registries() == before

    prepared = run("prepare")
    assert prepared.returncode != 0, "a domain controller under policy and a foreign firewall stay as they are"
    for name, server in servers.items():
        ours = [rule for rule in server.host.machine.rules().values() if "|Name=agentless-audit " in rule]
        assert [f"RA4={SOURCE}|" in rule for rule in ours] == [True] * (name in OPENED), (name, ours)
    assert "managed_policy" in prepared.said

    opened = registries()
    again = run("prepare")
    assert registries() == opened
    assert set(re.findall(r"changed=(\d+)", again.said)) == {"0"}, again.said

    verified = run("verify")
    assert verified.returncode == 0, verified.said
    assert registries() == opened
    told = dict(re.findall(r"^(\w+): (\w+ by \w+)", verified.said, re.MULTILINE))
    ready = dict.fromkeys([*OPENED, "third_party"], "ready by psremoting")  # there the packet decided, not the verdict
    assert told == {**ready, "dc2022": "not_ready by psremoting"}
    rows = re.findall(r"^  windows\.winrm +tcp/5985 +(\w+ +\w+) +open, confirmed +(\w+) ", verified.said, re.MULTILINE)
    assert [(*statuses.split(), cause) for statuses, cause in rows] == [
        *[("fine", "open", "ready")] * len(OPENED),
        ("blocked", "blocked", "managed_policy"),
        ("fine", "unknown", "ready"),
    ]  # fmt: skip
    # Kerberos and LDAP are rows of the domain controller alone, which told by itself what it is.
    assert len(re.findall(r"^  windows\.(?:kerberos|ldap) +tcp/\d+ +blocked +open ", verified.said, re.MULTILINE)) == 2

    withdrawn = run("withdraw")
    assert withdrawn.returncode == 0, withdrawn.said
    assert registries() == before
