# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Stand-in ESXi hosts for playbooks, and an inventory that reaches them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.captured import captured
from tests.standins.esxi.model import Host, captured_host
from tests.standins.esxi.shell import BUSYBOX, Shell
from tests.standins.esxi.ssh import SshHosts
from tests.tools.cores import Core, cores

AUDIT = "192.0.2.10"
PLAYBOOKS = "agentless.audit_ports"


@dataclass
class Fleet:
    """Stand-in hosts by inventory name, and how playbooks are run on them."""

    folder: Path
    server: SshHosts
    key: Path
    shells: dict[str, Shell] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, host: Host, **options: Any) -> Host:
        """Serve a host over SSH under its own name."""
        shell = Shell(host, self.folder / f"root-{host.name}")
        port = self.server.serve(shell, **options)
        self.shells[host.name] = shell
        self.variables[host.name] = {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "audit_ports_address": "198.51.100.21",
        }
        return host

    def inventory(self, variables: Mapping[str, Any] | None = None) -> Path:
        """Write the inventory of all hosts; ``variables`` are added for all of them."""
        shared = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": (
                "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -o IdentitiesOnly=yes"
            ),
            "ansible_python_interpreter": "/no/python/here",
            "audit_ports_systems": ["esxi"],
            "audit_ports_state_dir": str(self.folder / "state"),
            **(variables or {}),
        }
        groups = {
            "audit_hosts": {"hosts": {"audit1": {"audit_ports_source": AUDIT, "ansible_connection": "local"}}},
            "audit_targets": {"hosts": self.variables, "vars": shared},
        }
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"children": groups}}))
        return path

    def play(self, core: Core, playbook: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run one of the collection's playbooks on the targets; results are in ``results``."""
        return core.run(
            "ansible-playbook",
            f"{PLAYBOOKS}.{playbook}",
            "-i",
            str(self.inventory(variables)),
            "--limit",
            "audit_targets,localhost",
            *arguments,
            in_lab=False,
            timeout_s=180,
        )

    def run(self, core: Core, tasks: list[dict[str, Any]], *arguments: str, **variables: Any) -> dict[str, Any]:
        """Run tasks on all targets and return what each host's last registered ``result`` was."""
        out = self.folder / "results.json"
        play = [
            {
                "hosts": "audit_targets",
                "gather_facts": False,
                "tasks": [*tasks, {"set_fact": {"kept": "{{ result }}"}}],
            },
            {
                "hosts": "localhost",
                "gather_facts": False,
                "tasks": [
                    {
                        "ansible.builtin.copy": {
                            "dest": str(out),
                            "content": "{{ dict(groups.audit_targets | zip(groups.audit_targets"
                            " | map('extract', hostvars, 'kept'))) | to_json }}",
                        },
                        "check_mode": False,
                    }
                ],
            },
        ]
        path = self.folder / "play.json"
        path.write_text(json.dumps(play))
        done = core.run(
            "ansible-playbook", str(path), "-i", str(self.inventory(variables)), *arguments, in_lab=False, timeout_s=180
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def close(self) -> None:
        """End everything."""
        self.server.close()
        for shell in self.shells.values():
            shell.close()


@pytest.fixture
def newest() -> Core:
    """The newest ansible-core, for what is the same on all of them."""
    return cores()[-1]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet, reached by a key of its own."""
    if os.geteuid() != 0 or not BUSYBOX.exists():
        pytest.skip("the stand-in's shell needs root (chroot) and BusyBox (Debian's package busybox-static)")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=20)
    made = Fleet(tmp_path, SshHosts(key.with_suffix(".pub").read_text()), key)
    yield made
    made.close()


@pytest.fixture
def release() -> Callable[..., Host]:
    """Make a host of a release from the captured data."""
    data = captured("esxi")

    def make(version: str, name: str = "esx1") -> Host:
        return captured_host(data, version, name)

    return make
