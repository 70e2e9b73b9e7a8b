# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run behaves: bounds, deadline, order, names, privileges, and what it leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.reach.services import COMMUNITY
from tests.reach.world import TARGET, TARGET_V6, World

_MANY = [f"10.77.1.{last}" for last in range(20, 60)]


def _ssh(address: str, port: int = 22) -> dict[str, Any]:
    return {"address": address, "port": port, "service": "ssh"}


def test_deadline_gives_partial_results(world: World) -> None:
    """What is known by then is told, and what is left is our fault, not the host's."""
    first, second, third, *others = _MANY
    probes = [_ssh(first), {"address": second, "port": 3003}, _ssh(third, 7000), *(_ssh(item) for item in others)]
    found = sorted(world.probe(probes, deadline_s=0.8, rate_per_s=10, retries=20), key=lambda row: int(row["index"]))
    assert [row["index"] for row in found] == list(range(len(probes)))
    assert found[0]["status"] == "open"
    assert found[1]["status"] == "local_error"
    assert "deadline of 0.8 s" in found[1]["evidence"]
    assert (found[2]["status"], found[2]["service"]) == ("open", "not_checked")
    statuses = [row["status"] for row in found[3:]]
    assert set(statuses) == {"open", "local_error"}
    assert max(row["at_s"] for row in found) < 1.1


def test_deadline_counts_names_that_do_not_resolve_in_time(world: World) -> None:
    """A resolver that hangs does not hold the run."""
    probes = [_ssh("slow.example"), _ssh(TARGET)]
    found = sorted(world.probe(probes, deadline_s=1, names={"slow.example": 3}), key=lambda row: int(row["index"]))
    assert [row["status"] for row in found] == ["local_error", "open"]


def test_every_address_of_a_name_is_probed(world: World) -> None:
    """One record for each address; a name without one is its own state."""
    names = {"both.example": [TARGET, TARGET_V6, "10.77.1.13"]}
    found = world.probe([_ssh("both.example"), _ssh("none.example")], names=names)
    told = {(row["index"], row["address"], row["status"]) for row in found}
    assert told == {
        (0, TARGET, "open"),
        (0, TARGET_V6, "open"),
        (0, "10.77.1.13", "closed"),
        (1, None, "name_error"),
    }


def test_sockets_that_are_used_again_tell_the_truth(world: World) -> None:
    """Whatever a socket was before: who ended what it is now is told as of a fresh one."""
    kinds = {
        2121: ("open", "^connected$"),
        4001: ("closed", "TCP reset"),
        2001: ("rejected", r"on the way.*\(3/13\) from 10\.77\.0\.254$"),
        3002: ("rejected", rf"host itself.*\(3/3\) from {TARGET}$"),
        3003: ("filtered", "no answer to 1 SYN"),
    }
    ports = [2121, 4001, 2121, 2001, 2121, 3002, 2121, 3003] * 60
    probes = [{"address": TARGET, "port": port, "service": f"s{number}"} for number, port in enumerate(ports)]
    found = world.probe(
        probes, spares_from=1, service_check=False, per_host=40, rate_per_s=1e6, retries=0, timeout_s=0.3
    )
    assert sorted(row["index"] for row in found) == list(range(len(ports)))
    for row in found:
        status, evidence = kinds[row["port"]]
        assert row["status"] == status, row
        assert re.search(evidence, row["evidence"]), row


def test_names_resolve_in_parallel_and_once(world: World) -> None:
    """Sixteen slow names take the time of one."""
    names: dict[str, Any] = {f"slow{number}.example": 0.5 for number in range(16)}
    probes = [_ssh(name) for name in names] * 2
    found = world.probe(probes, names=names)
    assert len(found) == 32
    assert max(row["at_s"] for row in found) < 2


def test_descriptor_limit_is_lived_with(world: World) -> None:
    """With a handful of descriptors everything is probed all the same, only slower."""
    probes = [{"address": address, "port": port} for address in _MANY for port in (2121, 4001)]
    found = world.probe(probes, descriptors=16)
    assert {(row["status"], row["index"] % 2) for row in found} == {("open", 0), ("closed", 1)}
    assert len(found) == len(probes)


