# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Hosts of a bench's own, from the lab's images: made, reached by SSH from a namespace of the controller's, removed.

Each host has two wires to the controller: `audit0`, whose addresses the firewall is about, and `mgmt0`, by which
Ansible comes in. The machine itself is on neither.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.cli import build_images
from tests.lab.fleet import IMAGES
from tests.lab.images import ULIMITS
from tests.lab.shell import podman, require_root, run
from tests.tools.cores import Core
from tests.tools.environments import BUILD, ENVIRONMENTS, Environment, prepare

PREFIX = "audit-ports-bench"
CONTROLLER = f"{PREFIX}-controller"
COLLECTION = "agentless.audit_ports"
CALLBACKS = Path(__file__).resolve().parent / "callback"
_START_S = 90
_STOP_S = 3
# Not among those that `make setup` makes: it is large, and only benches want it.
ENVIRONMENTS["peers"] = Environment(BUILD / "venvs/peers", ("3.11", "3.12", "3.13"), ("bench",))


@dataclass(frozen=True)
class Machine:
    """A host: its `address` on the audit's wire, the controller's two there, and `management`, where Ansible goes."""

    name: str
    image: str
    number: int

    @property
    def container(self) -> str:
        return f"{PREFIX}-{self.name}"

    @property
    def source(self) -> str:
        return f"192.0.2.{16 * self.number + 1}"

    @property
    def other_source(self) -> str:
        return f"192.0.2.{16 * self.number + 3}"

    @property
    def address(self) -> str:
        return f"192.0.2.{16 * self.number + 2}"

    @property
    def management(self) -> str:
        return f"203.0.113.{16 * self.number + 2}"


