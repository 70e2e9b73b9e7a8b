# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Reading nft's listings: every kind of statement of three versions of nft, and text that is no listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.matches import Undecidable
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import Hook
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.nft import parse_nft
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.statements import Verb, Verdict
from hypothesis import given
from hypothesis import strategies as st

from .small_rules import (
    ACCEPT,
    CT_STATE,
    DADDR,
    DPORT,
    DROP,
    LIMIT,
    MARK,
    REJECT,
    SADDR,
    UDP_DPORT,
    base_chain,
    chain,
    fate,
    fates,
    jump,
    listing,
    match,
    named_set,
    outcomes,
    payload,
    prefix,
    read,
    rule,
)

FIXTURES = sorted(Path(__file__).with_name("fixtures_nft").glob("every_statement_*.json"))
# What no rule set shows, in any version of nft.
DECIDED_ELSEWHERE = {"limit", "quota", "meter", "limit for each element of @d", "limit for each element of @mm"}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_statement_is_understood(path: Path) -> None:
    """Nothing that nft 0.9.8, 1.0.6 and 1.1.3 write stands there as not understood, but for a map of networks."""
    tables = parse_nft(path.read_text(encoding="utf-8"))
    assert tables.gaps == ()
    strange = []
    for of_table in tables.chains:
        for item in (item for of_chain in of_table.rules for item in of_chain.statements):
            if isinstance(item, Undecidable) and item.name not in DECIDED_ELSEWHERE:
                strange.append(item.name)
            if isinstance(item, Verdict) and item.verb is Verb.UNDECIDED and "not understood" in item.target:
                strange.append(item.target)
    assert strange == ["its statement is not understood: a map from networks to networks"]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_statement_can_be_walked(path: Path) -> None:
    """A packet comes to an end, and every rule can be written for people."""
    rules = read(path.read_text(encoding="utf-8"))
    for target in ("tcp/22", "udp/161", "icmp"):
        for source in ("192.0.2.0/24", "2001:db8:1::/64"):
            assert outcomes(rules, source, target)
    texts = [str(of_chain.text) for of_table in rules.chains.values() for of_chain in of_table.rules]
    assert all(texts)
    assert not [text for text in texts if "{'" in text or "None" in text]


def test_chains_have_their_place() -> None:
    """Hook, priority, policy, type and devices as listed; other chains have none."""
    text = listing(
        base_chain("pre", "prerouting", priority=-100, type="nat"),
        base_chain("early", "ingress", dev=["lan0", "dmz0"]),
        chain("other"),
        rules=[[ACCEPT]],
    )
    chains = {item.name: item for item in parse_nft(text).chains}
    assert (chains["pre"].hook, chains["pre"].priority, chains["pre"].kind) == (Hook.PREROUTING, -100, "nat")
    assert chains["early"].devices == ("lan0", "dmz0")
    assert (chains["other"].hook, chains["other"].policy) == (None, None)
    assert (chains["input"].policy, chains["input"].rules[0].handle) == ("drop", 9)


NO_LISTINGS = (
    "",
    "{}",
    "[]",
    "null",
    "[" * 100_000,
    '{"nftables": 3}',
    '{"nftables": [3]}',
    '{"nftables": [{}]}',
    '{"nftables": [{"chain": {}}]}',
    '{"nftables": [{"rule": {"family": "ip"}}]}',
    '{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "c", "hook": "input", "prio": "high"}}]}',
)


@pytest.mark.parametrize("text", NO_LISTINGS, ids=lambda text: text[:40])
def test_no_listing_is_a_gap(text: str) -> None:
    """Text that is no listing never raises; it is a sentence."""
    (gap,) = parse_nft(text).gaps
    assert "could not be read" in gap


# The names that statements and expressions have, so that changed listings stay near to real ones.
_NAMES = st.sampled_from(
    ["match", "op", "left", "right", "payload", "meta", "key", "ct", "set", "vmap", "data", "prefix", "range", "elem",
     "concat", "map", "mangle", "addr", "fib", "flags", "&", "|", "value", "jump", "target", "reject", "xt"]
)  # fmt: skip
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**33)
    | st.sampled_from(["", "@s", "*", "1.2.3.4", "::1", "ip", "tcp", "=="]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_NAMES, children, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(_NAMES, _JSON, min_size=1, max_size=1), max_size=4))
