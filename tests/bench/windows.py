# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""`make bench-windows`: what a check and an opening cost a Windows host, beside community.windows' module for rules.

Requests and processes are counted at stand-ins (tests/standins/winrm): ours with the scripts run in a real PowerShell
engine. The peer's module needs COM, which only Windows has: its tasks, one for each rule, are sent as Ansible sends
them and answered as the module answers, so that what is sent is counted.

Processes are those that the sources prove. On both sides: the cmd.exe that WinRS gives each command line to, because
Ansible's connection does not ask it to leave that out (WINRS_SKIP_CMD_SHELL), and PowerShell. On ours: every native
program. On the peer's: the C# compiler. The module calls `Add-CSharpType` wherever it runs, and that function of
ansible-core's (Ansible.ModuleUtils.AddType.psm1) has a CSharpCodeProvider compile in the Windows PowerShell that
Ansible starts, of which its own comment says "This calls csc.exe". What that may start in turn is not counted.

The time of 100 hosts is that of the controller: each of them answers the check with the captured output of the same
script, because a hundred engines would measure the engine.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.opening import SVCHOST
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.read import read_command

from tests.bench.report import Metric, publish
from tests.bench.site import CALLBACKS, ENVIRONMENTS
from tests.standins.engine import MISSING, Engines, Work, find_engine
from tests.standins.winrm.answer import Answer
from tests.standins.winrm.fixture import Fleet, inventory_variables
from tests.standins.winrm.host import Host
from tests.standins.winrm.machine import RULES, Machine
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.server import Server
from tests.tools.cores import Core
from tests.tools.environments import BUILD, prepare
from tests.unit.plugins.plugin_utils._windows.machine import request, snapshot

HOSTS, FORKS, ROUNDS = 100, 20, 3
SOURCE = "198.51.100.9"
_OURS, _PEER = "agentless.audit_ports.windows_firewall", "community.windows.win_firewall_rule"
_RAW, _SAME, _CHECK, _OPEN = "raw with an empty script", "raw that prints as much", "check", "open"
_MARK = re.compile(rb"@@[0-9a-f]{24}")
_PLACE = b"@MARK@"
_AS_MUCH = "# as much"
RULES_JUDGED = 500
_ALLOW = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6"
_RULE_TEXTS = (
    f"{_ALLOW}|LPort=5985|App=System|Name=winrm|", f"{_ALLOW}|LPort=445|App=System|", f"{_ALLOW}|LPort=139|App=System|",
    f"{_ALLOW}|LPort=135|App={SVCHOST}|Svc=rpcss|", f"{_ALLOW}|App={SVCHOST}|Svc=winmgmt|",
    f"{_ALLOW}|RA4=192.0.2.0/28|LPort=139|", f"{_ALLOW}|App=C:\\x.exe|",
)  # fmt: skip
_SYSTEMS = ["windows", "network_scan", "snmp"]
_ROLES = ("audit_windows", "audit_domain_controllers", "audit_dns_servers", "audit_hosts")
# Every port of the catalog that some Windows host has to let in, asked for by name: the same rules for both sides.
_SET = tuple(
    row
    for row in CATALOG
    if row.system in _SYSTEMS
    and row.protocol is not Protocol.SERVICE
    and row.id != "network_scan.ldap"
)


class CannedHost(Host):
    """Answers whatever it is sent at once: a script of ours with captured output, a module with its result."""

    def __init__(self, machine: Machine, engines: Engines, captured: bytes = b"") -> None:
        super().__init__(machine, engines)
        self._captured = captured

    def run(self, line: str, stdin: bytes) -> Answer:
        """See Host."""
        self.shells_started["powershell"] += 1
        mark = _MARK.search(stdin)
        if mark is not None:
            return Answer(0, self._captured.replace(_PLACE, mark[0]))
        if _AS_MUCH in base64.b64decode(line.rpartition(" ")[2]).decode("utf-16-le"):
            return Answer(0, self._captured)
        return Answer(0, b'{"changed": true, "msg": "canned"}\r\n' if stdin else b"")


@dataclass(frozen=True)
class Counted:
    """What one play asked of one host: commands and all requests, PowerShell started, and all processes."""

    commands: int
    requests: int
    shells: int
    processes: int


