# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The simulator on small rule sets: hooks, forks, parts of sources, the answer's way out."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.chains import MOST_FORKS
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import Interface, Packet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.simulator import walk

from .small_rules import (
    ACCEPT,
    CT_STATE,
    DADDR,
    DPORT,
    DROP,
    HOST,
    LIMIT,
    LOG,
    MARK,
    REJECT,
    RETURN,
    SADDR,
    SADDR6,
    Json,
    base_chain,
    chain,
    fate,
    fates,
    jump,
    listing,
    match,
    outcomes,
    payload,
    prefix,
    read,
    rule,
)


def test_no_chains_let_everything_pass() -> None:
    """Nothing filters: the packet passes, decided by nothing."""
    (outcome,) = outcomes('{"nftables": []}')
    assert (outcome.fate.value, outcome.decided_by) == ("passes", ())


def test_the_deciding_rule_is_named_last() -> None:
    """Policies that let pass come before the rule that did."""
    text = listing(base_chain("late", "input", priority=10), rules=[[match(DPORT, 22), ACCEPT]])
    (outcome,) = outcomes(text)
    assert [(step.chain, step.kind, step.text) for step in outcome.decided_by] == [
        ("late", "policy", "policy accept"),
        ("input", "rule", "tcp dport 22 accept"),
    ]
    assert outcome.decided_by[-1].position == 1


def test_a_drop_by_policy_is_named() -> None:
    """The policy is the deciding step where no rule matched."""
    (outcome,) = outcomes(listing(), target="udp/161")
    assert outcome.fate.value == "dropped"
    assert outcome.decided_by[-1].kind == "policy"
    assert "policy of chain input" in outcome.reason


def test_a_network_is_split_where_rules_differ() -> None:
    """The parts of a network that fare differently are told apart, and are together the whole."""
    text = listing(
        rules=[
            [match(SADDR, "192.0.2.10"), DROP],
            [match(SADDR, {"set": [prefix("192.0.2.0/28")]}), ACCEPT],
            [match(SADDR, {"range": ["192.0.2.200", "192.0.2.207"]}), REJECT],
        ]
    )
    assert fates(text, "192.0.2.8/29") == {
        "192.0.2.8/31, 192.0.2.11, 192.0.2.12/30": "passes",
        "192.0.2.10": "dropped",
    }
    assert fates(text, "192.0.2.200-192.0.2.209") == {"192.0.2.200/29": "rejected", "192.0.2.208/31": "dropped"}


def test_the_hosts_own_address_is_no_sender_on_the_wire() -> None:
    """A network that holds the host's address and a broadcast address is not split by them."""
    text = listing(rules=[[match(SADDR, "192.0.2.1"), DROP], [match(SADDR, "192.0.2.255"), DROP], [ACCEPT]])
    assert fates(text, "192.0.2.0/24") == {"192.0.2.0/24": "passes"}


def test_parts_let_in_by_different_rules_stay_apart() -> None:
    """Each part names its own rule."""
    text = listing(rules=[[match(SADDR, "192.0.2.10"), ACCEPT], [match(SADDR, "192.0.2.11"), ACCEPT]])
    found = {str(outcome.source): outcome.decided_by[-1].position for outcome in outcomes(text, "192.0.2.10/31")}
    assert found == {"192.0.2.10": 1, "192.0.2.11": 2}


def test_a_doubt_without_consequence_is_no_doubt() -> None:
    """What only logs, or leads to the same fate either way, leaves the fate certain."""
    assert fate(listing(rules=[[LIMIT, LOG], [ACCEPT]])) == "passes"
    assert fate(listing(rules=[[LIMIT, ACCEPT], [match(DPORT, 22), ACCEPT]])) == "passes"
    assert fate(listing(rules=[[LIMIT, DROP], [DROP]], policy="accept")) == "dropped"


def test_rejected_or_dropped_is_blocked_for_certain() -> None:
    """Only the kind of the answer is in doubt."""
    assert fate(listing(rules=[[LIMIT, REJECT]])) == "dropped"


def test_a_doubt_that_matters_names_its_rule() -> None:
    """Undecided, with the rule that nobody can decide, and not one that turned out not to matter."""
    text = listing(rules=[[LIMIT, match(MARK, 0, "!="), DROP], [LIMIT, ACCEPT]])
    (outcome,) = outcomes(text)
    assert outcome.fate.value == "undecided"
    assert [step.position for step in outcome.decided_by] == [2]


