# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows audit host as vantage: its script in a real PowerShell engine, over Ansible's own connections.

Its records must equal those of the Linux engine, target by target, but for what Winsock cannot tell.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.asks import BATCH

from tests.reach.windows_hosts import WindowsHosts
from tests.reach.world import (
    HOST_DROPS_ALL,
    HOST_REJECTS_ALL,
    HOST_RESETS_ALL,
    NO_ROUTE,
    NO_WAY_AT_ROUTER,
    NOBODY_ON_LINK,
    NOBODY_ROUTED,
    TARGET,
    TARGET_V6,
    World,
)
from tests.standins.engine import CONSTRAINED, MISSING, find_engine
from tests.standins.winrm.fixture import inventory_variables
from tests.standins.winrm.server import Server
from tests.standins.winrm.signin import PASSWORD
from tests.tools.cores import Core, cores
from tests.windows.playing import play

pytestmark = pytest.mark.timeout(180)

_BATCH = 250
FORBIDDEN = "198.51.100.9"  # by the vantage's own policy


def _tcp(address: str, port: int, service: str = "none") -> dict[str, Any]:
    return {"address": address, "port": port, "service": service}


def _udp(address: str, port: int, service: str) -> dict[str, Any]:
    return {"address": address, "port": port, "service": service, "protocol": "udp"}


def _echo(address: str) -> dict[str, Any]:
    return {"address": address, "protocol": "icmp", "service": "icmp_echo"}


# The least: each way to be open, closed, rejected, silent and unreachable, over each protocol.
TARGETS = [
    _tcp(TARGET, 22, "ssh"), _tcp(TARGET_V6, 22, "ssh"), _tcp(TARGET, 2222, "ssh"), _tcp(TARGET, 2121, "ssh"),
    _tcp(TARGET, 2121), _tcp(TARGET, 7000, "http"), _tcp(TARGET, 7001, "ssh"), _tcp(TARGET, 7002, "ldap"),
    _tcp(TARGET, 7003, "ssh"), _tcp(TARGET, 4001), _tcp(TARGET_V6, 4001), _tcp(HOST_RESETS_ALL, 22, "ssh"),
    _tcp(TARGET, 2001), _tcp(TARGET, 2003), _tcp(TARGET, 3001), _tcp(TARGET, 3002), _tcp(HOST_REJECTS_ALL, 22),
    _tcp(TARGET, 2002), _tcp(TARGET, 3003), _tcp(HOST_DROPS_ALL, 22), _tcp(NOBODY_ROUTED, 22),
    _tcp(NOBODY_ON_LINK, 22), _tcp(NO_WAY_AT_ROUTER, 22), _tcp(NO_ROUTE, 22),
    _udp(TARGET, 161, "snmp"), _udp(TARGET_V6, 161, "snmp"), _udp(TARGET, 1161, "dns"), _udp(TARGET, 1162, "dns"),
    _udp(TARGET, 4001, "dns"), _udp(TARGET, 2001, "dns"), _udp(TARGET, 2002, "dns"), _udp(TARGET, 2003, "dns"),
    _udp(TARGET, 3001, "dns"), _udp(TARGET, 3003, "dns"), _udp(NO_ROUTE, 53, "dns"), _udp(TARGET, 162, "snmp_trap"),
    _echo(TARGET), _echo(TARGET_V6), _echo(HOST_DROPS_ALL), _echo(HOST_REJECTS_ALL), _echo(NO_ROUTE),
    _tcp(FORBIDDEN, 22), _udp(FORBIDDEN, 53, "dns"), _tcp("no-such-name.invalid", 22),
]  # fmt: skip


def as_winsock_tells(row: dict[str, Any]) -> set[str]:
    """The written mapping: what a Windows audit host may say where the Linux engine says this.

    A rejection "port unreachable" has the error number of a reset, any other that of a host that is not there. Nobody
    on the own network is silence until the kernel's wait for ARP is over, as long as the wait for a connect.
    Who rejected, and with which ICMP code, is never told.
    """
    status, evidence = row["status"], row["evidence"]
    if status == "rejected" and row["protocol"] == "icmp":
        return {"rejected"}
    if "nobody answers ARP" in evidence:
        return {"unreachable", "filtered"}
    if status == "rejected":
        return {"closed"} if "port unreachable" in evidence else {"unreachable"}
    return {str(status)}


