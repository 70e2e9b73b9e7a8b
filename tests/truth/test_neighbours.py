# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""IPv6 on a link whose rules drop the neighbours' search, against the packet: two namespaces without a pinned entry."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.network import (
    parse_interfaces,
    parse_routes,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset

from tests.unit.plugins.plugin_utils._linux.hosts import request, snapshot

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
]
HOST, CLIENT = "2001:db8:7::1", "2001:db8:7::2"
CHAIN = "table inet filter {{ chain input {{ type filter hook input priority 0; policy {policy}\n{rules}\n}}\n}}\n"
CASES = {
    "none": ("", "open"),
    "dropped": (CHAIN.format(policy="drop;", rules="icmpv6 type echo-request accept"), "blocked"),
    "accepted": (
        CHAIN.format(
            policy="drop;",
            rules="icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\nicmpv6 type echo-request accept",
        ),
        "open",
    ),
    "with hop limit": (
        CHAIN.format(
            policy="drop;",
            rules="icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n"
            "icmpv6 type echo-request accept",
        ),
        "open",
    ),
    "from link-local only": (
        CHAIN.format(
            policy="drop;",
            rules="ip6 saddr { fe80::/10, 2001:db8:7::/64 } icmpv6 type 133-136 accept\n"
            "icmpv6 type echo-request accept",
        ),
        "open",
    ),
    "dropped by name": (CHAIN.format(policy="accept;", rules="icmpv6 type nd-neighbor-solicit drop"), "blocked"),
    "untracked": (
        CHAIN.format(policy="drop;", rules="ct state untracked accept\nicmpv6 type echo-request accept"),
        "open",
    ),
}


class Link:
    """A host and a client on one wire."""

    def __init__(self) -> None:
        self.names = {role: f"ap-nd-{os.getpid()}-{role}" for role in ("host", "client")}

    def run(self, role: str, *argv: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["ip", "netns", "exec", self.names[role], *argv]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=check)

    def build(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True, timeout=20)
        ends = ["veth", "peer", "name", "wire0", "netns", self.names["client"]]
        self.run("host", "ip", "link", "add", "wire0", "type", *ends)
        for role, address in (("host", HOST), ("client", CLIENT)):
            self.run(role, "ip", "address", "add", f"{address}/64", "dev", "wire0", "nodad")
            self.run(role, "ip", "link", "set", "wire0", "up")

    def finds_the_host(self) -> bool:
        """Whether the client learns the host's link address when it has a datagram for it."""
        send = f"import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('{HOST}', 9))"
        self.run("client", sys.executable, "-c", send)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            if "lladdr" in self.run("client", "ip", "-6", "neighbour", "show", HOST).stdout:
                return True
            time.sleep(0.05)
        return False

    def remove(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, timeout=20)


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    made = Link()
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_knows_whether_the_host_can_be_found(link: Link, case: str) -> None:
    rules, expected = CASES[case]
    link.run("host", "nft", "-f", "-", text="flush ruleset\n" + rules)
    for role in ("host", "client"):
        link.run(role, "ip", "neighbour", "flush", "all")
    answered = link.finds_the_host()
    assert answered is (expected == "open")

    view = HostView(
        parse_interfaces(link.run("host", "ip", "-j", "-d", "address").stdout),
        parse_routes(link.run("host", "ip", "-j", "-6", "route").stdout, 6),
    )
    listed = link.run("host", "nft", "-j", "list", "ruleset").stdout
    host = replace(snapshot('{"nftables": []}'), ruleset=read_ruleset(nft=listed, xtables=[], ipset=None), view=view)
    asked = request(sources=[CLIENT], destinations=(ip_address(HOST),))
    verdict = evaluate(host, asked)[0]
    neighbours_are_found = "neighbour" not in verdict.reason
    assert neighbours_are_found is answered
