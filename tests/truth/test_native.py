# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Rules without a manager, in the kernel of a namespace: what is opened there is open, and withdrawn without trace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.plan import Details, plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Plan, Request

from tests.unit.plugins.plugin_utils._linux.hosts import request, snapshot

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
]
NFT = """
table inet filter {
    chain input {
        type filter hook input priority 0; policy %s;
        tcp dport 80 accept
        %s
    }
}
"""
XT = (
    "*filter\n:INPUT %s [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    "-A INPUT -p tcp --dport 80 -j ACCEPT\n%sCOMMIT\n"
)
CASES = {
    "nft policy": (["nft", "-f", "-"], NFT % ("drop", ""), "nftables"),
    "nft last rule": (["nft", "-f", "-"], NFT % ("accept", "counter drop"), "nftables"),
    "iptables policy": (["iptables-restore"], XT % ("DROP", ""), "iptables"),
    "iptables last rule": (["iptables-restore"], XT % ("ACCEPT", "-A INPUT -j REJECT\n"), "iptables"),
}
FIRST = {
    "first packet alone": (["nft", "-f", "-"], NFT % ("drop", "tcp dport 22 ct state new accept"), "nftables"),
}
DENY = {
    "nft deny": (["nft", "-f", "-"], NFT % ("accept", "tcp dport 22 drop"), "nftables"),
    "iptables deny": (["iptables-restore"], XT % ("ACCEPT", "-A INPUT -p tcp --dport 22 -j DROP\n"), "iptables"),
}


class Namespace:
    """A network namespace of the test's own, without any link."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *argv: str, text: str = "") -> str:
        command = ["ip", "netns", "exec", self.name, *argv]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=True).stdout

    def rules(self) -> str:
        return self.run("nft", "-s", "list", "ruleset")

    def snapshot(self, journal: object = None) -> Snapshot:
        saved = [self.run("iptables-nft-save"), self.run("ip6tables-nft-save")]
        ruleset = read_ruleset(nft=self.run("nft", "-j", "list", "ruleset"), xtables=saved, ipset=None)
        host = replace(snapshot('{"nftables": []}'), ruleset=ruleset)
        return host if journal is None else replace(host, journal=journal)  # type: ignore[arg-type]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    name = f"audit-ports-native-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=20)
    try:
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True, timeout=20)


def judged(host: Snapshot, asked: Request) -> tuple[Verdict, Plan]:
    verdicts = evaluate(host, asked)
    return verdicts[0], plan(host, verdicts, asked)


def carry_out(namespace: Namespace, found: Plan) -> Details:
    assert isinstance(found.details, Details)
    for action in found.details.actions:
        namespace.run(*action.argv)
    return found.details


@pytest.mark.parametrize("case", [*CASES, *DENY])
def test_opened_by_a_marked_rule_and_withdrawn_without_a_trace(namespace: Namespace, case: str) -> None:
    argv, text, manager = {**CASES, **DENY}[case]
    namespace.run(*argv, text=text)
    before = namespace.rules()
    asked = request(manager=manager, override=case in DENY)

    verdict, found = judged(namespace.snapshot(), asked)
    assert verdict.status is VerdictStatus.BLOCKED
    done = carry_out(namespace, found)
    assert [entry.permanent for entry in done.final.entries] == [False]

    host = namespace.snapshot(done.final)
    verdict, found = judged(host, asked)
    assert verdict.status is VerdictStatus.OPEN
    assert "agentless-audit" in verdict.reason
    assert not found.changes.changed

    _verdict, found = judged(host, replace(asked, state="absent"))
    assert carry_out(namespace, found).final.entries == ()
    assert namespace.rules() == before


@pytest.mark.parametrize("case", [*CASES, *FIRST])
def test_without_being_asked_nothing_is_written_and_the_command_is_told(namespace: Namespace, case: str) -> None:
    argv, text, manager = {**CASES, **FIRST}[case]
    namespace.run(*argv, text=text)
    _verdict, found = judged(namespace.snapshot(), request())
    assert not found.changes.changed
    advice = found.advice["linux.ssh"]
    assert f"manager: {manager}" in advice
    command = advice.split("; '", 1)[1].split("' would open it", 1)[0]
    namespace.run("sh", "-c", command.replace("'\"'\"'", "'"))
    assert judged(namespace.snapshot(), request())[0].status is VerdictStatus.OPEN


@pytest.mark.parametrize("case", DENY)
def test_a_rule_that_blocks_by_name_stays_without_override(namespace: Namespace, case: str) -> None:
    argv, text, manager = DENY[case]
    namespace.run(*argv, text=text)
    _verdict, found = judged(namespace.snapshot(), request(manager=manager))
    assert not found.changes.changed
    assert "override" in found.advice["linux.ssh"]


def test_the_machine_itself_has_none_of_these_rules() -> None:
    assert (
        "agentless-audit"
        not in subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, timeout=20, check=False
        ).stdout
    )
    assert Path("/var/lib/agentless-audit").exists() is False
