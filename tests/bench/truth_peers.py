# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""`make truth-peers`: how often the peers' modules and this collection tell what a real packet then meets.

Each scenario of peers/*.yml sets a state up on a host, asks for one port by the peer's unmodified module and, on the
same state made anew, by ours; the same packet is sent from the controller before and after. A peer's answer is read
as Ansible means it: `changed` says that the port was closed and is open now, `ok` that it was open and is; it is true
when both parts of it are. Ours is true when the verdict of the check, and that after `present`, is what the packet met.
A failure with an error says nothing of the port: no answer.

After these, the same is asked of the scenarios that the verdicts are tested with (truth_scenarios.py).

Keys of a scenario: state (a sentence), manager, setup (shell; SOURCE is the audit host's address), port, peer (the
task), then (shell, run after the opening and before the packet).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench.report import machine as report_machine
from tests.bench.report import print_table, write_json
from tests.bench.site import COLLECTION, Machine, Timed, site
from tests.bench.truth_rows import CLOSED, WORDS, Row, counts_of, failure_of, said_by, way
from tests.bench.truth_scenarios import ask_about_kernels, ask_about_managers, kernel_questions, manager_questions

IMAGES = {"firewalld": "debian12-firewalld", "ufw": "debian12-ufw", "iptables": "debian12-ufw"}
PACKETS = Path(__file__).with_name("packets.py")
_FOLDER = {"firewalld": "/etc/firewalld", "ufw": "/etc/ufw", "iptables": "/etc/ufw"}
_SAVE = "systemctl disable --now snmpd nftables && cp -a {folder} /var/lib/bench-saved"
_RESTORE = "rm -rf {folder} /var/lib/agentless-audit && cp -a /var/lib/bench-saved {folder}"
_RESET = {
    # systemctl returns before the rules are loaded, firewall-cmd answers after.
    "firewalld": f"{_RESTORE} && systemctl restart firewalld && firewall-cmd -q --state",
    "ufw": f"{_RESTORE} && ufw reload",
    "iptables": f"{_RESTORE} && nft flush ruleset && iptables -P INPUT ACCEPT",
}
_STAGE = ("set up", "before", "then", "after the peer", "after ours")  # what has to work for a row to mean anything
_HEADING = ("state", "packet", "module", "says", "packet", "", "our verdict", "after present", "packet", "")


@dataclass(frozen=True)
class Scenario:
    """One state and the question; `name` is that of its file."""

    name: str
    state: str
    manager: str
    setup: str
    port: str
    peer: Mapping[str, Any]
    then: str = "true"

    @property
    def module(self) -> str:
        return next(iter(self.peer))


def main() -> int:
    scenarios = [
        Scenario(name=path.stem, **yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(Path(__file__).with_name("peers").glob("*.yml"))
    ]
    with site(IMAGES) as made:
        for name, machine in made.machines.items():
            made.run(name, _SAVE.format(folder=_FOLDER[name]))
            if name == "iptables":
                made.run(name, "ufw disable && systemctl disable ufw && nft flush ruleset")
            ports = sorted({item.port for item in scenarios if item.manager == name} - {"tcp/22"})
            made.start(machine.name, sys.executable, str(PACKETS), "listen", *ports)
        tasks = {
            name: [task for item in scenarios if item.manager == name for task in _tasks(item, machine)]
            for name, machine in made.machines.items()
        }
        results = made.play(tasks, {})
    states = [_row(item, [one for one in results if one.task.startswith(f"{item.name}: ")]) for item in scenarios]
    tested = [*ask_about_kernels(kernel_questions()), *ask_about_managers(manager_questions())]
    _publish(states, tested)
    return 0


def _tasks(scenario: Scenario, machine: Machine) -> list[dict[str, Any]]:
    def named(step: str, task: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": f"{scenario.name}: {step}", "ignore_errors": True, **task}

    def shell(step: str, script: str) -> dict[str, Any]:
        return named(step, {"ansible.builtin.raw": f"set -e\n{script}".replace("SOURCE", machine.source)})

    def packet(step: str) -> dict[str, Any]:
        command = {"argv": [sys.executable, str(PACKETS), "ask", machine.address, scenario.port]}
        local = {"ansible_python_interpreter": sys.executable}
        return named(step, {"ansible.builtin.command": command, "delegate_to": "localhost", "vars": local})

    def ours(step: str, *, check: bool) -> dict[str, Any]:
        return named(step, {f"{COLLECTION}.linux_firewall": _options(scenario, machine), "check_mode": check})

    peer = json.loads(json.dumps(scenario.peer).replace("SOURCE", machine.source))
    anew = shell("set up", f"{_RESET[machine.name].format(folder=_FOLDER[machine.name])}\n{scenario.setup}")
    then = shell("then", scenario.then)
    return [
        anew, packet("before"), ours("check", check=True), named("peer", peer), then, packet("after the peer"),
        anew, ours("present", check=False), then, packet("after ours"), ours("check after", check=True),
    ]  # fmt: skip


def _options(scenario: Scenario, machine: Machine) -> dict[str, Any]:
    protocol, _slash, port = scenario.port.partition("/")
    row = {"id": "bench.port", "system": "linux", "protocol": protocol, "port": int(port), "purpose": "bench"}
    return {
        "systems": ["linux"],
        "requirements": ["bench.port"],
        "extra": [row],
        "sources": [machine.source],
        "destination": machine.address,
    }


def _row(scenario: Scenario, results: Sequence[Timed]) -> Row:
    """Raises RuntimeError where a state could not be set up or a packet not be sent."""
    of = {result.task.partition(": ")[2]: result for result in results}
    broken = [str(result) for step, result in of.items() if step in _STAGE and result.status != "ok"]
    if broken:
        raise RuntimeError("\n".join(broken))

    def got_in(step: str) -> bool:
        return bool(json.loads(of[step].data["stdout"])[scenario.port])

    def verdict(step: str) -> Mapping[str, Any]:
        """None was given where the task failed for another reason than that of a verdict."""
        given: list[Mapping[str, Any]] = of[step].data.get("verdicts", [])
        return given[0] if given else {"status": "unknown", "reason": of[step].data.get("msg")}

    peer = of["peer"]
    return Row(
        name=scenario.name,
        state=scenario.state,
        port=scenario.port,
        module=scenario.module,
        before=got_in("before"),
        peer_said=said_by(peer),
        peer_after=got_in("after the peer"),
        ours_said=(verdict("check")["status"], verdict("check after")["status"]),
        ours_after=got_in("after ours"),
        reason=verdict("check")["reason"],
        peer_message=failure_of(peer),
    )


def _publish(states: Sequence[Row], tested: Sequence[Row]) -> None:
    """The table of the states, the counts of both, and build/bench/peers.json."""
    table: list[tuple[str, ...]] = [_HEADING]
    for row in states:
        peer = (row.peer_said, way(row.peer_after), row.peer_truth)
        ours = (*row.ours_said, way(row.ours_after), row.ours_truth)
        table.append((row.state, way(row.before), row.module.rpartition(".")[2], *peer, *ours))
    print_table(table)
    found = {"machine": report_machine(), **_counted("states", states)}
    found["scenarios"] = _counted("scenarios of the tests", tested)
    write_json("peers", found)


def _counted(of_what: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The rows and their counts as results; the counts are printed: each peer's beside ours over the same questions."""
    counts = counts_of(rows)
    total = {side: sum((both[side] for both in counts.values()), Counter[str]()) for side in ("peer", "ours")}
    table = [(of_what, "asked", *WORDS, CLOSED, *(f"ours {word}" for word in WORDS))]
    for name, both in (*counts.items(), ("all", total)):
        asked = sum(both["peer"][word] for word in WORDS)
        said = [both["peer"][word] for word in (*WORDS, CLOSED)] + [both["ours"][word] for word in WORDS]
        table.append((name, *map(str, (asked, *said))))
    print()
    print_table(table)
    return {"rows": [row.to_result() for row in rows], "counts": counts}


if __name__ == "__main__":
    sys.exit(main())
