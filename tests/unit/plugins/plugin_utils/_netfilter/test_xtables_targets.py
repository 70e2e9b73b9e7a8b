# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The targets of iptables: what becomes of packets, marks, addresses and ports."""

from __future__ import annotations

import pytest

from .fixtures_xtables.host import fate, outcomes, rules_of, table


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("-j ACCEPT", "passes"),
        ("-j DROP", "dropped"),
        ("-j RETURN", "dropped"),
        ("-j REJECT --reject-with icmp-admin-prohibited", "rejected"),
        ("-j REJECT", "rejected"),
        ("-j TARPIT", "dropped"),
        ("-j user", "passes"),
        ("-g user", "passes"),
        ("-j NFQUEUE --queue-num 0", "undecided"),
        ("-j NFQUEUE --queue-num 0 --queue-bypass", "undecided"),
        ("-j SYNPROXY --sack-perm", "undecided"),
        ("-j CLUSTERIP --new", "undecided"),
        ("-j NEVERHEARDOF --option", "undecided"),
        ("-g ACCEPT", "undecided"),
        ("-p tcp -j", "undecided"),
        ("--stray -j ACCEPT", "undecided"),
    ],
)
def test_verdicts(target: str, expected: str) -> None:
    """One rule in front of a policy that drops."""
    ruleset = rules_of(table(f"-A INPUT {target}", "-A user -j ACCEPT", users=("user",)))
    assert fate(ruleset, "tcp/22") == expected


@pytest.mark.parametrize(
    "target",
    [
        "",
        '-j LOG --log-prefix "-j DROP" --log-level 7',
        "-j NFLOG --nflog-prefix x --nflog-group 2",
        "-j ULOG --ulog-prefix x",
        "-j TRACE",
        "-j AUDIT --type drop",
        "-j TEE --gateway 192.0.2.9",
        "-j IDLETIMER --timeout 10 --label x",
        "-j RATEEST --rateest-name eth0 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms",
        "-j CLASSIFY --set-class 0001:0010",
        "-j CHECKSUM --checksum-fill",
        "-j TCPMSS --clamp-mss-to-pmtu",
        "-j TOS --set-tos 0x10/0x3f",
        "-j DSCP --set-dscp 0x10",
        "-j TTL --ttl-set 64",
        "-j CONNSECMARK --restore",
        "-j SET --add-set x src --exist",
        "-j CT --helper ftp",
        "-j MARK --set-xmark 0x1/0xffffffff",
        "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
    ],
)
def test_targets_that_let_the_packet_go_on(target: str) -> None:
    """The next rule decides."""
    assert fate(rules_of(table(f"-A INPUT {target}", "-A INPUT -j ACCEPT")), "tcp/22") == "passes"
    assert fate(rules_of(table(f"-A INPUT {target}", "-A INPUT -j DROP")), "tcp/22") == "dropped"


def test_goto_does_not_come_back_and_return_does() -> None:
    """iptables(8): after --goto, the end of the chain is the end of the one that it was called from."""
    ruleset = rules_of(
        table(
            "-A INPUT -p tcp -g elsewhere",
            "-A INPUT -p udp -j elsewhere",
            "-A INPUT -j ACCEPT",
            "-A elsewhere -s 10.0.0.0/8 -j DROP",
            "-A elsewhere -j RETURN",
            users=("elsewhere",),
        )
    )
    assert [fate(ruleset, target) for target in ("tcp/22", "udp/161", "icmp")] == ["dropped", "passes", "passes"]
    assert fate(ruleset, "udp/161", "10.1.2.3") == "dropped"


MARKS = [
    ("MARK --set-mark 0x1", "0x1"),
    ("MARK --set-xmark 0x11/0xf0", "0x11"),
    ("MARK --set-mark 0xff; MARK --set-mark 0x3/0x10", "0xef"),
    ("MARK --set-mark 0xff; MARK --set-xmark 0x0/0xffffff0f", "0xf0"),
    ("MARK --set-mark 0xff; MARK --and-mark 0x0f; MARK --xor-mark 0x3; MARK --or-mark 0x40", "0x4c"),
    ("CONNMARK --set-mark 0x12; CONNMARK --restore-mark --mask 0xf", "0x2"),
    ("MARK --set-mark 0xab; CONNMARK --save-mark --nfmask 0xf --ctmask 0xff; CONNMARK --restore-mark", "0xb"),
    ("MARK --set-mark 0xf0; CONNMARK --set-mark 0x5; CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf", "0xf5"),
    ("CONNMARK --set-mark 0xf0; MARK --set-mark 5; CONNMARK --save-mark --mask 0xf; CONNMARK --restore-mark", "0xf5"),
    ("CONNMARK --set-xmark 0x5/0xff; CONNMARK --restore-mark --nfmask 0xff --ctmask 0x4", "0x4"),
]


@pytest.mark.parametrize(("changes", "mark"), MARKS)
def test_marks(changes: str, mark: str) -> None:
    """What mangle writes is what filter compares."""
    mangle = table(*(f"-A PREROUTING -j {change}" for change in changes.split("; ")), name="mangle")
    ruleset = rules_of(mangle, table(f"-A INPUT -m mark --mark {mark} -j ACCEPT"))
    assert fate(ruleset, "tcp/22") == "passes"


