# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A network namespace that has the addresses at which a fleet's stand-ins are audited: services, and what a host's own
firewall drops. Made and removed here; the machine itself gets one wire to that namespace, and the routes to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.standins.esxi.model import Host

ROOT = Path(__file__).resolve().parents[2]
CONTROLLER = "203.0.113.209"
_GATEWAY = "203.0.113.210"
_PORTS = (80, 443, 902)


class Field:
    """The namespace, while it is entered. ``addresses`` answer there, with the services of ``tests.esxi.services``."""

    def __init__(self, addresses: tuple[str, ...], folder: Path) -> None:
        self.name = f"audit-ports-esxi-{os.getpid()}"
        self._addresses = addresses
        self._folder = folder
        self._wire = f"ape{os.getpid()}"[:15]
        self._services: subprocess.Popen[str] | None = None

    def __enter__(self) -> Field:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if self._services is not None:
            self._services.kill()
            self._services.communicate()
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False, timeout=20)

    def _build(self) -> None:
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", self._wire, "type", "veth", "peer", "name", "audit0", "netns", self.name)
        self.inside("ip", "link", "set", "lo", "up")
        for address in (f"{_GATEWAY}/30", *(f"{address}/32" for address in self._addresses)):
            self.inside("ip", "address", "add", address, "dev", "audit0")
        self.inside("ip", "link", "set", "audit0", "up")
        _run("ip", "address", "add", f"{CONTROLLER}/30", "dev", self._wire)
        _run("ip", "link", "set", self._wire, "up")
        for address in self._addresses:
            _run("ip", "route", "add", f"{address}/32", "via", _GATEWAY)
        self.filter({})
        self._services = subprocess.Popen(
            ["ip", "netns", "exec", self.name, sys.executable, "-m", "tests.esxi.services", str(self._folder)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        if self._services.stdout is None or self._services.stdout.readline().strip() != "ready":
            raise RuntimeError("the services in the namespace did not start")

    def inside(self, *command: str, text: str = "") -> None:
        """Run a command in the namespace."""
        _run("ip", "netns", "exec", self.name, *command, text=text)

    def filter(self, hosts: Mapping[str, Host]) -> None:
        """Drop at each address what its host's rulesets do not let in from the controller."""
        shut = [
            f"ip daddr {address} tcp dport {port} drop"
            for address, host in hosts.items()
            for port in _PORTS
            if not host.admits(CONTROLLER, port)
        ]
        rules = "\n".join(["type filter hook input priority 0; policy accept;", *shut])
        self.inside("nft", "-f", "-", text=f"flush ruleset\ntable ip hosts {{\nchain input {{\n{rules}\n}}\n}}\n")

    def shell(self) -> Path:
        """A shell that runs what it is given in the namespace: how Ansible's local connection gets in."""
        path = self._folder / "shell"
        path.write_text(f'#!/bin/sh\nexec ip netns exec {self.name} /bin/sh "$@"\n')
        path.chmod(0o755)
        return path


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
