# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Whole tables of iptables: captured rule sets, texts that are broken, texts that are large."""

from __future__ import annotations

import time

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import Chain, Hook
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.xtables import parse_xtables
from hypothesis import given
from hypothesis import strategies as st

from .fixtures_xtables.host import HEADERS, capture, fate, outcomes, parts, rules_of, table

UFW = ("ufw.save", "ufw6.save")
UFW_53 = "-A ufw-user-input -p udp -m udp --dport 53"
FIREWALLD = ("firewalld_direct.save", "firewalld_direct6.save")


@pytest.mark.parametrize(
    ("target", "source", "expected", "rule"),
    [
        ("tcp/22", "192.0.2.10", "passes", "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT"),
        ("udp/161", "192.0.2.10", "passes", "-A ufw-user-input -s 192.0.2.0/24 -p udp -m udp --dport 161 -j ACCEPT"),
        ("udp/161", "10.0.0.1", "dropped", "policy drop"),
        ("icmp", "192.0.2.10", "passes", "-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT"),
        ("tcp/23", "192.0.2.10", "dropped", "-A ufw-user-input -p tcp -m tcp --dport 23 -j DROP"),
        ("udp/53", "192.0.2.10", "rejected", f"{UFW_53} -j REJECT --reject-with icmp-port-unreachable"),
        ("tcp/443", "192.0.2.10", "passes", "-A ufw-user-input -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT"),
        ("tcp/139", "192.0.2.10", "passes", "-A ufw-user-input -p tcp -m multiport --dports 135,139,445 -j ACCEPT"),
        ("tcp/5005", "192.0.2.10", "passes", "-A ufw-user-input -p tcp -m multiport --dports 5000:5010 -j ACCEPT"),
        ("tcp/9100", "192.0.2.10", "passes", "-A ufw-user-input -p tcp -m tcp --dport 9100 -j ACCEPT"),
        ("udp/137", "192.0.2.10", "dropped", "-A ufw-skip-to-policy-input -j DROP"),
        ("tcp/9100", "198.51.100.7", "dropped", "-A ufw-user-input -s 198.51.100.7/32 -j DROP"),
        ("tcp/22", "2001:db8::10", "passes", "-A ufw6-user-input -p tcp -m tcp --dport 22 -j ACCEPT"),
        ("udp/161", "2001:db8::10", "dropped", "policy drop"),
        ("icmp", "2001:db8::10", "passes", "-A ufw6-before-input -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT"),
    ],
)  # fmt: skip
def test_ufw_is_decided(target: str, source: str, expected: str, rule: str) -> None:
    """All of ufw's chains, with its logging, decide; the rule that does is named as it stands."""
    ruleset = rules_of(*map(capture, UFW))
    assert ruleset.gaps == ()
    (outcome,) = outcomes(ruleset, target, source)
    assert (outcome.fate.value, outcome.decided_by[-1].text) == (expected, rule)


def test_ufw_limit_depends_on_history() -> None:
    """Nobody knows how often a client has called: the rule that counts is named."""
    (outcome,) = outcomes(rules_of(*map(capture, UFW)), "tcp/2222", "192.0.2.10")
    assert outcome.fate.value == "undecided"
    assert "-m recent --update --seconds 30 --hitcount 6" in outcome.decided_by[-1].text


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        ("tcp/22", "192.0.2.10", "passes"),
        ("tcp/443", "192.0.2.10", "passes"),
        ("tcp/443", "192.0.2.11", "rejected"),
        ("tcp/22", "192.0.2.77", "dropped"),
        ("tcp/8080", "192.0.2.10", "passes"),
        ("tcp/25", "192.0.2.10", "dropped"),
        ("tcp/9100", "192.0.2.11", "passes"),
        ("tcp/22", "198.51.100.9", "dropped"),
        ("icmp", "192.0.2.10", "dropped"),
        ("udp/161", "192.0.2.10", "passes"),
        ("udp/162", "192.0.2.10", "rejected"),
        ("tcp/22", "2001:db8::10", "passes"),
        ("tcp/443", "2001:db8::10", "rejected"),
        ("icmp", "2001:db8::10", "passes"),
    ],
)
def test_firewalld_with_direct_rules_is_decided(target: str, source: str, expected: str) -> None:
    """Its zones, rich rules and direct rules in the iptables backend."""
    assert fate(rules_of(*map(capture, FIREWALLD)), target, source) == expected


def test_docker_publishes_ports_past_input() -> None:
    """A published port goes on to its container; DOCKER-USER is asked, INPUT is not."""
    ruleset = rules_of(capture("docker_fail2ban.save"), sets=capture("ipset.save"))
    (outcome,) = outcomes(ruleset, "tcp/8080", "192.0.2.10")
    assert (outcome.fate.value, outcome.delivered, str(outcome.final_destination), outcome.final_port) == (
        "passes", "forwarded", "172.17.0.2", 80,
    )  # fmt: skip
    assert fate(ruleset, "tcp/8080", "198.51.100.0/24") == "dropped"


