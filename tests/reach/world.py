# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A little network of three namespaces: a vantage, a router with a firewall, and a target with a firewall and services.

Everything is made and removed here; nothing outside these namespaces is touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET, ROUTER, VANTAGE = "10.77.1.10", "10.77.0.254", "10.77.0.1"
TARGET_V6, ROUTER_V6 = "fd77:1::10", "fd77::fe"
NOBODY_ON_LINK = "10.77.0.77"
NOBODY_ROUTED = "10.77.1.77"
NO_WAY_AT_ROUTER = "10.77.9.9"
NO_ROUTE = "203.0.113.9"
HOST_DROPS_ALL = "10.77.1.11"
HOST_REJECTS_ALL = "10.77.1.12"
HOST_RESETS_ALL = "10.77.1.13"

_ROUTER_RULES = """
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr 10.77.1.0/24 accept
    ip6 saddr fd77:1::/64 accept
    tcp dport 2001 reject with icmpx admin-prohibited
    tcp dport 2002 drop
    tcp dport 2003 reject with icmpx port-unreachable
    udp dport 2001 reject with icmpx admin-prohibited
    udp dport 2002 drop
    udp dport 2003 reject with icmpx port-unreachable
  }
}
"""
_TARGET_RULES = """
table inet filter {
  chain input {
    type filter hook input priority 0; policy accept;
    ip daddr 10.77.1.11 drop
    ip daddr 10.77.1.12 reject with icmpx admin-prohibited
    meta l4proto tcp ip daddr 10.77.1.13 reject with tcp reset
    tcp dport 3001 reject with icmpx admin-prohibited
    tcp dport 3002 reject with icmpx port-unreachable
    tcp dport 3003 drop
    udp dport 3001 reject with icmpx admin-prohibited
    udp dport 3003 drop
  }
}
"""


class World:
    """The three namespaces, while it is entered."""

    def __init__(self, kind: str = "p") -> None:
        """``kind``, a letter, tells the namespaces of several such networks of one process apart."""
        mark = f"a{kind}{os.getpid()}"
        self.vantage, self.router, self.target = (f"{mark}{letter}" for letter in "vrt")
        self._services: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> World:
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
        for name in (self.vantage, self.router, self.target):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def run(self, namespace: str, *command: str, text: str = "") -> str:
        """Run a command in a namespace; its output. Raises with its error output if it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *command],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}"},
        )
        if done.returncode:
            raise RuntimeError(f"{command} in {namespace}: {done.stderr}")
        return done.stdout

    def probe(
        self,
        probes: Iterable[Mapping[str, Any]],
        *,
        before: tuple[str, ...] = (),
        descriptors: int | None = None,
        names: Mapping[str, Any] | None = None,
        unguarded: tuple[str, ...] = (),
        spares_from: int | None = None,
        python: str = sys.executable,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Observations of these probes from the vantage, in order of completion, with ``index`` and ``at_s`` added.

        ``descriptors`` is the limit of them, ``unguarded`` names guards that are switched off, ``spares_from`` is
        how many open ports it takes until sockets are used again.
        """
        request = {
            "probes": list(probes),
            "options": options,
            "descriptors": descriptors,
            "names": names,
            "unguarded": unguarded,
            "spares_from": spares_from,
        }
        output = self.run(self.vantage, *before, python, "-m", "tests.reach.prober", text=json.dumps(request))
        return [json.loads(line) for line in output.splitlines()]

    def _build(self) -> None:
        for name in (self.vantage, self.router, self.target):
            _ip("netns", "add", name)
            self.run(name, "ip", "link", "set", "lo", "up")
            self.run(name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        self._link(self.vantage, "10.77.0.1/24", "fd77::1/64", self.router, "10.77.0.254/24", "fd77::fe/64", "left")
        self._link(
            self.target, "10.77.1.10/24", "fd77:1::10/64", self.router, "10.77.1.254/24", "fd77:1::fe/64", "right"
        )
        self.run(self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for name in (self.router, self.target):
            self.run(name, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
            limits = ("net.ipv4.icmp_msgs_per_sec=10000", "net.ipv4.icmp_msgs_burst=1000")
            self.run(name, "sysctl", "-qew", *limits)  # older kernels have them for the whole machine alone
        for network in ("10.77.1.0/24", "10.77.9.0/24"):
            self.run(self.vantage, "ip", "route", "add", network, "via", ROUTER)
        self.run(self.vantage, "ip", "-6", "route", "add", "fd77:1::/64", "via", ROUTER_V6)
        self.run(self.target, "ip", "route", "add", "default", "via", "10.77.1.254")
        self.run(self.target, "ip", "-6", "route", "add", "default", "via", "fd77:1::fe")
        for last in (11, 12, 13, *range(20, 60)):
            self.run(self.target, "ip", "address", "add", f"10.77.1.{last}/24", "dev", "right")
        self.run(self.router, "nft", "-f", "-", text=_ROUTER_RULES)
        self.run(self.target, "nft", "-f", "-", text=_TARGET_RULES)
        self._serve()

    def _link(self, left: str, v4: str, v6: str, right: str, right_v4: str, right_v6: str, device: str) -> None:
        _ip("link", "add", device, "netns", left, "type", "veth", "peer", "name", device, "netns", right)
        for name, addresses in ((left, (v4, v6)), (right, (right_v4, right_v6))):
            self.run(name, "ip", "link", "set", device, "up")
            for address in addresses:
                self.run(name, "ip", "address", "add", address, "dev", device, *(("nodad",) if ":" in address else ()))

    def _serve(self) -> None:
        self._services = subprocess.Popen(
            ["ip", "netns", "exec", self.target, sys.executable, "-m", "tests.reach.services"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}"},
        )
        assert self._services.stdout is not None
        if self._services.stdout.readline().strip() != b"ready":
            raise RuntimeError("the services of the target did not start")
        time.sleep(0.05)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)
