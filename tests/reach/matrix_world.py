# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real services in a container, each on its own port of one address, and on every port of an address of its own.

The addresses of their own are made by rules inside the container's network namespace, which send all ports of the
address to the one service. So every service can be met on the port of every other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.lab.fleet import Image
from tests.lab.images import DEFINITION_LABEL, ULIMITS, definition, ensure_images
from tests.lab.shell import lab_lock, podman, podman_argv
from tests.reach.matrix_standins import AUTHD_PORT, WINRM_PORT
from tests.reach.world import ROOT, World

IMAGE = Image("matrix", "bookworm", ("common", "matrix"))
SERVICES_ADDRESS, VANTAGE_ADDRESS = "10.78.0.10", "10.78.0.1"
COMMUNITY = "audit-lab"
REALM, DOMAIN, HOST_NAME = "MATRIX.EXAMPLE.COM", "MATRIX", "services"
_START_S = 150
# Samba makes itself a certificate before its LDAP server listens, which takes longer than all the rest; no test asks
# for LDAP over TLS.
_BOOT = ("sh", "-c", r"sed -i 's/^\[global\]$/&\n\ttls enabled = no/' /etc/samba/smb.conf; exec /sbin/init")


class Service(NamedTuple):
    """A service of the container: what it is called here, and where it really listens."""

    name: str
    protocol: str
    port: int
    address: str


def _services() -> tuple[Service, ...]:
    wires = (
        *(("sshd", "tcp", 22), ("nginx", "tcp", 80), ("nginx TLS 1.2", "tcp", 443), ("nginx TLS 1.3", "tcp", 8443)),
        *(("KDC", "tcp", 88), ("LDAP", "tcp", 389), ("RPC mapper", "tcp", 135), ("RPC service", "tcp", 49152)),
        *(("NetBIOS session", "tcp", 139), ("SMB", "tcp", 445), ("SMB 1", "tcp", 1445), ("CUPS", "tcp", 631)),
        *(("Samba DNS", "tcp", 53), ("dnsmasq", "tcp", 1053), ("p910nd", "tcp", 9100), ("xrdp", "tcp", 3389)),
        *(("vsftpd", "tcp", 21), ("opensmtpd", "tcp", 25), ("WinRM", "tcp", WINRM_PORT), ("authd", "tcp", AUTHD_PORT)),
        *(("Samba DNS", "udp", 53), ("dnsmasq", "udp", 1053), ("snmpd", "udp", 161), ("nmbd", "udp", 137)),
        *(("snmptrapd", "udp", 162), ("KDC", "udp", 88)),
    )
    return tuple(Service(*wire, f"10.78.0.{20 + number}") for number, wire in enumerate(wires))


SERVICES = _services()


class MatrixWorld(World):
    """A vantage and the container, while it is entered."""

    def __init__(self) -> None:
        super().__init__("x")
        self.container = f"audit-ports-matrix-{os.getpid()}"  # not one of the lab's, which removes all of its own
        self.clients = f"{self.container}-clients"

    def __exit__(self, *exc_info: object) -> None:
        podman("rm", "--force", "--ignore", "--time", "0", self.container, self.clients, check=False)
        super().__exit__(*exc_info)

    def client(self, *command: str, check: bool = True, text: str | None = None) -> str:
        """Run a program of the image in the vantage's network; both outputs, one after the other."""
        done = subprocess.run(
            podman_argv("exec", "--interactive", self.clients, *command),
            input=text, capture_output=True, text=True, errors="replace", timeout=120, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{command} in the image: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def tear_off_paper(self) -> None:
        """Forget what the printer has printed."""
        self._paper.write_bytes(b"")

    def paper(self) -> bytes:
        """What the printer has printed; it prints within a moment after the end of a connection."""
        time.sleep(0.3)
        return self._paper.read_bytes()

    @property
    def _paper(self) -> Path:
        return Path(self._root()) / "var/lib/printer/paper"

    def _build(self) -> None:
        if not _is_built():
            with lab_lock():
                ensure_images([IMAGE])
        for name in (self.vantage, self.router, self.target):
            _ip("netns", "add", name)
            self.run(name, "ip", "link", "set", "lo", "up")
        _ip("link", "add", "m0", "netns", self.vantage, "type", "veth", "peer", "name", "m0", "netns", self.target)
        addresses = [SERVICES_ADDRESS, *(service.address for service in SERVICES)]
        for name, own in ((self.vantage, [VANTAGE_ADDRESS]), (self.target, addresses)):
            lines = "".join(f"address add {address}/24 dev m0\n" for address in own) + "link set m0 up\n"
            self.run(name, "ip", "-batch", "-", text=lines)
        self.run(self.target, "nft", "-f", "-", text=_rules())
        self._start(self.container, self.target, "--systemd=always", command=_BOOT)
        self._start(self.clients, self.vantage, command=("sleep", "infinity"))
        self._serve_standins()
        self._wait()

    def _start(self, name: str, namespace: str, *options: str, command: Sequence[str]) -> None:
        podman(
            "run", "--detach", "--name", name, "--hostname", HOST_NAME, "--network", f"ns:/run/netns/{namespace}",
            "--cap-add", "NET_ADMIN,NET_RAW", *ULIMITS, *options, IMAGE.tag, *command,
        )  # fmt: skip

    def _root(self) -> str:
        pid = subprocess.run(
            podman_argv("inspect", "--format", "{{.State.Pid}}", self.container),
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout.strip()  # fmt: skip
        return f"/proc/{pid}/root"

    def _serve_standins(self) -> None:
        self._services = subprocess.Popen(
            ["ip", "netns", "exec", self.target, sys.executable, "-m", "tests.reach.matrix_standins"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}"},
        )
        assert self._services.stdout is not None
        if self._services.stdout.readline().strip() != b"ready":
            raise RuntimeError("the stand-ins did not start")

    def _wait(self) -> None:
        """Until everything listens."""
        wanted = {(service.protocol, service.port) for service in SERVICES}
        deadline = time.monotonic() + _START_S
        while True:
            missing = wanted - self.listening()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"not listening after {_START_S} s: {sorted(missing)}")
            time.sleep(0.3)

    def listening(self) -> set[tuple[str, int]]:
        """What listens in the services' network, as protocol and port."""
        rows = (line.split() for line in self.run(self.target, "ss", "-Hltun").splitlines())
        return {(row[0], int(row[4].rpartition(":")[2])) for row in rows}


def _rules() -> str:
    """Every port of a service's own address leads to the service."""
    lines = [
        f"ip daddr {service.address} meta l4proto {service.protocol} redirect to :{service.port}"
        for service in SERVICES
    ]
    return (
        "table ip matrix { chain prerouting { type nat hook prerouting priority dstnat;\n"
        + "\n".join(lines)
        + "\n}\n}\n"
    )


def _is_built() -> bool:
    """Whether the image is there, made of what is in this repository: then nobody's lab need be waited for."""
    filters = (f"label={DEFINITION_LABEL}={definition(IMAGE)}", f"reference={IMAGE.tag}")
    return bool(podman("images", "--quiet", *(f"--filter={filter_}" for filter_ in filters)).stdout)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)
