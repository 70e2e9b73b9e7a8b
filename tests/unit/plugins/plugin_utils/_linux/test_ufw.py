# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""ufw: its files say what the kernel got from them, its words and numbers, its commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.iptables_restore import Tables
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.manager import Opening
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.ufw import MOST_PORTS, Ufw, parse_ufw
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.ufw_config import parse_ufw_files
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import Ruleset, Step
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from hypothesis import given
from hypothesis import strategies as st

from .panel import FIXTURES, HOST, differences, fate, files_below, packet

FOLDER = FIXTURES / "ufw"
FILES = files_below(FOLDER)
DEFAULTS, CONF, USER = "/etc/default/ufw", "/etc/ufw/ufw.conf", "/etc/ufw/user.rules"
MARK = "comment=6167656e746c6573732d6175646974"


@cache
def kernel() -> Ruleset:
    # As a table of its own: what nft shows beside it is not in the fixture.
    saved = (FOLDER / "kernel-iptables-save.txt").read_text().replace(" (nf_tables)", "")
    return read_ruleset(nft=None, xtables=[saved], ipset=None)


def manager(**changed: str) -> Ufw:
    return parse_ufw({**FILES, **changed}, HOST)


def with_rules(*tuples: str, version: int = 4) -> Ufw:
    """ufw with these tuples (and no iptables rules: only its commands are asked for)."""
    path = USER if version == 4 else "/etc/ufw/user6.rules"
    empty = {USER: "*filter\nCOMMIT\n", "/etc/ufw/user6.rules": "*filter\nCOMMIT\n"}
    return manager(**{**empty, path: "\n".join(f"### tuple ### {line}" for line in tuples)})


def commands(actions: Sequence[object]) -> list[str]:
    return [" ".join(action.argv).removesuffix(" comment agentless-audit") for action in actions]  # type: ignore[attr-defined]


def test_files_say_what_the_kernel_got() -> None:
    assert list(differences(manager(), kernel())) == []


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (DEFAULTS, 'DEFAULT_INPUT_POLICY="DROP"', 'DEFAULT_INPUT_POLICY="ACCEPT"'),
        (USER, "-i mgmt0 -p tcp --dport 22 -j ACCEPT", "-i mgmt0 -p tcp --dport 22 -j DROP"),
        ("/etc/ufw/before.rules", "--icmp-type echo-request -j ACCEPT", "--icmp-type echo-request -j DROP"),
    ],
)
def test_the_panel_notices_a_change(path: str, old: str, new: str) -> None:
    assert old in FILES[path]
    assert next(differences(manager(**{path: FILES[path].replace(old, new)}), kernel()), None)


def test_numbers_are_those_of_ufw_status() -> None:
    status = (FOLDER / "status-numbered.txt").read_text()
    shown = re.findall(r"^\[ ?(\d+)\] (.*?)\s+(ALLOW|DENY|REJECT|LIMIT) (IN|OUT|FWD)", status, re.MULTILINE)
    directions = {"IN": "in", "OUT": "out", "FWD": "route"}
    rules = parse_ufw_files(FILES).rules
    by_number = {rule.number: rule for rule in rules}
    assert [int(number) for number, *_rest in shown] == sorted(by_number)
    for number, to, action, direction in shown:
        rule = by_number[int(number)]
        assert (rule.action.upper(), rule.direction) == (action, directions[direction])
        assert rule.ports in to or rule.application in to or "Anywhere" in to


