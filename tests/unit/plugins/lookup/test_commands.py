# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The lookup of scripts for hosts that nobody can reach yet, as Ansible calls it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible_collections.agentless.audit_ports.plugins.lookup import commands as plugin
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._commands.scripts import MANAGERS, SCRIPTS
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.opening import requirement_of

NAME = "agentless.audit_ports.commands"
AUDIT = ["198.51.100.9"]
INVENTORY: dict[str, Any] = {
    "hostvars": {
        "audit1": {"audit_ports_source": "198.51.100.9"},
        "win7": {"audit_ports_systems": ["windows", "network_scan"], "audit_ports_psremoting": False},
        "sw1": {"ansible_host": "192.0.2.77", "audit_ports_systems": ["snmp"]},
    },
    "groups": {"audit_hosts": ["audit1"]},
}


def lookup(*terms: Any, variables: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """Run the lookup with its options read as its documentation says, as the plugin loader does it."""
    definitions = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", NAME, definitions)
    made = plugin.LookupModule()
    made._load_name = NAME
    found: list[str] = made.run(list(terms), variables=variables or {}, **options)
    return found


def commands(script: str) -> list[str]:
    """The lines of a shell script that do something."""
    return [line for line in script.splitlines() if not line.startswith("#") and line != "set -e"]


def test_the_managers_are_documented() -> None:
    options = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    assert options["manager"]["choices"] == list(MANAGERS)
    assert set(plugin._OPTIONS) == set(options) - {"_terms"}
    assert [name for name in SCRIPTS if f"V({name})" not in options["_terms"]["description"]] == []


def test_netsh_in_a_file_for_cmd() -> None:
    (script,) = lookup("windows", sources=AUDIT)
    lines = script.split("\r\n")
    assert lines[0] == "@echo off"
    assert lines[-2:] == ["exit /b %failed%", ""]
    assert "\n" not in script.replace("\r\n", "")
    rules = [line for line in lines if " add rule " in line]
    for profile, line in zip(("domain", "private"), rules, strict=True):
        name = f'"name=agentless-audit windows.winrm tcp 5985 {profile} 198.51.100.9"'
        assert line == (
            f"netsh.exe advfirewall firewall show rule {name} dir=in >nul"
            f" || netsh.exe advfirewall firewall add rule {name} dir=in action=allow protocol=tcp localport=5985"
            f" remoteip=198.51.100.9 profile={profile}"
        )
        assert lines[lines.index(line) + 1] == "if errorlevel 1 set failed=1"


def test_powershell_for_a_group_policy() -> None:
    (script,) = lookup("windows", manager="powershell", policy_store="example.com\\It's", sources=AUDIT)
    store = "-PolicyStore 'example.com\\It''s'"
    name = "'agentless-audit windows.winrm tcp 5985 domain 198.51.100.9'"
    assert f"if (-not (Get-NetFirewallRule {store} -DisplayName {name} -ErrorAction SilentlyContinue)) {{" in script
    assert (
        f"    New-NetFirewallRule {store} -DisplayName {name} -Direction Inbound -Action Allow -Protocol TCP"
        " -LocalPort 5985 -RemoteAddress 198.51.100.9 -Profile Domain | Out-Null\n"
    ) in script
    assert "-PolicyStore" not in lookup("windows", manager="powershell", sources=AUDIT)[0]


def test_windows_without_powershell_remoting() -> None:
    (script,) = lookup("windows", sources=["192.0.2.0/28"], psremoting="false", profiles=["public"])
    added = [line.partition(" || ")[2] for line in script.split("\r\n") if " add rule " in line]
    names = [requirement_of(line.partition('"name=')[2]) for line in added]
    assert names == ["windows.rpc_epmap", "windows.netbios_session", "windows.smb", "windows.rpc_dynamic"]
    assert r'"program=%SystemRoot%\system32\svchost.exe" service=winmgmt remoteip=192.0.2.0/28 profile=' in added[-1]
    assert all("remoteip=192.0.2.0/28 profile=public" in line for line in added)


def test_what_lives_elsewhere_has_to_be_named() -> None:
    assert "88" not in lookup("windows", sources=AUDIT)[0]
    assert "tcp 88" in lookup("windows", sources=AUDIT, requirements=["windows.kerberos"])[0]
    assert "tcp 389" in lookup("windows", sources=AUDIT, literal=True)[0]
    (script,) = lookup("linux", variables=INVENTORY, host="audit1", requirements=["snmp.trap"], manager="ufw",
                       systems=["snmp"])  # fmt: skip
    assert commands(script) == ["ufw allow proto udp from 192.0.2.77 to any port 162 comment agentless-audit"]


def test_the_inventory_says_what_and_for_whom() -> None:
    (script,) = lookup("windows", variables=INVENTORY, host="win7")
    assert "tcp 135 domain 198.51.100.9" in script
    assert "protocol=icmpv4:8,any" in script
    assert "5985" not in script
    (default,) = lookup("linux", variables=INVENTORY, manager="ufw")
    assert commands(default) == ["ufw allow proto tcp from 198.51.100.9 to any port 22 comment agentless-audit"]


def test_firewalld_now_and_after_a_reboot() -> None:
    (script,) = lookup("linux", sources=["192.0.2.0/24", "2001:db8::1"], zone="work", ports={"linux.ssh": 2222})
    rule = 'rule family="ipv4" source address="192.0.2.0/24" port port="2222" protocol="tcp" accept'
    four = f"'--add-rich-rule={rule}'"
    six = four.replace("ipv4", "ipv6").replace("192.0.2.0/24", "2001:db8::1")
    assert commands(script) == [
        f"firewall-cmd --zone=work {four} {six}",
        f"firewall-cmd --permanent --zone=work {four} {six}",
    ]
    assert "priority" in lookup("linux", sources=AUDIT, override=True)[0]


def test_ufw_and_what_it_does_not_open() -> None:
    (script,) = lookup("linux", manager="ufw", sources=["any"])
    assert [line.partition(" to any")[0] for line in commands(script)] == [
        "ufw allow proto tcp from 0.0.0.0/0",
        "ufw allow proto tcp from ::/0",
    ]
    with pytest.raises(AnsibleLookupError, match=r"network_scan\.icmp_echo: no command of ufw opens ICMP"):
        lookup("linux", manager="ufw", sources=AUDIT, systems=["network_scan"])


def test_nftables_and_iptables() -> None:
    wanted: dict[str, Any] = {"systems": ["network_scan"], "requirements": ["network_scan.icmp_echo"], "sources": AUDIT}
    (nft,) = lookup("linux", manager="nftables", **wanted)
    rule = "ip saddr 198.51.100.9 icmp type echo-request accept comment '\"agentless-audit\"'"
    assert commands(nft) == [f"nft insert rule inet filter input {rule}"]
    assert commands(lookup("linux", manager="nftables", chain="ip my in", **wanted)[0])[0].startswith(
        "nft insert rule ip my in "
    )
    (xt,) = lookup("linux", manager="iptables", **wanted)
    comment = "-m comment --comment agentless-audit -j ACCEPT"
    assert commands(xt) == [f"iptables -w 5 -t filter -I INPUT -s 198.51.100.9 -p icmp --icmp-type 8 {comment}"]


def test_esxcli_adds_and_switches_nothing() -> None:
    (script,) = lookup("esxi", sources=["192.0.2.0/24"])
    add = "esxcli network firewall ruleset allowedip add --ruleset-id"
    assert commands(script) == [
        f"{add} webAccess --ip-address 192.0.2.0/24", f"{add} vSphereClient --ip-address 192.0.2.0/24",
    ]  # fmt: skip


def test_several_platforms_are_several_scripts() -> None:
    assert [script.splitlines()[0] for script in lookup(["windows", "linux"], "esxi", sources=AUDIT)] == [
        "@echo off", "#!/bin/sh", "#!/bin/sh",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("term", "options", "message"),
    [
        ("macos", {}, "'macos' is no platform with commands"),
        ("linux", {"manager": "netsh"}, "manager: netsh is none of linux"),
        ("windows", {"policy_store": "x"}, "policy_store goes with manager: powershell"),
        ("linux", {"manager": "nftables", "chain": "INPUT"}, "no family, table and chain"),
        ("linux", {"manager": "iptables", "chain": "inet filter input"}, "no chain of iptables"),
        ("linux", {"systems": ["esxi"], "requirements": ["linux.ssh"]}, "nothing is left to open"),
        ("esxi", {"sources": ["any"]}, "cannot be added to a list of ESXi"),
        ("esxi", {"systems": ["linux"]}, "the host has no ruleset for it"),
        ("linux", {"systems": ["windows"], "psremoting": "false"}, "no port that a rule"),
        ("linux", {"zone": "a\nreboot"}, "zone: .* holds control characters"),
        ("windows", {"manager": "powershell", "policy_store": "a\nreboot"}, "policy_store: .* control characters"),
        ("linux", {"sources": []}, "list of sources is empty"),
        ("linux", {"sources": None}, "nobody to open for"),
        ("windows", {"sources": ["999.1.1.1 "]}, "999"),
    ],
)
def test_what_cannot_be_rendered_is_an_error(term: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleLookupError, match=message):
        lookup(term, **{"sources": AUDIT, **options})


def test_no_text_of_a_user_becomes_a_command() -> None:
    extra = [{"id": "linux.x", "system": "linux", "protocol": "tcp", "port": 1, "purpose": "$(reboot)\n reboot"}]
    for manager in SCRIPTS["linux"]:
        (script,) = lookup("linux", manager=manager, sources=AUDIT, extra=extra, zone="a; reboot", chain=None)
        assert "$(reboot)" not in script
        assert not [line for line in script.splitlines() if line.strip() == "reboot"]
        assert "; reboot" not in script.replace("'--zone=a; reboot'", "").partition("set -e")[2]
