# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Plays through Ansible's own connections, on five machines: judged, opened, judged again, withdrawn."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.standins.engine import CONSTRAINED, Engines, find_engine
from tests.standins.winrm.fixture import Fleet
from tests.standins.winrm.machine import FIREWALL, LISTENER, RULES
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.server import Server
from tests.tools.cores import Core, cores
from tests.windows.playing import FIREWALL_PLAY, Played, play, write_inventory

pytestmark = pytest.mark.timeout(300)
NEWEST = cores()[-1]
OPENED = {"win7": "private", "win10": "private", "win11": "domain"}
SOURCE = "198.51.100.9"
SIGN_INS = {"2.16": (False, "basic"), "2.19": (True, "ntlm"), "2.21": (True, "basic")}


def ours(server: Server) -> list[str]:
    return [rule for rule in server.host.machine.rules().values() if "|Name=agentless-audit " in rule]


def commands(server: Server) -> int:
    """How many commands the host was sent; the counters begin anew."""
    count = server.host.requests["Command"]
    server.host.reset_counters()
    return count


@pytest.fixture(scope="module")
def servers(fleet: Fleet, engines: Engines) -> Mapping[str, Server]:
    return {name: fleet.start(name) for name in MACHINES}


def run(servers: Mapping[str, Server], folder: Path, *options: str) -> Played:
    played = play(NEWEST, FIREWALL_PLAY, write_inventory(folder / "hosts.json", servers), *options)
    assert set(played.results) == set(servers), played.said
    return played


def test_five_machines(servers: Mapping[str, Server], tmp_path: Path) -> None:
    """Check, prepare, prepare again, verify and withdraw: a check is one command, an opening at most three."""
    before = {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()}

    checked = run(servers, tmp_path, "--check")
    assert set(checked.statuses.values()) == {"ok"}
    assert {name: commands(server) for name, server in servers.items()} == dict.fromkeys(servers, 1)
    for name in OPENED:
        assert checked.results[name]["changed"]
        assert checked.verdicts(name)["windows.winrm"] == "blocked"
    assert checked.verdicts("dc2022")["windows.kerberos"] == "open"
    assert checked.verdicts("win10")["windows.kerberos"] == "not_applicable"
    assert all(not ours(server) for server in servers.values())

    prepared = run(servers, tmp_path)
    wanted = {name: 3 if name in OPENED else 1 for name in servers}
    assert {name: commands(server) for name, server in servers.items()} == wanted
    for name, profile in OPENED.items():
        assert prepared.statuses[name] == "ok", prepared.results[name]["msg"]
        assert prepared.results[name]["changed"]
        assert prepared.results[name]["readiness"] == "ready"
        [rule] = ours(servers[name])
        assert f"|Dir=In|Protocol=6|Profile={profile.title()}|LPort=5985|RA4={SOURCE}|" in rule
    assert prepared.statuses["dc2022"] == "failed"
    assert "AllowLocalPolicyMerge" in prepared.results["dc2022"]["msg"]
    assert "New-NetFirewallRule" in prepared.results["dc2022"]["msg"]
    assert prepared.statuses["third_party"] == "failed"
    assert "Example Endpoint Security" in prepared.results["third_party"]["msg"]

    again = run(servers, tmp_path)
    assert {name: commands(server) for name, server in servers.items()} == dict.fromkeys(servers, 1)
    assert not any(result["changed"] for result in again.results.values())
    assert {name: again.verdicts(name)["windows.winrm"] for name in OPENED} == dict.fromkeys(OPENED, "open")

    withdrawn = run(servers, tmp_path, "-e", "wanted_state=absent")
    assert set(withdrawn.statuses.values()) == {"ok"}
    assert {name for name, result in withdrawn.results.items() if result["changed"]} == set(OPENED)
    assert {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()} == before