@pytest.mark.parametrize(
    ("wire", "source", "destination", "iif", "words"),
    [
        ("tcp/22", "192.0.2.11", "192.0.2.5", "eth0", "ufw rule 2: deny in 22/tcp from 192.0.2.11"),
        ("tcp/22", "198.51.100.9", "192.0.2.5", "eth0", "ufw rule 4: allow in 22,161/tcp from 198.51.100.0/24"),
        ("udp/161", "192.0.2.10", "192.0.2.5", "eth0", "ufw rule 5: allow in 161/udp (log)"),
        ("udp/445", "203.0.113.9", "192.0.2.5", "eth0", "ufw rule 7: reject in from 203.0.113.0/24"),
        ("tcp/5005", "192.0.2.10", "203.0.113.5", "mgmt0", "ufw rule 8: allow in on mgmt0 5000:5010/tcp"),
        ("tcp/80", "192.0.2.10", "192.0.2.5", "eth0", "ufw rule 3: allow in WWW Full"),
        ("tcp/22", "2001:db8::10", "2001:db8::5", "eth0", "ufw rule 19: allow in 22/tcp from 2001:db8::10"),
        ("tcp/445", "192.0.2.10", "192.0.2.5", "eth0", "ufw default: deny (incoming)"),
    ],
)
def test_rules_of_the_kernel_have_the_words_of_ufw(
    wire: str, source: str, destination: str, iif: str, words: str
) -> None:
    decision = manager().words(fate(kernel(), packet(wire, source, destination, iif)).decided_by[-1])
    assert decision is not None
    assert (decision.kind, decision.text) == ("ufw", words)


def test_rules_of_the_files_before_are_named() -> None:
    decision = manager().words(fate(kernel(), packet("icmp")).decided_by[-1])
    assert decision is not None
    assert decision.text.startswith("ufw before.rules: -A ufw-before-input -p icmp")


def test_a_rule_that_moved_is_found_by_what_it_says() -> None:
    step = Step(
        "ip",
        "filter",
        "ufw-user-input",
        None,
        17,
        "-A ufw-user-input -s 192.0.2.11/32 -p tcp -m tcp --dport 22 -j DROP",
        None,
    )
    assert manager().words(step) == manager().words(replace(step, position=3))
    unknown = manager().words(replace(step, text="-A ufw-user-input -s 192.0.2.99/32 -j DROP"))
    assert unknown is not None
    assert "its files do not hold" in unknown.text


def test_rules_of_others_have_no_words() -> None:
    assert manager().words(Step("ip", "filter", "DOCKER", None, 1, "-A DOCKER -j DROP", None)) is None
    assert manager().words(Step("inet", "filter", "input", 4, 1, "drop", None)) is None


@pytest.mark.parametrize(
    ("wire", "source", "kind"),
    [
        ("tcp/445", "192.0.2.10", None),  # the default: a rule opens it
        ("udp/138", "192.0.2.10", None),  # after.rules
        ("tcp/22", "192.0.2.11", "ufw"),  # a rule before ours: one ahead of it opens it
    ],
)
def test_what_stands_before_the_list_or_in_it_is_an_obstacle(wire: str, source: str, kind: str | None) -> None:
    obstacle = manager().obstacle(fate(kernel(), packet(wire, source)))
    assert (obstacle.kind if obstacle else None) == kind


def test_no_command_of_ufw_opens_icmp() -> None:
    outcome = fate(kernel(), packet("tcp/445"))
    obstacle = manager().obstacle(replace(outcome, final_port=None))
    assert obstacle is not None
    assert (obstacle.kind, "before.rules" in obstacle.text) == ("ufw.before", True)


def test_ipv6_that_ufw_does_not_manage_is_dropped_and_cannot_be_opened() -> None:
    off = manager(**{DEFAULTS: FILES[DEFAULTS].replace("IPV6=yes", "IPV6=no")})
    one = packet("tcp/22", "2001:db8::10", "2001:db8::5")
    (part,) = off.boot(one)
    assert (part.status, part.decided_by.text) == (VerdictStatus.BLOCKED, "ufw: IPV6=no, all of IPv6 is dropped")
    obstacle = off.obstacle(replace(fate(kernel(), packet("tcp/445", "2001:db8::10", "2001:db8::5"))))
    assert obstacle is not None
    assert "IPV6=no" in obstacle.text


