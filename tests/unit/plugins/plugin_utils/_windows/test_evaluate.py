# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Verdicts of whole hosts: settings, stores, profiles, services, and the requirements that are no single port."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import evaluate, is_set_up
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import FIREWALL_POLICY, POLICIES

from .machine import LOCAL, RUNNING, WINRM_RULE, ok, printed, request, snapshot

HEAD = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6"
SMB = f"{HEAD}|LPort=445|App=System|"
NETBIOS = f"{HEAD}|LPort=139|App=System|"
MAPPER = f"{HEAD}|LPort=135|App=%SystemRoot%\\system32\\svchost.exe|Svc=rpcss|"
WMI = f"{HEAD}|App=%SystemRoot%\\system32\\svchost.exe|Svc=winmgmt|"
OPEN, BLOCKED, PARTIAL, UNKNOWN = (
    VerdictStatus.OPEN,
    VerdictStatus.BLOCKED,
    VerdictStatus.PARTIAL,
    VerdictStatus.UNKNOWN,
)


def judged(rules: dict[str, str] | None = None, name: str = "windows.winrm", **options: Any) -> Verdict:
    asked = {key: options.pop(key) for key in ("source", "undetermined") if key in options}
    return evaluate(snapshot(rules, **options), request(name, **asked))[0]


def kinds(verdict: Verdict) -> list[tuple[str, str]]:
    return [(rule.kind, rule.id.rpartition("\\")[2]) for path in verdict.paths for rule in path.decided_by]


def test_a_local_rule() -> None:
    found = judged({"{1}": WINRM_RULE})
    assert (found.status, found.persistent, found.listening) == (OPEN, True, True)
    assert kinds(found) == [("local_rule", "{1}")]
    assert 'rule {1} "winrm"' in found.reason


def test_nothing_lets_it_in() -> None:
    found = judged()
    assert (found.status, kinds(found)) == (BLOCKED, [("default_action", "DefaultInboundAction")])


@pytest.mark.parametrize(
    ("gpo", "status", "decided"),
    [
        ({"DomainProfile": {"EnableFirewall": 0}}, OPEN, ("group_policy", "EnableFirewall")),
        ({"DomainProfile": {"DoNotAllowExceptions": 1}}, BLOCKED, ("group_policy", "DoNotAllowExceptions")),
        ({"DomainProfile": {"DefaultInboundAction": 0}}, OPEN, ("default_action", "DefaultInboundAction")),
        ({"DomainProfile": {"AllowLocalPolicyMerge": 1}}, BLOCKED, ("default_action", "DefaultInboundAction")),
        ({"PublicProfile": {"EnableFirewall": 0}}, BLOCKED, ("default_action", "DefaultInboundAction")),
    ],
)
def test_settings_of_a_group_policy(gpo: Any, status: VerdictStatus, decided: tuple[str, str]) -> None:
    found = judged(gpo=gpo)
    assert (found.status, kinds(found)) == (status, [decided])


def test_local_rules_that_a_group_policy_makes_void() -> None:
    found = judged({"{1}": WINRM_RULE}, gpo={"DomainProfile": {"AllowLocalPolicyMerge": 0}})
    assert found.status is BLOCKED
    assert ("group_policy", "AllowLocalPolicyMerge") in kinds(found)
    assert "{1}" in found.reason


def test_rules_of_a_group_policy_are_added() -> None:
    rules = {"FirewallRules": {"{G}": WINRM_RULE}, "DomainProfile": {"AllowLocalPolicyMerge": 0}}
    assert kinds(judged({}, gpo=rules)) == [("group_policy", "{G}")]
    block = {"FirewallRules": {"{B}": WINRM_RULE.replace("Allow", "Block")}}
    found = judged({"{1}": WINRM_RULE}, gpo=block)
    assert (found.status, kinds(found)) == (BLOCKED, [("group_policy", "{B}")])


def test_the_store_of_a_device_management() -> None:
    mdm = ok(printed({rf"{LOCAL}\Mdm\FirewallRules": {"{M}": WINRM_RULE}}))
    assert kinds(judged({}, mdm=mdm)) == [("mdm_policy", "{M}")]