@pytest.mark.parametrize(
    "change",
    [
        "HMARK --hmark-tuple src --hmark-mod 5",
        "SET --map-set x src --map-mark",
        "CONNMARK --restore-mark --left-shift-mark 2",
    ],
)
def test_marks_that_nobody_knows(change: str) -> None:
    """They are not guessed."""
    mangle = table(f"-A PREROUTING -j {change}", name="mangle")
    assert fate(rules_of(mangle, table("-A INPUT -m mark --mark 0x1 -j ACCEPT")), "tcp/22") == "undecided"


def test_a_mark_that_cannot_be_read_leaves_the_rule_undecided() -> None:
    """So does an option that the target has not."""
    for change in ("MARK --set-mark green", "MARK --nosuch 1", "CONNMARK --nosuch", "CONNMARK"):
        mangle = table(f"-A PREROUTING -j {change}", name="mangle")
        assert fate(rules_of(mangle), "tcp/22") == "undecided"


@pytest.mark.parametrize(
    ("rule", "target", "destination", "port"),
    [
        ("-p tcp -m tcp --dport 22 -j REDIRECT --to-ports 8080", "tcp/22", "192.0.2.5", 8080),
        ("-p tcp -m tcp --dport 22 -j REDIRECT", "tcp/22", "192.0.2.5", 22),
        ("-p tcp -m tcp --dport 22 -j DNAT --to-destination :8080", "tcp/22", "192.0.2.5", 8080),
        ("-p tcp -m tcp --dport 22 -j DNAT --to-destination 172.17.0.1:8080", "tcp/22", "172.17.0.1", 8080),
        ("-p tcp -j DNAT --to-destination 172.17.0.1", "tcp/22", "172.17.0.1", 22),
        ("-p tcp -m tcp --dport 20:29 -j DNAT --to-destination 172.17.0.1:8080-8089/20", "tcp/22", "172.17.0.1", 8082),
        ("-p tcp -j DNAT --to-destination :20-30", "tcp/22", "192.0.2.5", 22),
        ("-d 192.0.2.4/31 -j NETMAP --to 172.17.0.0/31", "tcp/22", "172.17.0.1", 22),
    ],
)
def test_translations_of_the_destination(rule: str, target: str, destination: str, port: int) -> None:
    """Where the packet goes, with which port."""
    accept = table(f"-A INPUT -d {destination} -p tcp -m tcp --dport {port} -j ACCEPT")
    ruleset = rules_of(table(f"-A PREROUTING {rule}", name="nat"), accept)
    (outcome,) = outcomes(ruleset, target, "192.0.2.10")
    assert (str(outcome.final_destination), outcome.final_port, outcome.fate.value) == (destination, port, "passes")


@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -j DNAT --to-destination [2001:db8::5]:8080",
        "-p tcp -j DNAT --to-destination 2001:db8::5",
        "-p tcp -j DNAT --to-destination [2001:db8::5-2001:db8::5]:8080-8080",
        "-p tcp -j REDIRECT --to-ports 8080",
        "-d 2001:db8::/64 -j NETMAP --to 2001:db8::/64",
    ],
)
def test_translations_of_ipv6(rule: str) -> None:
    """Addresses with ports stand in brackets."""
    port = 8080 if "8080" in rule else 22
    ruleset = rules_of(
        table(f"-A PREROUTING {rule}", name="nat", version=6),
        table(f"-A INPUT -p tcp -m tcp --dport {port} -j ACCEPT", version=6),
    )
    assert fate(ruleset, "tcp/22", "2001:db8::10") == "passes"


@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -j DNAT --to-destination 192.0.2.5:1-30000 --random",
        "-p tcp -j DNAT --to-destination 192.0.2.5:x",
        "-p tcp -j DNAT --to-destination 2001:db8::5",
        "-p tcp -j DNAT --to-destination 192.0.2.5:30-20",
        "-p tcp -j DNAT",
        "-j NETMAP",
    ],
)
def test_translations_that_nobody_knows(rule: str) -> None:
    """A port by chance, or a text that is no destination."""
    ruleset = rules_of(table(f"-A PREROUTING {rule}", name="nat"), table("-A INPUT -p tcp --dport 22 -j ACCEPT"))
    assert fate(ruleset, "tcp/22") == "undecided"


def test_the_client_behind_a_translated_source() -> None:
    """SNAT on input changes what later rules of the answer see, not who may come in."""
    ruleset = rules_of(
        table("-A INPUT -p tcp -j SNAT --to-source 192.0.2.200", name="nat"),
        table("-A OUTPUT -p tcp -d 192.0.2.200 -j DROP", name="mangle"),
        table("-A INPUT -s 192.0.2.10 -j ACCEPT"),
    )
    assert [fate(ruleset, target) for target in ("tcp/22", "udp/161")] == ["dropped", "passes"]


def test_zones_keep_connections_apart() -> None:
    """An answer in another zone than its packet belongs to no connection."""
    output = table("-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A OUTPUT -j DROP", policy="ACCEPT")
    into = "-A PREROUTING -j CT --zone 5"
    assert fate(rules_of(table(into, name="raw"), output), "tcp/22") == "dropped"
    assert fate(rules_of(table(into, "-A OUTPUT -j CT --zone 5", name="raw"), output), "tcp/22") == "passes"
    assert fate(rules_of(table("-A PREROUTING -j CT --zone-orig 5", name="raw"), output), "tcp/22") == "undecided"
