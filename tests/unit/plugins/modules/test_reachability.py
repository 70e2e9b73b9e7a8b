# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module: what it documents, and what it answers to the arguments that the action plugin gives it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.agentless.audit_ports.plugins.doc_fragments.probing import ModuleDocFragment
from ansible_collections.agentless.audit_ports.plugins.lookup import reachability as lookup
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.arguments import ARGUMENT_SPEC, PROBING_SPEC
from ansible_collections.agentless.audit_ports.plugins.modules import reachability as plugin

_RUN = "from ansible_collections.agentless.audit_ports.plugins.modules.reachability import main; main()"
_SHARED = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
_KEYS = ("type", "elements", "default", "aliases", "choices")


def _run(*, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run the module as Ansible does, its arguments on standard input."""
    common = {"_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}
    code = _RUN
    if hasattr(__import__("ansible.module_utils.basic", fromlist=["_"]), "_ANSIBLE_PROFILE"):
        code = f"from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; {code}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **common}}),
        capture_output=True, text=True, timeout=30, check=False, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _probe(port: int, index: int = 0) -> list[Any]:
    return [index, "me", "linux.ssh", "127.0.0.1", "tcp", port, "none"]


def _shape(options: dict[str, Any]) -> dict[str, Any]:
    return {name: {key: option.get(key) for key in _KEYS} for name, option in options.items()}


def test_shared_options_are_documented_as_they_are_read() -> None:
    assert _shape(_SHARED) == _shape(PROBING_SPEC)


def test_own_options_are_documented_as_they_are_read() -> None:
    own = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    assert _shape(own) == _shape({name: ARGUMENT_SPEC[name] for name in ARGUMENT_SPEC if name not in PROBING_SPEC})


def test_lookup_and_module_return_the_same_records() -> None:
    ours = yaml.safe_load(plugin.RETURN)["observations"]["contains"]
    theirs = yaml.safe_load(lookup.RETURN)["_raw"]["contains"]
    assert {name: field["type"] for name, field in ours.items()} == {
        name: field["type"] for name, field in theirs.items()
    }


def test_community_is_never_logged() -> None:
    assert [name for name, option in ARGUMENT_SPEC.items() if option.get("no_log")] == ["snmp_community"]


def test_probes_are_run_and_told_in_order(tmp_path: Path) -> None:
    dest = tmp_path / "seen.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = _run(probes=[_probe(1, 0), _probe(port, 1)], vantage="audit1", dest=str(dest), snmp_community="geheim")
    assert [row["status"] for row in found["observations"]] == ["closed", "open"]
    assert {row["vantage"] for row in found["observations"]} == {"audit1"}
    assert (found["changed"], found["counts"]) == (True, {"closed": 1, "open": 1})
    assert sorted(json.loads(line)["index"] for line in dest.read_text(encoding="utf-8").splitlines()) == [0, 1]
    assert "geheim" not in json.dumps(found)


def test_check_mode_probes_and_writes_nothing(tmp_path: Path) -> None:
    dest = tmp_path / "seen.jsonl"
    found = _run(check=True, probes=[_probe(1)], vantage="audit1", dest=str(dest))
    assert (found["changed"], found["counts"]) == (False, {"closed": 1})
    assert not dest.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "the action plugin of the same name"),
        ({"probes": [["x"]], "vantage": "a"}, "is no probe"),
        ({"probes": [], "vantage": "a", "rate": 0}, "rate: 0"),
        ({"probes": [], "vantage": "a", "dest": "/nonexistent/seen"}, "cannot write"),
    ],
)
def test_what_is_wrong_fails_in_words(arguments: dict[str, Any], words: str) -> None:
    found = _run(**arguments)
    assert found["failed"] is True
    assert words in found["msg"]
