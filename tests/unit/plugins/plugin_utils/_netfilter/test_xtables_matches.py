# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The matches of iptables: each alone in front of an accept, with a policy that drops."""

from __future__ import annotations

from random import Random

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.ranges import RangeSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.flow import Field
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.xtables_special import MaskedAddress

from .fixtures_xtables.host import capture, fate, parts, rules_of, table

SETS_OF_ALL = "create t1 hash:ip timeout 100\ncreate t2 hash:ip,port counters\ncreate t3 hash:ip skbinfo\n"
CAPTURES = [
    *("all4_nft", "all4_legacy", "all6_nft", "all6_legacy", "ufw", "ufw6"),
    *("docker_fail2ban", "firewalld_direct", "firewalld_direct6"),
]
OPEN, SHUT, MAYBE = "passes", "dropped", "undecided"

# What stands between "-A INPUT" and "-j ACCEPT", and what becomes of tcp/22, udp/161 and ping from 192.0.2.10.
IPV4 = [
    ("", OPEN, OPEN, OPEN),
    ("-p tcp", OPEN, SHUT, SHUT),
    ("-p 6", OPEN, SHUT, SHUT),
    ("! -p tcp", SHUT, OPEN, OPEN),
    ("-p all", OPEN, OPEN, OPEN),
    ("-p gre", SHUT, SHUT, SHUT),
    ("-p nobodyknows", MAYBE, MAYBE, MAYBE),
    ("-s 192.0.2.0/28", OPEN, OPEN, OPEN),
    ("! -s 192.0.2.10/32", SHUT, SHUT, SHUT),
    ("-s 192.0.2.10/255.255.255.255", OPEN, OPEN, OPEN),
    ("-s 10.0.0.0/8,192.0.2.0/24", OPEN, OPEN, OPEN),
    ("-s 0.0.2.10/0.0.255.255", OPEN, OPEN, OPEN),
    ("! -s 0.0.2.10/0.0.255.255", SHUT, SHUT, SHUT),
    ("-d 192.0.2.5", OPEN, OPEN, OPEN),
    ("! -d 192.0.2.5", SHUT, SHUT, SHUT),
    ("-i eth0", OPEN, OPEN, OPEN),
    ("-i eth", SHUT, SHUT, SHUT),
    ("-i eth+", OPEN, OPEN, OPEN),
    ("-i eth0+", OPEN, OPEN, OPEN),
    ("! -i eth+", SHUT, SHUT, SHUT),
    ("-i +", OPEN, OPEN, OPEN),
    ("-o eth0", SHUT, SHUT, SHUT),
    ("-f", SHUT, SHUT, SHUT),
    ("! -f", OPEN, OPEN, OPEN),
    ("-p tcp -m tcp --dport 22", OPEN, SHUT, SHUT),
    ("-p tcp -m tcp --dport 1:21", SHUT, SHUT, SHUT),
    ("-p tcp -m tcp ! --dport 1:21", OPEN, SHUT, SHUT),
    ("-p tcp --dport :80 --sport 1024:", OPEN, SHUT, SHUT),
    ("-p tcp --dport ssh", MAYBE, SHUT, SHUT),
    ("-p tcp -m tcp --sport 2000:3000", MAYBE, SHUT, SHUT),
    ("-p tcp -m tcp --sport 1:1023", SHUT, SHUT, SHUT),
    ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", OPEN, SHUT, SHUT),
    ("-p tcp -m tcp --tcp-flags ALL SYN", OPEN, SHUT, SHUT),
    ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE", SHUT, SHUT, SHUT),
    ("-p tcp -m tcp ! --tcp-flags SYN,ACK SYN,ACK", OPEN, SHUT, SHUT),
    ("-p tcp --syn", OPEN, SHUT, SHUT),
    ("-p tcp ! --syn", SHUT, SHUT, SHUT),
    ("-p tcp --tcp-option 7", MAYBE, SHUT, SHUT),
    ("-p udp -m udp --dport 161", SHUT, OPEN, SHUT),
    ("-p icmp -m icmp --icmp-type 8", SHUT, SHUT, OPEN),
    ("-p icmp -m icmp --icmp-type 8/1", SHUT, SHUT, SHUT),
    ("-p icmp -m icmp ! --icmp-type 8/1", SHUT, SHUT, OPEN),
    ("-p icmp --icmp-type echo-request", SHUT, SHUT, OPEN),
    ("-p icmp --icmp-type any", SHUT, SHUT, OPEN),
    ("-p icmp --icmp-type echo-reply", SHUT, SHUT, SHUT),
    ("-p tcp -m multiport --dports 21,22:23,443", OPEN, SHUT, SHUT),
    ("-p tcp -m multiport ! --dports 22", SHUT, SHUT, SHUT),
    ("-p udp -m multiport --ports 161,162", SHUT, OPEN, SHUT),
    ("-p udp -m multiport ! --ports 161", SHUT, SHUT, SHUT),
    ("-p udp -m multiport --sports 1024:65535", SHUT, OPEN, SHUT),
    ("-m state --state NEW", OPEN, OPEN, OPEN),
    ("-m state ! --state NEW,RELATED", SHUT, SHUT, SHUT),
    ("-m state --state SOMETIMES", MAYBE, MAYBE, MAYBE),
    ("-m conntrack --ctstate RELATED,ESTABLISHED", SHUT, SHUT, SHUT),
    ("-m conntrack --ctstate DNAT", SHUT, SHUT, SHUT),
    ("-m conntrack ! --ctstate INVALID,DNAT", OPEN, OPEN, OPEN),
    ("-m conntrack --ctproto 6", OPEN, SHUT, SHUT),
    ("-m conntrack --ctorigsrc 192.0.2.0/24", OPEN, OPEN, OPEN),
    ("-m conntrack ! --ctorigdst 192.0.2.5", SHUT, SHUT, SHUT),
    ("-m conntrack --ctorigdstport 22", OPEN, SHUT, SHUT),
    ("-m conntrack ! --ctorigdstport 22", SHUT, OPEN, OPEN),
    ("-m conntrack --ctorigdstport 2048", SHUT, SHUT, OPEN),
    ("-m conntrack --ctorigsrcport 1024:65535", MAYBE, MAYBE, MAYBE),
    ("-m conntrack --ctreplsrcport 161", SHUT, OPEN, MAYBE),
    ("-m conntrack --ctreplsrc 192.0.2.5", OPEN, OPEN, OPEN),
    ("-m conntrack --ctdir ORIGINAL", OPEN, OPEN, OPEN),
    ("-m conntrack --ctdir REPLY", SHUT, SHUT, SHUT),
    ("-m conntrack --ctstatus NONE", SHUT, SHUT, SHUT),
    ("-m conntrack ! --ctstatus CONFIRMED", OPEN, OPEN, OPEN),
    ("-m conntrack --ctexpire 10:20", MAYBE, MAYBE, MAYBE),
    ("-m addrtype --dst-type LOCAL", OPEN, OPEN, OPEN),
    ("-m addrtype --dst-type LOCAL --limit-iface-in", OPEN, OPEN, OPEN),
    ("-m addrtype ! --dst-type LOCAL,BROADCAST", SHUT, SHUT, SHUT),
    ("-m addrtype --src-type UNICAST", OPEN, OPEN, OPEN),
    ("-m addrtype --src-type BLACKHOLE", SHUT, SHUT, SHUT),
    ("-m addrtype --src-type SOMETYPE", MAYBE, MAYBE, MAYBE),
    ("-m iprange --src-range 192.0.2.1-192.0.2.10", OPEN, OPEN, OPEN),
    ("-m iprange ! --src-range 192.0.2.1-192.0.2.9 --dst-range 192.0.2.5", OPEN, OPEN, OPEN),
    ("-m iprange --src-range 192.0.2.9-192.0.2.1", MAYBE, MAYBE, MAYBE),
    ("-p tcp --dport 30:20", MAYBE, SHUT, SHUT),
    ("-m mark --mark 0x0", OPEN, OPEN, OPEN),
    ("-m mark ! --mark 0x0/0xff", SHUT, SHUT, SHUT),
    ("-m connmark --mark 0x1/0x1", SHUT, SHUT, SHUT),
    ("-m devgroup --src-group default", OPEN, OPEN, OPEN),
    ("-m devgroup ! --src-group 0x0/0xff", SHUT, SHUT, SHUT),
    ("-m devgroup --src-group dmz", MAYBE, MAYBE, MAYBE),
    ("-m pkttype --pkt-type unicast", OPEN, OPEN, OPEN),
    ("-m pkttype ! --pkt-type unicast", SHUT, SHUT, SHUT),
    ("-m physdev --physdev-in eth0", SHUT, SHUT, SHUT),
    ("-m physdev ! --physdev-is-bridged", OPEN, OPEN, OPEN),
    ("-m rpfilter", OPEN, OPEN, OPEN),
    ("-m rpfilter --loose --validmark --accept-local --invert", SHUT, SHUT, SHUT),
    ("-m rpfilter --nosuch", MAYBE, MAYBE, MAYBE),
    ("-m recent --set --name x --mask 255.255.255.255 --rsource", OPEN, OPEN, OPEN),
    ("-m recent ! --set --name x", SHUT, SHUT, SHUT),
    ("-m recent --update --seconds 30 --hitcount 6 --name x", MAYBE, MAYBE, MAYBE),
    ("-m statistic --mode random --probability 1.00000000000", OPEN, OPEN, OPEN),
    ("-m statistic --mode random ! --probability 1.00000000000", SHUT, SHUT, SHUT),
    ("-m statistic --mode random --probability 0.50000000000", MAYBE, MAYBE, MAYBE),
    ("-m statistic --mode nth --every 1 --packet 0", OPEN, OPEN, OPEN),
    ("-m statistic --mode nth --every 3 --packet 0", MAYBE, MAYBE, MAYBE),
    ("-m helper --helper ftp", SHUT, SHUT, SHUT),
    ("-m helper ! --helper ftp", OPEN, OPEN, OPEN),
    ("-p sctp -m sctp --dport 22", SHUT, SHUT, SHUT),
    ("-p esp -m esp", SHUT, SHUT, SHUT),
    ("-m comment --comment x", OPEN, OPEN, OPEN),
    ("-m set --match-set nobodyknows src", MAYBE, MAYBE, MAYBE),
    ("-m neverheardof --option 5", MAYBE, MAYBE, MAYBE),
    ("-p udp -m neverheardof --option 5", SHUT, MAYBE, SHUT),
    ("-p tcp -m neverheardof --option 5 --dport 23", SHUT, SHUT, SHUT),
    # A SYN is options alone; what follows it and datagrams may be of any length.
    ("-m length --length 100:200", SHUT, MAYBE, MAYBE),
    ("-m length --length 40:80", OPEN, MAYBE, MAYBE),
    ("-m length --length 28:65535", OPEN, OPEN, OPEN),
    *(
        (rule, MAYBE, MAYBE, MAYBE)
        for rule in (
            "-m limit --limit 3/min",
            "-m hashlimit --hashlimit-upto 10/min --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name x",
            "-m connlimit --connlimit-upto 3 --connlimit-mask 32 --connlimit-saddr",
            "-m connbytes --connbytes 10:20 --connbytes-mode packets --connbytes-dir both",
            "-m mac --mac-source 00:11:22:33:44:55",
            '-m string --string "GET /" --algo bm',
            '-m u32 --u32 "0x6&0xff=0x1"',
            '-m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"',
            "-m time --timestart 08:00:00 --timestop 18:00:00 --weekdays Mon,Tue",
            "-m geoip --source-country CH",
            "-m quota --quota 1000",
            "-m ttl --ttl-gt 5",
            "-m dscp --dscp 0x2e",
            "-m tos --tos 0x10/0x3f",
            "-m socket --transparent",
            "-m policy --dir in --pol ipsec",
            "-m cpu --cpu 0",
            "-m realm --realm 0x1",
            "-m cluster --cluster-local-nodemask 0x00000001 --cluster-total-nodes 2 --cluster-hash-seed 0xdeadbeef",
            "-m nfacct --nfacct-name x",
            "-m osf --genre Linux",
            "-m ecn --ecn-ip-ect 2",
        )
    ),
]