def test_strange_statements_never_raise(items: list[dict[str, Any]]) -> None:
    """Whatever stands in a rule: it is read, written and walked without an exception, and nothing is guessed open."""
    text = listing(named_set("s", "ipv4_addr", "192.0.2.10"), rules=[items])
    rules = read(text)
    found = outcomes(rules, "192.0.2.0/28")
    assert {outcome.fate.value for outcome in found} <= {"dropped", "rejected", "undecided"}
    assert all(isinstance(str(item.text), str) for item in rules.chains["inet", "t", "input"].rules)


@given(_JSON, st.sampled_from(["set", "map", "chain", "table", "rule", "flowtable"]))
def test_strange_objects_never_raise(body: Any, kind: str) -> None:
    """Whatever stands in the list: it is left out, or a gap."""
    parse_nft(json.dumps({"nftables": [{kind: body}]}))
    parse_nft(listing({kind: body} if kind != "rule" else {}, rules=[[ACCEPT]]))


def test_sets_of_all_kinds() -> None:
    """Named sets with networks, ranges, comments and time-outs; a catch-all holds everything."""
    elements = [
        prefix("192.0.2.16/28"),
        {"range": ["192.0.2.40", "192.0.2.47"]},
        {"elem": {"val": "192.0.2.2", "timeout": 60, "expires": 3, "comment": "soon gone"}},
    ]
    text = listing(named_set("s", "ipv4_addr", *elements), rules=[[match(SADDR, "@s"), ACCEPT]])
    assert fates(text, "192.0.2.0/26") == {
        "192.0.2.2, 192.0.2.16/28, 192.0.2.40/29": "passes",
        "192.0.2.0/31, 192.0.2.3, 192.0.2.4/30, 192.0.2.8/29, 192.0.2.32/29, 192.0.2.48/28": "dropped",
    }
    everything = listing(named_set("s", "ipv4_addr", "192.0.2.2", "*"), rules=[[match(SADDR, "@s"), ACCEPT]])
    assert fate(everything) == "passes"


def test_a_set_that_is_not_shown_is_a_doubt() -> None:
    """A match on it is maybe; a packet that does not get there stays decided."""
    text = listing(rules=[[match(DPORT, 80), ACCEPT], [match(SADDR, "@gone"), ACCEPT]])
    assert fate(text, target="tcp/80") == "passes"
    (outcome,) = outcomes(text)
    assert outcome.fate.value == "undecided"
    assert "@gone" in outcome.reason


def test_sets_that_packets_change() -> None:
    """What is in a set that packets fill is in it; what is not may be there when the packet comes."""
    adding = {"set": {"op": "add", "elem": SADDR, "set": "@s"}}
    filled = [[match(UDP_DPORT, 9), adding], [match(SADDR, "@s"), ACCEPT]]
    text = listing(named_set("s", "ipv4_addr", "192.0.2.11"), rules=filled)
    assert fates(text, "192.0.2.10/31") == {"192.0.2.11": "passes", "192.0.2.10": "undecided"}
    assert fate(text, "2001:db8:1::10") == "dropped"
    emptied = [[{"set": {"op": "delete", "elem": SADDR, "set": "@s"}}], [match(SADDR, "@s"), ACCEPT]]
    text = listing(named_set("s", "ipv4_addr", "192.0.2.11"), rules=emptied)
    assert fates(text, "192.0.2.10/31") == {"192.0.2.10": "dropped", "192.0.2.11": "undecided"}


def test_a_full_set_ends_the_rule_perhaps() -> None:
    """``add @set`` does not match where the set has no room."""
    adding = [{"set": {"op": "add", "elem": SADDR, "set": "@s"}}, ACCEPT]
    assert fate(listing(named_set("s", "ipv4_addr", "192.0.2.11", size=2), rules=[adding])) == "passes"
    assert fate(listing(named_set("s", "ipv4_addr", "192.0.2.11", size=1), rules=[adding])) == "undecided"