@pytest.mark.parametrize(("active", "status"), [((1,), BLOCKED), ((2,), BLOCKED), ((0,), OPEN)])
def test_the_legacy_profile_stands_for_two(active: tuple[int, ...], status: VerdictStatus) -> None:
    rules = {"{1}": WINRM_RULE}
    gpo: Any = {"StandardProfile": {"DoNotAllowExceptions": 1}}
    assert judged(rules, gpo=gpo, active=active).status is status
    gpo["PublicProfile"] = {"EnableFirewall": 1}
    assert judged(rules, gpo=gpo, active=active).status is OPEN


def test_all_active_profiles_have_to_let_in() -> None:
    domain = WINRM_RULE.replace("LPort", "Profile=Domain|LPort")
    assert judged({"{1}": domain}, active=(0,)).status is OPEN
    found = judged({"{1}": domain}, active=(0, 2))
    assert found.status is PARTIAL
    assert "open in the domain profile" in found.reason
    assert "blocked in the public profile" in found.reason
    unknown = judged({"{1}": domain}, currentprofile=None)
    assert unknown.status is PARTIAL
    assert "which profile is active is not known" in unknown.reason
    assert judged({"{1}": WINRM_RULE}, currentprofile=None).status is OPEN


@pytest.mark.parametrize("name", ["MpsSvc", "BFE"])
def test_a_firewall_that_does_not_run_is_unknown(name: str) -> None:
    running = {key: pid for key, pid in RUNNING.items() if key != name}
    found = judged({"{1}": WINRM_RULE}, running=running, stopped=[name])
    assert (found.status, kinds(found)) == (UNKNOWN, [("service", name)])
    assert judged({"{1}": WINRM_RULE}, running=running).status is UNKNOWN


def test_another_firewall_in_charge_is_unknown_and_named() -> None:
    found = judged({"{1}": WINRM_RULE}, **{"global": ok("Categories:\nFirewallRuleCategory      Avast Antivirus\n")})
    assert found.status is UNKNOWN
    assert "Avast Antivirus" in found.reason


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("v2.31|Action=SecureServer|Active=TRUE|Name=isolation|", UNKNOWN),
        ("v2.31|Action=SecureServer|Active=FALSE|", OPEN),
        ("v2.31|Action=Boundary|Active=TRUE|", OPEN),
        ("v2.31|Action=SecureServer|Active=TRUE|Profile=Public|", OPEN),
        ("v2.31|Action=SecureServer|Active=TRUE|EP1_4=192.0.2.0/24|EP2_4=203.0.113.0/24|", OPEN),
        ("v2.31|Action=SecureServer|Active=TRUE|EP1_4=192.0.2.0/24|EP2_4=198.51.100.0/24|", UNKNOWN),
        ("garbage", OPEN),
    ],
)
def test_connection_security_rules(rule: str, status: VerdictStatus) -> None:
    rules = ok(printed({rf"{LOCAL}\ConSecRules": {"{C}": rule}}))
    found = judged({"{1}": WINRM_RULE}, local_consec=rules)
    assert found.status is status
    assert ("{C}" in found.reason) == (status is UNKNOWN)
    assert judged({}, local_consec=rules).status is BLOCKED


def test_an_ipsec_policy_that_is_assigned() -> None:
    ipsec = ok(printed({rf"{POLICIES}\Windows\IPSec\Policy\Local": {"ActivePolicy": "SOFTWARE\\x\\ipsecPolicy{1}"}}))
    found = judged({"{1}": WINRM_RULE}, ipsec=ipsec)
    assert found.status is UNKNOWN
    assert "ActivePolicy" in found.reason


def test_legacy_exceptions_are_not_evaluated() -> None:
    gpo = {r"DomainProfile\GloballyOpenPorts\List": {"5985:TCP": "5985:TCP:*:Enabled:x"}}
    found = judged({}, gpo=gpo)
    assert found.status is UNKNOWN
    assert "legacy" in found.reason
    assert judged({}, "windows.smb", gpo=gpo).status is BLOCKED
    assert judged({"{1}": WINRM_RULE}, gpo=gpo).status is OPEN


