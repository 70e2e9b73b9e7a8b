# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""firewalld: its files say what the kernel got from them (releases 0.9, 1.3 and 2.3), its words, its commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.firewalld import Firewalld, parse_firewalld
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.firewalld_runtime import (
    runtime_interface_zones,
    runtime_release,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.manager import Opening
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import Fate, Ruleset, Step
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset

from .panel import FIXTURES, HOST, differences, fate, files_below, packet

SHIPPED = {
    "/usr/lib/firewalld/services/ssh.xml": '<service><port protocol="tcp" port="22"/></service>',
    "/usr/lib/firewalld/services/http.xml": '<service><port protocol="tcp" port="80"/></service>',
    "/usr/lib/firewalld/services/snmp.xml": (
        '<service><port protocol="tcp" port="161"/><port protocol="udp" port="161"/></service>'
    ),
    "/usr/lib/firewalld/services/dhcpv6-client.xml": (
        '<service><port protocol="udp" port="546"/><destination ipv6="fe80::/64"/></service>'
    ),
}
FILES = {**SHIPPED, **files_below(FIXTURES / "firewalld")}
PUBLIC = "/etc/firewalld/zones/public.xml"
CONF = "/etc/firewalld/firewalld.conf"


def manager(
    version: str = "1.3.3", changed: Mapping[str, str] | None = None, *, files: Mapping[str, str] = FILES
) -> Firewalld:
    return parse_firewalld({**files, **(changed or {})}, HOST, version=version)


@cache
def kernel(version: str) -> Ruleset:
    text = (FIXTURES / "firewalld" / f"kernel-{version}-nft.json").read_text()
    return read_ruleset(nft=text, xtables=[], ipset=None)


@cache
def kernel_of_iptables() -> Ruleset:
    folder = FIXTURES / "firewalld"
    saved = (folder / "kernel-1.3.3-iptables-save.txt").read_text().replace(" (nf_tables)", "")
    ipsets = (folder / "kernel-1.3.3-ipset-save.txt").read_text()
    return read_ruleset(nft=None, xtables=[saved], ipset=ipsets)


@pytest.mark.parametrize("version", ["0.9.3", "1.3.3", "2.3.1"])
def test_files_say_what_the_kernel_got(version: str) -> None:
    assert list(differences(manager(version), kernel(version))) == []


def test_the_panel_notices_a_rule_that_is_missing() -> None:
    changed = FILES[PUBLIC].replace('<service name="ssh"/>', "")
    assert next(differences(manager(changed={PUBLIC: changed}), kernel("1.3.3")), None)


@pytest.mark.parametrize("version", ["0.9.3", "1.3.3", "2.3.1"])
def test_the_release_is_told_by_the_rules(version: str) -> None:
    assert runtime_release(kernel(version).chains.values()) == version[0]


def test_the_release_is_not_told_by_other_rules() -> None:
    assert runtime_release(()) == ""


@pytest.mark.parametrize("version", ["0.9.3", "1.3.3", "2.3.1"])
def test_the_zones_of_interfaces_are_told_by_the_rules(version: str) -> None:
    assert runtime_interface_zones(kernel(version).chains.values()) == {"eth0": "public", "audit0": "work"}


def test_a_zone_of_an_interface_that_only_the_rules_know_counts_at_boot() -> None:
    without = {PUBLIC: FILES[PUBLIC].replace('<interface name="eth0"/>', ""), CONF: "DefaultZone=work\n"}
    (alone,) = manager(changed=without).boot(packet("tcp/22"))
    told = parse_firewalld({**FILES, **without}, HOST, version="1.3.3", interface_zones={"eth0": "public"})
    (helped,) = told.boot(packet("tcp/22"))
    assert (alone.place, alone.status) == ("work", VerdictStatus.BLOCKED)
    assert (helped.place, helped.status) == ("public", VerdictStatus.OPEN)


DROPPED = 'rule priority="-10" family="ipv4" source address="192.0.2.10" port port="8443" protocol="tcp" drop'


@pytest.mark.parametrize("version", ["0.9.3", "1.3.3", "2.3.1", "iptables"])
@pytest.mark.parametrize(
    ("wire", "source", "words"),
    [
        ("tcp/22", "192.0.2.10", "zone public, service ssh"),
        ("tcp/5005", "192.0.2.10", "zone public, port 5000-5010/tcp"),
        ("udp/161", "192.0.2.10", "policy blocklist, port 161/udp"),
        (
            "tcp/8443",
            "192.0.2.10",
            f"zone public, rich rule '{DROPPED}'",
        ),
        ("tcp/22", "192.0.2.11", 'zone public, rich rule \'rule family="ipv4" source address="192.0.2.11" reject\''),
        ("tcp/80", "203.0.113.70", "zone auditors: target accept"),
        ("tcp/22", "10.1.2.3", 'zone auditors, rich rule \'rule family="ipv4" port port="22" protocol="tcp" reject\''),
    ],
)
def test_rules_of_the_kernel_have_the_words_of_firewalld(version: str, wire: str, source: str, words: str) -> None:
    iptables = version == "iptables"
    ruleset = kernel_of_iptables() if iptables else kernel(version)
    judged = manager("1.3.3", {CONF: "FirewallBackend=iptables\n"}) if iptables else manager(version)
    decision = judged.words(fate(ruleset, packet(wire, source)).decided_by[-1])
    assert decision is not None
    assert (decision.kind, decision.text) == ("firewalld", words)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.9.3", "firewalld: the end of its input chain (reject)"),
        ("1.3.3", "zone public: target default (reject)"),
        ("2.3.1", "zone public: target default (reject)"),
    ],
)
def test_what_nothing_lets_in_meets_the_target_and_an_allow_rule_would_open_it(version: str, words: str) -> None:
    outcome = fate(kernel(version), packet("tcp/445"))
    decision = manager(version).words(outcome.decided_by[-1])
    assert decision is not None
    assert decision.text == words
    assert manager(version).obstacle(outcome) is None
    assert manager(version).place(outcome, packet("tcp/445")) == "public"


