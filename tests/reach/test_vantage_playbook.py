# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, the lookup and the playbook `verify` from an audit host, on each ansible-core, as a user runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.reach.audit_hosts import USER, AuditHosts
from tests.reach.services import COMMUNITY
from tests.reach.world import ROOT, TARGET
from tests.tools.cores import Core, cores
from tests.tools.environments import BUILD

pytestmark = pytest.mark.timeout(180)

_PLAY = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/agentless.audit_ports.all:
      timeout: 0.5
  tasks:
    - name: From the audit host by the module
      agentless.audit_ports.reachability:
        hosts: [web1]
        dest: ~/seen.jsonl
      delegate_to: audit1
      register: by_module
    - name: From an audit host without Python
      ansible.builtin.set_fact:
        by_lookup: "{{ query('agentless.audit_ports.reachability', 'web1', vantage='bare1', timeout=0.5) }}"
    - name: Keep what was seen
      ansible.builtin.copy:
        content: "{{ {'module': by_module, 'lookup': by_lookup} | to_json }}"
        dest: "{{ kept }}"
        mode: "0600"
"""


@pytest.fixture
def inventory(hosts: AuditHosts, tmp_path: Path) -> Path:
    """One target of three systems, two audit hosts of which one audits it."""
    web1 = {"ansible_host": TARGET, "audit_ports_platform": "none", "audit_ports_site": "here"}
    bare1 = {**hosts.inventory("bare"), "audit_ports_site": "elsewhere"}
    found = {
        "all": {
            "children": {
                "audit_hosts": {"hosts": {"audit1": {**hosts.inventory("python"), "audit_ports_site": "here"}}},
                "without_python": {"hosts": {"bare1": bare1}},
                "audit_targets": {"hosts": {"web1": {**web1, "audit_ports_systems": ["linux", "snmp"]}}},
            },
            "vars": {"audit_ports_snmp_community": COMMUNITY.decode()},
        }
    }
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps(found))
    return path


def _play(hosts: AuditHosts, core: Core, playbook: str, inventory: Path, **extra: Any) -> str:
    """Run a playbook in the controller's namespace; all that it said."""
    done = subprocess.run(
        [
            *("ip", "netns", "exec", hosts.controller, core.bin / "ansible-playbook", "-v"),
            *("-i", inventory, playbook, "-e", json.dumps(extra)),
        ],
        env={**core.environ(BUILD / "collections"), "HOME": str(hosts.files / "home")},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("core", cores(), ids=lambda core: f"core-{core.label}")
def test_module_and_lookup(hosts: AuditHosts, core: Core, inventory: Path, tmp_path: Path) -> None:
    play, kept = tmp_path / "play.yml", tmp_path / "kept.json"
    play.write_text(_PLAY)
    said = _play(hosts, core, str(play), inventory, kept=str(kept))
    assert COMMUNITY.decode() not in said
    found = json.loads(kept.read_text())
    module = found["module"]
    assert [(row["requirement"], row["status"]) for row in module["observations"]] == [
        ("linux.ssh", "open"),
        ("snmp.agent", "open"),
    ]
    assert {row["vantage"] for row in module["observations"]} == {"audit1"}
    assert "Example switch" in module["observations"][1]["evidence"]
    assert module["observations"][0]["source_address"] == "10.77.0.1"
    assert (module["counts"], module["changed"], "invocation" in module) == ({"open": 2}, True, False)
    lines = hosts.in_container("python", "sh", "-c", f"cat ~{USER}/seen.jsonl").splitlines()
    written = [json.loads(line) for line in lines]
    assert sorted((row["index"], row["requirement"]) for row in written) == [(0, "linux.ssh"), (1, "snmp.agent")]
    statuses = [(row["requirement"], row["status"], row["vantage"]) for row in found["lookup"]]
    assert statuses == [("linux.ssh", "open", "bare1"), ("snmp.agent", "unverifiable_from_here", "bare1")]


@pytest.mark.parametrize("vantage", ["audit1", "audit_hosts"])
def test_verify_from_an_audit_host(hosts: AuditHosts, inventory: Path, vantage: str) -> None:
    """The controller has no way to the target: every observation is the audit host's."""
    core = cores()[0]
    said = _play(hosts, core, "playbooks/verify.yml", inventory, audit_ports_vantage=vantage)
    assert "open, confirmed" in said
    assert "unreachable=0" in said
    assert COMMUNITY.decode() not in said
