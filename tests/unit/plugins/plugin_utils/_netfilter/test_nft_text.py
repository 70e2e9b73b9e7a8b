# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Rules written for people."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.nft_text import RuleText

from .small_rules import ACCEPT, CT_STATE, DPORT, LIMIT, MARK, SADDR, jump, match, prefix


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([match(DPORT, 22), {"counter": {"packets": 3, "bytes": 9}}, ACCEPT], "tcp dport 22 counter accept"),
        ([match(CT_STATE, ["established", "related"], "in"), ACCEPT], "ct state established,related accept"),
        ([match(SADDR, {"set": ["192.0.2.1", prefix("10.0.0.0/8")]}, "!=")], "ip saddr != { 192.0.2.1, 10.0.0.0/8 }"),
        ([match({"meta": {"key": "iifname"}}, "eth*"), jump("lan")], 'iifname "eth*" jump lan'),
        ([match({"&": [MARK, 255]}, 1)], "meta mark & 255 1"),
        ([LIMIT, {"log": {"prefix": "seen "}}], 'limit rate 5/second burst 5 packets log prefix "seen "'),
        ([{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}], "reject with icmpx admin-prohibited"),
        ([{"dnat": {"family": "ip6", "addr": "2001:db8::1", "port": 80}}], "dnat ip6 to [2001:db8::1]:80"),
        ([{"redirect": {"port": 80}}], "redirect to :80"),
        ([{"vmap": {"key": DPORT, "data": {"set": [[22, ACCEPT], [23, jump("x")]]}}}],
         "tcp dport vmap { 22 : accept, 23 : jump x }"),
        ([{"mangle": {"key": MARK, "value": {"|": [MARK, 16]}}}], "meta mark set meta mark | 16"),
        ([match({"concat": [SADDR, DPORT]}, "@pairs")], "ip saddr . tcp dport @pairs"),
        ([match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False)], "fib saddr . iif oif missing"),
        ([match(DPORT, {"set": list(range(100))})], "tcp dport { 0, 1, 2, 3, 4, 5, 6, 7, and 92 more }"),
        ([{"set": {"op": "add", "elem": SADDR, "set": "@seen"}}], "add @seen { ip saddr }"),
        ([{"masquerade": None}, {"notrack": None}], "masquerade notrack"),
        ([{"match": {"op": "=="}}, {"invented": 3}, "noise"], "match invented noise"),
    ],
)  # fmt: skip
def test_rules_read_as_nft_writes_them(items: list[Any], text: str) -> None:
    """The notation of nft(8); what is not known is written as its name."""
    assert str(RuleText(items)) == text