def test_guesses_that_meet_again_are_forgotten() -> None:
    """Twenty doubtful jumps that all come back do not make a million ways."""
    rules = [[LIMIT, jump("polite")] for _number in range(20)]
    text = listing(chain("polite"), rule("polite", RETURN), rules=[*rules, [ACCEPT]])
    assert fate(text) == "passes"


def test_unknown_ports_are_narrowed_along_the_way() -> None:
    """Two rules that together cover every source port decide."""
    sport = payload("tcp", "sport")
    text = listing(rules=[[match(sport, 30000, "<"), ACCEPT], [match(sport, 30000, ">="), ACCEPT]])
    assert fate(text) == "passes"
    assert fate(listing(rules=[[match(sport, {"range": [1, 1023]}), ACCEPT]])) == "dropped"
    assert fate(listing(rules=[[match(sport, 5000, "<"), ACCEPT]])) == "undecided"


def test_too_many_doubts_are_given_up() -> None:
    """A bound on forks: then the fate is undecided, and says so."""
    rules = [
        [LIMIT, {"mangle": {"key": MARK, "value": {"|": [MARK, 1 << number % 32]}}}] for number in range(MOST_FORKS)
    ]
    (outcome,) = outcomes(listing(rules=[*rules[:40], [ACCEPT]]))
    assert outcome.fate.value == "undecided"
    assert "too many undecidable rules" in outcome.reason


def test_a_guess_about_the_mark_is_kept() -> None:
    """A doubtful mark that is asked for later decides nothing, one that is not is harmless."""
    marking = [LIMIT, {"mangle": {"key": MARK, "value": 1}}]
    assert fate(listing(rules=[marking, [match(MARK, 1), ACCEPT]])) == "undecided"
    assert fate(listing(rules=[marking, [match(MARK, {"set": [0, 1]}), ACCEPT]])) == "passes"


def test_the_answer_is_judged_on_its_way_out() -> None:
    """A drop in output is told as the answer's, and a reject there is silence for the client."""
    out = base_chain("out", "output")
    text = listing(out, rule("out", match(payload("tcp", "sport"), 22), REJECT), policy="accept")
    (outcome,) = outcomes(text)
    assert (outcome.fate.value, outcome.stage) == ("dropped", "answer")
    assert fate(text, target="tcp/80") == "passes"


def test_the_answer_is_established_and_its_port_is_the_service() -> None:
    """Rules about established answers match; those about new ones do not."""
    out = base_chain("out", "output", policy="drop")
    established = match(CT_STATE, ["established", "related"], "in")
    assert fate(listing(out, rule("out", established, ACCEPT), policy="accept")) == "passes"
    assert fate(listing(out, rule("out", match(CT_STATE, "new", "in"), ACCEPT), policy="accept")) == "dropped"


def test_the_answers_route_decides_its_interface() -> None:
    """The longest prefix decides by which interface the answer to each client leaves."""
    out = base_chain("out", "postrouting")
    by_dmz = rule("out", match({"meta": {"key": "oifname"}}, "dmz0"), DROP)
    text = listing(out, by_dmz, policy="accept")
    assert fates(text, "198.51.100.128/25") == {"198.51.100.128/25": "dropped"}
    assert fates(text, "203.0.113.0/24") == {"203.0.113.0/24": "passes"}


def test_no_route_back_is_a_drop_with_that_reason() -> None:
    """Without any route to the client there is no answer."""
    host = replace(HOST, routes_to=HOST.routes_to[:4])
    (outcome,) = outcomes('{"nftables": []}', "203.0.113.9", host=host)
    assert (outcome.fate.value, outcome.stage) == ("dropped", "answer")
    assert "no route" in outcome.reason


def test_each_hook_has_its_place() -> None:
    """Chains of other hooks than those on the way are not met."""
    for hook, expected in (("prerouting", "dropped"), ("forward", "passes"), ("postrouting", "dropped")):
        text = listing(base_chain("other", hook, policy="drop"), policy="accept")
        assert fate(text) == expected, hook