def test_retries_live_within_the_descriptors(world: World) -> None:
    """Silent ports want three sockets each; where there are too few, their number is told as it was."""
    probes = [{"address": TARGET, "port": 3003}, *({"address": address, "port": 3003} for address in _MANY[:12])]
    found = world.probe(probes, descriptors=14, timeout_s=0.3, rate_per_s=1000)
    assert {row["status"] for row in found} == {"filtered"}
    assert all(f"no answer to {row['attempts']} SYN" in row["evidence"] for row in found)


def test_rate_is_kept(world: World) -> None:
    """Forty new flows at twenty a second take about two seconds."""
    found = world.probe([{"address": address, "port": 4001} for address in _MANY], rate_per_s=20)
    assert 1.8 < max(row["at_s"] for row in found) < 3


def test_each_host_has_its_share(world: World) -> None:
    """Of eight questions to one silent port four are asked at a time, so they end in two waves."""
    probes = [{"address": TARGET, "port": 3003, "service": f"other{number}"} for number in range(8)]
    ended = sorted(row["at_s"] for row in world.probe(probes, timeout_s=0.3, retries=0))
    assert ended[3] < ended[0] + 0.1
    assert ended[4] > ended[0] + 0.2


def test_ssh_is_greeted_once(world: World) -> None:
    """Two requirements that ask the same of a host share one connection."""
    before = _accepted(world)
    found = world.probe(
        [_ssh(TARGET), {**_ssh(TARGET), "requirement": "other.ssh"}, _ssh("both.example")],
        names={"both.example": [TARGET]},
    )
    assert [row["service"] for row in found] == ["confirmed"] * 3
    assert {row["requirement"] for row in found} == {"probe.0", "other.ssh", "probe.2"}
    assert _accepted(world) - before == 1


def _accepted(world: World) -> int:
    lines = [line.split() for line in world.run(world.target, "cat", "/proc/net/snmp").splitlines()]
    names, numbers = (line for line in lines if line[0] == "Tcp:")
    return int(numbers[names.index("PassiveOpens")])


def test_community_is_used_and_never_shown(world: World) -> None:
    """The right community gets the description; a wrong one still finds the agent; neither is in any output."""
    right = world.probe(
        [{"address": TARGET, "protocol": "udp", "port": 161, "service": "snmp"}], snmp_community=COMMUNITY.decode()
    )
    assert "SNMPv2c, Example switch 3.1" in right[0]["evidence"]
    wrong = world.probe(
        [{"address": TARGET, "protocol": "udp", "port": port, "service": "snmp"} for port in (161, 1163)],
        snmp_community="geheim123",
    )
    wrong.sort(key=lambda row: int(row["index"]))
    assert wrong[0]["status"] == "open"
    assert "SNMPv3 agent" in wrong[0]["evidence"]
    assert wrong[1]["service"] == "unexpected"
    assert "geheim" not in str(wrong)
    assert COMMUNITY.decode() not in str(right)


@pytest.mark.parametrize(
    ("group_range", "capability", "expected"),
    [("0 2147483647", "-all", "open"), ("1 0", "+net_raw", "open"), ("1 0", "-all", "local_error")],
    ids=["datagram-socket", "raw-socket", "neither"],
)
def test_echo_by_what_is_allowed(world: World, group_range: str, capability: str, expected: str) -> None:
    """The unprivileged socket, the raw one, and without either the name of the sysctl."""
    world.run(world.vantage, "sysctl", "-qw", f"net.ipv4.ping_group_range={group_range}")
    user = (
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
    )
    probes = [
        {"address": address, "protocol": "icmp", "service": "icmp_echo"}
        for address in (TARGET, TARGET_V6, "10.77.1.12")
    ]
    try:
        found = sorted(world.probe(probes, before=user), key=lambda row: int(row["index"]))
    finally:
        world.run(world.vantage, "sysctl", "-qw", "net.ipv4.ping_group_range=1 0")
    rejected = "rejected" if expected == "open" else "local_error"
    assert [row["status"] for row in found] == [expected, expected, rejected]
    if expected == "local_error":
        assert "net.ipv4.ping_group_range" in found[0]["evidence"]


