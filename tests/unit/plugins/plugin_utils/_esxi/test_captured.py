# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Verdicts and plans of every ruleset table that real hosts printed, and of the one that the API told.

The tables say which rulesets are enabled and who owns them; their ports are those that the API told of a 6.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.info import parse_info
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.rulesets import HostFirewall, Ruleset
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.state import Record
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.plan import plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.snapshot import (
    Snapshot,
    parse_firewall,
    parse_snapshot,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.write import written
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import (
    NamedSource,
    Part,
    Request,
)

from tests.captured import captured

ROWS = tuple(get_requirement(f"esxi.{name}") for name in ("http", "https", "authd"))
ASKED = Request(
    host="esx1",
    systems=("esxi",),
    requirements=ROWS,
    openable=frozenset(row.id for row in ROWS),
    sources={SourceRole.AUDIT_HOST: (NamedSource("192.0.2.10", AddressSet.parse("192.0.2.10")),)},
    destinations=(ip_address("198.51.100.21"),),
)
TABLES = ("6.0", "8.0u2", "8.0u2b")
Edit = Callable[[Ruleset], Ruleset]


def told() -> HostFirewall:
    return parse_info(json.loads((captured("esxi") / "hostfirewallinfo_6.5.0_5969303.json").read_text()))


def of_table(name: str) -> HostFirewall:
    """A table's host, everyone on each list."""
    folder = captured("esxi")
    rulesets = (folder / f"ruleset_list_{name}_table.txt").read_text()
    general = (folder / "firewall_get_simple.txt").read_text()
    firewall = parse_firewall({"rulesets": rulesets, "firewall": general})
    rules = {item.key: item.rules for item in told().rulesets}
    return replace(
        firewall,
        rulesets=tuple(replace(item, allows_all=True, rules=rules.get(item.key, ())) for item in firewall.rulesets),
    )


def firewall_of(name: str) -> HostFirewall:
    return told() if name == "6.5" else of_table(name)


def edited(firewall: HostFirewall, **edits: Edit) -> HostFirewall:
    return replace(
        firewall, rulesets=tuple(edits.get(item.key, lambda same: same)(item) for item in firewall.rulesets)
    )


def off(item: Ruleset) -> Ruleset:
    return replace(item, enabled=False)


def for_another(item: Ruleset) -> Ruleset:
    return replace(item, allows_all=False, allowed=("203.0.113.9",))


STATES: dict[str, dict[str, Edit]] = {
    "as it was captured": {},
    "webAccess off": {"webAccess": off},
    "vSphereClient for another": {"vSphereClient": for_another},
    "vSphereClient and NFC for another": {"vSphereClient": for_another, "NFC": for_another},
}
# Of 80, 443 and 902; and the rulesets that are changed to open all of them.
EXPECTED = {
    "as it was captured": ("open open open", ""),
    "webAccess off": ("blocked open open", "webAccess"),
    "vSphereClient for another": ("open blocked open", "vSphereClient"),
    "vSphereClient and NFC for another": ("open blocked blocked", "vSphereClient"),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ["6.5", *TABLES])
def test_verdicts_and_plans_of_real_hosts(name: str, state: str) -> None:
    snapshot = Snapshot(edited(firewall_of(name), **STATES[state]))
    verdicts = evaluate(snapshot, ASKED)
    changes = plan(snapshot, verdicts, ASKED, 22).details.changes
    found = (" ".join(verdict.status.value for verdict in verdicts), " ".join(item.before.key for item in changes))
    assert found == EXPECTED[state]
    after = {item.after.key: item.after for item in changes}
    rulesets = tuple(after.get(item.key, item) for item in snapshot.firewall.rulesets)
    opened = Snapshot(replace(snapshot.firewall, rulesets=rulesets))
    assert {verdict.status.value for verdict in evaluate(opened, ASKED)} == {"open"}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_alone_says_nothing_of_ports(name: str) -> None:
    text = (captured("esxi") / f"ruleset_list_{name}_table.txt").read_text()
    verdicts = evaluate(Snapshot(parse_firewall({"rulesets": text})), ASKED)
    assert {verdict.status.value for verdict in verdicts} == {"unknown"}


def test_whose_a_ruleset_is() -> None:
    """NFC is the system's in both tables; of the two, only the later one lets a user change its list."""
    owned = {name: {item.key: item for item in of_table(name).rulesets}["NFC"] for name in TABLES}
    assert [(owned[name].can_enable, owned[name].can_list) for name in TABLES] == [
        (None, None),
        (False, False),
        (False, True),
    ]
    alone = {name: edited(of_table(name), vSphereClient=off, NFC=for_another) for name in TABLES}
    for name in TABLES:
        changes = plan(Snapshot(alone[name]), evaluate(Snapshot(alone[name]), ASKED), ASKED, 22).details.changes
        assert [item.before.key for item in changes] == ["vSphereClient"], name


def samples(file: str) -> list[str]:
    """The tables of a file, each below a line that says where it is from."""
    parts = (captured("esxi") / file).read_text().split("### ")
    return [part.partition("\n")[2] for part in parts if part]


def test_samples_of_the_other_lists() -> None:
    """Every row of what real hosts printed is read; a ruleset of one table, and of lists cut short, too."""
    keys = ("sshServer", "gdbserver", "vSphereClient", "nfsClient")
    rulesets = "\n".join(["Name           Enabled", "-------------  -------", *(f"{key:<15}   true" for key in keys)])
    read = [
        parse_firewall({"rulesets": rulesets, "rules": rules, "allowed": allowed})
        for rules in samples("rule_list_samples_table.txt")
        for allowed in samples("allowedip_list_samples_table.txt")
    ]
    assert len(read) == 4 * 3
    ports = {item.key: item.ports().size for firewall in read for item in firewall.rulesets if item.rules}
    assert ports == {"gdbserver": 9000 + 1000, "sshServer": 1, "nfsClient": 0}
    lists = {(item.key, item.allowed) for firewall in read for item in firewall.rulesets if item.allowed}
    assert lists == {
        ("nfsClient", ("192.168.214.1", "192.168.214.2", "192.168.214.3")),
        ("vSphereClient", ("192.168.1.10",)),
    }
    one = parse_firewall({"rulesets": (captured("esxi") / "ruleset_list_one_table.txt").read_text()})
    assert [(item.key, item.enabled) for item in one.rulesets] == [("remoteSerialPort", False)]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Part(1, "IO error: [Errno 97] Address family not supported by protocol\n", ""), "IO error: [Errno 97]"),
        (Part(1, "", "Connection failed\n"), "management service (hostd) does not answer"),
        (Part(1, "Error: Unknown command or namespace network firewall\n", ""), "Host.Config.NetService"),
        (Part(127, "", "sh: esxcli: not found\n"), "no esxcli"),
    ],
)
def test_a_command_that_fails_is_told_with_what_to_do(part: Part, words: str) -> None:
    """esxcli tells its faults on standard output as often as on standard error, with return code 1."""
    with pytest.raises(ReadError) as told:
        parse_snapshot({"version": part}, Record())
    assert words in str(told.value)


def test_a_step_that_is_refused_is_told_in_the_hosts_words() -> None:
    refusal = "Invalid operation requested: Can not change allowed ip list this ruleset, it is owned by system service."
    assert refusal in (captured("esxi") / "errors.txt").read_text()
    outcome = written({"unchanged rulesets": Part(0, "", ""), "allowedip add": Part(1, f"{refusal}\n", "")})
    assert not outcome.stale
    assert refusal in outcome.errors[0]