def test_fail2ban_bans_addresses_out_of_a_network() -> None:
    """Each ban is a part of its own, by a rule or by a set."""
    ruleset = rules_of(capture("docker_fail2ban.save"), sets=capture("ipset.save"))
    found = parts(ruleset, "tcp/22", "203.0.113.0/24")
    assert {part for part, what in found.items() if what == "rejected"} == {
        "203.0.113.7", "203.0.113.9", "203.0.113.66", "203.0.113.99",
    }  # fmt: skip
    assert sorted(set(found.values())) == ["passes", "rejected"]


def test_hooks_and_priorities_are_the_kernels() -> None:
    """Each built-in chain with its hook, its priority and what kind of chain it is; chains of users with none."""
    tables, gaps = parse_xtables([capture("all4_legacy.save")], {})
    assert gaps == ()
    found = {
        (item.table, chain.name): (chain.hook, chain.priority, chain.kind, chain.policy)
        for item in tables
        for chain in item.chains
    }
    assert found[("raw", "PREROUTING")] == (Hook.PREROUTING, -300, "filter", "accept")
    assert found[("mangle", "FORWARD")] == (Hook.FORWARD, -150, "filter", "accept")
    assert found[("mangle", "OUTPUT")] == (Hook.OUTPUT, -150, "route", "accept")
    assert found[("nat", "PREROUTING")] == (Hook.PREROUTING, -100, "nat", "accept")
    assert found[("nat", "INPUT")] == (Hook.INPUT, 100, "nat", "accept")
    assert found[("filter", "INPUT")] == (Hook.INPUT, 0, "filter", "accept")
    assert found[("security", "OUTPUT")] == (Hook.OUTPUT, 50, "filter", "accept")
    assert found[("filter", "CH")] == (None, 0, "filter", None)


def test_both_backends_print_the_same_rules() -> None:
    """What one backend says is what the other says, but for where its tables are kept."""
    for version in (4, 6):
        texts = [capture(f"all{version}_{backend}.save") for backend in ("nft", "legacy")]
        nft, legacy = ({item.table: item for item in parse_xtables([text], {})[0]} for text in texts)
        assert nft.keys() == legacy.keys()
        assert all(item.in_nft for item in nft.values())
        assert not any(item.in_nft for item in legacy.values())
        for name, item in nft.items():
            assert [_texts(chain) for chain in item.chains] == [_texts(chain) for chain in legacy[name].chains]


def _texts(chain: Chain) -> list[str]:
    """The rules of a chain; QUEUE is known to the older backend alone."""
    return [chain.name, *(str(rule.text) for rule in chain.rules if not str(rule.text).endswith("-j QUEUE"))]


def test_a_rule_has_its_line_its_position_and_its_comment() -> None:
    """As people know it, without counters."""
    rule = '-A INPUT -p tcp -m comment --comment "for the \\"audit\\"" -j ACCEPT'
    ((item,), _gaps) = parse_xtables([table("-A INPUT -j LOG", f"[5:300] {rule}")], {})
    (found,) = [chain.rules[1] for chain in item.chains if chain.name == "INPUT"]
    assert (str(found.text), found.position, found.comment) == (rule, 2, 'for the "audit"')


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("-A INPUT -p tcp --dport 22 --nosuch 5 -j DROP", "--nosuch"),
        ('-A INPUT -m comment --comment "open -j DROP', "quotation mark"),
        ("-A INPUT -s 192.0.2.300 -j DROP", "192.0.2.300"),
        ("-A INPUT -j DROP -j ACCEPT", "two targets"),
    ],
)
def test_a_broken_rule_is_told_by_those_who_meet_it(line: str, named: str) -> None:
    """Who is let in before it stays decided; for all others the sentence names the line."""
    ruleset = rules_of(table("-A INPUT -p icmp -j ACCEPT", line, "-A INPUT -j ACCEPT"))
    assert ruleset.gaps == ()
    assert fate(ruleset, "icmp") == "passes"
    (outcome,) = outcomes(ruleset, "tcp/22", "192.0.2.10")
    assert outcome.fate.value == "undecided"
    assert outcome.decided_by[-1].text == line
    assert named in outcome.reason


@pytest.mark.parametrize(
    "text",
    [
        table("-A INPUT -j ACCEPT").replace("COMMIT\n", ""),
        table("-A nowhere -j ACCEPT"),
        table("garbage"),
        table(":EXTRA ACCEPT [0:0]"),
        table(":INPUT - [0:0]"),
        table("-A INPUT -j ACCEPT").replace(HEADERS[4], ""),
        table("-A INPUT -j ACCEPT") + table("-A INPUT -j DROP"),
    ],
)
def test_a_table_that_cannot_be_read_leaves_its_packets_undecided(text: str) -> None:
    """Also one that is there twice with different content, and one whose family nobody told."""
    assert fate(rules_of(text), "tcp/22") == "undecided"