def test_states_need_no_privileges(world: World) -> None:
    """Reset, rejection with its sender, and UDP's closed port, told as nobody."""
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
    probes = [{"address": TARGET, "port": port} for port in (4001, 2001, 3002)]
    probes.append({"address": TARGET, "protocol": "udp", "port": 4001, "service": "snmp"})
    found = sorted(world.probe(probes, before=user), key=lambda row: int(row["index"]))
    assert [row["status"] for row in found] == ["closed", "rejected", "rejected", "closed"]
    assert "from 10.77.0.254" in found[1]["evidence"]


def test_own_firewall_is_our_fault(world: World) -> None:
    """What the vantage itself rejects says nothing about the host; of its dropped SYNs the kernel keeps silent."""
    rules = (
        "table inet own { chain output { type filter hook output priority 0\n"
        "tcp dport 5001 drop\n tcp dport 5002 reject with icmpx admin-prohibited\n udp dport 5001 drop\n }\n }\n"
    )
    world.run(world.vantage, "nft", "-f", "-", text=rules)
    try:
        probes = [{"address": TARGET, "port": port} for port in (5001, 5002)]
        probes.append({"address": TARGET, "protocol": "udp", "port": 5001, "service": "snmp"})
        found = sorted(world.probe(probes, timeout_s=0.3), key=lambda row: int(row["index"]))
    finally:
        world.run(world.vantage, "nft", "delete", "table", "inet", "own")
    assert [row["status"] for row in found] == ["filtered", "local_error", "local_error"]


def test_source_address_that_is_not_ours(world: World) -> None:
    """A source address that the vantage has not got is our fault, for TCP, UDP and echo alike."""
    probes: list[dict[str, Any]] = [
        {"address": TARGET, "port": 22},
        {"address": TARGET, "protocol": "udp", "port": 161, "service": "snmp"},
        {"address": TARGET, "protocol": "icmp", "service": "icmp_echo"},
    ]
    found = world.probe(probes, source_address="192.0.2.99")
    assert {row["status"] for row in found} == {"local_error"}
    found = world.probe(probes, source_address="10.77.0.1")
    assert {(row["status"], row["source_address"]) for row in found} == {("open", "10.77.0.1")}


def test_interrupt_leaves_nothing(world: World) -> None:
    """Ctrl-C in the middle of a run ends the process at once."""
    script = (
        "import sys; sys.argv=['x']\n"
        "from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import engine, records\n"
        "from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol\n"
        "import os\n"
        f"probes=[records.Probe(n,'h','r','{TARGET}', records.Question(Protocol.TCP,3003,str(n))) for n in range(50)]\n"
        "print('go', flush=True)\n"
        "try:\n"
        "    with engine.Engine(records.ProbeOptions(per_host=50)) as run:\n"
        "        list(run.run(probes))\n"
        "except KeyboardInterrupt:\n"
        "    print(len(os.listdir('/proc/self/fd')), flush=True)\n"
    )
    process = subprocess.Popen(
        ["ip", "netns", "exec", world.vantage, "build/venv/bin/python", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env={"PYTHONPATH": "build/collections", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "go"
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    left, _errors = process.communicate(timeout=5)
    assert process.returncode == 0
    assert int(left) <= 4  # the three standard ones, and the listing itself


def test_dead_hosts_do_not_silence_a_live_one(world: World) -> None:
    """A hundred dead addresses on the own link change nothing for a live host behind the router."""
    probes = [{"address": f"10.77.0.{last}", "port": 22} for last in range(100, 200)] + [_ssh(TARGET)]
    found = sorted(world.probe(probes, retries=0), key=lambda row: int(row["index"]))
    assert found[-1]["status"] == "open"
    assert {row["status"] for row in found[:-1]} <= {"filtered", "unreachable"}