@pytest.fixture(scope="session")
def windows(world: World) -> Iterator[WindowsHosts]:
    """Stand-ins of Windows hosts at the vantage."""
    if find_engine() is None:
        pytest.skip(MISSING)
    policy = ("prohibit", "198.51.100.0/24")
    world.run(world.vantage, "ip", "route", "add", *policy)
    with WindowsHosts(world) as made:
        yield made
    world.run(world.vantage, "ip", "route", "delete", *policy)


@pytest.fixture
def server(windows: WindowsHosts) -> Server:
    """One of them."""
    return windows.start()


def _statuses(found: dict[str, Any]) -> list[str]:
    assert found["error"] is None
    return [row["status"] for row in found["rows"]]


def test_records_are_those_of_the_linux_engine(world: World, windows: WindowsHosts, server: Server) -> None:
    """Target by target. A connect is waited for 3 s, since Windows repeats the SYN after an RST."""
    options = {"timeout_s": 3.0, "retries": 1}
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(world.probe, TARGETS, before=("env", "AUDIT_PORTS_PATIENCE_S=2"), retries=1, timeout_s=2.0)
        found = windows.look(server, TARGETS, **options)
        linux = sorted(here.result(), key=lambda row: int(row["index"]))
    assert found["error"] is None
    told = found["rows"]
    assert [row["index"] for row in told] == [row["index"] for row in linux] == list(range(len(TARGETS)))
    wrong = []
    for ours, theirs in zip(told, linux, strict=True):
        line = f"{theirs['address'] or TARGETS[theirs['index']]['address']} {theirs['protocol']}/{theirs['port']}: "
        line += f"{theirs['status']} {theirs['service']} | {ours['status']} {ours['service']}: {ours['evidence']}"
        print(line)
        same = ("requirement", "host", "address", "protocol", "port", "service")
        if ours["status"] not in as_winsock_tells(theirs) or any(ours[key] != theirs[key] for key in same):
            wrong.append(line)
    assert wrong == []
    assert {row["vantage"] for row in told} == {"audit1"}
    assert told[0]["source_address"] == "10.77.0.1"
    assert told[0]["evidence"] == linux[0]["evidence"]
    forbidden = [row["evidence"] for row in told if row["address"] == FORBIDDEN]
    assert all("its own policy forbids it" in words and "10013" in words for words in forbidden)
    started = server.host.shells_started["powershell"]
    print(f"{started} scripts for {len(TARGETS)} targets, {found['wall_s']:.1f} s")


def _mixture(count: int) -> tuple[list[dict[str, Any]], list[str]]:
    """That many probes of 40 hosts, a tenth of them met by silence, and what a Windows vantage says of each."""
    kinds = {"open": 2121, "unreachable": 3001, "closed": None, "filtered": 3003}
    probes, expected = [], []
    for number in range(count):
        turn = number // 40
        kind = "filtered" if turn % 10 == 9 else ("open", "unreachable", "closed", "closed")[turn % 4]
        probes.append(_tcp(f"10.77.1.{20 + number % 40}", kinds[kind] or 20000 + turn, f"none{number}"))
        expected.append(kind)
    return probes, expected


_HASTE: dict[str, Any] = {"rate_per_s": 1e5, "per_host": 100, "timeout_s": 1.0, "retries": 1}


def test_thousands_of_probes_in_batches_none_of_them_wrong(windows: WindowsHosts, server: Server) -> None:
    """The first pass and the one over the silent ones are two exchanges: no more scripts than those need."""
    probes, expected = _mixture(2000)
    found = windows.look(server, probes, **_HASTE)
    assert _statuses(found) == expected
    scripts = server.host.shells_started["powershell"]
    print(f"{len(probes)} probes, {scripts} scripts, {found['wall_s']:.1f} s, {found['cpu_s']:.1f} s of CPU here")
    assert scripts <= 2 * (len(probes) / _BATCH + 1)
    bodies = [body for _script, body in server.host.scripts]
    assert max(body.count("\nq ") for body in bodies) == _BATCH
    assert max(map(len, bodies)) < 50_000


