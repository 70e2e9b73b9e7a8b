# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's parts: estimates, timers, order, guards, names."""

from __future__ import annotations

import random
from collections import deque
from ipaddress import ip_address, ip_network

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.guards import (
    Bucket,
    Conntrack,
    Descriptors,
    Neighbours,
    parse_missing,
    parse_routes_v4,
    parse_routes_v6,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.names import parse_endpoint
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, Question
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.spread import Host, Spreader
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.timing import RoundTrips, subnet_of
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.wheel import Wheel
from hypothesis import given
from hypothesis import strategies as st


def test_timeout_follows_rfc_6298() -> None:
    trips = RoundTrips(2.0)
    for rtt_s in (0.1, 0.2, 0.1):
        trips.measured(rtt_s)
    variance = 0.05 + 0.25 * (0.1 - 0.05)
    smooth = 0.1 + 0.125 * 0.1
    variance += 0.25 * (abs(smooth - 0.1) - variance)
    smooth += 0.125 * (0.1 - smooth)
    assert trips.timeout_s == pytest.approx(2 * (smooth + 4 * variance))


@given(st.lists(st.floats(0, 30), max_size=50), st.floats(0.05, 10))
def test_timeout_is_bounded(samples: list[float], longest_s: float) -> None:
    trips = RoundTrips(longest_s)
    for number, rtt_s in enumerate(samples):
        if number < constants.SAMPLES_NEEDED:
            assert trips.timeout_s == min(constants.INITIAL_S, longest_s)
        trips.measured(rtt_s)
    assert min(constants.FLOOR_S, longest_s) <= trips.timeout_s <= longest_s


@given(st.ip_addresses())
def test_subnet_is_the_first_half(address: object) -> None:
    text = str(address)
    number = int(ip_address(text))
    near = ip_address(text).__class__(number ^ 1)
    far = ip_address(text).__class__(number ^ (1 << (8 if ip_address(text).version == 4 else 64)))
    assert subnet_of(text) == subnet_of(str(near))
    assert subnet_of(text) != subnet_of(str(far))
    assert subnet_of("fe80::1%eth0") == subnet_of("fe80::2")


@given(st.lists(st.floats(0, 30), max_size=60), st.lists(st.floats(0.001, 3), max_size=60))
def test_wheel_gives_back_each_item_once_and_in_time(dues: list[float], steps: list[float]) -> None:
    wheel: Wheel[float] = Wheel(0.0)
    for due in dues:
        wheel.arm(due, due)
    now, seen = 0.0, []
    for step in (*steps, 40.0):
        wait_s = wheel.wait_s(now, step)
        assert 0 <= wait_s <= step
        now += step
        for due in wheel.expired(now):
            assert due <= now + 1e-9
            assert due > now - step - 2 * constants.TICK_S
            seen.append(due)
    assert sorted(seen) == sorted(dues)
    assert len(wheel) == 0


def test_wheel_sleeps_no_longer_than_to_the_next_item() -> None:
    wheel: Wheel[str] = Wheel(100.0)
    assert wheel.wait_s(100.0, 5.0) == 5.0
    wheel.arm(100.5, "x")
    assert 0.49 < wheel.wait_s(100.0, 5.0) <= 0.52
    assert list(wheel.expired(100.4)) == []
    assert list(wheel.expired(100.52)) == ["x"]


def _host(spreader: Spreader, subnet: int, host: int) -> Host:
    endpoint = parse_endpoint(f"192.0.{subnet}.{host}")
    assert endpoint is not None
    return Host(endpoint, spreader.subnet(endpoint.address), is_on_link=False, source=None)


def _probe(index: int) -> Probe:
    return Probe(index, "host", "requirement", "192.0.2.1", Question(Protocol.TCP, index, "none"))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=80), st.integers(1, 4), st.randoms())
def test_spreader_keeps_cap_and_order(items: list[tuple[int, int]], cap: int, chance: random.Random) -> None:
    spreader = Spreader(cap, 2.0)
    hosts = {item: _host(spreader, *item) for item in items}
    for number, item in enumerate(items):
        spreader.add(hosts[item], _probe(number))
    flying: list[Host] = []
    taken: list[tuple[Host, int]] = []
    while True:
        found = spreader.take(chance.randint(1, 3))
        for host, probe in found:
            flying.append(host)
            taken.append((host, probe.index))
            assert flying.count(host) <= cap
        if flying and (not found or chance.random() < 0.4):
            spreader.release(flying.pop(chance.randrange(len(flying))))
        elif not found:
            break
    assert sorted(number for _host, number in taken) == list(range(len(items)))
    for host in hosts.values():
        numbers = [number for found, number in taken if found is host]
        assert numbers == sorted(numbers)


