# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Stand-in ESXi hosts with an inventory that reaches them, and how plays are run on them."""

from __future__ import annotations

import json
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
OURS = "agentless.audit_ports.vsphere_firewall"


def close_all(host: Host) -> Host:
    """Shut the ports of a host in the three ways there are: disabled, another's list, nobody's list."""
    host.rulesets["webAccess"].enabled = False
    host.rulesets["vSphereClient"].allows_all, host.rulesets["vSphereClient"].allowed = False, ["203.0.113.9"]
    host.rulesets["NFC"].allows_all = False
    return host


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
        shared = {**self.login(), **(variables or {})}
        groups = {
            "audit_hosts": {"hosts": {"audit1": {"audit_ports_source": AUDIT, "ansible_connection": "local"}}},
            "audit_targets": {"hosts": self.variables, "vars": shared},
        }
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"children": groups}}))
        return path

    def login(self) -> dict[str, Any]:
        """The variables by which Ansible gets in to all hosts."""
        return {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": (
                "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -o IdentitiesOnly=yes"
            ),
            "ansible_python_interpreter": "/no/python/here",
            "audit_ports_systems": ["esxi"],
            "audit_ports_state_dir": str(self.folder / "state"),
        }

    def run(self, core: Core, tasks: list[dict[str, Any]], *arguments: str, **variables: Any) -> dict[str, Any]:
        """Run tasks on all targets and return what each host's last registered ``result`` was."""
        kept = [{"set_fact": {"kept": "{{ result }}"}}]
        return self._run(core, [*tasks, *kept], *arguments, **variables)

    def run_each(self, core: Core, tasks: list[dict[str, Any]], *arguments: str) -> list[dict[str, Any]]:
        """Run tasks on the only target and return what each of them registered as ``result``."""
        keep = {"set_fact": {"kept": "{{ kept | default([]) + [result] }}"}}
        (found,) = self._run(core, [step for task in tasks for step in (task, keep)], *arguments).values()
        results: list[dict[str, Any]] = found
        return results

    def _run(self, core: Core, tasks: list[dict[str, Any]], *arguments: str, **variables: Any) -> dict[str, Any]:
        out = self.folder / "results.json"
        kept = "groups.audit_targets | map('extract', hostvars, 'kept')"
        content = f"{{{{ dict(groups.audit_targets | zip({kept})) | to_json }}}}"
        write = {"ansible.builtin.copy": {"dest": str(out), "content": content}, "check_mode": False}
        play = [
            {"hosts": "audit_targets", "gather_facts": False, "tasks": tasks},
            {"hosts": "localhost", "gather_facts": False, "tasks": [write]},
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

    def task(self, core: Core, options: dict[str, Any], *arguments: str, module: str = OURS) -> dict[str, Any]:
        """Run one task of a module on the first host's turn and return its result."""
        (result,) = self.tasks(core, [{module: options}], *arguments)
        return result

    def tasks(
        self,
        core: Core,
        tasks: list[dict[str, Any]],
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> list[dict[str, Any]]:
        """Run tasks on the first host's turn, whatever becomes of them, and return their results."""
        out = self.folder / "results.json"
        keep = {"ansible.builtin.set_fact": {"kept": "{{ kept | default([]) + [result] }}"}}
        steps = [step for task in tasks for step in ({"register": "result", "ignore_errors": True, **task}, keep)]
        write = {"ansible.builtin.copy": {"dest": str(out), "content": "{{ kept | to_json }}"}, "check_mode": False}
        play = {"hosts": "audit_targets[0]", "connection": "local", "gather_facts": False, "tasks": [*steps, write]}
        path, inventory = self.folder / "play.json", self.folder / "inventory.json"
        path.write_text(json.dumps([play]))
        groups = {
            "audit_hosts": {"hosts": {"audit1": {"audit_ports_source": AUDIT}}},
            "audit_targets": {"hosts": self.variables, "vars": {**self.login(core), **variables}},
        }
        inventory.write_text(json.dumps({"all": {"children": groups}}))
        done = core.run(
            "ansible-playbook", str(path), "-i", str(inventory), *arguments,
            in_lab=False, timeout_s=180, environ=environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found: list[dict[str, Any]] = json.loads(out.read_text())
        return found

    def login(self, core: Core) -> dict[str, Any]:
        """The variables by which the API lets in."""
        return {
            "ansible_python_interpreter": str(core.bin / "python"),
            "audit_ports_systems": ["esxi"],
            "audit_ports_state_dir": str(self.folder / "state"),
            "audit_ports_vsphere_username": USER,
            "audit_ports_vsphere_password": PASSWORD,
            "audit_ports_vsphere_validate_certs": False,
        }
