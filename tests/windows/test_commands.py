# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The scripts of the lookup `commands`, run: netsh by a machine that is played, PowerShell in the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.lookup.commands import _OPTIONS
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._commands.scripts import render
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet.inventory import Fleet

from tests.standins.engine import Engines, Work
from tests.standins.winrm.cmdshell import Cmd
from tests.standins.winrm.fixture import Fleet as Machines
from tests.standins.winrm.natives import Natives
from tests.tools.cores import cores
from tests.windows.playing import FIREWALL_PLAY, play, write_inventory

pytestmark = pytest.mark.timeout(180)
SOURCE = "198.51.100.9"
# What the cmdlets would be asked, as one line each: the parameters that a rule of ours has, and no others.
CMDLETS = """
$global:made = @()
function Get-NetFirewallRule {
    [CmdletBinding()] param([string]$PolicyStore, [string]$DisplayName)
    $global:made | Where-Object { $_ -like "*|$DisplayName|*" }
}
function New-NetFirewallRule {
    [CmdletBinding()]
    param([string]$PolicyStore, [string]$DisplayName, [string]$Direction, [string]$Action, [string]$Protocol,
          [string]$LocalPort, [string]$IcmpType, [string]$Program, [string]$Service, [string[]]$RemoteAddress,
          [string[]]$Profile)
    $line = "|$DisplayName|$PolicyStore $Direction $Action $Protocol $LocalPort$IcmpType $Program $Service"
    $global:made += "$line $RemoteAddress $Profile"
    "an object that nobody wants to see"
}
& { SCRIPT }
& { SCRIPT }
$global:made
"""


def script(platform: str, **options: Any) -> str:
    """A script for SOURCE, with the lookup's defaults."""
    given: dict[str, Any] = {**dict.fromkeys(_OPTIONS), "profiles": ["domain", "private"], "zone": "public"}
    return render(platform, {**given, "override": False, "sources": [SOURCE], **options}, Fleet({}, {}))


@pytest.mark.parametrize("natives", ["win7", "win10", "win11"], indirect=True)
def test_netsh_opens_once(natives: Natives) -> None:
    text = script("windows", psremoting="false", systems=["windows", "network_scan"])
    before = natives.machine.rules()
    for _time in range(2):
        answer = Cmd(natives.run).file(text)
        assert (answer.rc, answer.err) == (0, b"")
        made = [rule for name, rule in natives.machine.rules().items() if name not in before]
        assert len(made) == text.count(" add rule ") == 14
        assert all(f"|RA4={SOURCE}|" in rule and "|Name=agentless-audit " in rule for rule in made)


def test_netsh_tells_what_fails(natives: Natives) -> None:
    text = script("windows")
    natives.machine.elevated = False
    before = natives.machine.registry.text("HKLM")
    answer = Cmd(natives.run).file(text)
    assert answer.rc == 1
    assert b"run this as an administrator" in answer.out
    natives.machine.elevated = True
    natives.machine.services["mpssvc"].pid = 0
    assert Cmd(natives.run).file(text).rc == 1
    assert natives.machine.registry.text("HKLM") == before


def test_what_the_script_opened_is_open_and_withdrawn(fleet: Machines, engines: Engines, tmp_path: Path) -> None:
    server = fleet.start("win10")
    before = server.host.machine.registry.text("HKLM")
    assert Cmd(server.host.natives.run).file(script("windows")).rc == 0
    inventory = write_inventory(tmp_path / "hosts.json", {"win10": server})
    found = play(cores()[-1], FIREWALL_PLAY, inventory)
    assert found.verdicts("win10")["windows.winrm"] == "open"
    assert not found.results["win10"]["changed"]
    withdrawn = play(cores()[-1], FIREWALL_PLAY, inventory, "-e", "wanted_state=absent")
    assert withdrawn.results["win10"]["changed"], withdrawn.said
    assert server.host.machine.registry.text("HKLM") == before


@pytest.mark.parametrize("store", ["", r"example.com\It's a policy"])
def test_powershell_makes_each_rule_once(environment: Mapping[str, str], engines: Engines, store: str) -> None:
    text = script("windows", manager="powershell", policy_store=store, psremoting="false",
                  systems=["windows", "network_scan"])  # fmt: skip
    answer = engines.run(Work(CMDLETS.replace("SCRIPT", text), "", environment))
    assert (answer.rc, answer.err) == (0, b"")
    made = answer.out.decode().splitlines()
    assert len(made) == 14
    winmgmt, ping = (next(line for line in made if word in line) for word in ("rpc_dynamic", "icmp_echo"))
    program = r"%SystemRoot%\system32\svchost.exe"
    name = f"agentless-audit windows.rpc_dynamic tcp domain {SOURCE}"
    assert winmgmt == f"|{name}|{store} Inbound Allow TCP  {program} winmgmt {SOURCE} Domain"
    assert f"{store} Inbound Allow ICMPv4 8   {SOURCE} Domain" in ping