@pytest.mark.parametrize(("connection", "transport", "tls"), [("winrm", "basic", True), ("psrp", "ntlm", False)])
def test_the_other_ways_in(windows: WindowsHosts, connection: str, transport: str, tls: bool) -> None:
    """The inventory's own variables: scheme, certificate validation, transport; psrp takes a pool of its own."""
    found = windows.look(windows.start(tls=tls), [_tcp(TARGET, 22, "ssh")], connection=connection, transport=transport)
    assert _statuses(found) == ["open"]


def _after(server: Server, scripts: int, act: Callable[[], None]) -> threading.Thread:
    """Do something when the host has started that many scripts."""

    def wait() -> None:
        while server.host.shells_started["powershell"] < scripts:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_connection_that_breaks_once_loses_nothing(windows: WindowsHosts, server: Server) -> None:
    """The batch that was under way is asked again over a fresh connection."""
    probes, expected = _mixture(1000)
    faults, asked = server.host.faults, server.host.requests

    def cut() -> None:
        faults.drop_at = "Receive"
        created = asked["Create"]
        while asked["Create"] == created:
            time.sleep(0.005)
        faults.drop_at = ""

    thread = _after(server, 2, cut)
    found = windows.look(server, probes, **_HASTE)
    thread.join(10)
    assert asked["Create"] == 2
    assert _statuses(found) == expected


def test_a_connection_that_stays_broken_leaves_what_has_come(windows: WindowsHosts, server: Server) -> None:
    probes, expected = _mixture(1000)
    _after(server, 3, lambda: setattr(server.host.faults, "drop_at", "Receive"))
    found = windows.look(server, probes, **_HASTE)
    counts = Counter(_statuses(found))
    assert 250 <= 1000 - counts["local_error"] < 1000
    for row, kind in zip(found["rows"], expected, strict=True):
        assert row["status"] in (kind, "local_error")
        assert row["status"] == kind or "the connection to it failed" in row["evidence"]


def test_an_output_that_is_cut_off_is_good_so_far(windows: WindowsHosts, server: Server) -> None:
    probes, expected = _mixture(240)
    server.host.faults.cut_after = 3000
    found = windows.look(server, probes, **{**_HASTE, "retries": 0})
    counts = Counter(_statuses(found))
    assert counts["local_error"] > 10
    assert len(probes) - counts["local_error"] > 50
    assert all(row["status"] in (kind, "local_error") for row, kind in zip(found["rows"], expected, strict=True))


def test_a_slow_audit_host(windows: WindowsHosts, server: Server) -> None:
    """Each script takes longer to start than the client waits for one answer; the deadline holds all the same."""
    server.host.faults.delay_s = 1.5
    patience = {"ansible_winrm_operation_timeout_sec": 1, "ansible_winrm_read_timeout_sec": 3}
    found = windows.look(server, [_tcp(TARGET, 22, "ssh")], changes=patience)
    assert _statuses(found) == ["open"]
    probes, expected = _mixture(1000)
    found = windows.look(server, probes, changes=patience, deadline_s=4.0, **_HASTE)
    counts = Counter(_statuses(found))
    assert counts["local_error"] >= 1000 - 3 * BATCH  # a fourth script would begin too late
    assert 1000 - counts["local_error"] >= 200
    assert all(row["status"] in (kind, "local_error") for row, kind in zip(found["rows"], expected, strict=True))
    assert found["wall_s"] < 15


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("constrained", "ConstrainedLanguage"),
        ("blocked", "blocked by group policy"),
        ("password", "credentials"),
        ("gone", "the connection to it failed"),
    ],
)
def test_what_keeps_a_host_from_being_a_vantage_is_told(windows: WindowsHosts, fault: str, words: str) -> None:
    server = windows.start(language_mode=CONSTRAINED) if fault == "constrained" else windows.start()
    changes = {"password": {"ansible_password": "wrong horse"}, "gone": {"ansible_port": 1}}.get(fault)
    if fault == "blocked":
        server.host.blocked.add("powershell")
    found = windows.look(server, [_tcp(TARGET, 22, "ssh")], changes=changes)
    assert found["rows"] == []
    assert words in found["error"]
    assert found["error"].startswith("audit1: ")
    assert PASSWORD not in found["error"]
    assert "wrong horse" not in found["error"]


