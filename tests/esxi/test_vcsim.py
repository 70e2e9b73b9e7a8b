# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""VMware's own simulator of the vSphere API, which knows nothing of us: a witness for login, reading and enabling.

The one that Debian packages plays a 6.5, and knows no UpdateRuleset: lists are the stand-in's matter.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from tests.esxi.fleets import OURS
from tests.tools.cores import Core
from tests.tools.environments import BUILD

SOURCES = Path("/usr/share/gocode")
MISSING = "needs Debian's golang-go and golang-github-vmware-govmomi-dev"
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif("AUDIT_PORTS_SOAK" not in os.environ, reason="VMware's simulator runs in `make soak` alone"),
]
ABOUT = {"systems": ["esxi"], "destination": "198.51.100.21"}
LOGIN = {"hostname": "127.0.0.1", "username": "user", "password": "pass", "validate_certs": False}


@pytest.fixture(scope="module")
def program() -> Path:
    """The simulator as a program, built by this machine's Go from Debian's sources."""
    if shutil.which("go") is None or not (SOURCES / "src/github.com/vmware/govmomi").is_dir():
        pytest.skip(MISSING)
    made = BUILD / "vcsim"
    go = {"GO111MODULE": "off", "GOPATH": str(SOURCES), "GOCACHE": str(BUILD / "go-cache"), "GOFLAGS": ""}
    source = Path(__file__).resolve().parent / "vcsim"
    subprocess.run(
        ["go", "build", "-o", str(made), "."], cwd=source, env={**os.environ, **go}, check=True, timeout=500
    )
    return made


@contextmanager
def simulator(program: Path, *options: str) -> Iterator[int]:
    """The port of a running simulator."""
    with subprocess.Popen(
        [str(program), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(20)


@contextmanager
def firewall(port: int) -> Iterator[Any]:
    """The firewall of the only host, by pyVmomi alone."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    service = SmartConnect(host="127.0.0.1", port=port, user="user", pwd="pass", sslContext=context)
    content = service.RetrieveContent()
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    yield view.view[0].configManager.firewallSystem
    Disconnect(service)


def run(core: Core, folder: Path, *tasks: dict[str, Any], check: bool = False) -> list[dict[str, Any]]:
    """The results of tasks of ours on one host of an inventory."""
    out = folder / "results.json"
    keep = {"ansible.builtin.set_fact": {"kept": "{{ kept | default([]) + [result] }}"}}
    steps = [
        step for task in tasks for step in ({OURS: task, "register": "result", "ignore_errors": True}, keep)
    ]
    write = {"ansible.builtin.copy": {"dest": str(out), "content": "{{ kept | to_json }}"}, "check_mode": False}
    play = folder / "play.json"
    play.write_text(json.dumps([{"hosts": "esx1", "gather_facts": False, "tasks": [*steps, write]}]))
    inventory = folder / "inventory.json"
    own = {"ansible_connection": "local", "audit_ports_state_dir": str(folder / "state")}
    inventory.write_text(json.dumps({"all": {"hosts": {"esx1": own}}}))
    options = ["--check"] if check else []
    done = core.run("ansible-playbook", str(play), "-i", str(inventory), *options, in_lab=False, timeout_s=180)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(out.read_text())
    return found


def test_a_cluster_is_read(newest: Core, program: Path, tmp_path: Path) -> None:
    with simulator(program, "-vcenter") as port:
        task = {**LOGIN, **ABOUT, "port": port, "cluster": "DC0_C0", "sources": ["192.0.2.10"]}
        (result,) = run(newest, tmp_path, task, check=True)
    assert not result["failed"], result
    assert len(result["hosts"]) == 8
    for host in result["hosts"]:
        assert [verdict["status"] for verdict in host["verdicts"]] == ["open"] * 3, host
        assert host["firewall"]["version"].startswith("6.5.0")


def test_a_host_is_opened_and_put_back(newest: Core, program: Path, tmp_path: Path) -> None:
    def enabled(port: int) -> bool:
        with firewall(port) as system:
            return next(bool(item.enabled) for item in system.firewallInfo.ruleset if item.key == "webAccess")

    with simulator(program) as port:
        with firewall(port) as system:
            system.DisableRuleset(id="webAccess")
        assert not enabled(port)
        hosts = [{"name": "esx1", "vsphere_name": "localhost.localdomain"}]
        one = {**LOGIN, **ABOUT, "port": port, "hosts": hosts, "sources": ["any"]}
        listed = {**one, "sources": ["192.0.2.10"]}
        refused, opened = run(newest, tmp_path, listed, one)
        assert "MethodNotFound" in refused["hosts"][0]["msg"], refused
        assert not opened["failed"], opened
        assert opened["changed"]
        assert enabled(port), "seen by pyVmomi alone"
        (withdrawn,) = run(newest, tmp_path, {**one, "state": "absent"})
        assert not withdrawn["failed"], withdrawn
        assert not enabled(port)