def test_families_see_their_own_packets() -> None:
    """A table of ip leaves IPv6 alone, and the other way round."""
    text = listing(family="ip")
    assert fate(text) == "dropped"
    assert fate(text, "2001:db8:1::10") == "passes"
    text = listing(rules=[[match(SADDR6, prefix("2001:db8::/32")), DROP], [match(SADDR, "0.0.0.1", "!="), ACCEPT]])
    assert fate(text, "2001:db8:1::10") == "dropped"
    assert fate(text) == "passes"


def _translated(**body: object) -> str:
    pre = base_chain("pre", "prerouting", priority=-100, type="nat")
    return listing(
        pre,
        rule("pre", match(DPORT, 22), {"dnat": body}),
        base_chain("fwd", "forward", policy="drop"),
        rule("fwd", match(DADDR, "198.51.100.2"), match(DPORT, 8080), ACCEPT),
        rule("fwd", match(CT_STATE, "established", "in"), ACCEPT),
    )


def test_a_translated_packet_is_sent_on() -> None:
    """Forward decides, not input; the outcome tells where it goes."""
    (outcome,) = outcomes(_translated(family="ip", addr="198.51.100.2", port=8080))
    assert (outcome.fate.value, outcome.delivered) == ("passes", "forwarded")
    assert (str(outcome.final_destination), outcome.final_port) == ("198.51.100.2", 8080)
    assert any("dnat" in step.text for step in outcome.decided_by)
    assert fate(_translated(family="ip", addr="198.51.100.3", port=8080)) == "dropped"


@pytest.mark.parametrize(("forwards", "expected"), [({"ip": False}, "dropped"), ({}, "undecided")])
def test_a_host_that_does_not_forward_drops(forwards: dict[str, bool], expected: str) -> None:
    """What is not for this host depends on whether it forwards at all."""
    text = _translated(family="ip", addr="198.51.100.2", port=8080)
    assert fate(text, host=replace(HOST, forwards=forwards)) == expected


def test_translation_to_loopback_depends_on_a_sysctl() -> None:
    """127.0.0.1 takes packets from outside only where route_localnet says so."""
    assert fate(_translated(family="ip", addr="127.0.0.1")) == "undecided"


def test_a_table_that_perhaps_sleeps_is_a_doubt() -> None:
    """nft 1.0.6 writes noise in place of "dormant": what the table would drop is undecided, the rest is not."""
    noisy = {"table": {"family": "inet", "name": "t", "flags": "noise"}}
    text = listing(noisy, rules=[[match(DPORT, 22), DROP]], policy="accept")
    (outcome,) = outcomes(text)
    assert outcome.fate.value == "undecided"
    assert "dormant" in outcome.reason
    assert fate(text, target="tcp/80") == "passes"
    sleeping = {"table": {"family": "inet", "name": "t", "flags": ["dormant"]}}
    assert fate(listing(sleeping)) == "passes"


def test_ingress_chains_of_other_devices_are_not_met() -> None:
    """A chain on ingress is called for its own devices; where those are not shown, it is a doubt."""
    for device, expected in ({"dev": "lan0"}, "dropped"), ({"dev": ["dmz0", "lo"]}, "passes"), ({}, "undecided"):
        text = listing(base_chain("early", "ingress", policy="drop", **device), policy="accept")
        assert fate(text) == expected, device


def test_bridge_chains_see_what_comes_by_a_bridge() -> None:
    """A bridge with one port is as good as an interface; with several nobody knows the port."""
    in_bridge = {"chain": {"family": "bridge", "table": "b", "name": "c", "type": "filter", "hook": "input", "prio": 0}}
    by_port = match({"meta": {"key": "iifname"}}, "port1")
    drop = {"rule": {"family": "bridge", "table": "b", "chain": "c", "expr": [by_port, DROP]}}
    text = listing(in_bridge, drop, policy="accept")
    bridge = Interface("lan0", 2, (ip_interface("192.0.2.1/24"),), 0, "bridge")
    ports = tuple(Interface(f"port{number}", number + 9, (), 0, "veth", "lan0") for number in (1, 2))
    assert fate(text) == "passes"
    assert fate(text, host=replace(HOST, interfaces=(HOST.interfaces[0], bridge, ports[0]))) == "dropped"
    assert fate(text, host=replace(HOST, interfaces=(HOST.interfaces[0], bridge, *ports))) == "undecided"


