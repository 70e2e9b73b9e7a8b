# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The role `audit_host` on a Windows audit host: traps of the devices get in, and nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.standins.winrm.fixture import Fleet, inventory_variables
from tests.standins.winrm.machine import Socket
from tests.standins.winrm.machines import MACHINES
from tests.tools.cores import cores
from tests.windows.playing import Played, play

pytestmark = pytest.mark.timeout(180)
_PLAY = """
- hosts: audit_hosts
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: agentless.audit_ports.audit_host
"""


@pytest.mark.usefixtures("engines")
def test_traps_of_the_devices_get_in(fleet: Fleet, tmp_path: Path) -> None:
    machine = MACHINES["win10"]()
    machine.sockets = (*machine.sockets, Socket("UDP", "0.0.0.0:162", 2222))
    server = fleet.start(machine)
    address = machine.interfaces[0].address
    inventory, playbook = tmp_path / "hosts.json", tmp_path / "play.yml"
    switch = {"ansible_host": "198.51.100.7", "audit_ports_systems": ["snmp"]}
    audit1 = {**inventory_variables(server), "audit_ports_source": address}
    groups = {"audit_hosts": {"hosts": {"audit1": audit1}}, "audit_snmp": {"hosts": {"switch1": switch}}}
    inventory.write_text(json.dumps(groups))
    playbook.write_text(_PLAY)

    def run(*options: str) -> Played:
        played = play(cores()[-1], playbook, inventory, *options)
        assert played.returncode == 0, played.said
        return played

    def ours() -> list[str]:
        return [rule for rule in machine.rules().values() if "agentless-audit" in rule]

    before = machine.registry.text("HKLM")
    opened = run().results["audit1"]
    (verdict,) = opened["verdicts"]
    assert (verdict["requirement"], verdict["status"], verdict["listening"]) == ("snmp.trap", "open", True)
    (rule,) = ours()
    assert "|Dir=In|" in rule
    assert "|Protocol=17|" in rule
    assert "|LPort=162|" in rule
    assert "|RA4=198.51.100.7|" in rule
    assert not run().results["audit1"]["changed"]
    assert run("-e", "audit_host_state=absent").results["audit1"]["changed"]
    assert machine.registry.text("HKLM") == before
