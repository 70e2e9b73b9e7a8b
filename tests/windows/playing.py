# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Plays against stand-ins: Ansible's own connections, on any of the cores, and what the task returned by host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.standins.winrm.fixture import inventory_variables
from tests.standins.winrm.server import Server
from tests.tools.cores import Core

_HERE = Path(__file__).resolve().parent
_CALLBACKS = _HERE.parent / "integration" / "callback"
FIREWALL_PLAY = _HERE / "plays" / "firewall.yml"


@dataclass(frozen=True)
class Played:
    """A play's return code, all that it printed, and each host's result with its status."""

    returncode: int
    said: str
    statuses: Mapping[str, str]
    results: Mapping[str, Mapping[str, Any]]

    def verdicts(self, host: str) -> dict[str, str]:
        """Each requirement's status."""
        return {verdict["requirement"]: verdict["status"] for verdict in self.results[host]["verdicts"]}


def write_inventory(
    path: Path, servers: Mapping[str, Server], connection: str = "winrm", *, transport: str = "ntlm", **extra: Any
) -> Path:
    """An inventory of these hosts; `extra` are variables of all."""
    hosts = {
        name: {
            **inventory_variables(server, connection, transport=transport),
            "audit_ports_address": server.host.machine.interfaces[0].address,
            **extra,
        }
        for name, server in servers.items()
    }
    controllers = {name: None for name in hosts if name == "dc2022"}
    groups = {"audit_windows": {"hosts": dict.fromkeys(hosts)}, "audit_domain_controllers": {"hosts": controllers}}
    path.write_text(json.dumps({"windows": {"hosts": hosts}, **groups}), encoding="utf-8")
    return path


def play(core: Core, playbook: Path, inventory: Path, *options: str, timeout_s: float = 120) -> Played:
    """Run a playbook on the controller itself; it may fail. The last result of each host is kept."""
    record = inventory.with_suffix(".jsonl")
    record.unlink(missing_ok=True)
    settings = {
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "AUDIT_PORTS_RECORD": str(record),
    }
    done = core.run(
        "ansible-playbook", str(playbook), "-i", str(inventory), *options,
        in_lab=False, environ=settings, timeout_s=timeout_s,
    )  # fmt: skip
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.exists() else []
    results = [line for line in lines if "stats" not in line]
    return Played(
        done.returncode,
        done.stdout + done.stderr,
        {line["host"]: line["status"] for line in results},
        {line["host"]: line["data"] for line in results},
    )
