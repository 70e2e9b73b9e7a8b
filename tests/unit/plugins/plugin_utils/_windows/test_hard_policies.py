# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Rules and settings that are easily misread, each with what Windows does with a stranger's packet ([MS-FASP] 2.2.34,
2.2.37, 2.2.38, [MS-GPFAS] 2.2.2).

The host is 192.0.2.5/26 and 2001:db8::5/64; its DNS servers are not known; its policy is of version 2.31.
"""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet, parse_address
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import Evaluation, is_set_up
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import Profile

from .machine import LOCAL, ok, printed, snapshot

ALLOW = "v2.31|Action=Allow|Active=TRUE|Dir=In|"
BLOCK = ALLOW.replace("Allow", "Block")
WINRM = f"{ALLOW}Protocol=6|LPort=5985|"
OUTSIDE, INSIDE, INSIDE_6 = "198.51.100.10", "192.0.2.20", "2001:db8::77"
SVCHOST = r"App=c:\WINDOWS\system32\SvcHost.exe"


def judged(*rules: str, wire: str = "tcp/5985", source: str = OUTSIDE, profile: str = "domain", **options: Any) -> str:
    """The status of one source's packets; the rules' ids have blanks, as those of the pop-up dialog have."""
    host = snapshot({f"TCP Query User{{{number}}}C:\\a b.exe": text for number, text in enumerate(rules)}, **options)
    protocol, _slash, port = wire.partition("/")
    destination = parse_address("2001:db8::5" if ":" in source else "192.0.2.5")
    number = {"tcp": 6, "udp": 17, "icmp": 1, "rpc": 6}[protocol]
    found = Evaluation(host, [Profile(profile)]).door(
        number, int(port) if port else None, AddressSet.parse(source), destination
    )
    return " ".join(part.status.value for part in found)


# What one allow rule for 5985 comes to with these pairs.
@pytest.mark.parametrize(
    ("pairs", "source", "status"),
    [
        ("", OUTSIDE, "open"),
        ("Name=a=b|Desc=x|EmbedCtxt=@FirewallAPI.dll,-30267|Edge=TRUE|Defer=App|PCross=TRUE", OUTSIDE, "open"),
        ("Profile=Domain|Profile=Public", OUTSIDE, "open"),
        ("Profile=Private", OUTSIDE, "blocked"),
        ("Profile=All", OUTSIDE, "unknown"),
        ("RA4=LocalSubnet", OUTSIDE, "blocked"),
        ("RA4=LocalSubnet", INSIDE, "open"),
        ("RA4=LocalSubnet", "192.0.2.100", "blocked"),  # of the same /24, and not of the link's /26
        ("RA4=LOCALSUBNET|RA6=localsubnet", INSIDE_6, "open"),
        ("RA6=LocalSubnet", "fe80::1", "open"),
        ("RA6=LocalSubnet6", INSIDE_6, "partial"),  # no word of the grammar
        ("RA4=198.51.100.10", INSIDE_6, "blocked"),
        ("RA6=2001:db8::/64", INSIDE_6, "open"),
        ("RA6=2001:db8::/64", OUTSIDE, "blocked"),
        ("RA6=2001:db8::70-2001:db8::7f", INSIDE_6, "open"),
        ("RA4=198.51.100.0/255.255.255.0", OUTSIDE, "open"),
        ("RA4=198.51.100.0/24", OUTSIDE, "open"),
        ("RA4=198.51.100.77/24", OUTSIDE, "open"),
        ("RA4=198.51.100.1-198.51.100.10", OUTSIDE, "open"),
        ("RA4=198.51.100.11-198.51.100.20", OUTSIDE, "blocked"),
        ("RA4=203.0.113.1|RA4=198.51.100.10", OUTSIDE, "open"),
        ("RA4=0.0.0.0/0", OUTSIDE, "open"),
        ("RA4=198.51.100.0/0.0.0.255", OUTSIDE, "unknown"),
        ("RA4=198.51.100.0/255.0.255.0", OUTSIDE, "unknown"),
        ("RA4=198.51.100.20-198.51.100.1", OUTSIDE, "unknown"),
        ("RA4=", OUTSIDE, "unknown"),
        ("RA4=DNS", OUTSIDE, "unknown"),
        ("RA4=DHCP|RA6=DHCP", OUTSIDE, "unknown"),
        ("RA4=WINS", OUTSIDE, "unknown"),
        ("RA4=DefaultGateway", OUTSIDE, "unknown"),
        ("RA4=DefaultGateway|RA4=198.51.100.10", OUTSIDE, "open"),
        ("RA42=IntrAnet|RA62=IntrAnet", OUTSIDE, "partial"),
        ("RA42=RmtIntrAnet", OUTSIDE, "partial"),
        ("RA42=Ply2Renders", OUTSIDE, "partial"),
        ("RA42=CaptivePortal", OUTSIDE, "partial"),
        ("LA4=192.0.2.0/255.255.255.0", OUTSIDE, "open"),
        ("LA4=192.0.2.99", OUTSIDE, "blocked"),
        ("RPort=1024", OUTSIDE, "partial"),
        ("RPort2_10=0-65535", OUTSIDE, "open"),
        ("IFType=Wireless", OUTSIDE, "partial"),
        ("IF={00000000-0000-0000-0000-000000000009}", OUTSIDE, "partial"),  # nobody knows the address's interface
        ("Security=Authenticate|Security2_9=An-NoEncap", OUTSIDE, "partial"),
        ("RMauth=O:LSD:(A;;CC;;;S-1-5-21-1)", OUTSIDE, "partial"),
        ("LUAuth2_24=Tzpz", OUTSIDE, "partial"),
        ("NNm=corp", OUTSIDE, "partial"),
        ("SecurityRealmId=1", OUTSIDE, "partial"),
        ("TTK2_22=WFDPrint", OUTSIDE, "partial"),
        ("PFN=a_b", OUTSIDE, "partial"),
        ("Tomorrow=1", OUTSIDE, "partial"),
        ("App=SYSTEM", OUTSIDE, "open"),
        ("App=C:\\x.exe", OUTSIDE, "blocked"),
        ("Svc=*", OUTSIDE, "blocked"),  # the kernel is no service
        ("Platform=2:6:2|Platform2=GTEQ", OUTSIDE, "open"),
        ("Platform=2:6:1", OUTSIDE, "blocked"),
        ("Platform=1:4:0", OUTSIDE, "unknown"),
        ("SkipVer=2.22", OUTSIDE, "open"),
        ("SkipVer=2.31", OUTSIDE, "partial"),
        ("LOM=TRUE", OUTSIDE, "open"),
        ("LOM=TRUE|RA4=203.0.113.1", OUTSIDE, "unknown"),
        ("LOM=FALSE|RA4=203.0.113.1", OUTSIDE, "blocked"),
        ("Active=FALSE", OUTSIDE, "unknown"),  # said twice
    ],
)  # fmt: skip
def test_an_allow_rule_with(pairs: str, source: str, status: str) -> None:
    assert judged(f"{WINRM}{pairs}|".replace("||", "|"), source=source) == status


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("V2.0|profile=DOMAIN|LPORT=5985|protocol=6|DIR=in|active=true|ACTION=allow|", "open"),
        (f"{ALLOW}LPort=5985|", "unknown"),  # only TCP and UDP have ports: Windows takes no such rule
        (f"{ALLOW}Protocol=256|LPort=5985|", "unknown"),
        (f"{ALLOW}Protocol=17|LPort=5985|", "blocked"),
        (ALLOW, "open"),
        (f"{ALLOW}Protocol=6|LPort=1-100,5900-6000|", "open"),
        (f"{ALLOW}Protocol=6|LPort2_10=5900-6000|LPort=80|", "open"),
        (f"{ALLOW}Protocol=6|LPort=80|", "blocked"),
        (f"{ALLOW}Protocol=6|LPort=|", "unknown"),
        (f"{ALLOW}Protocol=6|LPort2_40=Tomorrow|", "partial"),
        (f"{ALLOW}Protocol=6|LPort2_10=IPHTTPSIn|", "blocked"),
        ("v2.31|Action=Allow|Dir=In|Protocol=6|LPort=5985|", "blocked"),  # without Active a rule is off
        ("v2.31|Action=Allow|Active=TRUE|Protocol=6|LPort=5985|", "unknown"),
        ("v2.31|Active=TRUE|Dir=In|Protocol=6|LPort=5985|", "unknown"),
        (WINRM.replace("Dir=In", "Dir=out"), "blocked"),
        (WINRM.replace("Allow", "ByPass") + "Security=Authenticate|RMAuth=O:LSD:|", "partial"),
        (WINRM[:-3], "unknown"),  # cut off
        ("v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|PFN=|", "partial"),
    ],
)  # fmt: skip
def test_a_rule_alone(rule: str, status: str) -> None:
    assert judged(rule) == status


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (BLOCK, "blocked"),
        (f"{BLOCK}Protocol=6|", "blocked"),
        (f"{BLOCK}Protocol=17|", "open"),
        (f"{BLOCK}Protocol=6|App=C:\\x.exe|", "open"),
        (f"{BLOCK}Protocol=6|Svc=*|", "open"),
        (f"{BLOCK}Protocol=6|App=System|RA4=198.51.100.0/24|", "blocked"),
        (f"{BLOCK}Protocol=6|RA4=203.0.113.0/24|", "open"),
        (f"{BLOCK}Protocol=6|RA42=IntErnet|RA62=IntErnet|", "partial"),
        (f"{BLOCK}RA4=DHCP|", "unknown"),
        (f"{BLOCK}IFType=RemoteAccess|", "partial"),
        (f"{BLOCK}LOM=TRUE|RA4=203.0.113.1|", "open"),  # of a block rule the other end counts
        (BLOCK.replace("TRUE", "FALSE"), "open"),
        (f"{BLOCK}Profile=Public|", "open"),
    ],
)
def test_a_block_beside_the_allow_rule(block: str, status: str) -> None:
    assert judged(WINRM, block) == status


@pytest.mark.parametrize(
    ("wire", "rule", "status"),
    [
        ("tcp/135", f"{ALLOW}Protocol=6|LPort=RPC|", "blocked"),
        ("tcp/135", f"{ALLOW}Protocol=6|LPort=rpc-epmap|{SVCHOST}|Svc=RPCSS|", "open"),
        ("tcp/135", f"{ALLOW}Protocol=6|LPort=135|{SVCHOST}|", "open"),
        ("tcp/135", f"{ALLOW}Protocol=6|LPort=135|{SVCHOST}|Svc=spooler|", "blocked"),
        ("rpc", f"{ALLOW}Protocol=6|{SVCHOST}|Svc=WinMgmt|", "open"),
        ("rpc", f"{ALLOW}Protocol=6|LPort=RPC|{SVCHOST}|Svc=*|", "open"),
        ("rpc", f"{ALLOW}Protocol=6|LPort=RPC-EPMap|{SVCHOST}|", "blocked"),
        ("tcp/445", f"{ALLOW}Protocol=6|AppPkgId=S-1-15-2-1|", "blocked"),
        ("tcp/445", f"{ALLOW}Protocol=6|{SVCHOST}|", "blocked"),
        ("udp/137", f"{ALLOW}Protocol=17|LPort=Teredo|", "blocked"),
        ("udp/161", f"{ALLOW}Protocol=17|LPort2_20=DHCP|", "blocked"),
        ("udp/5353", f"{ALLOW}Protocol=17|LPort2_24=mDNS|", "open"),
        ("icmp", f"{ALLOW}Protocol=1|", "open"),
        ("icmp", f"{ALLOW}Protocol=1|ICMP4=8:*|App=System|", "open"),
        ("icmp", f"{ALLOW}Protocol=1|ICMP4=3:4|ICMP4=8:0|", "open"),
        ("icmp", f"{ALLOW}Protocol=1|ICMP4=3:4|ICMP4=11:*|", "blocked"),
        ("icmp", f"{ALLOW}Protocol=1|ICMP4=8:1|", "blocked"),
        ("icmp", f"{ALLOW}Protocol=58|ICMP6=128:*|", "blocked"),
    ],
)
def test_other_ports_and_the_echo(wire: str, rule: str, status: str) -> None:
    assert judged(rule, wire=wire) == status


GPO_RULE = {"FirewallRules": {"a rule": WINRM}}
MERGE_OFF: dict[str, Any] = {"DomainProfile": {"AllowLocalPolicyMerge": 0}}


@pytest.mark.parametrize(
    ("gpo", "profile", "status"),
    [
        (MERGE_OFF, "domain", "blocked"),
        (MERGE_OFF, "private", "open"),
        ({**MERGE_OFF, **GPO_RULE}, "domain", "open"),
        ({"DomainProfile": {"DoNotAllowExceptions": 1}, **GPO_RULE}, "domain", "blocked"),
        ({"DomainProfile": {"DoNotAllowExceptions": 1, "EnableFirewall": 0}}, "domain", "open"),
        ({"StandardProfile": {"DoNotAllowExceptions": 1}}, "private", "blocked"),
        ({"StandardProfile": {"DoNotAllowExceptions": 1}}, "public", "blocked"),
        ({"StandardProfile": {"DoNotAllowExceptions": 1}}, "domain", "open"),
        ({"StandardProfile": {"DoNotAllowExceptions": 1}, r"PublicProfile\Logging": {"LogFileSize": 1}}, "private",
         "open"),
        ({"DomainProfile": {"DisabledInterfaces": "{00000000-0000-0000-0000-000000000009}"}, **MERGE_OFF}, "domain",
         "blocked"),
        ({"FirewallRules": {"{B}": f"{BLOCK}Protocol=6|"}}, "domain", "blocked"),
    ],
)  # fmt: skip
def test_a_group_policy_over_the_local_rule(gpo: Any, profile: str, status: str) -> None:
    assert judged(WINRM, gpo=gpo, profile=profile) == status


def test_local_settings_and_device_management() -> None:
    def root(name: str, values: dict[str, str | int]) -> Any:
        return ok(printed({rf"{LOCAL}\{name}": values}))

    local = {"AllowLocalPolicyMerge": 0, "EnableFirewall": 1}
    assert judged(WINRM, local_domain=root("DomainProfile", local)) == "open"  # only a policy makes local rules void
    shields: Any = {"local_domain": root("DomainProfile", {"DoNotAllowExceptions": 1})}
    assert judged(WINRM, **shields) == "blocked"
    assert judged(WINRM, gpo={"DomainProfile": {"DoNotAllowExceptions": 0}}, **shields) == "blocked"  # on wins
    off = root("DomainProfile", {"EnableFirewall": 0})
    assert judged(local_domain=off) == "open"
    assert judged(local_domain=off, gpo={"DomainProfile": {"EnableFirewall": 1}}) == "blocked"
    assert judged(local_domain=None) == "blocked"  # without the key of the profile the defaults count
    assert judged(mdm=root(r"Mdm\DomainProfile", {"EnableFirewall": 0})) == "open"
    for name in ("StandardProfile", "PrivateProfile"):
        assert judged(mdm=root(rf"Mdm\{name}", {"EnableFirewall": 0}), profile="private") == "open"
        assert judged(mdm=root(rf"Mdm\{name}", {"EnableFirewall": 0}), profile="public") == "blocked"
    disabled = root("DomainProfile", {"DisabledInterfaces": "{00000000-0000-0000-0000-000000000009}"})
    assert judged(local_domain=disabled) == "unknown"


@pytest.mark.parametrize(
    ("path", "wire", "status"),
    [
        (r"%SystemRoot%\system32\svchost.exe", "tcp/135", "unknown"),
        (r"C:\Windows\System32\svchost.exe", "tcp/135", "unknown"),
        (r"C:\Program Files\x.exe", "tcp/135", "blocked"),
        (r"%SystemRoot%\system32\svchost.exe", "tcp/445", "blocked"),
        (r"C:\Program Files\x.exe", "tcp/10050", "unknown"),  # nobody knows who listens there
    ],
)
def test_programs_of_an_old_policy_are_not_evaluated(path: str, wire: str, status: str) -> None:
    def policy(mode: str) -> Any:
        return {r"DomainProfile\AuthorizedApplications\List": {path: f"{path}:*:{mode}:x"}}

    assert judged(wire=wire, gpo=policy("Enabled")) == status
    assert judged(wire=wire, gpo=policy("Disabled")) == "blocked"


def test_a_policy_that_switches_remote_management_off() -> None:
    policy = ok(printed({r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WinRM\Service": {"AllowAutoConfig": 0}}))
    assert is_set_up(snapshot(winrm_policy=policy, netstat=ok("x"))) is False
    assert is_set_up(snapshot(winrm_policy=policy)) is None  # something is bound to the port all the same