def main() -> int:
    found = [_evaluation()]
    if find_engine() is None:
        print(f"not measured: requests, processes and the time of {HOSTS} hosts: {MISSING}")
    else:
        prepare(["peers"])
        with Fleet() as fleet, tempfile.TemporaryDirectory(prefix="audit-ports-bench-") as name:
            found = [*_counts(fleet, Path(name)), *_times(fleet, Path(name)), *found]
    publish("windows", found)
    print(
        f"The set is {len(_SET)} rules, one task of the peer's each. On both sides WinRS starts cmd.exe for a command\n"
        "and that PowerShell. The peer's compiles a class (csc.exe) and asks COM; ours starts reg.exe, netsh.exe,\n"
        "sc.exe and netstat.exe, which work in Constrained Language Mode, too.\n"
        "The time of many hosts is the controller's: the hosts answer at once, from captures."
    )
    return 0


def _counts(fleet: Fleet, folder: Path) -> Iterator[Metric]:
    names = [row.id for row in _SET]
    options = {"requirements": names, "psremoting": "false", "sources": [SOURCE], "profiles": ["private"]}
    server = fleet.start(_bare("win10"))
    check = _counted(folder, server, [{"name": _CHECK, _OURS: options, "check_mode": True}])
    opened = _counted(folder, server, [{"name": _OPEN, _OURS: options}])
    made = sum("|Name=agentless-audit " in rule for rule in server.host.machine.rules().values())
    if made != len(_SET):
        raise RuntimeError(f"{made} rules were made, and the set is {len(_SET)}")
    again = _counted(folder, server, [{"name": "nothing to do", _OURS: options}])
    peer = _counted(folder, _canned(fleet, MACHINES["win10"](), b""), [_peer_task(row) for row in _SET])
    theirs = peer.processes + len(_SET) * _compilers()
    for name, ours, most in ((_CHECK, check, 1), (_OPEN, opened, 3), ("open with nothing to do", again, 1)):
        yield Metric(f"{name}: WinRS commands", ours.commands, "commands", goal=most)
    for name, ours in ((_CHECK, check), (_OPEN, opened)):
        yield Metric(f"{name}: WinRS commands", ours.commands, "commands", peer.commands, _PEER, 0.2)
        yield Metric(f"{name}: requests", ours.requests, "requests", peer.requests, _PEER)
        yield Metric(f"{name}: PowerShell started", ours.shells, "processes", peer.shells, _PEER, 0.2)
        yield Metric(f"{name}: all processes", ours.processes, "processes", theirs, _PEER, 0.2)