@pytest.mark.parametrize(
    ("gpo", "name", "source", "status"),
    [
        ({r"Services\FileAndPrint": {"Enabled": 1}}, "windows.smb", "198.51.100.10", UNKNOWN),
        ({r"Services\FileAndPrint": {"Enabled": 1, "RemoteAddresses": "10.0.0.1"}}, "windows.smb", "10.0.0.1", UNKNOWN),
        (
            {r"Services\FileAndPrint": {"Enabled": 1, "RemoteAddresses": "10.0.0.0/8"}},
            *("windows.smb", "198.51.100.10", BLOCKED),
        ),
        ({r"GloballyOpenPorts\List": {"a": "5985:TCP:10.0.0.1,x y:enabled:a"}}, "windows.winrm", "10.0.0.9", UNKNOWN),
        ({r"GloballyOpenPorts\List": {"a": "5985:TCP:10.0.0.1:enabled:a"}}, "windows.winrm", "10.0.0.9", BLOCKED),
        # Group Policy writes the whole text of an exception as its name, too.
        (
            {r"AuthorizedApplications\List": {"System:*:enabled:a": "System:*:enabled:a"}},
            *("windows.winrm", "198.51.100.10", UNKNOWN),
        ),
        (
            {r"AuthorizedApplications\List": {"System:*:disabled:a": "System:*:disabled:a"}},
            *("windows.winrm", "198.51.100.10", BLOCKED),
        ),
        (
            {r"AuthorizedApplications\List": {r"C:\x.exe:*:enabled:a": r"C:\x.exe:*:enabled:a"}},
            *("windows.winrm", "198.51.100.10", BLOCKED),
        ),
    ],
)
def test_the_scope_of_a_legacy_exception(gpo: Any, name: str, source: str, status: VerdictStatus) -> None:
    policy = {rf"DomainProfile\{key}": values for key, values in gpo.items()}
    assert judged({}, name, gpo=policy, source=source).status is status


@pytest.mark.parametrize(
    ("key", "rule", "status"),
    [
        ("GloballyOpenPorts", f"{HEAD}|LPort=5985|", UNKNOWN),
        ("AuthorizedApplications", f"{HEAD}|LPort=5985|", OPEN),
        ("AuthorizedApplications", WINRM_RULE, UNKNOWN),
        ("GloballyOpenPorts", WINRM_RULE, OPEN),
        ("GloballyOpenPorts", f"{HEAD}|", OPEN),
    ],
)
def test_local_rules_that_a_setting_may_void(key: str, rule: str, status: VerdictStatus) -> None:
    gpo: Any = {rf"DomainProfile\{key}": {"AllowUserPrefMerge": 0}}
    found = judged({"{1}": rule}, gpo=gpo)
    assert found.status is status
    assert ("AllowUserPrefMerge = 0" in found.reason) == (status is UNKNOWN)
    assert judged({"{1}": rule}, gpo=gpo, active=(1,)).status is OPEN
    gpo["FirewallRules"] = {"{G}": rule}
    assert judged({}, gpo=gpo).status is OPEN
    block = rule.replace("Allow", "Block")
    assert judged({"{1}": block}, gpo={rf"DomainProfile\{key}": {"AllowUserPrefMerge": 0}}).status is BLOCKED


def test_named_pipes_need_smb_and_its_service() -> None:
    for rules in ({"{1}": SMB}, {"{1}": NETBIOS}):
        found = judged(rules, "windows.named_pipes")
        assert (found.status, found.listening, found.listener) == (OPEN, True, "the service LanmanServer")
        assert "RestrictNullSessAccess = 1" in found.reason
    assert judged({}, "windows.named_pipes").status is BLOCKED
    running = {key: pid for key, pid in RUNNING.items() if key != "LanmanServer"}
    stopped = judged({"{1}": SMB}, "windows.named_pipes", running=running, stopped=["LanmanServer"])
    assert (stopped.status, kinds(stopped)) == (BLOCKED, [("service_acl", "LanmanServer")])
    assert judged({"{1}": SMB}, "windows.named_pipes", running=running).status is UNKNOWN


@pytest.mark.parametrize(
    ("rules", "status"),
    [((MAPPER, WMI), OPEN), ((MAPPER,), BLOCKED), ((WMI,), BLOCKED), ((MAPPER, f"{HEAD}|LPort=RPC|"), OPEN),
     ((MAPPER, f"{HEAD}|LPort2_10=49152-65535|"), OPEN), ((MAPPER, f"{HEAD}|LPort2_10=50000-50500|"), PARTIAL),
     ((MAPPER, f"{HEAD}|LPort=RPC|Svc=spooler|"), BLOCKED), ((MAPPER, f"{HEAD}|LPort=RPC|Svc=*|"), OPEN)],
)  # fmt: skip
def test_rpc_needs_the_mapper_and_wmis_own_port(rules: tuple[str, ...], status: VerdictStatus) -> None:
    assert judged({f"{{{number}}}": text for number, text in enumerate(rules)}, "windows.rpc_dynamic").status is status


