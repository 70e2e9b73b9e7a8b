# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""`make bench-linux`: what a check and an opening cost beside Ansible's ping and the peers' modules.

All tasks of a comparison run in turn, several rounds of them, in one `ansible-playbook` on the same hosts; a number is
the median of its rounds. Nothing of Ansible's own start is in it. With SYSTEM_ROLES naming a folder that holds a copy
of the role linux-system-roles/firewall (as `firewall`), its module is measured, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.read import read_command

from tests.bench import large
from tests.bench.report import Metric, publish
from tests.bench.site import COLLECTION, Machine, Timed, site

ROUNDS, OPENING_ROUNDS, LARGE_ROUNDS = 9, 3, 3
_LARGE_S = 1.0
IMAGES = {"firewalld": "debian12-firewalld", "ufw": "debian12-ufw"}
SYSTEM_ROLES = os.environ.get("SYSTEM_ROLES", "")
_PORTS = range(9001, 9011)
_EXTRA = [
    {"id": f"bench.tcp_{port}", "system": "linux", "protocol": "tcp", "port": port, "purpose": "bench"}
    for port in _PORTS
]
_READS = "/var/lib/bench-reads.sh"
_SAVE = {"firewalld": "cp -a /etc/firewalld /var/lib/bench-saved", "ufw": "cp -a /etc/ufw /var/lib/bench-saved"}
# Back to what was saved, by what costs the manager least.
_RESET = {
    "firewalld": "rm -rf /etc/firewalld && cp -a /var/lib/bench-saved /etc/firewalld && firewall-cmd --reload",
    "ufw": "cp -a /var/lib/bench-saved/. /etc/ufw/ && ufw reload",
}

_PING, _FLOOR, _SAME_READS = "ansible.builtin.ping", "raw: true", "a bare raw with the same reads"
_CHECK, _NOTHING_TO_DO = "check", "present with nothing to do"
_OURS, _LOOP, _ROLE, _LIST = "ten ports", "a loop", "linux-system-roles' module, one call", "ufw's own list, one call"
_PEER = {"firewalld": "ansible.posix.firewalld", "ufw": "community.general.ufw"}


def main() -> int:
    found: list[Metric] = []
    with site(IMAGES) as made:
        for name in made.machines:
            reads = read_command(withdrawing=False).body
            made.run(name, f"{_SAVE[name]}\ncat >{_READS} <<'END_OF_READS'\n{reads}END_OF_READS")
        environ = {}
        if SYSTEM_ROLES:
            environ = {
                "ANSIBLE_LIBRARY": f"{SYSTEM_ROLES}/firewall/library",
                "ANSIBLE_MODULE_UTILS": f"{SYSTEM_ROLES}/firewall/module_utils",
            }
        results = made.play({name: _tasks(machine) for name, machine in made.machines.items()}, environ)
    for name in IMAGES:
        found += _metrics(name, [result for result in results if result.host == name])
    found += _large()
    publish("linux", found)
    if not SYSTEM_ROLES:
        print("not measured: linux-system-roles/firewall; SYSTEM_ROLES=FOLDER names one that holds a copy of it")
    return 0


def _tasks(machine: Machine) -> list[dict[str, Any]]:
    first = [_raw("connect", "true")]
    opening = [task for _round in range(OPENING_ROUNDS) for task in _opening(machine)]
    ready = [_ours("ready", machine, {"systems": ["linux", "snmp"]})]
    return [*first, *opening, *ready, *(task for _round in range(ROUNDS) for task in _looking(machine))]


def _looking(machine: Machine) -> list[dict[str, Any]]:
    """One round of what changes nothing."""
    systems = {"systems": ["linux", "snmp"]}
    stranger = {**systems, "sources": [machine.other_source]}  # not let in, so that there is something to tell
    return [
        {"name": _PING, "ansible.builtin.ping": {}},
        _raw(_FLOOR, "true"),
        _raw(_SAME_READS, f"/bin/sh {_READS}"),
        {**_ours(_CHECK, machine, stranger), "check_mode": True},
        _ours(_NOTHING_TO_DO, machine, systems),
    ]