def _compilers() -> int:
    """How often a run of the peer's module has C# compiled, by its source."""
    source = _peers() / "ansible_collections/community/windows/plugins/modules/win_firewall_rule.ps1"
    found = re.findall(r"^Add-CSharpType\b", source.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise RuntimeError("the peer's module does not compile anything any more: count its processes anew")
    return len(found)


def _peers() -> Path:
    """The folder in which the peers' collections are."""
    return next(iter(ENVIRONMENTS["peers"].bin.parent.glob("lib/python3*/site-packages")))


def _bare(name: str) -> Machine:
    """A machine without rules, so that each of the set is missing."""
    machine = MACHINES[name]()
    machine.registry.key(RULES).values.clear()
    return machine


def _peer_task(row: Requirement) -> dict[str, Any]:
    rule = {"name": row.id, "direction": "in", "action": "allow", "remoteip": SOURCE, "profiles": ["private"]}
    if row.protocol is Protocol.ICMP:
        rule |= {"protocol": "icmpv4", "icmp_type_code": ["8:*"]}
    elif row.protocol is Protocol.RPC:
        rule |= {"protocol": "tcp", "program": SVCHOST, "service": "winmgmt"}
    else:
        rule |= {"protocol": row.protocol.value, "localport": str(row.port)}
    return {"name": row.id, _PEER: {**rule, "state": "present", "enabled": True}}


def _canned(fleet: Fleet, machine: Machine, captured: bytes) -> Server:
    return fleet.serve(CannedHost(machine, fleet.engines, captured))


def _counted(folder: Path, server: Server, tasks: Sequence[Mapping[str, Any]]) -> Counted:
    server.host.reset_counters()
    _play(folder, [server], tasks)
    counters = server.host.counters()
    asked = sum(number for name, number in counters["requests"].items() if name != "http")
    shells = sum(counters["shells"].values())
    others = sum(counters["natives"].values()) + sum(counters["wrapped"].values())
    return Counted(counters["requests"]["Command"], asked, shells, shells + others)


def _times(fleet: Fleet, folder: Path) -> Iterator[Metric]:
    machine = MACHINES["win10"]()
    command = read_command()
    script = base64.b64decode(command.program.rpartition(" ")[2]).decode("utf-16-le")
    answer = fleet.engines.run(Work(script, command.body, fleet.start(machine).host.environment))
    captured = answer.out.replace(command.mark.encode(), _PLACE)
    servers = [_canned(fleet, machine, captured) for _number in range(HOSTS)]
    raw = {"name": _RAW, "ansible.builtin.raw": "exit 0"}
    same = {"name": _SAME, "ansible.builtin.raw": _AS_MUCH}
    check = {"name": _CHECK, _OURS: {"sources": [SOURCE]}, "check_mode": True}
    results = _play(folder, servers, [{**raw, "name": "connect"}, *[raw, same, check] * ROUNDS])
    names = (_RAW, _SAME, _CHECK)
    found = {name: _seconds_a_host([result for result in results if result["task"] == name]) for name in names}
    yield Metric("floor: raw that prints as much, time a host", found[_SAME], "s", found[_RAW], _RAW)
    yield Metric(f"check of {HOSTS} hosts, {FORKS} forks: time a host", found[_CHECK], "s", found[_RAW], _RAW, 1.3)


def _seconds_a_host(results: Sequence[Mapping[str, Any]]) -> float:
    """The median of the rounds: from the start of the task to its last host's result, by the number of hosts."""
    if len(results) != HOSTS * ROUNDS:
        raise RuntimeError(f"{len(results)} results of {HOSTS * ROUNDS}")
    rounds = [results[start : start + HOSTS] for start in range(0, len(results), HOSTS)]
    return median(max(result["seconds"] for result in one) for one in rounds) / HOSTS


def _play(folder: Path, servers: Sequence[Server], tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run the tasks on all of the servers; each result as the callback wrote it."""
    record, playbook, inventory = folder / "record.jsonl", folder / "play.json", folder / "inventory.json"
    record.write_text("")
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]))
    hosts = {f"win{number:03}": inventory_variables(server, transport="basic") for number, server in enumerate(servers)}
    known = {"audit_ports_address": "192.0.2.10", "audit_ports_trap_sources": [SOURCE], "audit_ports_systems": _SYSTEMS}
    groups = {name: {"hosts": dict.fromkeys(hosts)} for name in _ROLES}
    inventory.write_text(json.dumps({"windows": {"hosts": hosts, "vars": known}, **groups}))
    # The tools' ansible-core, which has the library of the connection, with the peers' collections beside ours.
    core = Core("tools", ENVIRONMENTS["tools"].bin)
    settings = {
        **core.environ(BUILD / "collections"), "ANSIBLE_COLLECTIONS_PATH": f"{BUILD / 'collections'}:{_peers()}",
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_STDOUT_CALLBACK": "timed", "AUDIT_PORTS_TIMED": str(record), "ANSIBLE_FORKS": str(FORKS),
    }  # fmt: skip
    done = subprocess.run(
        [str(core.bin / "ansible-playbook"), str(playbook), "-i", str(inventory)],
        env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    results = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    if len(results) != len(tasks) * len(servers) or any(result["status"] != "ok" for result in results):
        raise RuntimeError(f"{len(results)} results:\n{(done.stdout + done.stderr)[-4000:]}")
    return results


def _evaluation() -> Metric:
    """The whole catalog judged by a store of many rules, by the processor's clock: the least of ten times."""
    asked = request(*(row.id for row in CATALOG))
    held = snapshot({f"{{{number}}}": _RULE_TEXTS[number % len(_RULE_TEXTS)] for number in range(RULES_JUDGED)})
    spent = []
    for _round in range(10):
        started = time.process_time()
        evaluate(replace(held), asked)
        spent.append(time.process_time() - started)
    return Metric(f"the catalog judged by {RULES_JUDGED} rules, processor", min(spent) * 1000, "ms", goal=50)


if __name__ == "__main__":
    sys.exit(main())