@pytest.mark.parametrize("core", cores(), ids=lambda core: f"core-{core.label}")
@pytest.mark.parametrize("connection", ["winrm", "psrp"])
def test_every_core_and_connection(fleet: Fleet, engines: Engines, tmp_path: Path, core: Core, connection: str) -> None:
    """The script reaches PowerShell on standard input, whatever the connection makes of the command.

    Each core signs in in another way: NTLM and Basic, over HTTP (where NTLM seals the messages) and HTTPS.
    """
    tls, transport = SIGN_INS.get(core.label, (False, "ntlm"))
    server = fleet.start("win10", tls=tls)
    inventory = write_inventory(tmp_path / "hosts.json", {"win10": server}, connection, transport=transport)
    played = play(core, FIREWALL_PLAY, inventory)
    assert played.returncode == 0, played.said
    assert played.results["win10"]["changed"]
    assert len(ours(server)) == 1
    starts = dict(server.host.shells_started)
    if connection == "psrp":
        assert starts == {"powershell remoting": 1}
    else:  # old connections start a second PowerShell for each command
        assert starts == {"powershell": 6 if core.label == "2.16" else 3}


@pytest.mark.parametrize("core", cores(), ids=lambda core: f"core-{core.label}")
def test_ssh_hands_the_script_on(environment: Mapping[str, str], engines: Engines, tmp_path: Path, core: Core) -> None:
    """What Ansible's ssh connection asks of a host whose login shell is PowerShell, run by that shell."""
    engine = find_engine()
    powershell = tmp_path / "PowerShell"
    settings = {**environment, "PATH": f"{tmp_path}:{environment['PATH']}"}
    exported = "".join(f"export {name}='{value}'\n" for name, value in settings.items())
    powershell.write_text(f'#!/bin/sh\nexec "{engine}" "$@"\n', encoding="utf-8")
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\n{exported}for last; do :; done\nexec "{engine}" -NoProfile -Command "$last"\n')
    for program in (powershell, ssh):
        program.chmod(0o755)
    variables = {
        "ansible_connection": "ssh", "ansible_shell_type": "powershell", "ansible_ssh_executable": str(ssh),
        "audit_ports_address": "192.0.2.10", "ansible_user": "Administrator",
    }  # fmt: skip
    inventory = tmp_path / "hosts.json"
    groups = {"windows": {"hosts": {"win10": variables}}, "audit_windows": {"hosts": {"win10": {}}}}
    inventory.write_text(json.dumps(groups), encoding="utf-8")
    played = play(core, FIREWALL_PLAY, inventory, "--check")
    assert played.statuses == {"win10": "ok"}, played.said
    assert played.verdicts("win10")["windows.winrm"] == "blocked"


