# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit hosts over SSH as vantage, with a real OpenSSH server: with Python, without, and with all that may forbid it.

The controller's namespace has no way to any target, so a probe that started there would be seen.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.reach.audit_hosts import AUDIT_HOST, PASSWORD, USER, AuditHosts
from tests.reach.world import NO_ROUTE, NOBODY_ON_LINK, TARGET, TARGET_V6

pytestmark = pytest.mark.timeout(120)

_SSH = {"address": TARGET, "port": 22, "service": "ssh"}
_MANY = [f"10.77.1.{last}" for last in range(20, 60)]
_STATES = [
    _SSH,
    {"address": TARGET_V6, "port": 22, "service": "ssh"},
    {"address": TARGET, "port": 4001},
    {"address": TARGET, "port": 2001},
    {"address": TARGET, "port": 3001},
    {"address": TARGET, "port": 3003},
    {"address": TARGET, "port": 2121, "service": "ssh"},
    {"address": TARGET, "port": 161, "protocol": "udp", "service": "snmp"},
    {"address": TARGET, "protocol": "icmp", "service": "icmp_echo"},
    {"address": NOBODY_ON_LINK, "port": 22},
    {"address": NO_ROUTE, "port": 22},
    {"address": "no-such-name.invalid", "port": 22},
]


def _told(found: dict[str, Any]) -> list[tuple[str, str]]:
    assert found["error"] is None
    return [(row["status"], row["service"]) for row in found["rows"]]


@pytest.mark.usefixtures("echoes")
def test_with_python_all_states_are_seen(hosts: AuditHosts) -> None:
    found = hosts.look(hosts.inventory("python"), _STATES, timeout_s=1)
    assert _told(found) == [
        ("open", "confirmed"),
        ("open", "confirmed"),
        ("closed", "not_checked"),
        ("rejected", "not_checked"),
        ("rejected", "not_checked"),
        ("filtered", "not_checked"),
        ("open", "unexpected"),
        ("open", "confirmed"),
        ("open", "confirmed"),
        ("unreachable", "not_checked"),
        ("unreachable", "not_checked"),
        ("name_error", "not_checked"),
    ]
    assert found["warnings"] == []
    assert {row["vantage"] for row in found["rows"]} == {"audit1"}
    assert found["rows"][0]["source_address"] == "10.77.0.1"
    assert "from 10.77.0.254" in found["rows"][3]["evidence"]


