# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""firewalld's XML: what it says, what is refused, and that no text of a host can break the reader."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.firewalld_config import FirewalldConfig
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.firewalld_records import (
    Endpoint,
    Forward,
    Ports,
    RichRule,
    Service,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.firewalld_xml import (
    LARGEST_FILE,
    UnreadableError,
    parse_direct,
    parse_ipset,
    parse_policy,
    parse_service,
    parse_zone,
)
from hypothesis import given
from hypothesis import strategies as st


def rich(inside: str, attributes: str = 'family="ipv4"') -> RichRule:
    zone = parse_zone("z", f"<zone><rule {attributes}>{inside}</rule></zone>")
    (rule,) = zone.contents.rich_rules
    return rule


INVERTED = (
    'rule priority="-5" family="ipv4" source NOT address="192.0.2.0/24" port port="1-9" protocol="udp"'
    ' reject type="tcp-reset"'
)


@pytest.mark.parametrize(
    ("inside", "attributes", "text"),
    [
        ('<service name="ssh"/><accept/>', "", 'rule service name="ssh" accept'),
        (
            '<source address="192.0.2.0/24" invert="True"/><port port="1-9" protocol="udp"/><reject type="tcp-reset"/>',
            'family="ipv4" priority="-5"',
            INVERTED,
        ),
        ('<source ipset="a"/><drop/>', "", 'rule source ipset="a" drop'),
        ('<source mac="00:11:22:33:44:55"/><drop/>', "", 'rule source mac="00:11:22:33:44:55" drop'),
        (
            '<protocol value="icmp"/><accept><limit value="2/m"/></accept>',
            "",
            'rule protocol value="icmp" accept limit value="2/m"',
        ),
        ("<masquerade/>", "", "rule masquerade"),
        (
            '<forward-port port="80" protocol="tcp" to-port="8080" to-addr="192.0.2.7"/>',
            'family="ipv4"',
            'rule family="ipv4" forward-port port="80" protocol="tcp" to-port="8080" to-addr="192.0.2.7"',
        ),
    ],
)
def test_rich_rules_are_spelled_as_firewalld_does(inside: str, attributes: str, text: str) -> None:
    assert str(rich(inside, attributes)) == text


def test_a_rich_rule_that_logs_says_so() -> None:
    rule = rich('<source address="192.0.2.1"/><log prefix="x"><limit value="1/s"/></log><accept/>')
    assert rule == RichRule("ipv4", source=Endpoint("192.0.2.1"), action="accept", logs=True)


def test_a_service_may_name_protocols_includes_and_destinations() -> None:
    text = (
        '<service><port port="" protocol="icmp"/><port port="1-2" protocol="tcp"/>'
        '<source-port port="9" protocol="udp"/><protocol value="esp"/><include service="other"/>'
        '<destination ipv4="192.0.2.1" ipv6="2001:db8::1"/></service>'
    )
    assert parse_service(text) == Service(
        ports=(Ports("tcp", "1-2"),),
        protocols=("icmp", "esp"),
        source_ports=(Ports("udp", "9"),),
        destinations=(("ipv4", "192.0.2.1"), ("ipv6", "2001:db8::1")),
        includes=("other",),
    )


def test_zones_hold_forward_ports_and_bindings() -> None:
    zone = parse_zone(
        "z",
        '<zone target="{chain}_{zone}"><interface name="eth+"/><source ipset="a"/><source address="192.0.2.0/24"/>'
        '<forward-port port="80" protocol="tcp" to-addr="192.0.2.7"/><masquerade/><forward/></zone>',
    )
    assert (zone.target, zone.interfaces, zone.sources) == ("default", ("eth+",), ("ipset:a", "192.0.2.0/24"))
    assert zone.contents.forwards == (Forward(Ports("tcp", "80"), "", "192.0.2.7"),)


def test_policies_ipsets_and_direct_rules() -> None:
    policy = parse_policy("p", '<policy target="DROP"><ingress-zone name="ANY"/><egress-zone name="HOST"/></policy>')
    assert (policy.target, policy.priority, policy.ingress, policy.egress) == ("DROP", -1, ("ANY",), ("HOST",))
    ipset = parse_ipset("s", '<ipset type="hash:ip"><option name="family" value="inet6"/><entry> ::1 </entry></ipset>')
    assert (ipset.type, ipset.version, ipset.entries, ipset.expires) == ("hash:ip", 6, ("::1",), False)
    rules = parse_direct(
        '<direct><passthrough ipv="ipv6">-A INPUT -j DROP</passthrough>'
        '<rule ipv="eb" table="t" chain="c" priority="0">x</rule>'
        '<rule ipv="ipv4" table="filter" chain="INPUT" priority="2">-j A</rule>'
        '<rule ipv="ipv4" table="filter" chain="INPUT" priority="1">-j B</rule></direct>'
    )
    assert [(rule.version, rule.arguments) for rule in rules] == [(4, "-j B"), (4, "-j A"), (6, "-A INPUT -j DROP")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<zone>",
        "<policy/>",
        '<!DOCTYPE zone [<!ENTITY a "aaaaaaaaaa">]><zone/>',
        '<zone target="MAYBE"/>',
        "<zone><teleport/></zone>",
        '<zone><source address="192.0.2.1" ipset="a"/></zone>',
        "<zone><source/></zone>",
        '<zone><port port="22"/></zone>',
        '<zone><rule family="ipx"><accept/></rule></zone>',
        '<zone><rule priority="first"><accept/></rule></zone>',
        '<zone><rule><service name="a"/><service name="b"/><accept/></rule></zone>',
        "<zone><rule><accept/><drop/></rule></zone>",
        '<zone ingress-priority="x"/>',
    ],
)
def test_what_firewalld_would_not_load_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse_zone("z", text)


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(UnreadableError, match="larger"):
        parse_zone("z", " " * (LARGEST_FILE + 1))


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    folders = ("zones", "policies", "services", "ipsets")
    files = {f"/etc/firewalld/{folder}/x.xml": text for folder in folders}
    config = FirewalldConfig({**files, "/etc/firewalld/direct.xml": text, "/etc/firewalld/firewalld.conf": text})
    assert config.gaps
    assert isinstance(config.service("x"), str)
    assert isinstance(config.ipset("x"), str)


def test_files_below_etc_hide_the_shipped_ones_and_folders_of_zones_are_named() -> None:
    config = FirewalldConfig(
        {
            "/usr/lib/firewalld/zones/public.xml": '<zone target="ACCEPT"/>',
            "/etc/firewalld/zones/public.xml": '<zone target="DROP"/>',
            "/etc/firewalld/zones/work/a.xml": "<zone/>",
        }
    )
    assert config.zones["public"].target == "DROP"
    assert [gap for gap in config.gaps if "/etc/firewalld/zones/work/a.xml" in gap]


def test_services_are_read_when_they_are_asked_for() -> None:
    files = {"/usr/lib/firewalld/zones/public.xml": "<zone/>", "/usr/lib/firewalld/services/bad.xml": "<service"}
    config = FirewalldConfig(files)
    assert config.gaps == ()
    assert "bad.xml cannot be read" in str(config.service("bad"))


@pytest.mark.parametrize(("version", "loads"), [("0.9.3", False), ("1.3.3", True), ("2.3.1", True), ("", False)])
def test_release_0_does_not_load_a_zone_that_names_a_port_twice(version: str, loads: bool) -> None:
    zone = '<zone><port port="445" protocol="tcp"/><port port="1-1024" protocol="tcp"/></zone>'
    config = FirewalldConfig({"/etc/firewalld/zones/public.xml": zone}, version=version)
    assert (config.gaps == ()) is loads
