# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The ground of the reachability bench: two network namespaces, and 10,000 addresses that each behave as they should.

Of each hundred addresses 8 drop everything and 10 drop two ports of ten, so that a tenth of all probes is filtered; 10
reset everything, 2 reject with ICMP "administratively prohibited" and 2 with "port unreachable"; the others are open.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.lab.shell import run as run_tool

ADDRESSES = 10_000
PORTS = tuple(range(1000, 1010))  # whoever connects hears nothing
SERVICES = tuple(range(2000, 2010))  # the same, with a service behind each
_HUNDRED = (
    ["silent"] * 8 + ["half"] * 10 + ["resets"] * 10 + ["prohibited"] * 2 + ["unreachable"] * 2 + ["open"] * 68
)
_TRUTH = {
    "silent": "filtered",
    "resets": "closed",
    "prohibited": "rejected",
    "unreachable": "rejected",
    "open": "open",
}
_HERE = Path(__file__).parent


def address_of(number: int) -> str:
    """The address of a target, 250 of them in each /24."""
    return f"10.80.{number // 250}.{number % 250 + 1}"


def truth_of(number: int, port: int) -> str:
    """What a right answer says of this port of the target with this number."""
    kind = _HUNDRED[number % 100]
    if kind == "half":
        return "filtered" if port in (*PORTS[-2:], *SERVICES[-2:]) else "open"
    return _TRUTH[kind]


class BenchWorld:
    """The namespaces, the compiled programs and the services, while it is entered."""

    def __init__(self, answers: Mapping[int, str]) -> None:
        """``answers``: by port what its service sends, as reach_target.c takes it."""
        mark = f"apb{os.getpid()}"
        self.vantage, self.target = f"{mark}v", f"{mark}t"
        self._answers = answers
        self._services: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="audit-ports-reach-")
        self.folder = Path(self._folder.name)

    def __enter__(self) -> BenchWorld:
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
        for name in (self.vantage, self.target):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        self._folder.cleanup()

    def compile(self, name: str) -> Path:
        """The program made of NAME.c beside this file."""
        ensure("gcc", "gcc", "libc6-dev")
        program = self.folder / name
        run(["gcc", "-O2", "-Wall", "-Werror", "-o", str(program), str(_HERE / f"{name}.c")])
        return program

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command at the vantage."""
        return ["ip", "netns", "exec", self.vantage, *command]

    def _build(self) -> None:
        for name in (self.vantage, self.target):
            run(["ip", "netns", "add", name])
        link = ["ip", "link", "add", "bench", "netns", self.vantage, "type", "veth", "peer", "name", "bench"]
        run([*link, "netns", self.target])
        for name, address in ((self.vantage, "10.79.0.1/24"), (self.target, "10.79.0.2/24")):
            run(["ip", "-n", name, "link", "set", "lo", "up"])
            run(["ip", "-n", name, "link", "set", "bench", "up"])
            run(["ip", "-n", name, "address", "add", address, "dev", "bench"])
        run(["ip", "-n", self.vantage, "route", "add", "10.80.0.0/18", "via", "10.79.0.2"])
        run(["ip", "-n", self.target, "route", "add", "local", "10.80.0.0/18", "dev", "lo"])
        at_target = ["ip", "netns", "exec", self.target]
        icmp = ("icmp_ratelimit=0", "icmp_msgs_per_sec=1000000", "icmp_msgs_burst=100000")
        limits = (*icmp, "tcp_max_syn_backlog=65535")
        run([*at_target, "sysctl", "-qew", "net.core.somaxconn=65535", *(f"net.ipv4.{limit}" for limit in limits)])
        run([*at_target, "nft", "-f", "-"], text=_rules())
        self._serve([*at_target, str(self.compile("reach_target"))])

    def _serve(self, command: Sequence[str]) -> None:
        services = [f"{port}:{answer}" for port, answer in self._answers.items()]
        self._services = subprocess.Popen([*command, *services], stdout=subprocess.PIPE, text=True)
        assert self._services.stdout is not None
        if self._services.stdout.readline() != "ready\n":
            raise RuntimeError("the services of the bench did not start")


def ensure(tool: str, *packages: str) -> None:
    """Install these Debian packages where the tool is missing. Raises LabError."""
    if shutil.which(tool) is None:
        run_tool(["apt-get", "install", "-y", "--no-install-recommends", *packages], timeout_s=600)


def run(command: Sequence[str], *, text: str = "") -> str:
    """The output of a command. Raises RuntimeError with its errors where it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


def _rules() -> str:
    dropped = ", ".join(str(port) for port in (*PORTS[-2:], *SERVICES[-2:]))
    rules = {
        "silent": "drop",
        "half": f"tcp dport {{ {dropped} }} drop",
        "resets": "meta l4proto tcp reject with tcp reset",
        "prohibited": "reject with icmp type admin-prohibited",
        "unreachable": "reject with icmp type port-unreachable",
    }
    chains = "\n".join(f"chain {kind} {{ {rule}; }}" for kind, rule in rules.items())
    places = ", ".join(f"{address} : jump {kind}" for kind in rules for address in _of(kind))
    return f"""table ip bench {{
{chains}
map kinds {{ type ipv4_addr : verdict; elements = {{ {places} }}; }}
chain input {{
type filter hook input priority 0; policy accept;
ip daddr vmap @kinds
}}
}}
"""


def _of(kind: str) -> Iterable[str]:
    return (address_of(number) for number in range(ADDRESSES) if _HUNDRED[number % 100] == kind)