@pytest.mark.parametrize("version", ["0.9.3", "1.3.3", "2.3.1"])
def test_the_zone_of_another_interface_is_the_place_for_a_rule(version: str) -> None:
    one = packet("tcp/445", "192.0.2.10", "198.51.100.5", "audit0")
    assert manager(version).place(fate(kernel(version), one), one) == "work"


@pytest.mark.parametrize(
    ("wire", "source", "kind"),
    [
        ("tcp/8443", "192.0.2.10", "firewalld"),  # a rich rule before the allow rules: one ahead of it wins
        ("tcp/22", "192.0.2.11", "firewalld"),
        ("tcp/22", "10.9.0.1", "firewalld.ahead"),  # a policy before all zones: no rule of a zone wins
    ],
)
def test_what_blocks_by_name_is_an_obstacle(wire: str, source: str, kind: str) -> None:
    obstacle = manager().obstacle(fate(kernel("1.3.3"), packet(wire, source)))
    assert obstacle is not None
    assert obstacle.kind == kind


def test_what_passes_has_no_obstacle() -> None:
    assert manager().obstacle(fate(kernel("1.3.3"), packet("tcp/22"))) is None


def test_a_rule_of_somebody_else_is_an_obstacle_without_words() -> None:
    outcome = fate(kernel("1.3.3"), packet("tcp/445"))
    foreign = Step("inet", "hand", "input", 7, 2, "tcp dport 445 drop", None)
    elsewhere = replace(outcome, decided_by=(foreign,), fate=Fate.DROPPED)
    obstacle = manager().obstacle(elsewhere)
    assert manager().words(foreign) is None
    assert obstacle is not None
    assert (obstacle.kind, obstacle.text) == ("rule", "tcp dport 445 drop")


def test_an_answer_that_is_dropped_is_an_obstacle() -> None:
    outcome = replace(fate(kernel("1.3.3"), packet("tcp/445")), stage="answer")
    obstacle = manager().obstacle(outcome)
    assert obstacle is not None
    assert obstacle.kind == "firewalld.ahead"


def test_panic_mode_is_told() -> None:
    step = Step("inet", "firewalld_policy_drop", "raw_prerouting", None, 0, "policy drop", None, "policy")
    words = manager().words(step)
    assert words is not None
    assert "panic mode" in words.text


@pytest.mark.parametrize("broken", [PUBLIC, "/etc/firewalld/policies/blocklist.xml", "/etc/firewalld/direct.xml"])
def test_a_file_that_cannot_be_read_leaves_everything_unknown(broken: str) -> None:
    (part,) = manager(changed={broken: "<zone"}).boot(packet("tcp/22"))
    assert part.status is VerdictStatus.UNKNOWN
    assert broken in part.decided_by.text


def test_a_document_type_is_refused() -> None:
    bomb = f'<!DOCTYPE zone [<!ENTITY a "b">]>{FILES[PUBLIC].partition("?>")[2]}'
    (part,) = manager(changed={PUBLIC: bomb}).boot(packet("tcp/22"))
    assert part.status is VerdictStatus.UNKNOWN
    assert "document type" in part.decided_by.text