def test_what_is_no_table_is_a_gap() -> None:
    """An error message, or a table that no kernel has."""
    for text in ("iptables-save: command not found\n", "*future\n:INPUT ACCEPT [0:0]\nCOMMIT\n"):
        ruleset = rules_of(text)
        assert len(parse_xtables([text + table()], {})[1]) == 1
        assert fate(ruleset, "tcp/22") == "undecided"


def test_the_same_text_twice_is_the_same_table() -> None:
    """Two commands that read the same backend, and what the kernel counted in between."""
    text = capture("ufw.save")
    assert fate(rules_of(text, text.replace("[0:0] -A", "[7:420] -A"), capture("ufw6.save")), "tcp/22") == "passes"


WORDS = """
    ! -A -p -s -d -i -o -f -m -j -g tcp udp icmp --dport --sport 22 1:5 a:b 192.0.2.0/24 192.0.2.0/x eth0 + " "a
    --match-set ipport src,dst --ctstate NEW,X --mark 0x1/0x --to-destination :80 [::1]:x --reject-with -- -
    set conntrack mark DNAT ACCEPT REJECT LOG MARK --set-xmark CT --zone multiport --dports state addrtype --dst-type
    LOCAL iprange --src-range 1.1.1.1-0.0.0.0 statistic --probability 1.x --every rpfilter devgroup --src-group
"""
RULE_WORDS = st.sampled_from(WORDS.split())


@given(st.lists(st.one_of(RULE_WORDS, st.text(max_size=5)), max_size=12))
def test_no_rule_raises(words: list[str]) -> None:
    """Any words make a rule that is read, or one that nobody can decide; the rules around it stay what they are."""
    line = " ".join(["-A INPUT", *words]).replace("\n", " ")
    ruleset = rules_of(table("-A INPUT -p icmp -j ACCEPT", line), sets=capture("ipset.save"))
    assert fate(ruleset, "icmp") in ("passes", "undecided")
    assert fate(ruleset, "tcp/22") in ("passes", "dropped", "rejected", "undecided")


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """Whatever a host prints."""
    for whole in (text, HEADERS[4] + "\n*filter\n" + text, capture("docker_fail2ban.save")[: len(text)] + text):
        tables, _gaps = parse_xtables([whole], {})
        assert all(item.family in ("ip", "ip6") for item in tables)


@given(st.integers(0, 60))
def test_no_line_is_lost(number: int) -> None:
    """A captured text with any one line missing its end is not taken for the whole."""
    lines = capture("docker_fail2ban.save").splitlines()
    number %= len(lines)
    cut = [
        line[:-2] if place == number and line.startswith(("COMMIT", ":", "*")) else line
        for place, line in enumerate(lines)
    ]
    if cut != lines:
        tables, gaps = parse_xtables(["\n".join(cut)], {})
        assert gaps or any(item.problem for item in tables)


@pytest.mark.timeout(30)
def test_large_rule_sets_are_judged_quickly() -> None:
    """10,000 rules and a set of 100,000 addresses, in seconds of this process."""
    text = table(
        "-A INPUT -m set --match-set banned src -j DROP",
        *(
            f"-A INPUT -s 10.{number >> 8}.{number & 255}.0/24 -p tcp -m tcp --dport {number} -j ACCEPT"
            for number in range(10_000)
        ),
    )
    addresses = (f"add banned 11.{n >> 16}.{n >> 8 & 255}.{n & 255} timeout 400\n" for n in range(0, 200_000, 2))
    sets = "create banned hash:ip family inet timeout 600\n" + "".join(addresses)
    started = time.process_time()
    ruleset = rules_of(text, sets=sets)
    assert [fate(ruleset, "tcp/9999", source) for source in ("10.39.15.1", "11.0.0.2", "11.0.0.3")] == [
        "passes", "dropped", "dropped",
    ]  # fmt: skip
    # Without others on the machine this takes less than one second; the bench measures it.
    assert time.process_time() - started < 6


@pytest.mark.timeout(60)
@pytest.mark.parametrize("target", ["DROP", "ACCEPT"])
def test_rules_that_part_everybody_do_not_multiply(target: str) -> None:
    """Each of 2,500 rules takes one address out of all that are left of everybody: time grows with them alone."""
    rules = (f"-A INPUT -s 10.{number >> 8}.{number & 255}.9/32 -j {target}" for number in range(2_500))
    addresses = (f"add banned 11.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(0, 100_000, 2))
    sets = "create banned hash:ip family inet\n" + "\n".join(addresses) + "\n"
    text = table("-A INPUT -m set --match-set banned src -j DROP", *rules, "-A INPUT -p tcp --dport 22 -j ACCEPT")
    started = time.process_time()
    found = outcomes(rules_of(text, sets=sets), "tcp/22", "0.0.0.0/0")
    assert len(found) == 2_502
    assert sum(outcome.source.size for outcome in found) == 2**32
    # Without others on the machine it takes about one second. Were each rule to copy what is left, it would be minutes.
    assert time.process_time() - started < 12