def test_a_ufw_that_is_not_enabled_loads_nothing() -> None:
    (part,) = manager(**{CONF: "ENABLED=no\nLOGLEVEL=low\n"}).boot(packet("tcp/445"))
    assert (part.status, "ENABLED=no" in part.decided_by.text) == (VerdictStatus.OPEN, True)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/ufw/before.rules", ""),
        ("/etc/ufw/before.rules", "*filter\n--bogus\nCOMMIT\n"),
        ("/etc/ufw/before.init", "case $1 in\nstart)\n    iptables -I INPUT -j DROP\nesac\n"),
    ],
)
def test_what_cannot_be_followed_leaves_everything_unknown(path: str, text: str) -> None:
    (part,) = manager(**{path: text}).boot(packet("tcp/22"))
    assert part.status is VerdictStatus.UNKNOWN
    assert path in part.decided_by.text


def test_openings_are_few_commands() -> None:
    openings = [
        Opening("tcp", 445, "192.0.2.10", 4),
        Opening("tcp", 139, "192.0.2.10", 4),
        Opening("udp", 161, "192.0.2.10", 4),
        Opening("tcp", 9100, "any", 4),
        Opening("tcp", 9100, "any", 6),
        Opening("tcp", 22, "2001:db8::/64", 6, ahead=True),
        Opening("icmp", None, "192.0.2.10", 4),
    ]
    actions = manager().add(openings, runtime=True, permanent=True)
    assert {action.scope for action in actions} == {"both"}
    assert all(action.argv[-2:] == ("comment", "agentless-audit") for action in actions)
    assert commands(actions) == [
        "ufw allow proto tcp from 192.0.2.10 to any port 139,445",
        "ufw allow proto udp from 192.0.2.10 to any port 161",
        "ufw allow proto tcp from 0.0.0.0/0 to any port 9100",
        "ufw allow proto tcp from ::/0 to any port 9100",
        "ufw prepend allow proto tcp from 2001:db8::/64 to any port 22",
    ]


def test_no_command_names_more_ports_than_iptables_takes() -> None:
    openings = [Opening("tcp", port, "192.0.2.0/24", 4) for port in range(1, 2 * MOST_PORTS + 2)]
    lists = [
        line.rpartition(" ")[2].split(",") for line in commands(manager().add(openings, runtime=True, permanent=True))
    ]
    assert [len(ports) for ports in lists] == [MOST_PORTS, MOST_PORTS, 1]


@pytest.mark.parametrize("theirs", ["deny", "allow", "allow_log", "limit"])
def test_a_command_never_names_a_rule_of_somebody_else(theirs: str) -> None:
    ufw = with_rules(f"{theirs} tcp 22 0.0.0.0/0 any 192.0.2.10 in", "deny tcp 80,443 0.0.0.0/0 any 192.0.2.10 in")
    single = ufw.add([Opening("tcp", 22, "192.0.2.10", 4, ahead=True)], runtime=True, permanent=True)
    assert commands(single) == ["ufw prepend allow proto tcp from 192.0.2.10 to any port 22,22"]
    several = [Opening("tcp", port, "192.0.2.10", 4) for port in (443, 80)]
    assert [line.rpartition(" ")[2] for line in commands(ufw.add(several, runtime=True, permanent=True))] == [
        "80",
        "443",
    ]


def test_what_is_there_is_not_added_again() -> None:
    ours = with_rules("deny tcp 9 0.0.0.0/0 any 0.0.0.0/0 in", f"allow tcp 22,161 0.0.0.0/0 any 192.0.2.10 in {MARK}")
    opening = Opening("tcp", 161, "192.0.2.10/32", 4)
    assert ours.has(opening)
    assert ours.add([opening], runtime=True, permanent=True) == ()
    assert not ours.has(replace(opening, ahead=True))


@pytest.mark.parametrize(
    "other",
    [
        "allow tcp 22,161 0.0.0.0/0 any 192.0.2.10 in",
        f"deny tcp 22,161 0.0.0.0/0 any 192.0.2.10 in {MARK}",
        f"allow tcp 22,161 0.0.0.0/0 any 192.0.2.10 in_eth0 {MARK}",
        f"allow tcp 22,161 192.0.2.5 any 192.0.2.10 in {MARK}",
        f"allow tcp 22,161 0.0.0.0/0 53 192.0.2.10 in {MARK}",
        f"allow udp 22,161 0.0.0.0/0 any 192.0.2.10 in {MARK}",
        f"allow tcp 22,161 0.0.0.0/0 any 192.0.2.0/24 in {MARK}",
        f"allow tcp 22,161 0.0.0.0/0 any 192.0.2.10 out {MARK}",
    ],
)
def test_rules_that_are_not_exactly_ours_are_left_alone(other: str) -> None:
    ufw, opening = with_rules(other), Opening("tcp", 22, "192.0.2.10", 4)
    assert not ufw.has(opening)
    assert ufw.remove([opening], runtime=True, permanent=True) == ()


