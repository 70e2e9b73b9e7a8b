# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Sets of ipset and iptables' match on them."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.ipset import parse_ipsets
from hypothesis import given
from hypothesis import strategies as st

from .fixtures_xtables.host import capture, fate, parts, rules_of, table

SETS = capture("ipset.save")


def who(match: str, target: str, source: str, sets: str | None = SETS, version: int = 4) -> str:
    """What becomes of a packet from ``source`` whose rule asks for ``match``."""
    return fate(rules_of(table(f"-A INPUT -m set {match} -j ACCEPT", version=version), sets=sets), target, source)


@pytest.mark.parametrize(
    ("match", "target", "source", "expected"),
    [
        ("--match-set f2b-nginx src", "tcp/22", "203.0.113.99", "passes"),
        ("--match-set f2b-nginx src", "tcp/22", "203.0.113.98", "dropped"),
        ("! --match-set f2b-nginx src", "tcp/22", "203.0.113.98", "passes"),
        ("--match-set f2b-nginx dst", "tcp/22", "203.0.113.99", "dropped"),
        ("--match-set nets src", "tcp/22", "10.9.9.9", "passes"),
        ("--match-set nets src", "tcp/22", "10.1.9.9", "dropped"),
        ("--match-set nets src", "tcp/22", "10.1.2.9", "passes"),
        ("--match-set nets src --return-nomatch", "tcp/22", "10.1.9.9", "passes"),
        ("--match-set nets src --return-nomatch", "tcp/22", "10.9.9.9", "dropped"),
        ("--match-set nets src --return-nomatch", "tcp/22", "10.1.2.9", "dropped"),
        ("--match-set ipport src,dst", "tcp/22", "192.0.2.1", "passes"),
        ("--match-set ipport src,dst", "udp/161", "192.0.2.1", "passes"),
        ("--match-set ipport src,dst", "udp/22", "192.0.2.1", "dropped"),
        ("--match-set ipport src,dst", "icmp", "192.0.2.1", "passes"),
        ("--match-set ipport src,dst", "icmp", "192.0.2.2", "dropped"),
        ("--match-set ipport src,dst", "tcp/5003", "192.0.2.2", "passes"),
        ("--match-set ipport src,src", "tcp/22", "192.0.2.1", "dropped"),
        ("--match-set ipport src,src", "tcp/22", "192.0.2.2", "undecided"),
        ("--match-set ipport src", "tcp/22", "192.0.2.1", "dropped"),
        ("! --match-set ipport src", "tcp/22", "192.0.2.1", "passes"),
        ("--match-set netport src,dst", "tcp/22", "192.0.2.100", "passes"),
        ("--match-set netport src,dst", "tcp/22", "192.0.2.9", "dropped"),
        ("--match-set netport src,dst", "tcp/23", "192.0.2.100", "dropped"),
        ("--match-set netport src", "tcp/22", "192.0.2.100", "dropped"),
        ("--match-set netiface src,src", "tcp/22", "192.0.2.100", "passes"),
        ("--match-set netiface src,dst", "tcp/22", "192.0.2.100", "dropped"),
        ("--match-set ipportip src,dst,dst", "tcp/22", "192.0.2.1", "passes"),
        ("--match-set ipportip src,dst,src", "tcp/22", "192.0.2.1", "dropped"),
        ("--match-set ipportnet src,dst,dst", "tcp/22", "192.0.2.1", "passes"),
        ("--match-set bip src", "tcp/22", "192.0.2.20", "passes"),
        ("--match-set bip src", "tcp/22", "192.0.2.21", "dropped"),
        ("--match-set bip2 src", "tcp/22", "10.0.1.77", "passes"),
        ("--match-set bport dst", "udp/22", "192.0.2.10", "passes"),
        ("--match-set bport dst", "icmp", "192.0.2.10", "dropped"),
        ("! --match-set bport dst", "icmp", "192.0.2.10", "passes"),
        ("--match-set bmac src,src", "tcp/22", "192.0.2.11", "dropped"),
        ("--match-set bmac src,src", "tcp/22", "192.0.2.9", "undecided"),
        ("--match-set ipm src", "tcp/22", "192.0.2.200", "passes"),
        ("--match-set skb src", "tcp/22", "192.0.2.7", "passes"),
        ("--match-set all src,dst", "tcp/22", "10.9.9.9", "passes"),
        ("--match-set all src,dst", "udp/161", "192.0.2.1", "passes"),
        ("--match-set all src", "udp/161", "192.0.2.1", "dropped"),
        ("--match-set all src", "udp/161", "192.0.2.15", "passes"),
        ("--match-set nets6 src", "tcp/22", "10.9.9.9", "dropped"),
        ("! --match-set nets6 src", "tcp/22", "10.9.9.9", "passes"),
        ("--match-set nowhere src", "tcp/22", "10.9.9.9", "undecided"),
        ("--match-set nets src --packets-gt 5", "tcp/22", "10.9.9.9", "undecided"),
        ("--match-set nets src --packets-gt 5", "tcp/22", "10.1.9.9", "dropped"),
        ("--match-set nets src ! --update-counters", "tcp/22", "10.9.9.9", "passes"),
        ("--match-set nets sideways", "tcp/22", "10.9.9.9", "undecided"),
        ("--match-set nets", "tcp/22", "10.9.9.9", "undecided"),
        ("--option", "tcp/22", "10.9.9.9", "undecided"),
    ],
)
def test_matches(match: str, target: str, source: str, expected: str) -> None:
    """Sets of each type, as ipset saves them."""
    assert who(match, target, source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [("2001:db8::77", "passes"), ("2001:db8:dead::1", "dropped"), ("2001:db9::1", "dropped")],
)
def test_ipv6(source: str, expected: str) -> None:
    """Networks of IPv6 with exceptions."""
    assert who("--match-set nets6 src", "tcp/22", source, version=6) == expected