def test_arp_chains_that_drop_are_a_doubt() -> None:
    """Whether neighbours find the host is not walked; a chain that only accepts is none."""
    for policy, expected in (("drop", "undecided"), ("accept", "passes")):
        chain_of_arp = {
            "chain": {"family": "arp", "table": "a", "name": "c", "type": "filter", "hook": "input", "prio": 0,
                      "policy": policy}
        }  # fmt: skip
        assert fate(listing(chain_of_arp, policy="accept")) == expected


def test_a_chain_that_is_not_shown_is_a_doubt() -> None:
    """A jump into nothing leaves the packet undecided, by name."""
    (outcome,) = outcomes(listing(rules=[[jump("nowhere")]]))
    assert outcome.fate.value == "undecided"
    assert "nowhere" in outcome.reason


def test_gaps_leave_everything_undecided() -> None:
    """What could not be read at all is named for every packet."""
    (outcome,) = outcomes("not json", "192.0.2.0/28")
    assert outcome.fate.value == "undecided"
    assert outcome.decided_by[0].kind == "gap"
    assert str(outcome.source) == "192.0.2.0/28"


def test_reverse_path_by_the_routes_of_each_client() -> None:
    """``fib saddr . iif oif missing`` holds for clients whose way back is another interface."""
    strict = match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False)
    text = listing(base_chain("pre", "prerouting"), rule("pre", strict, DROP), policy="accept")
    assert fates(text, "198.51.100.128/25") == {"198.51.100.128/25": "dropped"}
    assert fates(text, "192.0.2.0/24") == {"192.0.2.0/24": "passes"}
    unknown = replace(HOST, routes_to=())
    assert fate(text, host=unknown) == "undecided"


def test_a_destination_of_another_interface_is_local() -> None:
    """The address decides about input or forward, not the interface of arrival."""
    packet = Packet("tcp", AddressSet.parse("192.0.2.10"), ip_address("198.51.100.1"), 22, "lan0")
    (outcome,) = walk(read(listing(rules=[[ACCEPT]])), packet, HOST)
    assert (outcome.fate.value, outcome.delivered) == ("passes", "local")
    elsewhere = replace(packet, destination=ip_address("198.51.100.7"))
    (outcome,) = walk(read(listing()), elsewhere, HOST)
    assert (outcome.fate.value, outcome.delivered) == ("passes", "forwarded")


def test_before_conntrack_every_packet_is_invalid() -> None:
    """The kernel calls a packet invalid until conntrack's hook has seen it, and untracked after notrack."""
    raw = base_chain("raw", "prerouting", priority=-300)
    drop_invalid = [match(CT_STATE, "invalid", "in"), DROP]
    assert fate(listing(raw, rule("raw", *drop_invalid), policy="accept")) == "dropped"
    assert fate(listing(raw, rule("raw", {"notrack": None}), rule("raw", *drop_invalid), policy="accept")) == "passes"
    later = base_chain("later", "prerouting", priority=-150)
    assert fate(listing(later, rule("later", *drop_invalid), policy="accept")) == "passes"


@pytest.mark.parametrize(
    ("hook", "items", "stage", "reason"),
    [
        ("input", [match(CT_STATE, "established", "in"), DROP], "established", "the connection begins, and its next"),
        ("input", [match(CT_STATE, "established", "in"), REJECT], "established", "packet is rejected"),
        ("output", [match(payload("tcp", "flags"), "syn", "!"), DROP], "answer", "the answer is dropped"),
    ],
)
def test_a_handshake_alone_is_not_enough(hook: str, items: list[Json], stage: str, reason: str) -> None:
    """Data has to go both ways: what stops it is named. UDP has no such packets."""
    text = listing(base_chain("out", "output"), rule("out" if hook == "output" else "input", *items), policy="accept")
    (outcome,) = outcomes(text)
    assert (outcome.fate.value, outcome.stage) == ("rejected" if REJECT in items else "dropped", stage)
    assert reason in outcome.reason
    assert fate(text, target="udp/161") == "passes"