@dataclass(frozen=True)
class Timed:
    """What one task returned on one host; `status` is ok, failed or unreachable."""

    host: str
    task: str
    status: str
    seconds: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """The hosts, while they are there."""

    machines: Mapping[str, Machine]
    folder: Path

    def run(self, machine: str, script: str) -> str:
        """Run a shell script in a host past Ansible; returns what it printed. Raises LabError where it fails."""
        return podman("exec", "-i", self.machines[machine].container, "sh", "-es", input_text=script).stdout

    def start(self, machine: str, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program of this machine in a host's network; it ends with the site."""
        return subprocess.Popen(_inside(self.machines[machine].container, *argv), stdin=subprocess.DEVNULL)

    def play(self, tasks: Mapping[str, Sequence[Mapping[str, Any]]], environ: Mapping[str, str]) -> list[Timed]:
        """Run the tasks of each host, one host after the other, in one `ansible-playbook`; what each returned.

        Raises RuntimeError where the run as a whole ended otherwise than by its tasks.
        """
        plays = [{"hosts": host, "gather_facts": False, "tasks": list(todo)} for host, todo in tasks.items()]
        playbook, record = self.folder / "play.json", self.folder / "record.jsonl"
        playbook.write_text(json.dumps(plays), encoding="utf-8")
        record.write_text("", encoding="utf-8")
        core = Core("peers", ENVIRONMENTS["peers"].bin)
        settings = {
            **core.environ(BUILD / "collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_STDOUT_CALLBACK": "timed",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "AUDIT_PORTS_TIMED": str(record),
            **environ,
        }
        command = _inside(CONTROLLER, core.bin / "ansible-playbook", playbook, "-i", self.folder / "inventory.json")
        done = subprocess.run(
            command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False
        )
        found = [Timed(**json.loads(line)) for line in record.read_text(encoding="utf-8").splitlines()]
        wanted = sum(len(todo) for todo in tasks.values())
        if len(found) != wanted:
            raise RuntimeError(f"{len(found)} of {wanted} tasks ran:\n{(done.stdout + done.stderr)[-4000:]}")
        return found


@contextlib.contextmanager
def site(images: Mapping[str, str]) -> Iterator[Site]:
    """Hosts by name and image, until the end. One bench at a time; what a killed one left is removed first."""
    require_root()
    prepare(["peers"])
    build_images()
    machines = {name: Machine(name, image, number) for number, (name, image) in enumerate(images.items())}
    with (BUILD / "bench.lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="audit-ports-bench-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Site(machines, Path(folder))
        _remove()
        try:
            run(["ip", "netns", "add", CONTROLLER])
            for machine in machines.values():
                _wire(machine)
                _start(machine)
            for machine in machines.values():
                _wait(machine)
            _trust(made)
            yield made
        finally:
            _remove()


def _inside(namespace: str, *argv: str | Path) -> list[str]:
    return ["ip", "netns", "exec", namespace, *map(str, argv)]


def _wire(machine: Machine) -> None:
    run(["ip", "netns", "add", machine.container])
    run(["ip", "-n", machine.container, "link", "set", "lo", "up"])
    for interface, network in (("audit0", "192.0.2"), ("mgmt0", "203.0.113")):
        near, first = f"{interface[0]}{machine.number}", 16 * machine.number + 1
        peer = ["type", "veth", "peer", "name", interface, "netns", machine.container]
        run(["ip", "-n", CONTROLLER, "link", "add", near, *peer])
        for namespace, link, number in ((CONTROLLER, near, first), (machine.container, interface, first + 1)):
            run(["ip", "-n", namespace, "address", "add", f"{network}.{number}/28", "dev", link])
            run(["ip", "-n", namespace, "link", "set", link, "up"])
    other = f"{machine.other_source}/28"
    run(["ip", "-n", CONTROLLER, "address", "add", other, "dev", f"a{machine.number}"])


def _start(machine: Machine) -> None:
    podman(
        "run", "--detach", "--name", machine.container, "--hostname", machine.name, "--systemd=always",
        "--network", f"ns:/run/netns/{machine.container}", "--cap-add", "NET_ADMIN,NET_RAW", *ULIMITS,
        IMAGES[machine.image].tag, "/sbin/init",
    )  # fmt: skip


def _wait(machine: Machine) -> None:
    """Until systemd has started everything; raises RuntimeError where that takes too long."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        state = podman("exec", machine.container, "systemctl", "is-system-running", check=False).stdout.strip()
        if state in ("running", "degraded"):
            return
        time.sleep(0.2)
    raise RuntimeError(f"{machine.name}: not started after {_START_S} s")


def _trust(made: Site) -> None:
    """A key for the hosts, their own keys as known ones, and the inventory that says so."""
    key, known = made.folder / "id_ed25519", made.folder / "known_hosts"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", PREFIX, "-f", str(key)])
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    lines, hosts = [], {}
    for machine in made.machines.values():
        text = made.run(
            machine.name,
            f"mkdir -p -m 700 ~root/.ssh; echo '{public.strip()}' >>~root/.ssh/authorized_keys\n"
            "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub",
        )
        lines.append(f"{machine.management} {text.strip()}\n")
        hosts[machine.name] = {"ansible_host": machine.management}
    known.write_text("".join(lines), encoding="utf-8")
    shared = {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_args": (
            f"-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={known}"
            " -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes"
        ),
    }
    inventory = {"all": {"vars": shared, "hosts": hosts}}
    (made.folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")


def _remove() -> None:
    """All containers, processes and namespaces of benches."""
    names = podman("ps", "--all", "--filter", f"name=^{PREFIX}-", "--format", "{{.Names}}").stdout.split()
    if names:
        podman("rm", "--force", "--volumes", "--time", "0", *names)
    folder = Path("/run/netns")
    for namespace in sorted(path.name for path in folder.glob(f"{PREFIX}-*")) if folder.is_dir() else []:
        _end_processes(namespace)
        run(["ip", "netns", "delete", namespace])


def _end_processes(namespace: str) -> None:
    """End the masters of SSH connections and what else was started there: a namespace lives as long as they do."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_S
        for pid in _pids(namespace):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        while _pids(namespace) and time.monotonic() < deadline:
            time.sleep(0.05)


def _pids(namespace: str) -> list[int]:
    shown = run(["ip", "netns", "pids", namespace], check=False).stdout
    return [int(word) for word in shown.split() if int(word) != os.getpid()]