def test_nothing_is_left_on_the_audit_host(hosts: AuditHosts) -> None:
    """No file anywhere that was not there before, and no process."""
    before = _files(hosts)
    assert _told(hosts.look(hosts.inventory("python"), [_SSH])) == [("open", "confirmed")]
    assert _files(hosts) == before
    assert "base64" not in hosts.in_container("python", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def _files(hosts: AuditHosts) -> set[str]:
    return set(hosts.in_container("python", "find", "/", "-xdev", "-type", "f").splitlines())


def test_without_python_tcp_alone_is_seen(hosts: AuditHosts) -> None:
    found = hosts.look(hosts.inventory("bare"), _STATES)
    assert _told(found) == [
        ("open", "confirmed"),
        ("open", "confirmed"),
        ("closed", "not_checked"),
        ("unreachable", "not_checked"),
        ("unreachable", "not_checked"),
        ("filtered", "not_checked"),
        ("open", "unexpected"),
        ("unverifiable_from_here", "not_checked"),
        ("unverifiable_from_here", "not_checked"),
        ("unreachable", "not_checked"),
        ("local_error", "not_checked"),
        ("name_error", "not_checked"),
    ]
    assert "'Connection refused'" in found["rows"][2]["evidence"]
    assert "'No route to host'" in found["rows"][3]["evidence"]
    assert {row["source_address"] for row in found["rows"]} == {None}
    (warning,) = found["warnings"]
    assert "no Python to probe with" in warning
    assert "UDP and ICMP" in warning


@pytest.mark.parametrize("kind", ["python", "bare"])
def test_one_question_leads_to_another(hosts: AuditHosts, kind: str) -> None:
    """The port that the mapper names is probed, and what is there instead of a service is found, from there, too."""
    mapped = {"address": TARGET, "protocol": "rpc", "port": None, "service": "rpc_endpoint_map"}
    found = hosts.look(hosts.inventory(kind), [mapped, {"address": TARGET, "port": 7004, "service": "smb"}])
    assert _told(found) == [("open", "confirmed"), ("open", "unexpected")]
    dynamic, instead = (row["evidence"] for row in found["rows"])
    assert dynamic.startswith("port 49153: RPC service")
    assert "HTTP" in instead
    assert "told on a further connection" in instead


def test_where_no_command_may_run_connections_are_forwarded(hosts: AuditHosts) -> None:
    found = hosts.look(hosts.inventory("python_no_shell"), [_SSH])
    assert _told(found) == [("open", "confirmed")]
    assert "no command can be run there" in found["warnings"][0]


def test_too_old_a_python_is_told(hosts: AuditHosts) -> None:
    old = "/tmp/old-python"
    script = "#!/bin/sh\\necho agentless-audit-ports:3.6"
    hosts.in_container("python", "sh", "-c", f"printf '{script}' > {old}; chmod +x {old}")
    found = hosts.look(hosts.inventory("python", ansible_python_interpreter=old), [_SSH])
    hosts.in_container("python", "rm", old)
    assert _told(found) == [("open", "confirmed")]
    assert "is 3.6, at least 3.8 is needed" in found["warnings"][0]


def test_a_forbidding_vantage_is_told_as_such(hosts: AuditHosts) -> None:
    found = hosts.look(hosts.inventory("bare_forbidden"), [_SSH, {"address": TARGET, "port": 4001}])
    assert [status for status, _service in _told(found)] == ["local_error", "local_error"]
    assert all("not allowed to connect there" in row["evidence"] for row in found["rows"])
    limited = hosts.look(hosts.inventory("bare_limited"), [_SSH, {"address": TARGET, "port": 2121}])
    assert [status for status, _service in _told(limited)] == ["open", "local_error"]


def test_source_address_needs_python(hosts: AuditHosts) -> None:
    assert _told(hosts.look(hosts.inventory("python"), [_SSH], source_address="10.77.0.1")) == [("open", "confirmed")]
    found = hosts.look(hosts.inventory("bare"), [_SSH], source_address="10.77.0.1")
    assert "source_address needs Python" in found["error"]


def test_login_by_password(hosts: AuditHosts) -> None:
    variables = hosts.inventory("python_password", ansible_password=PASSWORD, ansible_ssh_private_key_file=None)
    assert _told(hosts.look(variables, [_SSH])) == [("open", "confirmed")]
    refused = hosts.look({**variables, "ansible_password": "wrong"}, [_SSH])
    assert f"the login as {USER} was refused" in refused["error"]
    assert "wrong" not in refused["error"]


def test_login_by_agent(hosts: AuditHosts) -> None:
    socket = hosts.files / "agent"
    agent = subprocess.run(["ssh-agent", "-a", socket], capture_output=True, text=True, check=True, timeout=20)
    process = int(agent.stdout.split("SSH_AGENT_PID=")[1].split(";")[0])
    try:
        environ = {"SSH_AUTH_SOCK": str(socket)}
        variables = hosts.inventory("python", ansible_ssh_private_key_file=None)
        assert "was refused" in hosts.look(variables, [_SSH], environ=environ)["error"]
        subprocess.run(["ssh-add", "-q", hosts.files / "key"], env={**os.environ, **environ}, check=True, timeout=20)
        assert _told(hosts.look(variables, [_SSH], environ=environ)) == [("open", "confirmed")]
    finally:
        os.kill(process, signal.SIGTERM)


@pytest.mark.parametrize("name", ["python", "bare"])
def test_by_way_of_a_jump_host(hosts: AuditHosts, name: str) -> None:
    """The configuration file says how the jump host is logged in to, as it does for ssh."""
    config = hosts.files / "config"
    known = hosts.files / "known_hosts"
    lines = ("Host gate", f"HostName {AUDIT_HOST}", "Port 2202", f"User {USER}", f"IdentityFile {hosts.files / 'key'}")
    config.write_text("\n".join(lines) + "\n")
    arguments = f"-F {config} -o UserKnownHostsFile={known} -o ProxyJump=gate"
    variables = hosts.inventory(name, ansible_ssh_common_args=arguments)
    refused = hosts.look(variables, [_SSH])
    assert "jump host gate" in refused["error"]
    config.write_text(config.read_text().replace("2202", "2201"))
    assert _told(hosts.look(variables, [_SSH])) == [("open", "confirmed")]


def test_by_way_of_a_proxy_command(hosts: AuditHosts) -> None:
    known = f"-F none -o UserKnownHostsFile={hosts.files / 'known_hosts'}"
    command = f"ssh {known} -i {hosts.files / 'key'} -p 2201 -W %h:%p {USER}@{AUDIT_HOST}"
    variables = hosts.inventory("bare", ansible_ssh_common_args=f"{known} -o ProxyCommand='{command}'")
    assert _told(hosts.look(variables, [_SSH])) == [("open", "confirmed")]


def test_unknown_and_changed_host_keys(hosts: AuditHosts) -> None:
    unknown = hosts.inventory("python", ansible_ssh_common_args="-F none -o UserKnownHostsFile=/nonexistent")
    refused = hosts.look(unknown, [_SSH])
    assert refused["rows"] == []
    assert "is not known" in refused["error"]
    accepted = hosts.look({**unknown, "ansible_host_key_checking": False}, [_SSH])
    assert _told(accepted) == [("open", "confirmed")]
    by_environment = hosts.look(unknown, [_SSH], environ={"ANSIBLE_HOST_KEY_CHECKING": "False"})
    assert _told(by_environment) == [("open", "confirmed")]
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", hosts.files / "other"], check=True, timeout=20)
    wrong = hosts.files / "wrong_hosts"
    wrong.write_text(f"[{AUDIT_HOST}]:2201 {(hosts.files / 'other.pub').read_text()}")
    for checking in (True, False):
        changed = hosts.inventory(
            "python",
            ansible_ssh_common_args=f"-F none -o UserKnownHostsFile={wrong}",
            ansible_host_key_checking=checking,
        )
        assert "its host key has changed" in hosts.look(changed, [_SSH])["error"]


def test_an_audit_host_that_is_not_there(hosts: AuditHosts) -> None:
    assert "is not reached" in hosts.look(hosts.inventory("python", ansible_port=2299), [_SSH])["error"]


def test_deadline_holds_there_too(hosts: AuditHosts) -> None:
    probes = [{"address": address, "port": 4001} for address in _MANY]
    for name in ("python", "bare"):
        found = hosts.look(hosts.inventory(name), probes, deadline_s=1, rate_per_s=20)
        statuses = Counter(status for status, _service in _told(found))
        assert set(statuses) == {"closed", "local_error"}
        assert statuses["closed"] >= 10


def test_ssh_is_greeted_once(hosts: AuditHosts) -> None:
    """Requirements that ask the same of a host share one forwarded connection."""
    found = hosts.look(hosts.inventory("bare"), [_SSH, _SSH, _SSH])
    assert _told(found) == [("open", "confirmed")] * 3


def _mixture(count: int, silent: int) -> tuple[list[dict[str, Any]], list[str]]:
    """That many probes of all kinds, every ``silent``-th met by silence, and what a forwarding vantage says of each."""
    probes, expected = [], []
    for number in range(count):
        address, turn = _MANY[number % len(_MANY)], number // len(_MANY)
        kind = "filtered" if turn % silent == silent - 1 else ("open", "unreachable", "closed", "closed")[turn % 4]
        port = {"filtered": 3003, "open": 2121, "unreachable": 3001, "closed": 20000 + turn}[kind]
        probes.append({"address": address, "port": port, "service": f"none{number}"})
        expected.append(kind)
    return probes, expected


@pytest.mark.parametrize(("name", "rejected"), [("python", "rejected"), ("bare", "unreachable")])
def test_thousands_of_probes_none_of_them_wrong(hosts: AuditHosts, name: str, rejected: str) -> None:
    probes, expected = _mixture(4000, silent=10)
    options = {"rate_per_s": 5000, "per_host": 100, "timeout_s": 1}
    found = hosts.look(hosts.inventory(name), probes, **options)
    assert found["error"] is None
    wanted = [rejected if kind == "unreachable" else kind for kind in expected]
    assert [row["status"] for row in found["rows"]] == wanted
    print(f"{name}: {len(probes) / found['wall_s']:.0f} probes a second, {found['cpu_s']:.1f} s of CPU here")


def test_silence_that_fills_sessions_takes_fresh_ones(hosts: AuditHosts) -> None:
    """More silent connects than one session may bear: none is called anything but filtered."""
    probes = [{"address": address, "port": 3003, "service": f"n{turn}"} for turn in range(25) for address in _MANY]
    found = hosts.look(hosts.inventory("bare"), probes, rate_per_s=1000, per_host=100, timeout_s=1)
    assert Counter(status for status, _service in _told(found)) == {"filtered": 1000}


def test_an_exhausted_vantage_says_nothing_of_the_hosts(hosts: AuditHosts) -> None:
    """A server with 160 descriptors: what it can't connect is our fault, or is connected by a fresh session."""
    probes, expected = _mixture(1200, silent=2)
    found = hosts.look(hosts.inventory("bare_tight"), probes, rate_per_s=2000, per_host=100, timeout_s=1)
    assert found["error"] is None
    wrong = [
        (row, kind)
        for row, kind in zip(found["rows"], expected, strict=True)
        if row["status"] not in (kind, "local_error")
    ]
    assert wrong == []
    exhausted = [row for row in found["rows"] if row["status"] == "local_error"]
    assert all("open failed" in row["evidence"] for row in exhausted)


@pytest.mark.parametrize(("kind", "lost"), [("python", 1), ("bare", 0)])
def test_a_session_that_breaks_loses_only_what_was_under_way(hosts: AuditHosts, kind: str, lost: int) -> None:
    """What is left of a piped engine's run is our fault; forwarding goes on in a fresh session."""
    probes = [{"address": address, "port": 4001} for address in _MANY]
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(hosts.look, hosts.inventory(kind), probes, rate_per_s=4)
        hosts.in_container(kind, "sh", "-ec", _BREAK)
        found = looking.result()
    assert found["error"] is None
    assert [row["index"] for row in found["rows"]] == list(range(len(probes)))
    counts = Counter(row["status"] for row in found["rows"])
    assert counts["closed"] >= 3
    assert lost <= counts["local_error"] == len(probes) - counts["closed"]


# Waits for the session, lets it work for some seconds of ten, and kills its processes.
_BREAK = f"""
sessions() {{ grep -ls '^sshd[^ ]*: {USER}' /proc/[0-9]*/cmdline | cut -d/ -f3; }}
until [ -n "$(sessions)" ]; do sleep 0.1; done
sleep 4
kill -9 $(sessions)
"""
