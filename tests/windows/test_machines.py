# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The machines that are played: as strict as Windows, and as it writes things."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.standins.captures import WINDOWS, captured
from tests.standins.winrm.cmdshell import Cmd
from tests.standins.winrm.machine import FIREWALL, RULES
from tests.standins.winrm.machines import MACHINES, POLICY
from tests.standins.winrm.natives import Natives
from tests.standins.winrm.texts import TEXTS

ADD = ("netsh.exe", "advfirewall", "firewall", "add", "rule")
DELETE = ("netsh.exe", "advfirewall", "firewall", "delete", "rule")
HERE = pytest.mark.skipif(not WINDOWS.is_dir(), reason="the captured data of Windows machines is not here")


def stored(natives: Natives, *words: str) -> str:
    """The rule that netsh stores for these words."""
    before = natives.machine.rules()
    answer = natives.run([*ADD, *words])
    assert (answer.rc, answer.out) == (0, TEXTS[natives.machine.language].ok.encode() + b"\r\n\r\n")
    [(name, rule)] = (item for item in natives.machine.rules().items() if item[0] not in before)
    assert re.fullmatch(r"\{[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", name)
    return rule


@HERE
def test_rules_are_stored_as_netsh_stores_them(natives: Natives) -> None:
    natives.machine.registry.set_number(FIREWALL, "PolicyVersion", 0x220)
    text = captured("rules_written_by_netsh_sysmon_v2.32.tsv")
    assert text is not None
    rows = [line.split("\t") for line in text.splitlines() if line.startswith("netsh ")]
    assert len(rows) == 2
    for command, _name, rule in rows:
        assert stored(natives, *shlex.split(command)[5:]) == rule


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("protocol=udp localport=161,7777-7778", "Protocol=17|LPort=161|LPort2_10=7777-7778"),
        ("protocol=icmpv4:8,any", "Protocol=1|ICMP4=8:*"),
        ("protocol=tcp localport=rpc profile=public,domain", "Protocol=6|Profile=Domain|Profile=Public|LPort=RPC"),
        ("remoteip=10.0.0.0/8,192.0.2.1-192.0.2.9", "RA4=10.0.0.0/255.0.0.0|RA4=192.0.2.1-192.0.2.9"),
        ("remoteip=2001:db8::/32,localsubnet", "RA6=2001:db8::/32|RA4=LocalSubnet|RA6=LocalSubnet"),
        ("profile=any remoteip=any program=System service=x", "App=System|Svc=x"),
    ],
)
def test_fields_of_rules(natives: Natives, words: str, fields: str) -> None:
    rule = stored(natives, "name=a b", "dir=in", "action=allow", *words.split())
    assert rule == f"v{natives.machine.policy_version}|Action=Allow|Active=TRUE|Dir=In|{fields}|Name=a b|"


@pytest.mark.parametrize(
    "words",
    [
        "dir=in action=allow", "name=x dir=in", "name=x dir=in action=allow localport=80", "name=x dir=up action=allow",
        "name=x dir=in action=allow protocol=tcp localport=333221", "name=all dir=in action=allow",
        "name=x dir=in action=allow protocol=TCPs", "name=x dir=in action=allow remoteip=1.2.3", "name=x name=y",
        "name=x dir=in action=allow nonsense=1", "name=x dir=in action=allow remoteip=192.0.2.9-192.0.2.1",
        "name=x dir=in action=allow profile=home", "name=x dir=in action=allow protocol=icmpv4:a,b",
    ],
)  # fmt: skip
def test_netsh_refuses_what_it_does_not_know(natives: Natives, words: str) -> None:
    before = natives.machine.registry.text("HKLM")
    assert natives.run([*ADD, *words.split(" ")]).rc == 1
    assert natives.machine.registry.text("HKLM") == before


def test_deleting_takes_all_that_match_and_no_more(natives: Natives) -> None:
    for port in ("80", "80", "81"):
        stored(natives, "name=x", "dir=in", "action=allow", "protocol=tcp", f"localport={port}")
    answer = natives.run([*DELETE, "name=X", "dir=in", "protocol=tcp", "localport=80"])
    assert (answer.rc, answer.out) == (0, b"\r\nDeleted 2 rule(s).\r\nOk.\r\n\r\n")
    assert natives.run([*DELETE, "name=x", "dir=out"]).rc == 1
    assert natives.run([*DELETE, "name=x", "dir=in"]).rc == 0


