# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand addresses in a namespace, of every kind that a probe can meet, some behind a long and leaky wire."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = 1000
# Of each ten addresses one, or several, of a kind; and what a right answer says of all ports of that kind.
KINDS = ("open", "open", "resets", "drops", "prohibited", "unreachable", "tarpit", "delayed", "delayed", "open")
TRUTH = {
    "open": "open",
    "resets": "closed",
    "drops": "filtered",
    "prohibited": "rejected",
    "unreachable": "rejected",
    "tarpit": "open",
    "delayed": "open",
}
PORTS = range(2000, 2100)
_TARPIT_RULE = "tcp flags & (syn|ack) == ack drop"  # nothing behind the handshake is heard any more


def kind_of(number: int) -> str:
    """The kind of an address."""
    return KINDS[number % len(KINDS)]


def address_of(number: int) -> str:
    """An address by its number; the delayed ones are at the other end of the long wire."""
    network = "10.81" if kind_of(number) == "delayed" else "10.83"
    return f"{network}.{number // 250}.{number % 250 + 1}"


class Thousand:
    """Vantage and target, while it is entered. ``ways``: more networks of the wire, see relay.py."""

    def __init__(self, ways: dict[str, tuple[float, float]]) -> None:
        mark = f"apm{os.getpid()}"
        self.vantage, self.target = f"{mark}v", f"{mark}t"
        self._ways = {**{f"10.81.{part}": (0.12, 0.0) for part in range(4)}, **ways}
        self._stack = ExitStack()

    def __enter__(self) -> Thousand:
        with ExitStack() as stack:
            for name in (self.vantage, self.target):
                _ip("netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "delete", name], capture_output=True, check=False)
            self._link()
            self.run(self.target, "nft", "-f", "-", text=_rules())
            self._start(stack, ["ip", "netns", "exec", self.target, sys.executable, "-m", "tests.reach.thousand"])
            relay = [sys.executable, "-m", "tests.reach.relay", self.vantage, self.target, "1", json.dumps(self._ways)]
            self._start(stack, relay)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._stack.close()

    def run(self, namespace: str, *command: str, text: str = "", timeout_s: float = 60) -> str:
        """Run a command in a namespace; its output. Raises with its error output if it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *command],
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}"},
        )
        if done.returncode:
            raise RuntimeError(f"{command} in {namespace}: {done.stderr}")
        return done.stdout

    def probe(
        self, places: Sequence[tuple[str, int]], *, timeout_s: float = 60, **options: Any
    ) -> list[dict[str, Any]]:
        """Observations of connects to these addresses and ports, in their order, without politeness."""
        given = {"rate_per_s": 1e6, "per_host": 1000, **options}
        probes = [{"address": address, "port": port} for address, port in places]
        request = {"probes": probes, "options": given, "descriptors": None, "names": None}
        output = self.run(
            self.vantage, sys.executable, "-m", "tests.reach.prober", text=json.dumps(request), timeout_s=timeout_s
        )
        return sorted(map(json.loads, output.splitlines()), key=lambda row: int(row["index"]))

    def _link(self) -> None:
        _ip("link", "add", "near", "netns", self.vantage, "type", "veth", "peer", "name", "near", "netns", self.target)
        for name, address in ((self.vantage, "10.78.0.1/24"), (self.target, "10.78.0.2/24")):
            for arguments in (("link", "set", "lo", "up"), ("link", "set", "near", "up")):
                _ip("-n", name, *arguments)
            _ip("-n", name, "address", "add", address, "dev", "near")
        _ip("-n", self.vantage, "route", "add", "10.83.0.0/16", "via", "10.78.0.2")
        _ip("-n", self.target, "route", "add", "local", "10.83.0.0/16", "dev", "lo")
        limits = ("icmp_ratelimit=0", "icmp_msgs_per_sec=1000000", "icmp_msgs_burst=100000")
        limits = ("core.somaxconn=65535", *(f"ipv4.{limit}" for limit in limits))
        self.run(self.target, "sysctl", "-qew", *(f"net.{limit}" for limit in limits))

    def _start(self, stack: ExitStack, command: Sequence[str]) -> None:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}"},
        )
        stack.callback(process.communicate)
        stack.callback(process.kill)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{' '.join(command)} did not start")


def _rules() -> str:
    def of(kind: str) -> str:
        return ", ".join(address_of(number) for number in range(ADDRESSES) if kind_of(number) == kind)

    return f"""table ip thousand {{
chain input {{
type filter hook input priority 0; policy accept;
ip daddr {{ {of("drops")} }} drop
meta l4proto tcp ip daddr {{ {of("resets")} }} reject with tcp reset
ip daddr {{ {of("prohibited")} }} reject with icmp type admin-prohibited
ip daddr {{ {of("unreachable")} }} reject with icmp type port-unreachable
ip daddr {{ {of("tarpit")} }} {_TARPIT_RULE}
}}
}}
"""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


def _listeners() -> Iterator[socket.socket]:
    for port in PORTS:
        yield socket.create_server(("", port), backlog=65535)


def main() -> None:
    """Accept on every port of every address, and hang up."""
    listeners = list(_listeners())
    for listener in listeners:
        threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


def _hang_up(listener: socket.socket) -> None:
    while True:
        peer, _address = listener.accept()
        peer.close()


if __name__ == "__main__":
    main()