def test_a_domain_controller_is_told_by_its_product() -> None:
    lsass = f"{HEAD}|LPort=88|App=%systemroot%\\System32\\lsass.exe|"
    asked = {"windows.kerberos": "nobody said"}
    options: Any = {"name": "windows.kerberos", "undetermined": asked}
    assert judged({"{1}": lsass}, kind="LanmanNT", **options).status is OPEN
    assert judged({"{1}": lsass}, kind="ServerNT", **options).status is VerdictStatus.NOT_APPLICABLE
    assert judged({"{1}": lsass}, product=None, **options).status is UNKNOWN
    assert judged({"{1}": lsass}, "windows.kerberos", kind="WinNT").status is OPEN  # literal, or a group says so


def test_a_network_as_source_is_split() -> None:
    rule = WINRM_RULE.replace("LPort", "RA4=LocalSubnet|RA6=LocalSubnet|LPort")
    found = judged({"{1}": rule}, source="192.0.2.0/24")
    assert found.status is PARTIAL
    assert {path.source: path.status for path in found.paths} == {
        "192.0.2.0/26": OPEN,
        "192.0.2.64/26, 192.0.2.128/25": BLOCKED,
    }


@pytest.mark.parametrize(
    ("pairs", "status"),
    [("LPort=5985|Security=Authenticate", PARTIAL), ("LPort=5985|LUAuth=O:LSD:", PARTIAL),
     ("LPort=5985|Hologram=1", PARTIAL), ("App=System|TTK2_27=WFDKmDriver", BLOCKED), ("App=C:\\x.exe", BLOCKED),
     ("LPort=5985|AppPkgId=S-1-15-2-1", PARTIAL),
     ("LPort=5985|App=C:\\x.exe", BLOCKED), ("LPort=5985|Svc=*", BLOCKED), ("LPort=5985|Protocol=tcp", UNKNOWN),
     ("LPort=5985|RA4=IntErnet", PARTIAL), ("LPort=5985|RA4=DHCP", UNKNOWN)],
)  # fmt: skip
def test_rules_with_limits(pairs: str, status: VerdictStatus) -> None:
    found = judged({"{1}": f"{HEAD}|{pairs}|"})
    assert found.status is status
    assert ("{1}" in found.reason) == (status is not BLOCKED)


def test_a_bypass_lets_authenticated_traffic_in() -> None:
    bypass = WINRM_RULE.replace("Allow", "ByPass").replace("LPort", "Security=Authenticate|RMAuth=O:LSD:|LPort")
    assert judged({"{1}": bypass}).status is PARTIAL
    assert judged({"{1}": bypass, "{2}": WINRM_RULE.replace("Allow", "Block")}).status is PARTIAL
    assert judged({"{1}": bypass, "{2}": WINRM_RULE}).status is OPEN


def test_a_gap_in_the_settings_is_unknown() -> None:
    text = printed({rf"{FIREWALL_POLICY}\DomainProfile": {}}) + "    EnableFirewall    REG_DWORD    0xzz\r\n"
    found = judged({"{1}": WINRM_RULE}, local_domain=ok(text))
    assert found.status is UNKNOWN


def test_whether_a_host_is_set_up_for_remoting() -> None:
    assert is_set_up(snapshot()) is True
    running = {key: pid for key, pid in RUNNING.items() if key != "WinRM"}
    assert is_set_up(snapshot(running=running, stopped=["WinRM"])) is False
    assert is_set_up(snapshot(winrm_listeners=None, netstat=ok("x"))) is False
    listens = judged({"{1}": WINRM_RULE}, running=running, stopped=["WinRM"])
    assert (listens.status, listens.listening, listens.listener) == (OPEN, False, "the service WinRM does not run")


def test_500_rules_are_judged_for_the_whole_catalog_in_time() -> None:
    texts = (WINRM_RULE, SMB, NETBIOS, MAPPER, WMI, f"{HEAD}|RA4=192.0.2.0/28|LPort=139|", f"{HEAD}|App=C:\\x.exe|")
    found = snapshot({f"{{{number}}}": texts[number % len(texts)] for number in range(500)})
    asked = request(*(row.id for row in CATALOG))
    spent = []
    for _attempt in range(3):
        started = time.process_time()
        evaluate(replace(found), asked)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.15, f"{min(spent) * 1000:.0f} ms of processor"  # 0.05 s on a machine that is not shared