def test_without_powershell(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.start("win10", tls=True)
    server.host.blocked.add("powershell")
    inventory = write_inventory(tmp_path / "hosts.json", {"win10": server}, transport="basic")
    blocked = play(NEWEST, FIREWALL_PLAY, inventory)
    assert blocked.statuses == {"win10": "failed"}
    assert "blocked by group policy" in blocked.results["win10"]["msg"]
    opened = play(NEWEST, FIREWALL_PLAY, inventory, "-e", "wanted_transport=cmd")
    assert opened.statuses == {"win10": "ok"}, opened.said
    assert opened.results["win10"]["changed"]
    assert len(ours(server)) == 1


def test_transport_cmd_needs_winrm(fleet: Fleet, tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "hosts.json", {"win10": fleet.start("win10")}, "psrp")
    played = play(NEWEST, FIREWALL_PLAY, inventory, "-e", "wanted_transport=cmd")
    assert played.statuses == {"win10": "failed"}
    assert "needs the winrm connection" in played.results["win10"]["msg"]


# What is wrong with a host, what is told of it, and how its task ends.
TROUBLES = {
    "elevation": ("elevat", "failed"),
    "denied": ("denied|Access|could not be read", "failed"),
    "service": ("MpsSvc", "failed"),
    "isolation": (r"IPsec may be asked for.*connection security rule \{C0FFEE\}", "failed"),
    "ipsec": (r"IPsec may be asked for.*ActivePolicy", "failed"),
    "truncated": ("broke off", "failed"),
    "garbled": (".", "failed"),
    "dropped": ("broke off while a command ran", "failed"),
    "dropped_write": ("broke off while a command ran", "failed"),
}


def troubled(fleet: Fleet, trouble: str) -> Server:
    """A host, German as all of its words are, with that trouble."""
    server = fleet.start("win7")
    machine, faults = server.host.machine, server.host.faults
    match trouble:
        case "elevation":
            machine.elevated = False
        case "denied":
            machine.registry.deny(RULES)
        case "service":
            machine.services["mpssvc"].pid = 0
        case "isolation" | "ipsec":
            machine.add_rule("Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|Name=x")
            rule = "v2.10|Action=SecureServer|Active=TRUE|Dir=In|Name=Isolation|"
            if trouble == "isolation":
                machine.registry.set(rf"{FIREWALL}\ConSecRules", "{C0FFEE}", rule)
            else:
                policy = r"HKLM\SOFTWARE\Policies\Microsoft\Windows\IPSec\Policy\Local"
                machine.registry.set(policy, "ActivePolicy", r"SOFTWARE\Policies\x\ipsecPolicy{1}")
        case "truncated":
            faults.cut_after = 9_000
        case "garbled":
            faults.garble = 997
        case "dropped" | "dropped_write":
            faults.drop_at, faults.from_command = "Receive", 2 if trouble == "dropped_write" else 1
    return server


def test_trouble_is_told_and_nothing_is_claimed(fleet: Fleet, engines: Engines, tmp_path: Path) -> None:
    servers = {trouble: troubled(fleet, trouble) for trouble in TROUBLES}
    before = {name: server.host.machine.registry.text("HKLM") for name, server in servers.items()}
    played = run(servers, tmp_path)
    for name, (said, status) in TROUBLES.items():
        result = played.results[name]
        assert played.statuses[name] == status, (name, result)
        assert re.search(said, str(result.get("msg")), re.DOTALL), (name, result.get("msg"))
        assert "open" not in [verdict["status"] for verdict in result.get("verdicts", ())], name
        assert servers[name].host.machine.registry.text("HKLM") == before[name], name
    assert commands(servers["dropped_write"]) == 3  # over a new connection, the host is looked at once more
    servers["dropped_write"].host.faults.drop_at = ""
    assert run({"dropped_write": servers["dropped_write"]}, tmp_path).statuses == {"dropped_write": "ok"}


def test_a_write_whose_answer_is_lost(fleet: Fleet, engines: Engines, tmp_path: Path) -> None:
    """What was written is read again and told, and the task fails all the same."""
    server = fleet.start("win10")
    server.host.faults.cut_after, server.host.faults.from_command = 40, 2
    inventory = write_inventory(tmp_path / "hosts.json", {"win10": server})
    failed = play(NEWEST, FIREWALL_PLAY, inventory)
    assert failed.statuses == {"win10": "failed"}
    assert len(ours(server)) == 1
    assert not [verdict for verdict in failed.results["win10"].get("verdicts", ()) if verdict["status"] == "open"]
    server.host.faults.cut_after = None
    again = play(NEWEST, FIREWALL_PLAY, inventory)
    assert (again.statuses, again.results["win10"]["changed"]) == ({"win10": "ok"}, False), again.said
    # Two controllers at once, and another rule of the same name: the next run leaves one, and nobody is cut off.
    [rule] = ours(server)
    server.host.machine.add_rule(rule.partition("|")[2].rstrip("|"))
    assert len(ours(server)) == 2
    cleaned = play(NEWEST, FIREWALL_PLAY, inventory)
    assert cleaned.results["win10"]["changed"], cleaned.said
    assert cleaned.verdicts("win10")["windows.winrm"] == "open"
    [left] = ours(server)
    assert left.removesuffix(" (2)|") == rule.removesuffix("|")


def test_constrained_language_mode(fleet: Fleet, engines: Engines, tmp_path: Path) -> None:
    server = fleet.start("win10", language_mode=CONSTRAINED)
    played = play(NEWEST, FIREWALL_PLAY, write_inventory(tmp_path / "hosts.json", {"win10": server}))
    assert played.statuses == {"win10": "ok"}, played.said
    assert len(ours(server)) == 1


def test_winrm_is_configured_only_when_asked(fleet: Fleet, engines: Engines, tmp_path: Path) -> None:
    server = fleet.start("win10")
    machine = server.host.machine
    machine.registry.delete_tree(LISTENER)
    machine.services["winrm"].pid = 0
    machine.sockets = tuple(socket for socket in machine.sockets if not socket.local.endswith(":5985"))
    inventory = write_inventory(tmp_path / "hosts.json", {"win10": server})
    left = play(NEWEST, FIREWALL_PLAY, inventory)
    assert left.statuses == {"win10": "failed"}
    assert "configure" in left.results["win10"]["msg"]
    assert not machine.services["winrm"].running
    play(NEWEST, FIREWALL_PLAY, inventory, "-e", "wanted_winrm=configure")
    assert machine.services["winrm"].running
    assert machine.registry.find(LISTENER) is not None