@pytest.mark.parametrize("language", TEXTS)
def test_every_language_tells_the_active_profile_by_its_headings(natives: Natives, language: str) -> None:
    natives.machine.language, natives.machine.active = language, ("Private", "Public")
    headings = TEXTS[language].headings
    everything = natives.run(["netsh.exe", "advfirewall", "show", "allprofiles", "state"]).out.decode()
    active = natives.run(["netsh.exe", "advfirewall", "show", "currentprofile", "state"]).out.decode()
    assert [heading in everything for heading in headings] == [True, True, True]
    assert [heading in active for heading in headings] == [False, True, True]


def test_without_elevation_nothing_is_written(natives: Natives) -> None:
    natives.machine.elevated = False
    before = natives.machine.registry.text("HKLM")
    words = [*ADD, "name=x", "dir=in", "action=allow"]
    assert b"requires elevation" in natives.run(words).out
    assert natives.run(["reg.exe", "query", r"HKU\S-1-5-19"]).rc == 1
    assert natives.run(["sc.exe", "config", "WinRM", "start=", "auto"]).rc == 5
    assert natives.machine.registry.text("HKLM") == before


def test_netsh_needs_its_service(natives: Natives) -> None:
    natives.machine.services["mpssvc"].pid = 0
    assert natives.run(["netsh.exe", "advfirewall", "show", "allprofiles", "state"]).rc == 1
    assert natives.run([*ADD, "name=x", "dir=in", "action=allow"]).rc == 1


def test_a_denied_key_is_not_a_missing_one(natives: Natives) -> None:
    natives.machine.registry.deny(RULES)
    denied, missing = (natives.run(["reg.exe", "query", key]) for key in (RULES, RULES + "X"))
    assert (denied.rc, missing.rc) == (1, 1)
    assert denied.err != missing.err


@HERE
@pytest.mark.parametrize("name", ["win7_v2.10.regquery.txt", "win10_1703_v2.27.regquery.txt"])
def test_what_was_loaded_is_printed_as_it_was(natives: Natives, name: str) -> None:
    text = captured(name)
    assert text is not None
    natives.machine.registry.delete_tree(FIREWALL)
    natives.machine.registry.load(text)
    printed = natives.run(["reg.exe", "query", FIREWALL, "/s"]).out.decode().replace("\r\n", "\n")
    assert printed.rstrip("\n") == text.replace("\r\n", "\n").rstrip("\n")


@pytest.mark.parametrize("name", MACHINES)
def test_every_machine_begins_with_remoting_closed(name: str) -> None:
    machine = MACHINES[name]()
    wide = [rule for rule in machine.rules().values() if "|LPort=5985|" in rule and "|Active=TRUE|" in rule]
    assert [rule for rule in wide if "|Dir=In|" in rule] == []
    merge = machine.registry.get(rf"{POLICY}\DomainProfile", "AllowLocalPolicyMerge")
    assert (merge == "0x0") == (name == "dc2022")


@pytest.mark.parametrize(
    ("script", "out", "calls"),
    [
        ("echo a\nexit\necho b\n", "a\r\n", 0),
        ("(\nset x=1\necho %x% !x!\n)\n", "More? " * 3 + "%x% 1\r\n", 0),  # %x% is expanded when the block is read
        ("(\nchcp.com 65001 >nul\n", "More? " * 3, 0),  # a block that is never closed never runs
        ("(\nchcp.com 1 >nul\nif not !errorlevel! == 0 (\necho bad\n)\n)\n", "More? " * 5 + "bad\r\n", 1),
        ("chcp.com 65001 >nul & echo x\n", "", 0),  # nothing of ours needs it, so it is refused
        ('echo "a & b"\n', '"a & b"\r\n', 0),
    ],
)
def test_cmd(natives: Natives, script: str, out: str, calls: int) -> None:
    answer = Cmd(natives.run).script(script)
    assert answer.out.decode().partition("\r\n\r\n")[2] == out
    assert len(natives.calls) == calls