def test_a_service_that_is_missing_leaves_unknown_what_it_could_let_in() -> None:
    some = {path: text for path, text in FILES.items() if not path.endswith("ssh.xml")}
    (open_still,) = manager(files=some).boot(packet("tcp/5005"))
    (blocked_still,) = manager(files=some).boot(packet("tcp/22", "192.0.2.11"))
    (unknown,) = manager(files=some).boot(packet("tcp/22"))
    assert open_still.status is VerdictStatus.OPEN
    assert blocked_still.status is VerdictStatus.BLOCKED
    assert unknown.status is VerdictStatus.UNKNOWN
    assert "service ssh has no file" in unknown.decided_by.text


def test_an_ipset_whose_entries_expire_leaves_its_zone_unknown() -> None:
    text = '<ipset type="hash:net"><option name="timeout" value="60"/><entry>10.1.0.0/16</entry></ipset>'
    (part,) = manager(changed={"/etc/firewalld/ipsets/friends.xml": text}).boot(packet("tcp/445", "10.1.2.3"))
    assert part.status is VerdictStatus.UNKNOWN
    assert "expire" in part.decided_by.text


def test_zones_with_a_priority_are_asked_by_it() -> None:
    wide = '<zone target="DROP" ingress-priority="{}"><source address="192.0.2.0/24"/></zone>'
    near = '<zone target="ACCEPT" ingress-priority="0"><source address="192.0.2.10"/></zone>'
    for priority, status in ((-5, VerdictStatus.BLOCKED), (5, VerdictStatus.OPEN)):
        zones = {"/etc/firewalld/zones/wide.xml": wide.format(priority), "/etc/firewalld/zones/near.xml": near}
        (part,) = manager("2.3.1", zones).boot(packet("tcp/445"))
        assert part.status is status


def test_a_late_policy_is_unknown_where_the_release_is() -> None:
    late = {
        "/etc/firewalld/policies/late.xml": (
            '<policy priority="50" target="DROP"><ingress-zone name="ANY"/><egress-zone name="HOST"/></policy>'
        )
    }
    (unknown,) = manager("", late).boot(packet("tcp/445"))
    (known,) = manager("", late).boot(packet("tcp/22"))
    assert (unknown.status, known.status) == (VerdictStatus.UNKNOWN, VerdictStatus.OPEN)


@pytest.mark.parametrize(
    ("version", "priorities", "status"),
    [
        ("2.3.1", (-5, -5), VerdictStatus.UNKNOWN),
        ("2.3.1", (-5, -6), VerdictStatus.BLOCKED),
        ("1.3.3", (-5, -5), VerdictStatus.OPEN),
    ],
)
def test_policies_of_one_priority_have_no_order_in_release_2(
    version: str, priorities: tuple[int, int], status: VerdictStatus
) -> None:
    text = '<policy priority="{}" target="{}"><ingress-zone name="ANY"/><egress-zone name="HOST"/></policy>'
    policies = {
        "/etc/firewalld/policies/a.xml": text.format(priorities[0], "ACCEPT"),
        "/etc/firewalld/policies/b.xml": text.format(priorities[1], "DROP"),
    }
    (part,) = manager(version, policies).boot(packet("tcp/445"))
    assert part.status is status


WORK = "/etc/firewalld/zones/work.xml"
DROP = "/etc/firewalld/zones/drop.xml"


def _boot(firewalld: Firewalld, wire: str, source: str) -> tuple[VerdictStatus, str]:
    (part,) = firewalld.boot(packet(wire, source))
    return part.status, part.decided_by.text


@pytest.mark.parametrize(("drifts", "status"), [("no", VerdictStatus.BLOCKED), ("yes", VerdictStatus.OPEN)])
def test_release_0_can_let_packets_drift_from_a_zone_by_source_to_one_by_interface(
    drifts: str, status: VerdictStatus
) -> None:
    files = {
        **SHIPPED,
        CONF: f"DefaultZone=public\nAllowZoneDrifting={drifts}\n",
        PUBLIC: '<zone><service name="ssh"/></zone>',
        WORK: '<zone><port port="443" protocol="tcp"/><source address="192.0.2.10"/></zone>',
    }
    assert _boot(manager("0.9.3", files=files), "tcp/22", "192.0.2.10")[0] is status
    assert _boot(manager("0.9.3", files=files), "tcp/443", "192.0.2.10")[0] is VerdictStatus.OPEN


