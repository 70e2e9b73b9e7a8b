# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""`make bench-esxi`: 64 hosts behind one vCenter that takes 20 ms for each request, ours beside the peers' modules.

The vCenter is a stand-in with captured rulesets, so that what is measured is requests and their number, not a real
host's own time. Ansible's own start is not in the numbers. The peers ask for each host, and for its rulesets one by
one, so that their time and requests grow with the hosts: they are measured on 8 and multiplied.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.report import Metric, publish
from tests.bench.site import CALLBACKS, ENVIRONMENTS, Timed
from tests.captured import FOLDER
from tests.standins.esxi.model import captured_host
from tests.standins.esxi.vsphere import PASSWORD, USER, Member, VSphere
from tests.tools.cores import Core
from tests.tools.environments import BUILD, prepare

HOSTS, PEER_HOSTS, DELAY_S = 64, 8, 0.02
_SCALE = HOSTS // PEER_HOSTS
_OURS = "agentless.audit_ports.vsphere_firewall"
_INFO, _MANAGER = (f"community.vmware.vmware_host_firewall_{name}" for name in ("info", "manager"))
_CHECK, _OPEN = "check", "open on all"


def main() -> int:
    data = FOLDER / "data" / "esxi"
    if not data.is_dir():
        print("not measured: the captured data of esxi (../shared/data, beside the checkout) is not here")
        return 0
    prepare(["peers"])
    with tempfile.TemporaryDirectory(prefix="audit-ports-bench-") as name:
        folder = Path(name)
        _certificate(folder)
        results = {}
        for count, tasks in ((HOSTS, _ours), (PEER_HOSTS, _peers)):
            server = VSphere([_closed(data, number) for number in range(count)], folder)
            server.requests.delay_s = DELAY_S
            try:
                results.update(_play(folder, server, tasks(server)))
            finally:
                server.close()
    publish("esxi", _metrics(results))
    return 0


def _closed(data: Path, number: int) -> Member:
    member = Member(captured_host(data, "6.5", f"esx{number:02}"), cluster="C0")
    member.host.rulesets["webAccess"].enabled = False
    return member


def _metrics(results: Mapping[str, tuple[Timed, int]]) -> list[Metric]:
    for name, (timed, _requests) in results.items():
        if timed.status != "ok":
            raise RuntimeError(f"{name}: {timed.data.get('msg')}")
    (check, asked), (opened, written) = results[_CHECK], results[_OPEN]
    (info, told), (manager, looked) = results[_INFO], results[_MANAGER]
    scaled = f"the peer's on {PEER_HOSTS} hosts, times {_SCALE}"
    return [
        Metric(f"check of {HOSTS} hosts", check.seconds, "s", goal=1.0),
        Metric(f"check of {HOSTS} hosts, requests", float(asked), "requests", goal=10.0),
        Metric(f"open on {HOSTS} hosts", opened.seconds, "s", goal=2.0),
        Metric(f"open on {HOSTS} hosts, requests", float(written), "requests"),
        Metric(f"check beside the peer's reading; {scaled}", check.seconds, "s", info.seconds * _SCALE, _INFO),
        Metric("its requests", float(asked), "requests", float(told * _SCALE), _INFO),
        Metric(f"open beside the peer's check mode; {scaled}", opened.seconds, "s", manager.seconds * _SCALE, _MANAGER),
        Metric("its requests", float(written), "requests", float(looked * _SCALE), _MANAGER),
    ]


def _login(server: VSphere) -> dict[str, Any]:
    login = {"hostname": "localhost", "port": server.port, "username": USER, "password": PASSWORD}
    return {**login, "validate_certs": False}


def _ours(server: VSphere) -> dict[str, dict[str, Any]]:
    names = [member.host.name for member in server.members]
    about = {"systems": ["esxi"], "sources": ["192.0.2.10"], "destination": "198.51.100.21"}
    ours = {**_login(server), "hosts": names, **about}
    return {
        "warm": {_OURS: {**ours, "hosts": names[:1]}, "check_mode": True},
        _CHECK: {_OURS: ours, "check_mode": True},
        _OPEN: {_OURS: ours},
    }


def _peers(server: VSphere) -> dict[str, dict[str, Any]]:
    cluster = {**_login(server), "cluster_name": "C0"}
    rules = [{"name": "webAccess", "enabled": True}]
    return {_INFO: {_INFO: cluster}, _MANAGER: {_MANAGER: {**cluster, "rules": rules}, "check_mode": True}}


def _play(folder: Path, server: VSphere, tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Timed, int]]:
    """Each task's result, and the requests that it made."""
    found = {}
    for name, task in tasks.items():
        before = len(server.requests.methods)
        found[name] = (_run(folder, {"name": name, **task}), len(server.requests.methods) - before)
    return found


def _run(folder: Path, task: Mapping[str, Any]) -> Timed:
    record, playbook = folder / "record.jsonl", folder / "play.json"
    record.write_text("")
    ping = {"name": "start", "ansible.builtin.ping": {}}
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [ping, task]}]))
    core = Core("peers", ENVIRONMENTS["peers"].bin)
    settings = {
        **core.environ(BUILD / "collections"),
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_STDOUT_CALLBACK": "timed",
        "ANSIBLE_PIPELINING": "true",
        "AUDIT_PORTS_TIMED": str(record),
    }
    inventory = folder / "inventory.json"
    own = {"ansible_connection": "local", "ansible_python_interpreter": str(core.bin / "python")}
    own["audit_ports_state_dir"] = str(folder / "state")
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": own}, "vars": own}}))
    done = subprocess.run(
        [str(core.bin / "ansible-playbook"), str(playbook), "-i", str(inventory)],
        env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    lines = record.read_text(encoding="utf-8").splitlines()
    if len(lines) != 2:
        raise RuntimeError(f"{task['name']} did not run:\n{(done.stdout + done.stderr)[-4000:]}")
    return Timed(**json.loads(lines[1]))


def _certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "30", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-subj", "/CN=localhost"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