IPV6 = [
    ("-p tcp --dport 22", OPEN, SHUT, SHUT),
    ("-s 2001:db8::/64", OPEN, OPEN, OPEN),
    ("! -s 2001:db8::10/128", SHUT, SHUT, SHUT),
    ("-s ::10/::ffff", OPEN, OPEN, OPEN),
    ("-s 192.0.2.0/24", MAYBE, MAYBE, MAYBE),
    ("-p ipv6-icmp -m icmp6 --icmpv6-type 128", SHUT, SHUT, OPEN),
    ("-p icmpv6 --icmpv6-type echo-request", SHUT, SHUT, OPEN),
    ("-p icmpv6 --icmpv6-type neighbour-solicitation", SHUT, SHUT, SHUT),
    ("-p icmp", SHUT, SHUT, SHUT),
    ("-m addrtype --dst-type LOCAL", OPEN, OPEN, OPEN),
    ("-m addrtype --dst-type UNICAST", OPEN, OPEN, OPEN),
    ("-m addrtype --src-type UNICAST,LOCAL", SHUT, SHUT, SHUT),
    ("-m addrtype ! --src-type MULTICAST", OPEN, OPEN, OPEN),
    ("-m addrtype --dst-type ANYCAST", MAYBE, MAYBE, MAYBE),
    ("-m rt --rt-type 0", SHUT, SHUT, SHUT),
    ("-m rt ! --rt-type 0", SHUT, SHUT, SHUT),
    ("-m frag --fragfirst", SHUT, SHUT, SHUT),
    ("-m ipv6header --header ipv6-frag", SHUT, SHUT, SHUT),
    ("-m ipv6header ! --header ipv6-nonxt", OPEN, OPEN, OPEN),
    ("-m ipv6header --header prot", OPEN, OPEN, OPEN),
    ("-m ipv6header --header ipv6-frag --soft", SHUT, SHUT, SHUT),
    ("-m ipv6header ! --header ipv6-frag --soft", OPEN, OPEN, OPEN),
    ("-m ipv6header --soft", MAYBE, MAYBE, MAYBE),
    ("-m hl --hl-gt 5", MAYBE, MAYBE, MAYBE),
    ("-m eui64", MAYBE, MAYBE, MAYBE),
    ("-m conntrack --ctorigsrc 2001:db8::/32", OPEN, OPEN, OPEN),
    ("-m iprange --src-range 2001:db8::1-2001:db8::9", SHUT, SHUT, SHUT),
    ("-m rpfilter --validmark", OPEN, OPEN, OPEN),
]