def test_without_ipset_nothing_is_known_of_sets() -> None:
    """A set whose content is not known is neither empty nor full."""
    assert who("--match-set nets src", "tcp/22", "10.9.9.9", sets=None) == "undecided"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ("create x hash:net,iface\nadd x 192.0.2.0/24,et wildcard\n", "passes"),
        ("create x hash:net,iface\nadd x 192.0.2.0/24,et\n", "dropped"),
        ("create x hash:net,iface\nadd x 192.0.2.0/24,physdev:eth0\n", "dropped"),
        ("create x hash:net,iface\nadd x 0.0.0.0/0,eth0\nadd x 192.0.2.0/28,eth0 nomatch\n", "dropped"),
        ("create x hash:net\nadd x 192.0.2.77/24\n", "passes"),
        ("create x hash:net family inet6\nadd x ::/64\n", "dropped"),
        ("create x hash:net,iface\nadd x 192.0.2.0/24,eth0\nadd x 192.0.2.8/29,eth1\n", "dropped"),
        ("create x hash:net,iface\nadd x 192.0.2.0/24,eth0\nadd x 192.0.2.8/29,physdev:eth1\n", "dropped"),
        (
            "create x hash:net,iface\nadd x 192.0.2.0/24,eth0\nadd x 192.0.2.8/30,eth1\nadd x 192.0.2.8/30,eth0\n",
            "passes",
        ),
        ("create x hash:ip,mark\nadd x 192.0.2.10,0x00000000\n", "passes"),
        ("create x hash:ip,mark\nadd x 192.0.2.10,0x00000001\n", "dropped"),
        ("create x hash:net,net\nadd x 192.0.2.0/24,10.0.0.0/8\nadd x 10.0.0.0/8,192.0.2.0/24\n", "dropped"),
        ("create x hash:ip,mac\nadd x 192.0.2.10,00:11:22:33:44:55\n", "undecided"),
        ("create x hash:ip,mac\nadd x 192.0.2.11,00:11:22:33:44:55\n", "dropped"),
        ("create x hash:mac\nadd x 00:11:22:33:44:55\n", "undecided"),
        ("create x hash:net,net\nadd x 192.0.2.0/24,0.0.0.0/0\nadd x 192.0.2.0/24,10.0.0.0/8 nomatch\n", "undecided"),
        ("create x hash:ip bitmask 255.255.0.255\nadd x 192.0.0.10\n", "undecided"),
        ("create x hash:future\nadd x 192.0.2.10\n", "undecided"),
        ("create x list:set\nadd x y\ncreate y hash:ip\nadd y 192.0.2.10\n", "passes"),
        ("create x list:set\nadd x y\n", "undecided"),
        ("create x list:set\nadd x y\ncreate y list:set\n", "undecided"),
        ('create x hash:net comment\nadd x 192.0.2.0/24 comment "is no nomatch here"\n', "passes"),
    ],
)
def test_types_and_options(elements: str, expected: str) -> None:
    """Types that not every kernel has, and what only they can say."""
    directions = "src,src" if "," in elements.split(" ")[2] else "src"
    assert who(f"--match-set x {directions}", "tcp/22", "192.0.2.10", sets=elements) == expected