def test_concatenations() -> None:
    """Several fields together, with a network and a range in two of them; the clients are split along one."""
    key = {"concat": [SADDR, DPORT]}
    element = {"concat": [prefix("192.0.2.8/30"), {"range": [20, 30]}]}
    text = listing(named_set("s", ["ipv4_addr", "inet_service"], element), rules=[[match(key, "@s"), ACCEPT]])
    assert fates(text, "192.0.2.8/29") == {"192.0.2.8/30": "passes", "192.0.2.12/30": "dropped"}
    assert fate(text, "192.0.2.8", "tcp/31") == "dropped"
    assert fate(text, "192.0.2.8", "udp/22") == "dropped"


def test_negation_needs_the_field() -> None:
    """``tcp dport != 80`` is false for UDP: the packet has no such field (nft ends the rule there)."""
    text = listing(rules=[[match(DPORT, 80, "!="), ACCEPT]])
    assert [fate(text, target=target) for target in ("tcp/22", "tcp/80", "udp/161")] == ["passes", "dropped", "dropped"]


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        (CT_STATE, "in", ["established", "related"], "dropped"),
        (CT_STATE, "in", "new", "passes"),
        (CT_STATE, "!", ["established", "invalid"], "passes"),
        (CT_STATE, "!", ["new", "invalid"], "dropped"),
        (CT_STATE, "!=", "established", "passes"),
        (CT_STATE, "==", {"set": ["new", "untracked"]}, "passes"),
        ({"ct": {"key": "status"}}, "in", "dnat", "dropped"),
        ({"ct": {"key": "direction"}}, "==", "original", "passes"),
        ({"ct": {"key": "proto-dst", "dir": "original"}}, "==", 22, "passes"),
        ({"ct": {"key": "ip saddr", "dir": "original"}}, "==", "192.0.2.10", "passes"),
        ({"ct": {"key": "expiration"}}, "<", 10, "undecided"),
        (payload("tcp", "flags"), "in", "syn", "passes"),
        (payload("tcp", "flags"), "in", ["ack", "rst"], "dropped"),
        (payload("tcp", "flags"), "==", "syn", "undecided"),
        ({"&": [payload("tcp", "flags"), {"|": [{"|": ["fin", "syn"]}, "ack"]}]}, "==", "syn", "passes"),
        ({"&": [payload("tcp", "flags"), ["syn", "ack"]]}, "!=", "syn", "dropped"),
        ({"meta": {"key": "l4proto"}}, "==", {"set": ["tcp", 17]}, "passes"),
        ({"meta": {"key": "nfproto"}}, "==", "ipv6", "dropped"),
        ({"meta": {"key": "protocol"}}, "==", "ip", "passes"),
        ({"meta": {"key": "iifname"}}, "==", "lan*", "passes"),
        ({"meta": {"key": "iifname"}}, "==", "lan\\*", "dropped"),
        ({"meta": {"key": "iif"}}, "!=", "dmz0", "passes"),
        ({"meta": {"key": "iifgroup"}}, "==", "default", "passes"),
        ({"meta": {"key": "iifkind"}}, "==", "veth", "passes"),
        ({"meta": {"key": "oifname"}}, "==", "lan0", "dropped"),
        ({"meta": {"key": "pkttype"}}, "==", {"set": ["broadcast", "multicast"]}, "dropped"),
        ({"meta": {"key": "skuid"}}, "==", 0, "dropped"),
        ({"meta": {"key": "hour"}}, "==", {"range": ["09:00", "17:00"]}, "undecided"),
        ({"&": [MARK, 255]}, "==", 0, "passes"),
        ({"&": [SADDR, "255.0.255.0"]}, "==", "192.0.2.0", "passes"),
        (DPORT, "<", 22, "dropped"),
        (DPORT, "<=", 22, "passes"),
        (DPORT, ">", {"set": []}, "dropped"),
        (payload("ip", "frag-off"), ">", 0x4000, "dropped"),
        ({"&": [payload("ip", "frag-off"), 0x1FFF]}, "!=", 0, "dropped"),
        (payload("ip", "ttl"), "==", 64, "undecided"),
        (payload("ip6", "hoplimit"), "==", 64, "dropped"),
        (payload("sctp", "dport"), "==", 22, "dropped"),
        (payload("th", "dport"), "==", 22, "passes"),
        ({"payload": {"tunnel": "vxlan", "protocol": "ip", "field": "saddr"}}, "==", "192.0.2.10", "dropped"),
        ({"exthdr": {"name": "frag"}}, "==", True, "dropped"),
        ({"ip option": {"name": "lsrr"}}, "==", False, "passes"),
        ({"tcp option": {"name": "maxseg", "field": "size"}}, "==", {"range": [1, 500]}, "undecided"),
        ({"fib": {"result": "type", "flags": ["daddr"]}}, "==", "local", "passes"),
        ({"fib": {"result": "type", "flags": ["daddr"]}}, "!=", {"set": ["local", "unicast"]}, "dropped"),
        ({"fib": {"result": "oif", "flags": ["saddr"]}}, "==", True, "passes"),
        ({"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}, "==", "0", "dropped"),
        ({"fib": {"result": "oif", "flags": ["saddr"]}}, "==", "lan0", "passes"),
        ({"fib": {"result": "oifname", "flags": ["saddr"]}}, "==", "dmz0", "dropped"),
        ({"jhash": {"mod": 2, "expr": SADDR}}, "==", 0, "undecided"),
        ({"something": "new"}, "==", 1, "undecided"),
        (DPORT, "~", 22, "undecided"),
        (DPORT, "==", "ssh", "undecided"),
        (MARK, "==", {"ct": {"key": "mark"}}, "undecided"),
    ],
)  # fmt: skip
def test_matches(left: Any, op: str, right: Any, expected: str) -> None:
    """One match and an accept in front of a policy of drop, for a SYN from 192.0.2.10 to port 22."""
    established = [match(CT_STATE, "established", "in"), ACCEPT]
    assert fate(listing(rules=[established, [match(left, right, op), ACCEPT]])) == expected