@pytest.mark.parametrize(("version", "zone"), [("0.9.3", "work"), ("1.3.3", "work"), ("2.3.1", "drop")])
def test_of_two_zones_that_claim_an_interface_releases_ask_another_one_first(version: str, zone: str) -> None:
    name = packet("tcp/22", "192.0.2.10").iif
    files = {
        **SHIPPED,
        PUBLIC: "<zone></zone>",
        DROP: f'<zone target="DROP"><interface name="{name}"/></zone>',
        WORK: f'<zone><service name="ssh"/><interface name="{name[:-1]}+"/></zone>',
    }
    assert f"zone {zone}" in _boot(manager(version, files=files), "tcp/22", "192.0.2.10")[1]


@pytest.mark.parametrize(
    ("version", "status"),
    [("0.9.3", VerdictStatus.BLOCKED), ("1.3.3", VerdictStatus.OPEN), ("", VerdictStatus.UNKNOWN)],
)
def test_release_0_asks_policies_from_the_host_about_answers(version: str, status: VerdictStatus) -> None:
    policy = '<policy priority="-5"><ingress-zone name="HOST"/><egress-zone name="ANY"/>%s</policy>'
    drops = policy % '<rule priority="5"><drop/></rule>'
    files = {**SHIPPED, PUBLIC: '<zone><service name="ssh"/></zone>', "/etc/firewalld/policies/out.xml": drops}
    found, text = _boot(manager(version, files=files), "tcp/22", "192.0.2.10")
    assert found is status
    assert (status is VerdictStatus.OPEN) is ("policy out" not in text)


def test_a_zone_by_hardware_address_says_so_where_nobody_can_tell() -> None:
    zone = '<zone target="ACCEPT"><source address="02:00:00:00:00:01"/></zone>'
    files = {**SHIPPED, PUBLIC: "<zone></zone>", WORK: zone}
    status, text = _boot(manager(files=files), "tcp/22", "192.0.2.10")
    assert status is VerdictStatus.UNKNOWN
    assert "hardware address" in text


def test_a_zone_by_mac_attribute_is_one_that_firewalld_does_not_load() -> None:
    files = {**SHIPPED, PUBLIC: "<zone></zone>", WORK: '<zone><source mac="02:00:00:00:00:01"/></zone>'}
    status, text = _boot(manager(files=files), "tcp/22", "192.0.2.10")
    assert status is VerdictStatus.UNKNOWN
    assert WORK in text


def test_direct_rules_come_first() -> None:
    direct = (
        '<direct><rule ipv="ipv4" table="filter" chain="INPUT" priority="0">-s 192.0.2.10 -p tcp --dport 22 -j DROP'
        "</rule>"
        '<passthrough ipv="ipv4">-I INPUT -p tcp --dport 5005 -m comment --comment "no, never" -j DROP</passthrough>'
        '<rule ipv="ipv4" table="filter" chain="INPUT" priority="1">-p tcp --dport 445 -j ACCEPT</rule></direct>'
    )
    judged = manager(changed={"/etc/firewalld/direct.xml": direct})
    statuses = [judged.boot(packet(wire))[0].status for wire in ("tcp/22", "tcp/5005", "tcp/445", "tcp/80")]
    assert statuses == [VerdictStatus.BLOCKED] * 4
    assert judged.boot(packet("tcp/22", "192.0.2.12"))[0].status is VerdictStatus.OPEN
    assert "dport 22" in judged.boot(packet("tcp/22"))[0].decided_by.text


_OF_INPUT = '<rule ipv="ipv4" table="filter" chain="INPUT" priority="1">'
_NEW_CHAIN = (
    '<chain ipv="ipv4" table="filter" chain="own"/><rule ipv="ipv4" table="filter" chain="own" priority="0">'
    "-p tcp --dport 7777 -j ACCEPT</rule>"
)