def test_an_element_that_cannot_be_read_leaves_the_set_undecided() -> None:
    """It might have been the one that matters."""
    for element in ("192.0.2.300", "192.0.2.0/33", "2001:db8::1", "192.0.2.1,tcp:22", ""):
        sets = f"create x hash:ip\nadd x 192.0.2.11\nadd x {element}\n"
        assert who("--match-set x src", "tcp/22", "192.0.2.10", sets=sets) == "undecided"


def test_sets_that_packets_change_are_not_trusted() -> None:
    """What a rule adds may be in by the time a packet comes; what is in already may only go where a rule deletes."""
    sets = "create x hash:ip\nadd x 192.0.2.10\n"
    accept = "-A INPUT -m set --match-set x src -j ACCEPT"
    added = rules_of(table(accept, "-A INPUT -p tcp --dport 23 -j SET --add-set x src --exist"), sets=sets)
    assert [fate(added, "tcp/22", source) for source in ("192.0.2.10", "192.0.2.11")] == ["passes", "undecided"]
    deleted = rules_of(table(accept, "-A INPUT -p tcp --dport 23 -j SET --del-set x src"), sets=sets)
    assert [fate(deleted, "tcp/22", source) for source in ("192.0.2.10", "192.0.2.11")] == ["undecided", "dropped"]
    other = rules_of(table(accept, "-A INPUT -p tcp --dport 23 -j SET --add-set y src"), sets=sets)
    assert [fate(other, "tcp/22", source) for source in ("192.0.2.10", "192.0.2.11")] == ["passes", "dropped"]


def test_a_network_is_split_by_a_set() -> None:
    """The elements in it on one side, all others on the other."""
    ruleset = rules_of(table("-A INPUT -m set --match-set ipport src,dst -j ACCEPT"), sets=SETS)
    assert parts(ruleset, "tcp/22", "192.0.2.0/30") == {"192.0.2.1": "passes", "192.0.2.0, 192.0.2.2/31": "dropped"}


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """Whatever ipset is said to have printed, reading it and asking for its sets ends well."""
    for line in (
        text,
        f"create x hash:ip {text}",
        f"create x hash:net,port\nadd x {text}",
        f"create {text}\nadd {text}",
    ):
        assert who("--match-set x src,dst", "tcp/22", "192.0.2.10", sets=line) in ("passes", "dropped", "undecided")


@given(st.sets(st.integers(0, 255)), st.integers(0, 255))
def test_membership_is_membership(members: set[int], asked: int) -> None:
    """A set of addresses holds those that it lists and no others."""
    text = "create x hash:ip\n" + "".join(f"add x 192.0.2.{number}\n" for number in sorted(members, key=str))
    ranges = parse_ipsets(text)["x"].content.ranges
    assert ranges is not None
    assert (0xC0000200 + asked in ranges) == (asked in members)


PLAIN_ELEMENTS = st.lists(
    st.tuples(st.integers(0, 255), st.one_of(st.none(), st.integers(20, 32))).map(
        lambda element: f"192.0.2.{element[0]}" + ("" if element[1] is None else f"/{element[1]}")
    ),
    min_size=1,
)


@given(PLAIN_ELEMENTS, st.sampled_from(["ip", "net"]), st.sampled_from(["", " netmask 28"]))
def test_the_short_way_of_large_sets_ends_where_the_long_one_does(elements: list[str], kind: str, option: str) -> None:
    lines = "".join(f"add some {element} timeout 5\n" for element in elements)
    text = f"create some hash:{kind} family inet hashsize 1024 maxelem 65536{option}\n{lines}"
    long_way = text + "add some 192.0.2.0-192.0.2.0\n"
    short, long = parse_ipsets(text)["some"], parse_ipsets(long_way)["some"]
    assert short._plain_ranges() is not None
    assert long._plain_ranges() is None
    added = parse_ipsets(f"{text.partition(chr(10))[0]}\nadd some 192.0.2.0\n")["some"].content.ranges
    assert short.content.ranges is not None
    assert added is not None
    assert short.content.ranges | added == long.content.ranges


def test_sets_of_one_name_are_told_apart_by_the_last() -> None:
    create = "create a hash:ip family inet\n"
    text = f"{create}add a 192.0.2.1\n{create}add a 192.0.2.2\nadd b 192.0.2.3\n"
    assert [(name, found.lines) for name, found in parse_ipsets(text).items()] == [("a", ["192.0.2.2"])]