def test_a_part_of_a_rule_goes_by_putting_the_rest_in_its_place() -> None:
    ufw = with_rules(
        "deny tcp 9 0.0.0.0/0 any 0.0.0.0/0 in", f"allow tcp 22,161,445 0.0.0.0/0 any 192.0.2.10 in {MARK}"
    )
    openings = [Opening("tcp", port, "192.0.2.10", 4) for port in (22, 161, 445)]
    assert commands(ufw.remove(openings[:1], runtime=True, permanent=True)) == [
        "ufw insert 2 allow proto tcp from 192.0.2.10 to any port 161,445",
        "ufw delete allow proto tcp from 192.0.2.10 to any port 22,161,445",
    ]
    assert commands(ufw.remove(openings, runtime=True, permanent=True)) == [
        "ufw delete allow proto tcp from 192.0.2.10 to any port 22,161,445"
    ]


def test_places_of_ipv6_rules_come_after_the_numbers_of_ipv4() -> None:
    v4 = [
        "allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 WWW%20Full - in",
        "allow udp 9 0.0.0.0/0 any 0.0.0.0/0 WWW%20Full - in",
    ]
    v6 = [f"allow tcp 22,161 ::/0 any 2001:db8::10 in {MARK}"]
    texts = {USER: v4, "/etc/ufw/user6.rules": v6}
    ufw = manager(**{path: "\n".join(f"### tuple ### {line}" for line in lines) for path, lines in texts.items()})
    (insert, _delete) = commands(ufw.remove([Opening("tcp", 22, "2001:db8::10", 6)], runtime=True, permanent=True))
    assert insert.startswith("ufw insert 2 allow")


def test_ufw_writes_the_list_of_the_family() -> None:
    openings = [
        Opening("tcp", 22, "192.0.2.10", 4),
        Opening("tcp", 22, "2001:db8::10", 6),
        Opening("udp", 161, "192.0.2.1", 4),
    ]
    assert manager().touched(openings) == (USER, "/etc/ufw/user6.rules")


@given(st.text(), st.lists(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\n\r"))))
def test_no_text_breaks_the_reader(text: str, lines: list[str]) -> None:
    rules = "\n".join(f"### tuple ### {line}" for line in lines)
    config = parse_ufw_files({DEFAULTS: text, CONF: "ENABLED=yes\nIPV6=yes", USER: rules, "/etc/ufw/user6.rules": text})
    assert [rule.number for rule in config.rules] == sorted(rule.number for rule in config.rules)


@given(
    st.lists(st.sampled_from(["-A c -j DROP", "-I c 2 -j ACCEPT", "-I c -p tcp", "-D c -j DROP", "-F c", ":c - [0:0]"]))
)
def test_tables_are_restored_without_a_flush(lines: list[str]) -> None:
    tables, expected = Tables(), list[str]()
    tables.restore("*filter\n:c - [0:0]\nCOMMIT", "a")
    for line in lines:
        tables.restore(f"*filter\n{line}\nCOMMIT", "b")
        verb, _chain, rest = [*line.split(" ", 2), ""][:3]
        if verb == "-A":
            expected.append(rest)
        elif verb == "-I":
            place, text = (1, rest[2:]) if rest.startswith("2 ") else (0, rest)
            expected.insert(place, text)
        elif verb == "-D" and rest in expected:
            expected.remove(rest)
        elif verb in ("-F", ":c"):
            expected.clear()
    kept = [line.removeprefix("-A c ") for line in tables.text("iptables").splitlines() if line.startswith("-A c ")]
    assert kept == expected
