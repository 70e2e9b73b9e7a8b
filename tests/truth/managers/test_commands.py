# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The scripts of the lookup `commands`, run as they are: closed before, open for the sources alone afterwards.

Those for firewalld and ufw need containers of their own and run in `make soak` alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.lookup.commands import _OPTIONS
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._commands.scripts import render
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet.inventory import Fleet

from tests.truth.field import SOURCES, Field, Probe

from .stage import MissingImageError, Stage, probes_of

AUDIT = (SOURCES[4][0], SOURCES[6][0])
STRANGERS = (SOURCES[4][1], SOURCES[6][1])
NFT = """
table inet filter {
    chain input {
        type filter hook input priority 0; policy accept;
        ct state established,related accept
        meta l4proto { tcp, udp } drop
        icmp type echo-request drop
    }
}
"""
XT = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -j REJECT\nCOMMIT\n"
SOAK = pytest.mark.skipif("AUDIT_PORTS_SOAK" not in os.environ, reason="runs in `make soak` alone")

pytestmark = [pytest.mark.timeout(150), pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]


def script(manager: str, systems: Sequence[str]) -> str:
    given: dict[str, Any] = {**dict.fromkeys(_OPTIONS), "profiles": ["private"], "zone": "public", "override": False}
    given |= {"manager": manager, "systems": list(systems), "sources": list(AUDIT)}
    return render("linux", given, Fleet({}, {}))


def met(observe: Callable[[Sequence[Probe]], dict[Probe, str]], panel: Sequence[str]) -> dict[str, set[str]]:
    """What the audit's packets meet, and those of strangers."""
    return {
        name: set(observe([probe for source in sources for probe in probes_of(source, panel)]).values())
        for name, sources in (("audit", AUDIT), ("strangers", STRANGERS))
    }


@contextmanager
def kernel() -> Iterator[Field]:
    with closing(Field("commands", (22, 161))) as field:
        yield field


@pytest.mark.parametrize("manager", ["nftables", "iptables"])
def test_without_a_manager(manager: str) -> None:
    panel = ("tcp/22", "udp/161", "icmp")
    systems = ("linux", "snmp", "network_scan")
    with kernel() as field:
        if manager == "nftables":
            field.run("nft", "-f", "-", text=NFT)
        else:
            for tool in ("iptables-restore", "ip6tables-restore"):
                field.run(tool, text=XT)
        before = met(field.observe, panel)
        assert "passes" not in before["audit"] | before["strangers"]
        field.run("sh", text=script(manager, systems))
        assert met(field.observe, panel) == {"audit": {"passes"}, "strangers": before["strangers"]}


@SOAK
@pytest.mark.parametrize("manager", ["firewalld", "ufw"])
def test_with_a_manager(manager: str) -> None:
    panel = ("tcp/22", "udp/161")
    try:
        stage = Stage(f"debian12-{manager}")
    except MissingImageError as error:
        pytest.skip(str(error))
    with closing(stage):
        closing_ssh = "firewall-cmd -q --remove-service=ssh; firewall-cmd -q --permanent --remove-service=ssh"
        stage.begin({}, [closing_ssh if manager == "firewalld" else "ufw --force enable"])
        before = met(stage.field.observe, panel)
        assert "passes" not in before["audit"] | before["strangers"]
        after = {"audit": {"passes"}, "strangers": before["strangers"]}
        for _time in range(2):  # a second run is as good as one
            stage.run(script(manager, ("linux", "snmp")))
            assert met(stage.field.observe, panel) == after
        stage.restart()
        assert met(stage.field.observe, panel) == after