@pytest.mark.parametrize(("conditions", "tcp", "udp", "ping"), IPV4)
def test_ipv4(conditions: str, tcp: str, udp: str, ping: str) -> None:
    """An accept behind the conditions lets in exactly the packets that meet them."""
    established = "-A INPUT -p tcp -m state --state ESTABLISHED -j ACCEPT"
    ruleset = rules_of(table(established, f"-A INPUT {conditions} -j ACCEPT"))
    assert [fate(ruleset, target) for target in ("tcp/22", "udp/161", "icmp")] == [tcp, udp, ping]


@pytest.mark.parametrize(("conditions", "tcp", "udp", "ping"), IPV6)
def test_ipv6(conditions: str, tcp: str, udp: str, ping: str) -> None:
    """The same of ip6tables, whose matches differ in places."""
    ruleset = rules_of(table(f"-A INPUT {conditions} -j ACCEPT", version=6))
    assert [fate(ruleset, target, "2001:db8::10") for target in ("tcp/22", "udp/161", "icmp")] == [tcp, udp, ping]


@pytest.mark.parametrize(
    ("conditions", "tcp", "udp", "ping"),
    [
        ("-p tcp --sport 22 -m conntrack --ctstate ESTABLISHED", SHUT, OPEN, OPEN),
        ("-m conntrack --ctstate NEW", OPEN, OPEN, OPEN),
        ("-m conntrack --ctdir REPLY", SHUT, SHUT, SHUT),
        ("-m conntrack --ctstatus SEEN_REPLY,ASSURED -p udp", OPEN, SHUT, OPEN),
        ("-m conntrack --ctrepldst 192.0.2.10", SHUT, SHUT, SHUT),
        ("-p tcp --tcp-flags SYN,ACK SYN,ACK", SHUT, OPEN, OPEN),
        ("-p tcp --syn", OPEN, OPEN, OPEN),
        ("-p icmp --icmp-type 0", OPEN, OPEN, SHUT),
        ("-o eth+ -d 192.0.2.0/24 -p udp", OPEN, SHUT, OPEN),
        ("-p tcp -m owner --uid-owner 0", MAYBE, OPEN, OPEN),
        ("-i eth0", OPEN, OPEN, OPEN),
    ],
)
def test_the_answer_meets_the_rules_of_output(conditions: str, tcp: str, udp: str, ping: str) -> None:
    """A packet whose answer is dropped does not pass."""
    ruleset = rules_of(table(f"-A OUTPUT {conditions} -j DROP", policy="ACCEPT"))
    assert [fate(ruleset, target) for target in ("tcp/22", "udp/161", "icmp")] == [tcp, udp, ping]