def _opening(machine: Machine) -> list[dict[str, Any]]:
    """One round of ten ports from nothing; what puts the host back is not measured."""
    ports = {"systems": ["linux"], "extra": _EXTRA, "requirements": [row["id"] for row in _EXTRA]}
    reset = _raw("reset", _RESET[machine.name])
    tasks = [
        _ours(_OURS, machine, ports),
        _ours("withdrawn", machine, {**ports, "state": "absent"}),
        _loop(machine.name),
        reset,
    ]
    if machine.name == "ufw":
        options = {"rule": "allow", "proto": "tcp", "to_port": ",".join(map(str, _PORTS))}
        tasks += [{"name": _LIST, _PEER["ufw"]: options}, reset]
    elif SYSTEM_ROLES:
        wanted = {"port": [f"{port}/tcp" for port in _PORTS], "permanent": True, "runtime": True, "state": "enabled"}
        role = {"config_list": [wanted], "online": True, "__called_from_role": True}
        tasks += [{"name": _ROLE, "firewall_lib": role}, reset]
    return tasks


def _loop(name: str) -> dict[str, Any]:
    options = {
        "firewalld": {"port": "{{ item }}/tcp", "permanent": True, "immediate": True, "state": "enabled"},
        "ufw": {"rule": "allow", "proto": "tcp", "to_port": "{{ item }}"},
    }
    return {"name": _LOOP, _PEER[name]: options[name], "loop": list(_PORTS)}


def _ours(name: str, machine: Machine, options: Mapping[str, Any]) -> dict[str, Any]:
    given = {"sources": [machine.source], "destination": machine.address, **options}
    return {"name": name, f"{COLLECTION}.linux_firewall": given}


def _raw(name: str, command: str) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.raw": command}


def _metrics(name: str, results: Sequence[Timed]) -> list[Metric]:
    def of(task: str) -> float:
        return median(result.seconds for result in results if result.task == task)

    _see_that_all_did_what_they_should(results)
    ping = of(_PING)
    found = [Metric(f"{name}: {task}", of(task), "s", ping, _PING, 0.4) for task in (_CHECK, _NOTHING_TO_DO)]
    found += [Metric(f"{name}: floor, {task}", of(task), "s", ping, _PING) for task in (_FLOOR, _SAME_READS)]
    found += [Metric(f"{name}: {_OURS} from nothing", of(_OURS), "s", of(_LOOP), f"{_LOOP} of {_PEER[name]}", 0.2)]
    others = {result.task for result in results} & {_ROLE, _LIST}
    for task in sorted(others):
        goal = 1.0 if task == _ROLE else None
        found.append(Metric(f"{name}: {_OURS} from nothing", of(_OURS), "s", of(task), task, goal))
    return found


def _see_that_all_did_what_they_should(results: Iterable[Timed]) -> None:
    """A task that is quick because it does nothing would win. Raises RuntimeError."""
    changing = {_OURS, "withdrawn", _LOOP, _ROLE, _LIST, _CHECK, "connect", "reset", "ready", _FLOOR, _SAME_READS}
    for result in results:
        changed = result.data.get("changed", False)
        if result.status != "ok" or changed != (result.task in changing):
            raise RuntimeError(
                f"{result.host}: '{result.task}' was {result.status}, changed: {changed}: {str(result.data)[:2000]}"
            )


def _large() -> list[Metric]:
    found = []
    with tempfile.TemporaryDirectory(prefix="audit-ports-bench-") as folder:
        files = large.cases(Path(folder))
        cases = [(name, path, whose) for name, path in files.items() for whose in large.SOURCES]
        runs: dict[tuple[str, str], list[dict[str, Any]]] = {(name, whose): [] for name, _path, whose in cases}
        for _round in range(LARGE_ROUNDS):
            for name, path, whose in cases:
                command = [sys.executable, "-m", "tests.bench.large", str(path), *large.SOURCES[whose]]
                done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
                runs[name, whose].append(json.loads(done.stdout))
    for (name, whose), measured in runs.items():
        if any(one["verdicts"] != large.EXPECTED for one in measured):
            raise RuntimeError(f"{name}, {whose}: judged {measured[0]['verdicts']}, and it is {large.EXPECTED}")
        goals = (("seconds", "s", _LARGE_S), ("processor_seconds", "s", _LARGE_S), ("mebibytes", "MiB", 200.0))
        for key, unit, most in goals:
            value = median(one[key] for one in measured)
            found.append(Metric(f"{name}, for {whose}: {key.replace('_', ' ')}", value, unit, goal=most))
    return found


if __name__ == "__main__":
    sys.exit(main())
