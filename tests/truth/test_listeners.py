# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What listens and what it answers: a real sshd on another port, a socket unit of systemd, address lists of a service.

Each is set up in a container of the lab's, on the host of a field, and read, judged and tried from the client.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.platform import LinuxPlatform
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts

from tests.lab.images import ULIMITS
from tests.lab.shell import podman
from tests.truth.field import BYTE, HOST, SOURCES, Field, Probe

pytestmark = [pytest.mark.timeout(60), pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")]
IMAGE = "localhost/audit-ports-lab/debian12-ufw"
ELSEWHERE = 2222
FIRST, SECOND = SOURCES[4]
READY_S, ANSWER_S = 30, 10
ENFORCING = ",BPF,SYS_ADMIN"  # what systemd needs to have the kernel filter for a unit
DENYING_UNIT = f"""
rm -f /etc/systemd/system/sshd.service
printf '[Service]\\nExecStart=/usr/sbin/sshd -D -p {ELSEWHERE}\\nIPAddressDeny={FIRST}\\n' \\
    >/run/systemd/system/sshd.service
systemctl daemon-reload && systemctl start sshd.service
"""
SOCKET_UNIT = """
mkdir -p /run/systemd/system
printf '[Socket]\\nListenStream=22\\nAccept=yes\\n' >/run/systemd/system/echo.socket
printf '[Service]\\nExecStart=/bin/cat\\nStandardInput=socket\\n' >/run/systemd/system/echo@.service
systemctl daemon-reload && systemctl start echo.socket
"""


@dataclass
class Host:
    """A container with systemd, and nothing that listens but what a test starts."""

    name: str
    field: Field

    def run(self, script: str) -> str:
        """The output of a script of /bin/sh. Raises CalledProcessError."""
        command = ["podman", "--log-level=error", "exec", "--interactive", self.name, "/bin/sh"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def verdict(self, source: str = FIRST, port: int = 22) -> Verdict:
        """What is said of SSH from this source."""
        platform = LinuxPlatform()
        request = Request(
            host=self.name,
            systems=("linux",),
            requirements=(replace(get_requirement("linux.ssh"), port=port),),
            openable=frozenset(),
            sources={SourceRole.AUDIT_HOST: (NamedSource(source, AddressSet.parse(source)),)},
            destinations=(ip_address(HOST[4]),),
        )
        command = platform.read(request)
        snapshot = platform.parse(split_parts(self.run(command.body), command.mark), request)
        return platform.evaluate(snapshot, request)[0]

    def packet(self, source: str = FIRST, port: int = 22, answer_s: float = ANSWER_S) -> str:
        """What a connection from this source meets. A service may take its time to start."""
        with self.field.inside("client"), socket.socket() as sender:
            sender.settimeout(answer_s)
            try:
                sender.bind((source, 0))
                sender.connect((HOST[4], port))
                sender.send(BYTE)
                return "passes" if sender.recv(1) else "rejected"
            except ConnectionError:
                return "rejected"
            except TimeoutError:
                return "dropped"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One host for all tests, each of which takes away what it started."""
    made = Field("listeners", ports=())
    name = f"ap-truth-listeners-{os.getpid()}"
    try:
        podman(
            "run", "--detach", "--name", name, "--systemd=always", "--network", f"ns:{made.namespace('host')}",
            "--cap-add", f"NET_ADMIN,NET_RAW{ENFORCING}", *ULIMITS, IMAGE, "/sbin/init",
            "systemd.mask=ssh.service", "systemd.mask=snmpd.service",
        )  # fmt: skip
        found = Host(name, made)
        deadline = time.monotonic() + READY_S
        while found.run("systemctl is-system-running || true").strip() not in ("running", "degraded"):
            assert time.monotonic() < deadline, "systemd is not up"
            time.sleep(0.2)
        found.run("systemctl disable --now ufw; nft flush ruleset; mkdir -p /run/sshd; ssh-keygen -A")
        yield found
    finally:
        podman("rm", "--force", "--volumes", "--ignore", "--time", "0", name)
        made.close()


@pytest.fixture
def sshd(host: Host) -> Iterator[Host]:
    """The host with a real sshd on another port."""
    host.run(f"/usr/sbin/sshd -p {ELSEWHERE} -o PidFile=/run/elsewhere.pid")
    yield host
    host.run("kill $(cat /run/elsewhere.pid); : >/etc/hosts.deny")


def test_sshd_on_another_port_is_found_and_suggested(sshd: Host) -> None:
    """The port that the audit would use has no listener, and it is told where the service is."""
    verdict = sshd.verdict()
    assert (verdict.status.value, verdict.listening) == ("open", False)
    assert f"sshd on every address, tcp/{ELSEWHERE} (set ports: {{linux.ssh: {ELSEWHERE}}})" in str(verdict.listener)
    assert sshd.packet() == "rejected"
    verdict = sshd.verdict(port=ELSEWHERE)
    assert (verdict.status.value, verdict.listening) == ("open", True)
    assert sshd.packet(port=ELSEWHERE) == "passes"


def test_what_hosts_deny_keeps_out_is_told(sshd: Host) -> None:
    """The firewall lets it in, and sshd, which asks the TCP wrappers, hangs up."""
    sshd.run(f"echo 'sshd: {FIRST}' >/etc/hosts.deny")
    found = {source: sshd.verdict(source, ELSEWHERE) for source in (FIRST, SECOND)}
    met = {source: sshd.packet(source, ELSEWHERE) for source in (FIRST, SECOND)}
    assert met == {FIRST: "rejected", SECOND: "passes"}
    assert {source: verdict.status.value for source, verdict in found.items()} == {FIRST: "blocked", SECOND: "open"}
    assert "/etc/hosts.deny: sshd" in found[FIRST].reason


def test_what_a_unit_denies_is_told(host: Host) -> None:
    """systemd has the kernel drop it in the service's own control group, behind every rule."""
    host.run(DENYING_UNIT)
    try:
        deadline = time.monotonic() + READY_S
        while host.packet(SECOND, ELSEWHERE) != "passes":
            assert time.monotonic() < deadline, "sshd is not up"
        assert host.packet(FIRST, ELSEWHERE, answer_s=2) == "dropped"
        assert host.verdict(SECOND, ELSEWHERE).status.value == "open"
        # In a container systemd cannot tell whether it is obeyed; without the file that names it, it is a machine.
        found = host.verdict(FIRST, ELSEWHERE)
        assert (found.status.value, f"IPAddressDeny={FIRST}/32 of sshd.service" in found.reason) == ("unknown", True)
        host.run("mv /run/systemd/container /run/systemd/container.away")
        found = host.verdict(FIRST, ELSEWHERE)
        assert (found.status.value, f"kept out by IPAddressDeny={FIRST}/32" in found.reason) == ("blocked", True)
    finally:
        host.run(
            "mv /run/systemd/container.away /run/systemd/container; systemctl stop sshd;"
            " rm /run/systemd/system/sshd.service; systemctl daemon-reload"
        )


def test_a_socket_unit_listens(host: Host) -> None:
    """systemd holds the socket of a service that it starts for each connection."""
    assert host.verdict().listening is False
    host.run(SOCKET_UNIT)
    try:
        verdict = host.verdict()
        assert (verdict.listening, verdict.listener) == (True, "systemd on every address, tcp/22")
        assert host.packet() == "passes"
    finally:
        host.run("systemctl stop echo.socket; rm /run/systemd/system/echo*; systemctl daemon-reload")


def test_a_port_that_is_sent_elsewhere_has_its_listener_there(host: Host) -> None:
    """What a redirect makes of the port is told in place of a listener that the packets never meet."""
    rules = "table ip t { chain c { type nat hook prerouting priority -100; tcp dport 22 redirect to :2200; }; }"
    host.run(f"nft '{rules}'")
    try:
        verdict = host.verdict()
        assert verdict.listening is None
        assert f"sent on to {HOST[4]}, tcp/2200" in str(verdict.listener)
    finally:
        host.run("nft delete table ip t")


@pytest.mark.parametrize("version", [4, 6])
def test_an_echo_that_the_kernel_ignores(host: Host, version: int) -> None:
    """icmp_echo_ignore_all: no rule, and no answer."""
    switch = {4: "net.ipv4.icmp_echo_ignore_all", 6: "net.ipv6.icmp.echo_ignore_all"}[version]
    probe = Probe(SOURCES[version][0], HOST[version], "icmp", None)
    assert host.field.observe([probe])[probe] == "passes"
    host.field.run("sysctl", "-qw", f"{switch}=1")
    try:
        assert host.field.observe([probe])[probe] == "dropped"
        if version == 4:
            platform = LinuxPlatform()
            request = Request(
                host="host",
                systems=("network_scan",),
                requirements=(get_requirement("network_scan.icmp_echo"),),
                openable=frozenset(),
                sources={SourceRole.AUDIT_HOST: (NamedSource(FIRST, AddressSet.parse(FIRST)),)},
                destinations=(ip_address(HOST[4]),),
            )
            command = platform.read(request)
            snapshot = platform.parse(split_parts(host.run(command.body), command.mark), request)
            (verdict,) = platform.evaluate(snapshot, request)
            assert verdict.status.value == "blocked"
            assert switch in verdict.reason
    finally:
        host.field.run("sysctl", "-qw", f"{switch}=0")