def test_spreader_takes_turns() -> None:
    spreader = Spreader(4, 2.0)
    for subnet in (1, 2):
        for last in (1, 2):
            host = _host(spreader, subnet, last)
            for number in range(2):
                spreader.add(host, _probe(100 * subnet + 10 * last + number))
    order = [probe.index for most in (3, 1, 9) for _host, probe in spreader.take(most)]
    assert order == [110, 210, 120, 220, 111, 121, 211, 221]
    assert spreader.take(1) == []


def test_bucket_keeps_the_rate() -> None:
    bucket, now, sent = Bucket(100.0, 0.0), 0.0, 0
    while now < 10:
        allowed = bucket.allowance(now)
        bucket.spent += allowed
        sent += allowed
        now += 0.0 if allowed else bucket.wait_s()
    assert 1000 <= sent <= 1003


def test_bucket_overdrawn_waits_longer() -> None:
    bucket = Bucket(10.0, 0.0)
    bucket.spent += 11
    assert bucket.allowance(0.0) == 0
    assert bucket.wait_s() == pytest.approx(1.1)


def test_descriptors_shrink_to_what_there_is() -> None:
    descriptors = Descriptors(100)
    assert descriptors.room > 5
    descriptors.open = 5
    assert descriptors.exhausted()
    assert descriptors.room == 0
    descriptors.open = 0
    assert not descriptors.exhausted()


def test_neighbours_admit_half_the_table_and_then_wait() -> None:
    neighbours = Neighbours([ip_network("192.0.2.0/24")], 2)
    assert neighbours.admits("192.0.2.1", 0.0)
    assert neighbours.admits("192.0.2.2", 0.0)
    assert not neighbours.admits("192.0.2.3", 0.1)
    assert neighbours.admits("192.0.2.2", 0.1)
    assert neighbours.is_on_link("192.0.2.3")
    assert not neighbours.is_on_link("198.51.100.1")
    neighbours.answered("192.0.2.1")
    assert neighbours.admits("192.0.2.3", 0.2)
    assert not neighbours.admits("192.0.2.4", 3.0)
    assert neighbours.admits("192.0.2.4", 3.2)


_ROUTES_V4 = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t0000000A\t0101A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""
_ROUTES_V6 = (
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000"
    " 00000100 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001"
    " 00000400 00000001 00000000 00000003     eth0\n"
    "ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000"
    " 00000100 00000001 00000000 00000001     eth0\n"
)


def test_routes_of_the_own_link() -> None:
    assert list(parse_routes_v4(_ROUTES_V4)) == [ip_network("192.168.1.0/24")]
    assert list(parse_routes_v6(_ROUTES_V6)) == [ip_network("2001:db8::/64")]
    assert list(parse_routes_v4("")) == []


def test_missing_neighbours() -> None:
    text = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        "192.0.2.1        0x1         0x2         00:11:22:33:44:55     *        eth0\n"
    )
    assert parse_missing(text) == {"192.0.2.9"}


def test_conntrack_backs_off_while_it_is_crowded() -> None:
    counts = deque([100, 900, 100])

    def read(path: str) -> int:
        return 1000 if path.endswith("_max") else counts.popleft()

    conntrack = Conntrack(read)
    assert [conntrack.is_crowded(now) for now in (0.0, 0.5, 1.0, 1.5, 2.0)] == [False, False, True, True, False]
    assert not Conntrack(lambda path: None).is_crowded(0.0)


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "::1"])
def test_addresses_are_no_names(text: str) -> None:
    endpoint = parse_endpoint(text)
    assert endpoint is not None
    assert endpoint.address == text


@pytest.mark.parametrize("text", ["web1", "192.0.2", "192.0.2.1.example.com", "fe80::1%nosuchinterface", "", "1"])
def test_names_are_no_addresses(text: str) -> None:
    assert parse_endpoint(text) is None