def test_untracked_packets_have_a_state_and_nothing_else() -> None:
    """Without a connection, conntrack's other options are not asked (xt_conntrack.c)."""
    raw = table("-A PREROUTING -p tcp -j NOTRACK", name="raw")
    for conditions, expected in (
        ("--ctstate UNTRACKED", OPEN),
        ("--ctstate UNTRACKED --ctorigsrc 10.9.9.9", OPEN),
        ("--ctproto 6", SHUT),
        ("! --ctorigsrc 10.9.9.9", SHUT),
        ("--ctstate INVALID", SHUT),
    ):
        assert fate(rules_of(raw, table(f"-A INPUT -m conntrack {conditions} -j ACCEPT")), "tcp/22") == expected


def test_the_way_back_may_be_another() -> None:
    """A source that is reached by another interface passes the loose filter alone."""
    for conditions, expected in (("", SHUT), ("--loose", OPEN), ("--invert", OPEN), ("--loose --invert", SHUT)):
        ruleset = rules_of(table(f"-A INPUT -m rpfilter {conditions} -j ACCEPT"))
        assert fate(ruleset, "tcp/22", "172.17.0.9") == expected


def test_forwarded_packets_have_no_owner() -> None:
    """Only what the host itself sends has a socket."""
    published = table("-A PREROUTING -p tcp -j DNAT --to-destination 172.17.0.2", name="nat")
    for conditions, expected in (("--uid-owner 0", OPEN), ("! --socket-exists", SHUT)):
        mangle = table(f"-A POSTROUTING -o docker0 -m owner {conditions} -j DROP", name="mangle")
        assert fate(rules_of(published, mangle), "tcp/22") == expected