def test_names_are_looked_up_there_and_the_source_is_its_own(windows: WindowsHosts, server: Server) -> None:
    found = windows.look(server, [_tcp("localhost", 4001), _tcp("no name", 22)], retries=0)
    assert set(_statuses(found)) == {"closed", "name_error"}
    assert found["rows"][0]["address"] in ("127.0.0.1", "::1")
    bound = windows.look(server, [_tcp(TARGET, 22, "ssh"), _echo(TARGET)], source_address="10.77.0.1")
    assert _statuses(bound) == ["open", "unverifiable_from_here"]
    assert bound["rows"][0]["source_address"] == "10.77.0.1"
    wrong = windows.look(server, [_tcp(TARGET, 22, "ssh")], source_address="198.51.100.1")
    assert _statuses(wrong) == ["local_error"]
    assert "10049" in wrong["rows"][0]["evidence"]


_PLAY = """
- hosts: audit_hosts
  gather_facts: false
  tasks:
    - name: From the audit host
      ansible.builtin.include_role:
        name: agentless.audit_ports.audit_host
        tasks_from: verify
      vars:
        audit_host_timeout: 1
        audit_host_dest: "{{ kept }}"
    - name: The same by the lookup
      ansible.builtin.set_fact:
        by_lookup: >-
          {{ query('agentless.audit_ports.reachability', 'web1', vantage='audit1', timeout=1)
             | map(attribute='status') | list }}
        by_task: "{{ audit_host_verification }}"
"""


_CONNECTIONS = ("winrm", "ssh", "psrp")


def _by_ssh(world: World, folder: Path) -> dict[str, Any]:
    """Inventory variables of the vantage as a host whose login shell is PowerShell: what an sshd starts, without it."""
    engine, inside = find_engine(), f"ip netns exec {world.vantage}"
    powershell, ssh = folder / "PowerShell", folder / "ssh"
    powershell.write_text(f'#!/bin/sh\nexec "{engine}" "$@"\n')
    path = f'PATH="{folder}:$PATH"'
    ssh.write_text(f'#!/bin/sh\n{path}\nfor last; do :; done\nexec {inside} "{engine}" -NoProfile -Command "$last"\n')
    for program in (powershell, ssh):
        program.chmod(0o755)
    return {
        "ansible_connection": "ssh", "ansible_shell_type": "powershell", "ansible_ssh_executable": str(ssh),
        "ansible_host": "192.0.2.10", "ansible_user": "Administrator",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("core", "connection"),
    [pytest.param(*pair, id=f"core-{pair[0].label}-{pair[1]}") for pair in zip(cores(), _CONNECTIONS, strict=False)],
)
def test_the_task_on_a_windows_audit_host(
    world: World, server: Server, core: Core, connection: str, tmp_path: Path
) -> None:
    """The same name, options and records as on Linux, over each of Ansible's own connections."""
    audit1 = _by_ssh(world, tmp_path) if connection == "ssh" else inventory_variables(server, connection)
    web1 = {"ansible_host": TARGET, "audit_ports_systems": ["linux", "network_scan"], "audit_ports_platform": "none"}
    inventory = tmp_path / "hosts.json"
    found = {
        "audit_hosts": {"hosts": {"audit1": audit1}},
        "audit_targets": {"hosts": {"web1": web1}},
    }
    inventory.write_text(json.dumps(found))
    playbook = tmp_path / "play.yml"
    # To copy a file takes more than these: an sshd with sftp, and of PowerShell what the engine here has not.
    kept = str(tmp_path / "seen.jsonl") if connection == "winrm" else "{{ omit }}"
    playbook.write_text(_PLAY.replace("{{ kept }}", kept))
    played = play(core, playbook, inventory)
    assert played.returncode == 0, played.said
    facts = played.results["audit1"]["ansible_facts"]
    result = facts["by_task"]
    assert facts["by_lookup"] == [row["status"] for row in result["observations"]]
    by_id = {row["requirement"]: (row["status"], row["service"]) for row in result["observations"]}
    assert by_id["linux.ssh"] == ("open", "confirmed")
    assert by_id["network_scan.icmp_echo"] == ("open", "confirmed")
    assert by_id["network_scan.netbios_datagram"] == ("unverifiable_from_here", "not_checked")
    assert {row["vantage"] for row in result["observations"]} == {"audit1"}
    assert result["counts"]["open"] == 2
    assert result["changed"] == (connection == "winrm")
    if result["changed"]:
        lines = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
        assert len(lines) == len(result["observations"])
