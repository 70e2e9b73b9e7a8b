# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Rule strings: what their keys mean, in any case and order, and what is not understood never widens a rule."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.portset import PortSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.listeners import normal_path
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.rule import (
    ANY_TRAFFIC,
    UNKNOWN_LISTENER,
    Hint,
    Rule,
    hint_of,
    is_idle,
    parse_rule,
    print_rule,
    program_key,
    service_key,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import ALL_PROFILES, Profile
from hypothesis import given
from hypothesis import strategies as st

WINRM = (
    "v2.28|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|LPort=5985|RA4=LocalSubnet|RA6=LocalSubnet|"
    "App=System|Name=@FirewallAPI.dll,-30253|Desc=@FirewallAPI.dll,-30256|EmbedCtxt=@FirewallAPI.dll,-30267|"
)
KEYS = st.sampled_from(
    ["Action", "Active", "Dir", "Profile", "Protocol", "LPort", "LPort2_10", "RA4", "RA62", "App", "Svc", "IF", "Name"]
)


def rule(pairs: str) -> Rule:
    return parse_rule("{1}", f"v2.31|Action=Allow|Active=TRUE|Dir=In|{pairs}")


def test_a_rule_as_windows_writes_it() -> None:
    found = parse_rule("WINRM-HTTP-In-TCP", WINRM)
    assert (found.action, found.active, found.direction, found.protocol) == ("allow", True, "in", 6)
    assert found.profiles == frozenset({Profile.PUBLIC})
    assert found.local_ports is not None
    assert 5985 in found.local_ports.numbers
    assert found.remote is not None
    assert found.remote.of(4).words == found.remote.of(6).words == {"localsubnet"}
    assert (found.app, found.name, found.limits, found.special, found.unclear) == ("System", "", (), (), ())


def test_case_and_order_do_not_matter() -> None:
    twisted = "V2.0|LPORT=5985|dir=in|ACTIVE=true|rport=1-65535|Protocol=6|action=aLLow|"
    plain = "v2.0|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|RPort=1-65535|"
    first, second = (parse_rule("x", text) for text in (twisted, plain))
    for name in ("action", "active", "direction", "protocol", "local_ports", "remote_ports", "unclear"):
        assert getattr(first, name) == getattr(second, name), name


def test_what_is_absent() -> None:
    found = parse_rule("x", "v2.10|Action=Allow|Dir=In|")
    assert (found.active, found.protocol, found.local_ports, found.remote) == (False, None, None, None)
    assert found.profiles == ALL_PROFILES
    assert not found.is_candidate


@pytest.mark.parametrize(
    "pair",
    ["Hologram=7", "LUAuth=O:LSD:", "LUAuth2_24=Tzo=", "LUOwn=S-1-5-18", "IFType=Wireless", "Security=Authenticate",
     "Security2_9=An-NoEncap", "RMauth=O:LSD:", "RUAuth=O:LSD:", "NNm=Corp", "SecurityRealmId=1", "LPort3_40=7"],
)  # fmt: skip
def test_limits(pair: str) -> None:
    assert [limit.lower() for limit in rule(f"{pair}|").limits] == [pair.lower()]


@pytest.mark.parametrize("pair", ["AppPkgId=S-1-15-2-1", "PFN=a_b", "TTK=Proximity", "TTK2_27=UPnP", "TTK2_28=WFDCDP"])
def test_containers_and_trust_tuples(pair: str) -> None:
    found = rule(f"{pair}|")
    assert (len(found.special), found.limits) == (1, ())


@pytest.mark.parametrize("pair", ["Edge=TRUE", "Defer=App", "LSM=TRUE", "LOM=TRUE", "PCross=TRUE", "Name=a=b"])
def test_keys_that_narrow_nothing(pair: str) -> None:
    found = rule(f"{pair}|")
    assert (found.limits, found.special, found.unclear) == ((), (), ())


@pytest.mark.parametrize(
    ("pair", "field"),
    [("Protocol=tcp", "protocol"), ("LPort=70000", "local_ports"), ("LPort=9-1", "local_ports"),
     ("RA4=10.0.0.0/0.0.0.255", "remote"), ("RA4=2001:db8::1", "remote"), ("RA6=10.0.0.1", "remote"),
     ("LA4=10.0.0.1-9.0.0.1", "local"), ("ICMP4=echo", "icmp4")],
)  # fmt: skip
def test_what_cannot_be_read_is_told_and_left_wide(pair: str, field: str) -> None:
    wire = "" if pair.startswith("Protocol") else "Protocol=6|"
    found = rule(f"{wire}{'' if pair.startswith('LPort') else 'LPort=80|'}{pair}|")
    assert len(found.unclear) == 1
    assert getattr(found, field) is None


@pytest.mark.parametrize("pair", ["Action=Block", "Active=FALSE", "Dir=Out", "Protocol=6|Protocol=17"])
def test_contradictions_are_unclear(pair: str) -> None:
    assert rule(f"{pair}|").unclear


def test_addresses() -> None:
    found = rule("RA4=10.0.0.0/255.255.255.0|RA4=192.0.2.1-192.0.2.9|RA4=DNS|RA42=IntErnet|RA6=2001:db8::/32|").remote
    assert found is not None
    assert found.of(4).addresses == AddressSet.parse(["10.0.0.0/24", "192.0.2.1-192.0.2.9"])
    assert found.of(4).words == {"dns", "internet"}
    assert found.of(6).addresses == AddressSet.parse("2001:db8::/32")


def test_ports() -> None:
    found = rule("LPort=1-23553,23557-65535|LPort2_10=7777-7778|LPort=RPC-EPMap|LPort2_24=mDNS|").local_ports
    assert found is not None
    assert str(found.numbers) == "1-23553,23557-65535"
    assert found.words == {"rpc-epmap"}


def test_a_string_that_is_cut_off() -> None:
    whole = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|"
    for length in range(len(whole)):
        found = parse_rule("x", whole[:length])
        if whole[:length].endswith("|"):
            continue  # nobody can tell that more followed
        assert found.unclear, whole[:length]
        assert found.is_candidate, whole[:length]
    assert parse_rule("x", whole[:-2]).local_ports is None  # 598 may have been the beginning of 5985


def test_names() -> None:
    assert rule("Name=Web (80) = all|").name == "Web (80) = all"
    assert rule("Name=@{Microsoft.Todos_1.2?ms-resource://x}|").name == ""


IDLE = st.sampled_from(
    ["Active=FALSE", "active=false", "Active=TRUE", "Dir=Out", "dir=OUT", "Dir=In", " Dir=In", "Name=Active Directory",
     "AppPkgId=S-1-15-2-1", "LPort=80", "ICMP4=8:*", "App=C:\\dir\\x.exe", "Active =TRUE", "Action=Allow", "x"]
)  # fmt: skip


@given(st.lists(IDLE, max_size=8), st.booleans())
def test_what_is_idle_at_first_sight_says_nothing(pairs: list[str], closed: bool) -> None:
    text = "|".join(["v2.31", *pairs]) + "|" * closed
    found = parse_rule("x", text)
    if is_idle(text):
        of_an_app = bool(found.special) and found.local_ports is None and found.icmp4 is None
        assert of_an_app or not found.is_candidate
    if closed and pairs == ["Action=Allow", "Active=FALSE"]:
        assert is_idle(text)


def test_idle_rules() -> None:
    assert is_idle(WINRM.replace("TRUE", "FALSE"))
    assert is_idle(WINRM.replace("Dir=In", "Dir=Out"))
    assert is_idle("v2.31|Action=Allow|Active=TRUE|Dir=In|AppPkgId=S-1-15-2-1|")
    assert not is_idle(WINRM)
    assert not is_idle(WINRM.replace("TRUE", "FALSE")[:-1])  # cut off


HINTS = st.sampled_from(
    ["Protocol=6", "protocol=17", "Protocol=006", "Protocol=256", "Protocol=6 ", "LPort=80", "LPORT=135", "LPort=080",
     "LPort=70000", "LPort=RPC", "LPort=1,2", "LPort2_10=80-90", " LPort=22", "App=System", "App=C:\\Windows\\x.exe",
     " app =y.exe", "App2_10=z.exe", "App=", "AppPkgId=S-1-15-2-1", "Svc=winmgmt", "Svc=*", "ICMP4=8:*", "LOM=TRUE",
     "x", "Name=Protocol of LPort=5|", "Name=App=1", "RA4=192.0.2.1", "Svc=RpcSs", " svc =y", "TTK2_27=z", "PFN=x",
     " pfn= x", "Protocol=58", "Protocol=1"]
)  # fmt: skip


@given(st.lists(HINTS, max_size=6), st.booleans())
def test_a_hint_tells_what_a_closer_look_finds(pairs: list[str], closed: bool) -> None:
    text = "|".join(["v2.31", "Action=Allow", "Active=TRUE", "Dir=In", *pairs]) + "|" * closed
    found, hint = parse_rule("x", text), hint_of(text)
    assert hint.protocol in (None, found.protocol)
    numbers = [key for key in hint.keys if isinstance(key, int)]
    listener = service_key(found.service.lower()) if found.service else program_key(normal_path(found.app))
    named = found.local_ports is not None or found.icmp4 is not None
    if numbers:
        assert found.local_ports is not None
        assert found.local_ports.words == frozenset()
        assert str(found.local_ports.numbers) == str(PortSet.parse([str(port) for port in sorted(numbers)]))
        assert [*hint.keys] == numbers
    elif not hint.keys:
        assert (bool(found.special) and not named) or found.protocol not in (1, 6, 17, None)
    elif hint.keys != (ANY_TRAFFIC,):
        assert hint.keys in ((listener,), (listener, UNKNOWN_LISTENER))
        assert UNKNOWN_LISTENER in hint.keys or not named
        assert not named or not found.special
    assert text.endswith("|") or hint == Hint()


def test_hints() -> None:
    assert hint_of("v2.31|Protocol=6|LPort=80|LPort=443|App=x|") == Hint(6, (80, 443))
    assert hint_of(r"v2.31|Protocol=17|App=C:\Windows\x.exe|AppPkgId=1|") == Hint(17, ())
    assert hint_of("v2.31|Protocol=6|LPort=RPC|App=x|TTK2_27=y|") == Hint(6)
    assert hint_of("v2.31|Protocol=58|ICMP6=128:0|App=System|") == Hint(58, ())
    assert hint_of(r"v2.31|Protocol=17|App=C:\Windows\X.exe|") == Hint(17, (r"app=%systemroot%\x.exe",))
    assert hint_of(r"v2.31|Protocol=6|App=%SystemRoot%\system32\svchost.exe|Svc=RpcSs|") == Hint(6, ("svc=rpcss",))
    assert hint_of("v2.31|Protocol=6|LPort=RPC|Svc=RpcSs|") == Hint(6, ("svc=rpcss", UNKNOWN_LISTENER))
    assert hint_of("v2.31|App=x|App=|") == hint_of("v2.31|App=|") == hint_of("v2.31|App=x|Svc=*|") == Hint()
    assert hint_of("v2.31|LPort=80|LPort2_10=5-6|") == hint_of("v2.31|Protocol=6|App=x") == Hint()


@given(st.text(max_size=300))
def test_any_text_is_printed_as_it_was(text: str) -> None:
    found = parse_rule("x", text)
    assert print_rule(found) == text.strip()
    assert found.unclear or found.action


@given(st.lists(st.tuples(KEYS, st.text(alphabet="abcRPC0159.:-/*,TRUEinallow", max_size=12)), max_size=8))
def test_any_pairs_are_understood_or_told(pairs: list[tuple[str, str]]) -> None:
    text = "|".join(["v2.31", *(f"{key}={value}" for key, value in pairs)]) + "|"
    found = parse_rule("x", text)
    assert print_rule(found) == text
    assert bool(found.action) or any(word.startswith("action") for word in found.unclear)
    assert found.protocol is None or 0 <= found.protocol < 256
