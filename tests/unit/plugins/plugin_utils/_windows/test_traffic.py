# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Rules are found by what they say at first sight, and none that speaks about the traffic is missed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.portset import PortSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.listeners import (
    ICMP,
    RPCSS,
    TCP,
    WMI,
    Program,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.rule import Hint
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.traffic import Traffic, claims_on
from hypothesis import given
from hypothesis import strategies as st

from .machine import snapshot

PAIRS = st.sampled_from(
    ["Protocol=6", "Protocol=1", "Protocol=58", "LPort=135", "LPort=49152", "LPort=65535", "LPort=RPC",
     "LPort=RPC-EPMap", "LPort=1-200", r"App=%SystemRoot%\system32\svchost.exe", "App=System", "App=C:\\x.exe",
     "Svc=rpcss", "Svc=winmgmt", "Svc=*", "ICMP4=8:*", "TTK2_27=x"]
)  # fmt: skip
RULES = st.lists(st.lists(PAIRS, max_size=4), min_size=1, max_size=8)
TRAFFIC = (
    Traffic(TCP, PortSet.of(135), RPCSS, port=135),
    Traffic(TCP, PortSet.of(135), None, port=135),
    Traffic(TCP, PortSet.of(135), Program("", frozenset({"rpcss"})), port=135),
    Traffic(TCP, PortSet.parse("49152-65535"), WMI, by_rpc=True),
    Traffic(ICMP, PortSet(), Program("system")),
)


@pytest.mark.parametrize("traffic", TRAFFIC)
@given(rules=RULES)
def test_what_is_found_by_hints_is_all_there_is(traffic: Traffic, rules: list[list[str]]) -> None:
    texts = {
        f"{number}": "|".join(["v2.31|Action=Allow|Active=TRUE|Dir=In", *pairs, ""])
        for number, pairs in enumerate(rules)
    }
    policy = snapshot(texts).policy
    blind = replace(policy, rules=tuple(replace(item, hint=Hint()) for item in policy.rules))
    found, every = ([(claim.item.rule, claim.limits) for claim in claims_on(one, traffic)] for one in (policy, blind))
    assert found == every
    assert [rule.id for rule, _limits in found] == sorted(rule.id for rule, _limits in found)
