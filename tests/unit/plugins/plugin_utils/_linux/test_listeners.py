# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Listeners, from ss and from the kernel's tables."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.listeners import (
    Listener,
    parse_proc_net,
    parse_ss,
)
from hypothesis import given
from hypothesis import strategies as st

SS = """\
udp UNCONN 0      0      0.0.0.0:161 0.0.0.0:* users:(("snmpd",pid=60,fd=6))
udp UNCONN 0      0         [::]:161    [::]:*
tcp LISTEN 0      128          *:22        *:* users:(("sshd",pid=61,fd=3),("systemd",pid=1,fd=5))
tcp LISTEN 0      128    192.0.2.5%eth0:8080 0.0.0.0:*
tcp LISTEN 0      128    [fe80::1%eth0]:8081 [::]:*
tcp LISTEN 0      128    [::1]:25 [::]:*
garbage
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 050200C0:0016 0A0200C0:C001 01 00000000:00000000 00:00000000 00000000     0        0 3 1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: B80D0120000000000000000005000000:0016 00000000000000000000000000000000:0000 0A
"""


@pytest.mark.parametrize(
    ("protocol", "destination", "port", "accepts"),
    [
        ("tcp", "192.0.2.5", 22, True),
        ("tcp", "2001:db8::5", 22, True),
        ("udp", "192.0.2.5", 161, True),
        ("udp", "192.0.2.5", 22, False),
        ("tcp", "192.0.2.5", 8080, True),
        ("tcp", "192.0.2.6", 8080, False),
        ("tcp", "fe80::1", 8081, True),
        ("tcp", "192.0.2.5", 25, False),
    ],
)
def test_ss(protocol: str, destination: str, port: int, accepts: bool) -> None:
    assert any(item.accepts(protocol, ip_address(destination), port) for item in parse_ss(SS)) is accepts


def test_programs_are_named() -> None:
    assert [str(item) for item in parse_ss(SS)][:3] == [
        "snmpd on every address, udp/161",
        "a program on every address, udp/161",
        "sshd on every address, tcp/22",
    ]


def test_kernel_tables_hold_only_listeners() -> None:
    assert parse_proc_net("tcp", TCP) == (
        Listener("tcp", ip_address("127.0.0.1"), 53, frozenset({4})),
        Listener("tcp", None, 22, frozenset({4})),
    )
    assert parse_proc_net("tcp6", TCP6) == (Listener("tcp", ip_address("2001:db8::5"), 22, frozenset({6})),)


@given(st.text())
def test_garbage_is_no_listener_and_no_exception(text: str) -> None:
    assert isinstance(parse_ss(text), tuple)
    assert isinstance(parse_proc_net("udp6", f"heading\n{text}"), tuple)