@pytest.mark.parametrize(
    ("direct", "expected"),
    [
        (f"{_OF_INPUT}-p tcp --dport 7777 -j ACCEPT</rule>", "open"),
        (f"{_OF_INPUT.replace('ipv4', 'ipv6')}-p tcp --dport 7777 -j ACCEPT</rule>", "blocked"),
        (f"{_OF_INPUT}-s 192.0.2.12 -j DROP</rule>{_OF_INPUT}-p tcp --dport 7777 -j ACCEPT</rule>", "blocked"),
        ('<passthrough ipv="ipv4">-I INPUT -p tcp --dport 7777 -j ACCEPT</passthrough>', "open"),
        ('<passthrough ipv="ipv4">-A INPUT -p tcp --dport 7777 -j ACCEPT</passthrough>', "blocked"),
        ('<passthrough ipv="ipv4">-I INPUT 2 -p tcp --dport 7777 -j ACCEPT</passthrough>', "unknown"),
        ('<passthrough ipv="ipv4">-t nat -I PREROUTING -p tcp -j ACCEPT</passthrough>', "unknown"),
        (f"{_OF_INPUT}-j own</rule>{_NEW_CHAIN}", "open"),
        (_NEW_CHAIN, "blocked"),
        (f"{_OF_INPUT.replace('INPUT', 'OUTPUT')}-j ACCEPT</rule>", "unknown"),
    ],
)
def test_direct_rules_are_a_part_of_the_input_chain_with_the_iptables_backend(direct: str, expected: str) -> None:
    changed = {"/etc/firewalld/direct.xml": f"<direct>{direct}</direct>", CONF: "FirewallBackend=iptables\n"}
    (part,) = manager(changed=changed).boot(packet("tcp/7777", "192.0.2.12"))
    assert part.status.value == expected, part.decided_by.text
    if expected == "unknown":
        assert "direct rule" in part.decided_by.text
    if expected == "open":
        assert part.decided_by.text.startswith("direct rule: -A ")


OPENINGS = (
    Opening("tcp", 22, "192.0.2.10", 4, "public"),
    Opening("udp", 161, "2001:db8::10", 6, "public", ahead=True),
    Opening("icmp", None, "any", 4, "work"),
)
RULES = (
    'rule family="ipv4" source address="192.0.2.10" port port="22" protocol="tcp" accept',
    'rule priority="-32768" family="ipv6" source address="2001:db8::10" port port="161" protocol="udp" accept',
    'rule family="ipv4" icmp-type name="echo-request" accept',
)


def test_openings_are_rich_rules_in_one_command_per_zone_and_state() -> None:
    actions = manager().add(OPENINGS, runtime=True, permanent=True)
    public, work = (f"--add-rich-rule={RULES[0]}", f"--add-rich-rule={RULES[1]}"), (f"--add-rich-rule={RULES[2]}",)
    assert [(action.scope, action.argv) for action in actions] == [
        ("runtime", ("firewall-cmd", "--zone=public", *public)),
        ("runtime", ("firewall-cmd", "--zone=work", *work)),
        ("permanent", ("firewall-cmd", "--permanent", "--zone=public", *public)),
        ("permanent", ("firewall-cmd", "--permanent", "--zone=work", *work)),
    ]


def test_nothing_is_stored_twice_and_only_what_is_stored_is_removed() -> None:
    stored = FILES[PUBLIC].replace(
        "</zone>",
        '<rule family="ipv4"><source address="192.0.2.10/32"/><port port="22" protocol="tcp"/><accept/></rule></zone>',
    )
    judged = manager(changed={PUBLIC: stored})
    assert [judged.has(opening) for opening in OPENINGS] == [True, False, False]
    assert judged.add(OPENINGS[:1], runtime=False, permanent=True) == ()
    (removal,) = judged.remove(OPENINGS[:2], runtime=False, permanent=True)
    assert removal.argv == ("firewall-cmd", "--permanent", "--zone=public", f"--remove-rich-rule={RULES[0]}")


@pytest.mark.parametrize("more", ["<log/>", "<audit/>", '<destination address="192.0.2.5"/>'])
def test_a_rule_that_does_more_or_less_is_not_the_opening(more: str) -> None:
    rule = f'<rule family="ipv4"><source address="192.0.2.10"/><port port="22" protocol="tcp"/>{more}<accept/></rule>'
    assert not manager(changed={PUBLIC: FILES[PUBLIC].replace("</zone>", f"{rule}</zone>")}).has(OPENINGS[0])


def test_only_the_files_are_changed_where_firewalld_does_not_run() -> None:
    stopped = parse_firewalld(FILES, HOST, running=False)
    (action,) = stopped.add(OPENINGS[:1], runtime=True, permanent=True)
    assert action.argv[:2] == ("firewall-offline-cmd", "--zone=public")
    assert action.scope == "permanent"


def test_firewalld_writes_the_zone_and_its_backup() -> None:
    assert manager().touched(OPENINGS[:2]) == (PUBLIC, f"{PUBLIC}.old")


def test_a_network_of_sources_falls_into_zones() -> None:
    parts = manager().boot(packet("tcp/80", "10.0.0.0/8"))
    places = {part.place: part.status for part in parts if ip_address("10.9.0.1") not in part.source}
    assert places == {"auditors": VerdictStatus.OPEN, "public": VerdictStatus.BLOCKED}
