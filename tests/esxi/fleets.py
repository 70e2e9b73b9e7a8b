# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Stand-in ESXi hosts with an inventory that reaches them, and how plays are run on them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.standins.esxi.model import Host
from tests.standins.esxi.shell import Shell
from tests.standins.esxi.ssh import SshHosts
from tests.standins.esxi.vsphere import PASSWORD, USER, Member, VSphere
from tests.tools.cores import Core

AUDIT = "192.0.2.10"
PLAYBOOKS = "agentless.audit_ports"
OURS = "agentless.audit_ports.vsphere_firewall"


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


@dataclass
class World:
    """Stand-ins of the API and an inventory of their hosts."""

    folder: Path
    servers: list[VSphere] = field(default_factory=list)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def serve(self, members: list[Member], **options: Any) -> VSphere:
        """Serve hosts, as a vCenter or (``vcenter=False``) one host by itself."""
        server = VSphere(members, self.folder, **options)
        self.servers.append(server)
        for member in members:
            own = {"audit_ports_vsphere_port": server.port, "audit_ports_address": "198.51.100.21"}
            if options.get("vcenter", True):
                own["audit_ports_vcenter"] = "localhost"
            self.variables[member.host.name] = {"ansible_host": "localhost", **own}
        return server

    def play(self, core: Core, playbook: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run one of the collection's playbooks."""
        name = f"agentless.audit_ports.{playbook}"
        return self._run(core, name, "--limit", "audit_targets,localhost", *arguments, **variables)

    def task(self, core: Core, options: dict[str, Any], *arguments: str, module: str = OURS) -> dict[str, Any]:
        """Run one task of a module on the first host's turn and return its result."""
        out = self.folder / "result.json"
        tasks = [
            {module: options, "register": "result", "ignore_errors": True},
            {"ansible.builtin.copy": {"dest": str(out), "content": "{{ result | to_json }}"}, "check_mode": False},
        ]
        plays = [{"hosts": "audit_targets[0]", "connection": "local", "gather_facts": False, "tasks": tasks}]
        path = self.folder / "play.json"
        path.write_text(json.dumps(plays))
        done = self._run(core, str(path), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def _run(self, core: Core, playbook: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        shared = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(core.bin / "python"),
            "audit_ports_systems": ["esxi"],
            "audit_ports_state_dir": str(self.folder / "state"),
            "audit_ports_vsphere_username": USER,
            "audit_ports_vsphere_password": PASSWORD,
            "audit_ports_vsphere_validate_certs": False,
            **variables,
        }
        groups = {
            "audit_hosts": {"hosts": {"audit1": {"audit_ports_source": AUDIT}}},
            "audit_targets": {"hosts": self.variables, "vars": shared},
        }
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"children": groups}}))
        return core.run("ansible-playbook", playbook, "-i", str(path), *arguments, in_lab=False, timeout_s=180)