def test_an_icmp_packet_has_no_ports() -> None:
    """What a rule takes for a port stands where an echo request has its checksum."""
    assert fate(listing(rules=[[match(payload("th", "dport"), 22), ACCEPT]]), target="icmp") == "undecided"
    assert fate(listing(rules=[[match(payload("icmp", "type"), "echo-request"), ACCEPT]]), target="icmp") == "passes"
    six = listing(rules=[[match(payload("icmpv6", "type"), {"set": ["echo-request"]}), ACCEPT]])
    assert fate(six, "2001:db8:1::10", "icmp") == "passes"
    assert fate(six, "192.0.2.10", "icmp") == "dropped"


def test_verdict_maps() -> None:
    """Verdicts by key, with a jump, ``continue``, no element, and an element for everything else."""
    data = [[{"range": [20, 22]}, jump("ssh")], [80, {"drop": None}], [81, {"continue": None}]]
    vmap = {"vmap": {"key": DPORT, "data": {"set": data}}}
    text = listing(chain("ssh"), rule("ssh", match(SADDR, "192.0.2.10"), ACCEPT), rules=[[vmap], [REJECT]])
    found = {target: fate(text, target=target) for target in ("tcp/22", "tcp/80", "tcp/81", "tcp/82", "udp/22")}
    assert found == {
        "tcp/22": "passes", "tcp/80": "dropped", "tcp/81": "rejected", "tcp/82": "rejected", "udp/22": "rejected"
    }  # fmt: skip
    assert fates(text, "192.0.2.10/31") == {"192.0.2.10": "passes", "192.0.2.11": "rejected"}
    clients = [["*", {"drop": None}], [prefix("192.0.2.8/30"), ACCEPT]]
    by_client = listing(rules=[[{"vmap": {"key": SADDR, "data": {"set": clients}}}]], policy="accept")
    assert fates(by_client, "192.0.2.8/29") == {"192.0.2.8/30": "passes", "192.0.2.12/30": "dropped"}


def test_an_unknown_key_takes_every_branch() -> None:
    """A map by a value that nobody knows: undecided where its verdicts differ."""
    numgen = {"numgen": {"mode": "inc", "mod": 2, "offset": 0}}

    def by_turns(first: Any, second: Any) -> str:
        return listing(rules=[[{"vmap": {"key": numgen, "data": {"set": [[0, first], [1, second]]}}}], [DROP]])

    assert fate(by_turns(DROP, DROP)) == "dropped"
    assert fate(by_turns(ACCEPT, DROP)) == "undecided"