def test_the_answer_of_an_untracked_connection() -> None:
    """A SYN+ACK without a connection is invalid, data begins one; an answer by UDP begins a connection of its own."""
    raw, out = base_chain("raw", "prerouting", priority=-300), base_chain("out", "output", policy="drop")

    def allowing(state: str | list[str]) -> str:
        allow = rule("out", match(CT_STATE, state, "in"), ACCEPT)
        return listing(raw, rule("raw", {"notrack": None}), out, allow, policy="accept")

    assert {fate(allowing(state)) for state in ("established", "invalid", "new")} == {"dropped"}
    assert fate(allowing(["invalid", "new"])) == "passes"
    by_udp = [fate(allowing(state), target="udp/161") for state in ("established", "invalid", "new")]
    assert by_udp == ["dropped", "dropped", "passes"]


def test_a_zone_of_the_way_in_alone_loses_the_answer() -> None:
    """Connections are found in their zone: an answer in another one belongs to none."""
    zone = {"mangle": {"key": {"ct": {"key": "zone"}}, "value": 5}}
    raw, raw_out = base_chain("raw", "prerouting", priority=-300), base_chain("raw_out", "output", priority=-300)
    out = base_chain("out", "output", policy="drop")
    allow = rule("out", match(CT_STATE, "established", "in"), ACCEPT)
    one_way = [raw, rule("raw", zone), out, allow]
    assert fate(listing(*one_way, policy="accept")) == "dropped"
    assert fate(listing(*one_way, raw_out, rule("raw_out", zone), policy="accept")) == "passes"


def test_the_first_translation_ends_all_nat_chains() -> None:
    """A later nat chain does not see what an earlier one has translated; a drop in one counts."""
    first = base_chain("first", "prerouting", priority=-110, type="nat")
    second = base_chain("second", "prerouting", priority=-90, type="nat")
    redirect = rule("first", match(DPORT, 22), {"redirect": {"port": 8080}})
    text = listing(first, redirect, second, rule("second", DROP), rules=[[match(DPORT, 8080), ACCEPT]])
    assert (fate(text), fate(text, target="tcp/8080")) == ("passes", "dropped")
    (outcome,) = outcomes(text)
    assert outcome.final_port == 8080


def test_an_answer_that_is_not_translated_back_is_lost() -> None:
    """Where conntrack is kept from the answer of a redirected packet, it comes from a port that was not asked."""
    pre = base_chain("pre", "prerouting", priority=-100, type="nat")
    redirect = rule("pre", match(payload("udp", "dport"), 161), {"redirect": {"port": 5353}})
    raw_out = base_chain("raw_out", "output", priority=-300)
    assert fate(listing(pre, redirect, policy="accept"), target="udp/161") == "passes"
    text = listing(pre, redirect, raw_out, rule("raw_out", {"notrack": None}), policy="accept")
    (outcome,) = outcomes(text, target="udp/161")
    assert (outcome.fate.value, outcome.stage) == ("dropped", "answer")
    assert "translates it back" in outcome.reason


def test_an_answer_that_begins_a_connection_is_its_origin() -> None:
    """``ct original`` and ``ct reply`` of an untracked packet's answer are turned round."""
    raw, out = base_chain("raw", "prerouting", priority=-300), base_chain("out", "output")
    reply_from_client = match({"ct": {"key": "ip saddr", "dir": "reply"}}, prefix("192.0.2.8/30"))
    text = listing(raw, rule("raw", {"notrack": None}), out, rule("out", reply_from_client, DROP), policy="accept")
    assert fates(text, "192.0.2.8/29", "udp/161") == {"192.0.2.8/30": "dropped", "192.0.2.12/30": "passes"}
    assert fates(text, "192.0.2.8/29", "tcp/22") == {"192.0.2.8/30": "dropped", "192.0.2.12/30": "passes"}


def test_ports_of_an_icmp_connection() -> None:
    """The destination port of its origin is type and code, that of its reply the type of the answer."""
    port = {"ct": {"key": "proto-dst", "dir": "original"}}
    assert fate(listing(rules=[[match(port, 8 << 8), ACCEPT]]), target="icmp") == "passes"
    of_reply = {"ct": {"key": "proto-dst", "dir": "reply"}}
    assert fate(listing(rules=[[match(of_reply, 129 << 8), ACCEPT]]), "2001:db8:1::10", "icmp") == "passes"
