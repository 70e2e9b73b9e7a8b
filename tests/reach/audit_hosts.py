# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit hosts with a real OpenSSH server in the vantage's namespace, one with Python and one without.

A fourth namespace is the controller: it reaches the audit hosts and none of the targets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.images import ULIMITS
from tests.lab.shell import podman_argv
from tests.reach.world import ROOT, World

CONTROLLER, AUDIT_HOST = "10.77.2.1", "10.77.2.2"
IMAGES = {"python": "localhost/audit-ports-lab/audit-host", "bare": "localhost/audit-ports-lab/router"}
USER, PASSWORD = "audit", "correct horse"
# Each server of each audit host: its port, and how it differs from OpenSSH's defaults.
SERVERS = {
    "python": {
        "python": (2201, ()),
        "python_password": (2202, ("PubkeyAuthentication=no",)),
        "python_no_shell": (2203, ("MaxSessions=0",)),
    },
    "bare": {
        "bare": (2211, ()),
        "bare_forbidden": (2212, ("AllowTcpForwarding=no",)),
        "bare_limited": (2213, ("PermitOpen=10.77.1.10:22",)),
        "bare_tight": (2214, ()),
    },
}
DESCRIPTORS = {"bare_tight": 160}
_KEPT_S = 900


class AuditHosts:
    """The containers and the controller's namespace, while it is entered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.controller = f"aph{os.getpid()}c"
        self._scratch = tempfile.TemporaryDirectory(prefix="audit-ports-vantage-")
        self.files = Path(self._scratch.name)
        self._containers = {kind: f"audit-ports-vantage-{kind}-{os.getpid()}" for kind in SERVERS}

    def __enter__(self) -> AuditHosts:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for name in self._containers.values():
            _podman("rm", "--force", "--ignore", "--time=0", name)
        subprocess.run(["ip", "netns", "delete", self.controller], capture_output=True, check=False)
        self._scratch.cleanup()

    def inventory(self, name: str, **changes: Any) -> dict[str, Any]:
        """The inventory variables of one of SERVERS; ``None`` among the changes takes a variable away."""
        port = next(servers[name][0] for servers in SERVERS.values() if name in servers)
        found = {
            "ansible_host": AUDIT_HOST,
            "ansible_port": port,
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.files / "key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.files / 'known_hosts'} -F none",
            **changes,
        }
        return {name: value for name, value in found.items() if value is not None}

    def look(
        self, variables: Mapping[str, Any], probes: list[dict[str, Any]], *, environ: Mapping[str, str] | None = None,
        longest_s: float = 90, **options: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """What the vantage of these variables sees: ``rows`` with their index, ``warnings``, ``error``, ``wall_s``."""
        request = {"variables": dict(variables), "probes": probes, "options": options}
        done = subprocess.run(
            ["ip", "netns", "exec", self.controller, sys.executable, "-m", "tests.reach.looker"],
            input=json.dumps(request), capture_output=True, text=True, timeout=longest_s, check=False, cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"},
                "HOME": str(self.files / "home"),
                "ANSIBLE_CONFIG": str(ROOT / "tests" / "tools" / "ansible.cfg"),
                "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}",
                **(environ or {}),
            },
        )  # fmt: skip
        if done.returncode or done.stderr:
            raise RuntimeError(f"the looker failed: {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def in_container(self, kind: str, *command: str) -> str:
        """Run a command on an audit host."""
        return _podman("exec", self._containers[kind], *command)

    def _build(self) -> None:
        (self.files / "home").mkdir()
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", self.files / "key"], check=True, timeout=20)
        subprocess.run(["ip", "netns", "add", self.controller], check=True, timeout=20)
        self.world.run(self.controller, "ip", "link", "set", "lo", "up")
        link = ("ip", "link", "add", "audit", "netns", self.world.vantage, "type", "veth")
        subprocess.run([*link, "peer", "name", "audit", "netns", self.controller], check=True, timeout=20)
        for name, address in ((self.world.vantage, AUDIT_HOST), (self.controller, CONTROLLER)):
            self.world.run(name, "ip", "link", "set", "audit", "up")
            self.world.run(name, "ip", "address", "add", f"{address}/24", "dev", "audit")
        for kind in SERVERS:
            self._start(kind)

    def _start(self, kind: str) -> None:
        network = f"--network=ns:/run/netns/{self.world.vantage}"
        name = self._containers[kind]
        _podman("run", "--detach", "--name", name, network, *ULIMITS, IMAGES[kind], "sleep", str(_KEPT_S))
        key = (self.files / "key.pub").read_text()
        self.in_container(
            kind,
            "sh",
            "-ec",
            f"""mkdir -p /run/sshd; ssh-keygen -qA
                useradd --create-home --shell /bin/sh {USER}; echo '{USER}:{PASSWORD}' | chpasswd
                mkdir /home/{USER}/.ssh; echo '{key.strip()}' > /home/{USER}/.ssh/authorized_keys
                chown -R {USER}: /home/{USER}/.ssh""",
        )
        for server, (port, options) in SERVERS[kind].items():
            given = " ".join(f"-o {option}" for option in options)
            limit = f"ulimit -n {DESCRIPTORS.get(server, 1024)}"
            self.in_container(kind, "sh", "-c", f"{limit}; /usr/sbin/sshd -f /dev/null -p {port} {given}")
        keys = self.in_container(kind, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
        with (self.files / "known_hosts").open("a") as file:
            for port, _options in SERVERS[kind].values():
                file.writelines(f"[{AUDIT_HOST}]:{port} {line}\n" for line in keys.splitlines())
        time.sleep(0.1)


def missing() -> str:
    """Why there can be no audit hosts here, or nothing."""
    for image in IMAGES.values():
        found = subprocess.run(
            podman_argv("image", "exists", image), capture_output=True, check=False, timeout=60
        )  # fmt: skip
        if found.returncode:
            return f"there is no image {image}: run `python -m tests.lab images`"
    return ""


def _podman(*arguments: str) -> str:
    done = subprocess.run(podman_argv(*arguments), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"podman {arguments}: {done.stderr}")
    return done.stdout