def test_a_network_is_split_where_its_addresses_differ() -> None:
    """Ranges, negations and masks with holes cut a source network into parts."""
    ruleset = rules_of(
        table(
            "-A INPUT -p tcp -m iprange --src-range 192.0.2.10-192.0.2.11 -j REJECT",
            "-A INPUT -p tcp ! -s 192.0.2.8/31 -j ACCEPT",
            "-A INPUT -p udp -s 192.0.2.1/255.255.255.1 -j ACCEPT",
        )
    )
    assert parts(ruleset, "tcp/22", "192.0.2.8/29") == {
        "192.0.2.8/31": "dropped",
        "192.0.2.10/31": "rejected",
        "192.0.2.12/30": "passes",
    }
    assert parts(ruleset, "udp/161", "192.0.2.0/30") == {
        "192.0.2.1, 192.0.2.3": "passes",
        "192.0.2.0, 192.0.2.2": "dropped",
    }
    assert fate(rules_of(table("-A INPUT -s 0.0.0.1/0.0.0.1 -j ACCEPT")), "tcp/22", "10.0.0.0/8") == "undecided"


def test_masks_with_holes_find_exactly_their_addresses() -> None:
    """Against counting, for masks of eight bits."""
    random = Random(5)
    for _number in range(500):
        mask = random.randrange(1, 256)
        value, low = random.randrange(256) & mask, random.randrange(256)
        high = random.randrange(low, 256)
        found = MaskedAddress(Field.SOURCE, value, mask)._among(RangeSet([(low, high)]))
        assert found == RangeSet((item, item) for item in range(low, high + 1) if item & mask == value)


def test_what_is_decided_does_not_wait_for_what_is_not() -> None:
    """A rule that does not apply for another reason leaves nothing undecided, wherever the condition stands."""
    ruleset = rules_of(table("-A INPUT -m limit --limit 3/min -p udp -j ACCEPT"))
    assert fate(ruleset, "tcp/22") == "dropped"


@pytest.mark.parametrize(
    "name",
    [
        "all4_nft",
        "all4_legacy",
        "all6_nft",
        "all6_legacy",
        "ufw",
        "ufw6",
        "docker_fail2ban",
        "firewalld_direct",
        "firewalld_direct6",
    ],
)
def test_every_captured_rule_is_read(name: str) -> None:
    """No condition and no target of what iptables itself prints is called unreadable or unknown."""
    ruleset = rules_of(capture(f"{name}.save"), sets=f"{capture('ipset.save')}\n{SETS_OF_ALL}")
    assert ruleset.gaps == ()
    rules = [rule for chain in ruleset.chains.values() for rule in chain.rules]
    assert len(rules) > 20
    assert [str(rule.text) for rule in rules if "cannot be read" in repr(rule) or "not known" in repr(rule)] == []
