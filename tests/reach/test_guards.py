# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each guard twice: without it the failure that it is there for happens, with it nothing does."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.reach.world import HOST_DROPS_ALL, HOST_REJECTS_ALL, TARGET, VANTAGE, World

_LIVE = [f"10.77.1.{last}" for last in range(20, 60)]
_SILENT_PORT, _LISTENING_PORT = 3003, 7000
_FEW_PORTS = "40000 40049"

pytestmark = pytest.mark.timeout(120)


def _statuses(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["status"] for row in found)


@contextmanager
def _few_local_ports(world: World) -> Iterator[None]:
    usual = world.run(world.vantage, "sysctl", "-n", "net.ipv4.ip_local_port_range").strip()
    world.run(world.vantage, "sysctl", "-qw", f"net.ipv4.ip_local_port_range={_FEW_PORTS}")
    try:
        yield
    finally:
        world.run(world.vantage, "sysctl", "-qw", f"net.ipv4.ip_local_port_range={usual}")


def test_descriptors(world: World) -> None:
    """More silent ports at once than there are descriptors."""
    probes = [{"address": address, "port": _SILENT_PORT} for address in _LIVE]

    def probe(*unguarded: str) -> Counter[str]:
        return _statuses(world.probe(probes, descriptors=24, timeout_s=0.3, retries=1, unguarded=unguarded))

    without = probe("descriptors")
    assert without["local_error"] > 5
    assert probe() == {"filtered": len(probes)}


def test_time_wait(world: World) -> None:
    """Many short connections to one port from few local ones."""
    probes = [{"address": TARGET, "port": _LISTENING_PORT, "service": f"other{number}"} for number in range(200)]

    def probe(*unguarded: str) -> Counter[str]:
        with _few_local_ports(world):
            return _statuses(world.probe(probes, service_check=False, unguarded=unguarded))

    before = _waiting(world)
    assert probe() == {"open": len(probes)}
    assert _waiting(world) <= before
    without = probe("time_wait")
    assert without["local_error"] > 100
    assert _waiting(world) > 20


def _waiting(world: World) -> int:
    """How many connections of the vantage are in TIME_WAIT."""
    line = next(line for line in world.run(world.vantage, "cat", "/proc/net/sockstat").splitlines() if "tw" in line)
    return int(line.split()[line.split().index("tw") + 1])


def test_ephemeral_ports(world: World) -> None:
    """More probes in flight from a given source address than there are local ports; to as many places."""
    probes = [{"address": address, "port": port} for address in _LIVE for port in (_SILENT_PORT, 2002, 2121)]

    def probe(*unguarded: str) -> Counter[str]:
        with _few_local_ports(world):
            return _statuses(
                world.probe(probes, source_address=VANTAGE, timeout_s=0.3, retries=1, unguarded=unguarded)
            )

    without = probe("ports")
    assert without["local_error"] > 20
    assert probe() == {"filtered": 2 * len(_LIVE), "open": len(_LIVE)}


def test_neighbour_table(world: World) -> None:
    """While more dead hosts of the own link are asked for than the kernel's table has room for, nobody else of this
    machine reaches any host any more; the guard leaves half of the table to them.

    The table is the whole kernel's, so it is full for as short as can be, and emptied at once.
    """
    world.run(world.vantage, "ip", "address", "add", "10.92.0.1/20", "dev", "left")
    dead = [{"address": f"10.92.{1 + n // 250}.{1 + n % 250}", "port": 22} for n in range(1400)]
    live = [{"address": address, "port": 2121} for address in _LIVE]

    def probe(room: int, *unguarded: str) -> Counter[str]:
        """What others see of live hosts while so many dead ones are being asked for."""
        options = {"rate_per_s": 1e6, "timeout_s": 1.0, "retries": 3, "deadline_s": 4.0}
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(world.probe, dead, unguarded=unguarded, **options)
            try:
                while len(world.run(world.vantage, "cat", "/proc/net/arp").splitlines()) < room:
                    assert not asking.done()
                seen = world.probe(live, timeout_s=1.0, retries=0)
                asking.result()
            finally:
                empty()
        return _statuses(seen)

    def empty() -> None:
        for arp in ("off", "on"):  # which empties the table of this device
            world.run(world.vantage, "ip", "link", "set", "left", "arp", arp)

    empty()
    try:
        assert probe(400) == {"open": len(live)}
        without = probe(950, "neighbours")
        assert without["open"] < len(live) / 2, without
    finally:
        world.run(world.vantage, "ip", "address", "delete", "10.92.0.1/20", "dev", "left")


_TRACKING = "table inet track { chain out { type filter hook output priority 0; ct state new accept; }; }"


def test_connection_tracking(world: World) -> None:
    """When the vantage's own table is full, live hosts turn silent, for everybody there. The guard goes on so slowly
    that the table does not fill up, and what it has not come to by the deadline is no statement about the host."""
    probes = [{"address": host, "port": 2121, "service": f"other{turn}"} for turn in range(4) for host in _LIVE]
    crowd = (sys.executable, "-m", "tests.reach.crowd")

    def probe(*unguarded: str) -> Counter[str]:
        options = {"service_check": False, "rate_per_s": 1e6, "per_host": 10, "timeout_s": 0.5, "retries": 1}
        return _statuses(world.probe(probes, unguarded=unguarded, deadline_s=3.0, **options))

    world.run(world.vantage, "nft", "-f", "-", text=_TRACKING)
    try:
        world.run(world.vantage, *crowd, "fill", "60")
        guarded = probe()
        assert guarded["open"] >= 10
        assert guarded["open"] + guarded["local_error"] == len(probes)
        without = probe("conntrack")
        assert without["filtered"] > len(probes) / 2, without
    finally:
        world.run(world.vantage, *crowd, "empty")
        world.run(world.vantage, "nft", "delete", "table", "inet", "track")


def test_icmp_errors_of_one_host(world: World) -> None:
    """Of twelve closed UDP ports that are asked at once, half stay without the ICMP error that tells."""
    probes = [{"address": TARGET, "protocol": "udp", "port": 4100 + n, "service": "snmp"} for n in range(12)]
    other = "10.77.0.2"  # the target counts what it sends to each address, and has sent this one nothing
    world.run(world.vantage, "ip", "address", "add", f"{other}/24", "dev", "left")
    world.run(world.target, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=1000")

    def probe(source: str, *unguarded: str) -> Counter[str]:
        options: dict[str, Any] = {"per_host": 20, "retries": 1, "timeout_s": 0.5, "source_address": source}
        return _statuses(world.probe(probes, unguarded=unguarded, **options))

    try:
        assert probe(VANTAGE, "icmp_errors")["no_answer"] >= 3
        assert probe(other) == {"closed": len(probes)}
    finally:
        world.run(world.vantage, "ip", "address", "delete", f"{other}/24", "dev", "left")
        world.run(world.target, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")


def test_silence_over_udp_says_what_else_is_known(world: World) -> None:
    """The host's own answer about another port tells a rule from a host that is not there."""
    places = {TARGET: "refuses another UDP port", HOST_DROPS_ALL: "nothing else", HOST_REJECTS_ALL: ""}
    probes = [{"address": address, "protocol": "udp", "port": _SILENT_PORT, "service": "snmp"} for address in places]
    found = sorted(world.probe(probes, retries=0, timeout_s=0.5), key=lambda row: int(row["index"]))
    assert [row["status"] for row in found] == ["no_answer", "no_answer", "rejected"]
    for row, words in zip(found, places.values(), strict=True):
        assert words in row["evidence"]