def test_marks_by_map_and_arithmetic() -> None:
    """A mark from a map of addresses, then changed bit by bit."""
    by_map = {"map": {"key": SADDR, "data": {"set": [["192.0.2.10", 1], [prefix("198.51.100.0/24"), 2]]}}}
    rules = [
        [{"mangle": {"key": MARK, "value": by_map}}],
        [{"mangle": {"key": MARK, "value": {"|": [{"&": [MARK, 0xFF]}, 0x30]}}}],
        [match(MARK, 0x31), ACCEPT],
        [match(MARK, 0x32), REJECT],
    ]
    text = listing(rules=rules)
    assert [fate(text, source) for source in ("192.0.2.10", "198.51.100.9", "192.0.2.11")] == [
        "passes", "rejected", "dropped"
    ]  # fmt: skip


def test_rejects_for_one_family_leave_the_other() -> None:
    """nft does not show that ``reject with icmp`` asks for IPv4."""
    text = listing(rules=[[{"reject": {"type": "icmp", "expr": "admin-prohibited"}}]])
    assert fate(text) == "rejected"
    assert fate(text, "2001:db8:1::10") == "dropped"
    assert fate(listing(rules=[[{"mangle": {"key": payload("ip6", "hoplimit"), "value": 3}}, ACCEPT]])) == "dropped"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ({"queue": {"num": 1, "flags": "bypass"}}, "queue"),
        ({"tproxy": {"family": "ip", "addr": "127.0.0.1", "port": 80}}, "transparent proxy"),
        ({"synproxy": {"mss": 1460}}, "synproxy"),
        ({"fwd": {"dev": "dmz0"}}, "another interface"),
        ({"mangle": {"key": DADDR, "value": "192.0.2.9"}}, "rewrites the packet"),
        ({"xt": None}, "iptables-save does not tell them"),
        ({"xt": {"type": "target", "name": "TPROXY"}}, "iptables-save does not tell them"),
        ({"dnat": None}, "to nowhere"),
        ({"invented": {}}, "invented"),
    ],
)
def test_what_others_decide(statement: Any, words: str) -> None:
    """A statement whose effect no rule shows leaves its packets undecided, in words; others are not concerned."""
    text = listing(rules=[[match(DPORT, 22), statement]])
    (outcome,) = outcomes(text)
    assert outcome.fate.value == "undecided"
    assert words in outcome.reason
    assert fate(text, target="tcp/80") == "dropped"


@pytest.mark.parametrize(
    "statement",
    [
        {"counter": None},
        {"counter": {"packets": 1, "bytes": 2}},
        {"log": {"prefix": "x"}},
        {"ct helper": "h"},
        {"dup": {"addr": "192.0.2.9"}},
        {"flow": {"op": "add", "flowtable": "@ft"}},
        {"mangle": {"key": {"meta": {"key": "priority"}}, "value": "1:1"}},
        {"mangle": {"key": payload("ip", "dscp"), "value": "cs1"}},
        {"xt": {"type": "match", "name": "comment"}},
        {"xt": {"type": "target", "name": "LOG"}},
    ],
)
def test_what_changes_nothing(statement: Any) -> None:
    """Statements without an effect on the packet's way leave the rest of the rule as it is."""
    assert fate(listing(rules=[[statement, ACCEPT]])) == "passes"
    assert fate(listing(rules=[[LIMIT, statement], [ACCEPT]])) == "passes"


def test_a_mask_with_holes_splits_clients() -> None:
    """Clients are told apart by the bits under the mask."""
    masked = match({"&": [SADDR, "255.255.255.2"]}, "192.0.2.2")
    text = listing(rules=[[masked, ACCEPT]])
    assert fates(text, "192.0.2.8/30") == {"192.0.2.10/31": "passes", "192.0.2.8/31": "dropped"}
    assert fate(text, "2001:db8:1::10") == "dropped"


def test_a_port_of_the_range_is_kept() -> None:
    """A redirect to a range leaves a port that is in it alone, unless it is to choose by chance."""
    for flags, expected in ({}, "passes"), ({"flags": "random"}, "undecided"):
        pre = base_chain("pre", "prerouting", priority=-100, type="nat")
        redirect = {"redirect": {"port": {"range": [20, 30]}, **flags}}
        text = listing(pre, rule("pre", match(DPORT, 22), redirect), rules=[[match(DPORT, 22), ACCEPT]])
        assert fate(text) == expected
