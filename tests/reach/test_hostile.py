# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that mean harm: bounded time and memory, the right class, and nothing of it spoils what else is probed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.reach import hostile
from tests.reach.world import ROOT, TARGET, VANTAGE, World

_ADDRESS, _OTHER = "10.77.1.20", "10.77.1.21"
_STREAMS = ("ssh", "ldap", "kerberos", "rpc", "tls", "smb", "http", "winrm", "netbios_session", "vmware_authd", "dns")
_MOST_S = 40  # service checks with their follow-ups, on a busy machine
_MOST_MIB = 64

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def hostiles(world: World) -> Iterator[None]:
    """The hostile services, and the storm."""
    process = subprocess.Popen(
        [
            *("ip", "netns", "exec", world.target, sys.executable, "-m", "tests.reach.hostile"),
            *(_ADDRESS, _OTHER, VANTAGE),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def _probe(world: World, probes: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    found = world.probe(probes, per_host=200, rate_per_s=10_000, **options)
    assert len(found) == len(probes)
    return sorted(found, key=lambda row: int(row["index"]))


def test_malformed_answers(world: World, hostiles: None) -> None:
    """Lengths that lie, structures that break off: not the service, and not our fault."""
    probes = [
        {"address": _ADDRESS, "port": port, "service": service} for port, (service, _begin) in hostile.MALFORMED.items()
    ]
    for row in _probe(world, probes):
        assert row["status"] in ("open", "unverifiable_from_here"), row
        assert row["service"] in ("unexpected", "silent", "not_checked"), row
        assert row["at_s"] < _MOST_S


@pytest.mark.parametrize("port", [hostile.ENDLESS, hostile.DRIPPING, hostile.RESETTING])
def test_floods_drips_and_resets(world: World, hostiles: None, port: int) -> None:
    """Whatever is asked, it is open, and is not what was asked for."""
    for row in _probe(world, [{"address": _ADDRESS, "port": port, "service": service} for service in _STREAMS]):
        assert row["status"] == "open", row
        assert row["service"] in ("unexpected", "silent"), row
        assert row["at_s"] < _MOST_S


def test_an_answer_from_elsewhere_is_none(world: World, hostiles: None) -> None:
    """UDP is open only by an answer of the port that was asked."""
    ports = (hostile.FROM_ANOTHER_ADDRESS, hostile.FROM_ANOTHER_PORT)
    probes = [{"address": _ADDRESS, "protocol": "udp", "port": port, "service": "snmp"} for port in ports]
    assert [row["status"] for row in _probe(world, probes, retries=0, timeout_s=0.5)] == ["no_answer"] * 2


def test_a_storm_of_icmp_errors_tells_nothing(world: World, hostiles: None) -> None:
    """Errors about what was never sent change no answer."""
    probes: list[dict[str, Any]] = [{"address": TARGET, "protocol": "udp", "port": 161, "service": "snmp"}]
    probes += [{"address": TARGET, "port": port} for port in (2121, 3003, 4001)]
    probes += [{"address": TARGET, "protocol": "icmp", "service": "icmp_echo"}]
    before = _icmp_errors(world)
    found = _probe(world, probes)
    assert _icmp_errors(world) > before + 1000
    assert [row["status"] for row in found] == ["open", "open", "filtered", "closed", "open"]


def _icmp_errors(world: World) -> int:
    """How many "destination unreachable" the vantage has been sent."""
    lines = [line.split() for line in world.run(world.vantage, "cat", "/proc/net/snmp").splitlines()]
    names, numbers = (line for line in lines if line[0] == "Icmp:")
    return int(numbers[names.index("InDestUnreachs")])


def test_memory_stays_bounded(world: World, hostiles: None) -> None:
    """Forty endless answers at once."""
    script = "import tests.reach.prober as prober; prober.main(); print(open('/proc/self/status').read())"
    probes = [{"address": _ADDRESS, "port": hostile.ENDLESS, "service": name} for name in _STREAMS] * 4
    text = {"probes": probes, "options": {"per_host": 200}, "descriptors": None, "names": None}
    told = world.run(world.vantage, sys.executable, "-c", script, text=json.dumps(text))
    assert told.count('"index"') == len(probes)
    assert int(told.partition("VmHWM:")[2].split()[0]) / 1024 < _MOST_MIB
