# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What stays on the host: nothing that any verdict, plan or word of a result is made of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG, get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.portset import PortSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Part
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import (
    Evaluation,
    evaluate,
    traffic_of,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.listeners import (
    ICMP,
    KNOWN,
    OLDER,
    TCP,
    UDP,
    parse_netstat,
    parse_services,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.needless import NEEDLESS, USUAL, is_usual
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.network import Network, read_network
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import RULES
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.plan import plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry import Registry
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry_text import decode, parse_registry
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.rule import hint_of, is_idle
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import (
    Snapshot,
    parse_snapshot,
    read_snapshot,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.traffic import claims_on
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import Profile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.captured import captured

from . import random_policy
from .machine import NETSTAT, ROUTES, RUNNING, ok, parts, request, services_text, snapshot
from .random_policy import HERE, Maker, registry_of

WINRM = (
    "v2.28|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|LPort=5985|RA4=LocalSubnet|RA6=LocalSubnet|"
    "App=System|Name=@FirewallAPI.dll,-30253|Desc=@FirewallAPI.dll,-30256|EmbedCtxt=@FirewallAPI.dll,-30267|"
)
USUAL_ROWS = tuple(row for row in CATALOG if is_usual([row]))
DOORS = (*sorted(USUAL), (ICMP, None), (TCP, None))
# A longer run is made by hand.
POLICIES = int(os.environ.get("AUDIT_PORTS_WINDOWS_POLICIES", "600"))


def stays(text: str, *, usual: bool) -> bool:
    """Whether the rule stays on the host."""
    return re.search(NEEDLESS[usual][RULES], f"    {{1}}    REG_SZ    {text}") is not None


def needed(part: str, text: str, *, usual: bool = True) -> str:
    """The lines of a part that are sent."""
    pattern = NEEDLESS[usual].get(part)
    return "\n".join(line for line in text.splitlines() if pattern is None or not re.search(pattern, line))


HEADS = st.sampled_from(
    ["Active=FALSE", "Active=TRUE|Dir=Out", "Active=TRUE|Dir=In", "Active=FALSE|Dir=In",
     "Active=TRUE|Dir=In|Protocol=58", "Active=TRUE|Dir=In|Protocol=41", "Active=TRUE|Dir=In|Protocol=1|ICMP4=3:4",
     "Active=TRUE|Dir=In|Protocol=1|Profile=Public|ICMP4=08:0", "Active=TRUE|Dir=In|Protocol=6|LPort2_10=IPTLSIn"]
)  # fmt: skip
MORE = st.sampled_from(
    ["Dir=Out", "Dir=In", "ACTIVE=TRUE", "active=x", "Name=Active Directory", "Name=agentless-audit x tcp 1", "Name=x",
     "AppPkgId=S-1-15-2-1", "LPort=80", "lport2_10=80-90", "ICMP4=8:*", " icmp4=8:0", "LPort2_10=IPHTTPSIn",
     "App=C:\\dir\\x.exe", "x", "", "TTK2_27=x", "TTK=y", " ttk =z", "Protocol=6", "protocol=58", " protocol =17"]
)  # fmt: skip


@given(HEADS, st.lists(MORE, max_size=6), st.booleans())
def test_what_need_not_be_printed_is_idle_and_not_ours(head: str, pairs: list[str], closed: bool) -> None:
    text = "|".join(["v2.31", "Action=Allow", head, *pairs]) + "|" * closed
    if stays(text, usual=False):
        assert "agentless-audit" not in text
        found = snapshot({"{1}": text})
        for protocol, port in (*DOORS, (TCP, 8080), (TCP, 49200), (TCP, 9100), (UDP, 5353), (UDP, 8080)):
            assert [*claims_on(found.policy, traffic_of(found, protocol, port))] == []
    elif closed and pairs and not any(re.search("dir|active|agentless|ttk|protocol", pair, re.I) for pair in pairs):
        assert not is_idle(text)
        assert hint_of(text).keys


def test_lines_that_need_not_be_printed() -> None:
    for usual in (True, False):
        pattern = NEEDLESS[usual][RULES]
        for idle in (WINRM.replace("TRUE", "FALSE"), WINRM.replace("Dir=In", "Dir=Out")):
            assert re.search(pattern, f"    A name with blanks    REG_SZ    {idle}")
            assert not re.search(pattern, f"    {{1}}    REG_EXPAND_SZ    {idle}")
            assert not re.search(pattern, f"    {{1}}    REG_SZ    {idle}more")
            assert not re.search(pattern, idle)
            assert not stays(idle.replace("Public", "x" * 10000), usual=usual)
        assert not stays(WINRM, usual=usual)
        head = "v2.31|Action=Block|Active=TRUE|Dir=In|Protocol="
        assert stays(head + "58|ICMP6=128:*|", usual=usual)
        assert stays(head + "41|App=System|", usual=usual)
        assert stays(head + "1|ICMP4=3:4|App=System|", usual=usual)
        assert not stays(head + "1|ICMP4=3:4|ICMP4=8:*|App=System|", usual=usual)
        assert not stays(head + "1|ICMP4=3:4|Protocol=6|App=System|", usual=usual)
        assert not stays(head + "1|ICMP4=3:4:5|App=System|", usual=usual)
        assert stays(head + "6|LPort2_10=IPTLSIn|LPort2_10=IPHTTPSIn|App=System|", usual=usual)
        assert not stays(head + "6|LPort2_10=IPTLSIn|LPort=5985|App=System|", usual=usual)
        assert not stays(head + "16|PROTOCOL=6|App=System|", usual=usual)
        assert not stays(head + "1|ICMP4=8:*|App=System|", usual=usual)
        assert not stays(head + "58|PROTOCOL=6|App=System|", usual=usual)
        assert stays(head + "6|TTK2_27=x|", usual=usual)
        assert not stays(head + "6|lport=5985|TTK2_27=x|", usual=usual)


SVCHOST = r"App=%SystemRoot%\system32\svchost.exe"
OF_OTHERS = [
    rf"Protocol=6|LPort=7680|{SVCHOST}|Svc=dosvc|Name=x|",
    rf"Protocol=6|LPort=445|{SVCHOST}|Svc=dosvc|Name=x|",
    rf"Svc=dosvc|{SVCHOST}|",
    "Protocol=6|LPort=445|App=C:\\Program Files\\x.exe|Name=\u00dcber|",
    r"App=C:\x.exe|",
    "Protocol=6|LPort=2869|LPort=5357|App=System|",
    "Protocol=6|Profile=Domain|Profile=Private|LPort=49153|RA4=LocalSubnet|App=SYSTEM|",
    "Protocol=17|LPort=5355|",
    rf"Protocol=17|Profile=Public|LPort=3702|{SVCHOST}|TTK2_27=WFDKmDriver|",
]
NOT_OF_OTHERS = [
    rf"Protocol=6|LPort=135|{SVCHOST}|Svc=RpcSs|",
    rf"Protocol=6|{SVCHOST}|Svc=Winmgmt|",
    rf"Protocol=6|{SVCHOST}|Svc=*|",
    rf"Protocol=6|{SVCHOST}|Svc=|",
    rf"Protocol=6|LPort=445|{SVCHOST}|Svc=dosvc|svc=rpcss|",
    rf"Protocol=6|LPort=445|{SVCHOST}|Svc=dosvc|AppPkgId=S-1-15-2-1|",
    f"Protocol=6|LPort=445|{SVCHOST}|Svc=dosvc|TT\u212a=x|",
    rf"svc=RpcSs|{SVCHOST}|Svc=dosvc|",
    rf"TTK=x|LPort=445|{SVCHOST}|Svc=dosvc|",
    r"App=C:\Windows/System32/LSASS.EXE|",
    r'Protocol=6|LPort=88|App="C:\Windows\System32\lsass.exe" |',
    r"App=C:\x.exe|App=System|",
    r"app2_10=System|App=C:\x.exe|",
    r"Svc=*|App=C:\x.exe|",
    "App= |",
    "App=System|",
    "Protocol=6|LPort=2869|LPort=445|App=System|",
    "Protocol=6|LPort=2869|LPort2_10=440-450|App=System|",
    "Protocol=6|LPort=70000|App=System|",
    "Protocol=6|LPort=2869|",
    f"Protocol=6|LPort=49153|{SVCHOST}|",
    "Protocol=17|LPort=5355|LPort=137|",
    "Protocol=17|LPort=5355|Protocol=6|",
]


def rule(pairs: str) -> str:
    return f"v2.31|Action=Allow|Active=TRUE|Dir=In|{pairs}"


@pytest.mark.parametrize("pairs", OF_OTHERS)
def test_rules_for_others_stay_where_usual_ports_are_asked_about(pairs: str) -> None:
    assert stays(rule(pairs), usual=True)
    assert not stays(rule(pairs), usual=False)


@pytest.mark.parametrize("pairs", NOT_OF_OTHERS)
def test_rules_that_may_be_for_those_who_are_asked_about_are_sent(pairs: str) -> None:
    assert not stays(rule(pairs), usual=True)


def test_a_table_knows_who_listens_at_each_usual_port() -> None:
    assert KNOWN.keys() >= USUAL
    assert not USUAL & OLDER.keys()
    assert (TCP, 5985) in USUAL
    assert {row.id for row in CATALOG} - {row.id for row in USUAL_ROWS} == {"esxi.authd", "printer.raw"}
    assert is_usual([])
    assert not is_usual([*USUAL_ROWS, replace(get_requirement("windows.winrm"), port=5986)])


# Keys and values as Windows writes them, and in all other ways that a rule is read in.
PAIRS = st.sampled_from(
    [*MORE.elements, "Profile=Private", "LPort=7680", "LPort=5985", "LPort=49200", "LPort=RPC", "LPort=RPC-EPMap",
     "LPort=0", "LPort=70000", "LPort=1,135", "LPort2_24=mDNS", "LPort2_10=1-65535", " lport=445", "RPort=1",
     "App=System", "App=SYSTEM", "app=System", "App2_10=System", "App=", "App=*", "App= ", 'App=""', SVCHOST,
     r"App=C:\Windows\System32\svchost.exe", r"App=c:/windows/system32/SVCHOST.EXE", r"App=C:\Program Files\x.exe",
     r'App="%windir%\system32\lsass.exe" ', r"App=\SystemRoot\system32\dns.exe", "App=\u00dcber.exe", "RA4=LocalSubnet",
     "Svc=", "Svc=*", "Svc= *", "Svc=RpcSs", "Svc=dosvc", "svc=WINMGMT", " Svc =rpcss", "Svc2_10=kdc", "Svc=\u212adc",
     "Svc=x y", "PFN=x", " pfn= x", "TT\u212a=x", "Protocol=17", "Protocol=1", "Protocol=", "Protocol=256", "LOM=TRUE",
     "Platform=2:6:2", "SkipVer=2.33", "Desc=\u00dc", "\u00dc=x", "Edge=TRUE", "Hologram=7"]
)  # fmt: skip
NETSTATS = (NETSTAT, "", None)
DYNAMIC = (PortSet.parse("49152-65535"), PortSet.parse("1-65535"), PortSet.parse("5000-5100"))


@settings(max_examples=400)
@given(
    st.sampled_from(["Protocol=6", "Protocol=17", "Protocol=1", "Profile=Domain"]),
    st.lists(PAIRS, max_size=6),
    st.sampled_from(["Allow", "Block", "ByPass"]),
    st.sampled_from(DYNAMIC),
    st.sampled_from(NETSTATS),
)
def test_a_rule_that_stays_is_about_nothing_usual(
    first: str, pairs: list[str], action: str, dynamic: PortSet, netstat: str | None
) -> None:
    text = "|".join(["v2.31", f"Action={action}", "Active=TRUE", "Dir=In", first, *pairs, ""])
    if not stays(text, usual=True):
        return
    found = snapshot({"{1}": text}, netstat=None if netstat is None else ok(netstat))
    found = replace(found, dynamic=dynamic)
    for protocol, port in DOORS:
        assert [*claims_on(found.policy, traffic_of(found, protocol, port))] == []


def registries() -> Iterator[tuple[str, str]]:
    for path in sorted(captured("windows").glob("*.txt")):
        text = decode(path.read_bytes())
        if "HKEY_" in text:
            yield path.name, text.replace("\r\n", "\n")


def of_registry(registry: Registry) -> Snapshot:
    return read_snapshot(registry, network=Network())


def judged(found: Snapshot) -> list[object]:
    """All that a result is made of: verdicts and plan for each profile, from addresses within and without."""
    told: list[object] = []
    for source in ("192.0.2.10", "198.51.100.10", "10.0.0.0/8"):
        asked = request(*(row.id for row in USUAL_ROWS), source=source)
        for profile in Profile:
            active = replace(found, active=(profile,))
            verdicts = evaluate(active, asked)
            told += [verdicts, plan(active, verdicts, asked)]
    return told


def test_the_captures_are_judged_alike() -> None:
    """A value of an export has one line, too, once it is printed as ``reg query`` prints it."""
    left_out = 0
    for name, text in registries():
        whole = parse_registry(text)
        lines = text.split("\n")
        kept = [line for line in lines if not re.search(NEEDLESS[True][RULES], line)]
        left_out += len(lines) - len(kept)
        if len(lines) > len(kept):
            assert judged(of_registry(parse_registry("\n".join(kept)))) == judged(of_registry(whole)), name
    assert left_out > 500


def random_cases(count: int) -> Iterator[tuple[random_policy.Case, Registry, Registry]]:
    for seed in range(1, count + 1):
        case = Maker(seed).case()
        number = {"tcp": TCP, "rpc": TCP, "udp": UDP, "icmp": ICMP}[case.wire]
        if (number, case.port) in DOORS:
            rules = {name: text for name, text in case.rules["local"].items() if not stays(text, usual=True)}
            less = replace(case, rules={**case.rules, "local": rules})
            if rules != case.rules["local"]:
                yield case, registry_of(case, as_text=False), registry_of(less, as_text=False)


def test_random_policies_are_judged_alike() -> None:
    compared = 0
    for case, whole, less in random_cases(POLICIES):
        number = {"tcp": TCP, "rpc": TCP, "udp": UDP, "icmp": ICMP}[case.wire]
        profiles = [Profile(profile.lower()) for profile in case.profiles]
        asked = (number, case.port, AddressSet.of(*case.sources), HERE[case.family])
        doors = [Evaluation(of_registry(registry), profiles).door(*asked) for registry in (less, whole)]
        assert doors[0] == doors[1]
        assert [item.profiles for item in doors[0]] == [item.profiles for item in doors[1]]
        compared += 1
    assert compared > POLICIES / 20


def filtered(found: Iterable[tuple[str, Part]]) -> dict[str, Part]:
    return {name: replace(part, out=needed(name, part.out)) for name, part in found}


def test_a_whole_machine_is_judged_alike() -> None:
    rules = {f"{{{number}}}": rule(pairs) for number, pairs in enumerate((*OF_OTHERS, *NOT_OF_OTHERS))}
    logging = "    LogFilePath    REG_EXPAND_SZ    %systemroot%\\x.log\r\n    LogFileSize    REG_DWORD    0x1000\r\n"
    profile = parts()["local_domain"]
    every = parts(rules, stopped=["Netlogon", "Spooler"], local_domain=replace(profile, out=profile.out + logging))
    less = filtered(every.items())
    assert sum(len(part.out) for part in less.values()) < sum(len(part.out) for part in every.values()) * 0.8
    assert judged(parse_snapshot(less)) == judged(parse_snapshot(every))


def test_services_routes_and_sockets_are_read_as_before() -> None:
    services = services_text(RUNNING, ["Netlogon"])
    assert parse_services(needed("services", services)) == parse_services(services) != {}
    assert len(needed("services", services)) < len(services) / 2
    assert read_network(Registry(), needed("routes", ROUTES)) == read_network(Registry(), ROUTES)
    assert len(needed("routes", ROUTES).splitlines()) == 6
    every, less = parse_netstat(NETSTAT), parse_netstat(needed("netstat", NETSTAT))
    asked = {({TCP: "tcp", UDP: "udp"}[number], port) for number, port in USUAL}
    assert less[0] == tuple(item for item in every[0] if (item.protocol, item.port) in asked)
    assert less[1] == every[1] != ()
    assert needed("netstat", NETSTAT, usual=False) == "\n".join(NETSTAT.splitlines())


@pytest.mark.parametrize(
    "line",
    ["  TCP    0.0.0.0:49664          0.0.0.0:0              LISTENING       644",
     "  TCP    [::]:47001             [::]:0                 ABH\u00d6REN          4",
     "  UDP    [fe80::5%12]:546       *:*                                     1500"],
)  # fmt: skip
def test_sockets_of_others_stay(line: str) -> None:
    assert needed("netstat", line) == ""
    for port in (135, 5985):
        usual = re.sub(r":\d+ ", f":{port} ", line, count=1)
        assert needed("netstat", usual) == usual
    connection = line.replace("0.0.0.0:0 ", "192.0.2.9:51000 ").replace("[::]:0 ", "[2001:db8::1]:51000 ")
    assert needed("netstat", connection) == (connection if "TCP" in line else "")
