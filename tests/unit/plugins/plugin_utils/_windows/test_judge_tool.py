# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The judge of registry files, as a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG

from tests.tools import judge

from .machine import LOCAL, POLICY, WINRM_RULE, printed

EXPORT = "\ufeffWindows Registry Editor Version 5.00\r\n\r\n"


def judged(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert judge.main(["windows", "--source", "192.0.2.77", *arguments]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def local(tmp_path: Path) -> str:
    path = tmp_path / "local.txt"
    keys = {LOCAL: {"PolicyVersion": 0x21F}, rf"{LOCAL}\FirewallRules": {"a b": WINRM_RULE}}
    path.write_bytes(printed(keys).encode("utf-16"))
    return str(path)


def test_one_port_and_profile(local: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--port", "tcp/5985", "--profile", "Domain", "--local", "192.0.2.5/24")
    (found,) = judged(capsys, "--registry", local, *asked)
    assert (found["profile"], found["requirement"], found["status"]) == ("domain", "tcp/5985", "open")
    (path,) = found["paths"]
    assert (path["source"], path["destination"]) == ("192.0.2.77", "192.0.2.5")
    assert path["decided_by"] == [{"kind": "local_rule", "id": "a b", "text": 'local policy: rule a b "winrm"'}]


def test_the_whole_catalog_for_each_profile(local: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = judged(capsys, "--registry", local)
    assert [item["profile"] for item in found] == sorted(["domain", "private", "public"] * len(CATALOG))
    assert {item["requirement"] for item in found} == {row.id for row in CATALOG}
    assert {item["status"] for item in found if item["requirement"] == "windows.kerberos"} == {"unknown"}
    literal = judged(capsys, "--registry", local, "--literal")
    assert {item["status"] for item in literal if item["requirement"] == "windows.kerberos"} == {"blocked"}


def test_a_policy_over_the_local_store(local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.reg"
    rule = WINRM_RULE.replace("Allow", "Block")
    policy.write_bytes(f'{EXPORT}[{POLICY}\\FirewallRules]\r\n"{{G}}"="{rule}"\r\n'.encode("utf-16-le"))
    asked = ("--port", "tcp/5985", "--port", "rpc", "--port", "pipes", "--port", "icmp")
    found = judged(capsys, "--registry", local, str(policy), "--profile", "public", *asked)
    assert [item["status"] for item in found] == ["blocked"] * 4
    assert found[0]["paths"][0]["decided_by"][0] == {
        "kind": "group_policy",
        "id": "{G}",
        "text": 'Group Policy: rule {G} "winrm"',
    }
    again = judged(capsys, "--registry", local, "--registry", str(policy), "--profile", "public", *asked)
    assert again == found


def test_what_is_not_given_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.txt"
    policy.write_text(printed({rf"{POLICY}\FirewallRules": {"{G}": WINRM_RULE}}))
    (found,) = judged(capsys, "--registry", str(policy), "--port", "tcp/5985", "--profile", "domain")
    assert found["status"] == "unknown"
    assert "local store" in found["reason"]


def test_the_local_subnet_has_to_be_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "local.txt"
    rule = WINRM_RULE.replace("LPort", "RA4=LocalSubnet|LPort")
    store.write_text(printed({rf"{LOCAL}\FirewallRules": {"{1}": rule}}))
    asked = ("--registry", str(store), "--port", "tcp/5985", "--profile", "domain")
    assert judged(capsys, *asked)[0]["status"] == "unknown"
    assert judged(capsys, *asked, "--local", "192.0.2.5/24")[0]["status"] == "open"
    assert judged(capsys, *asked, "--local", "192.0.2.5/26")[0]["status"] == "blocked"


def test_a_firewall_that_is_disabled(local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    services = tmp_path / "services.txt"
    services.write_text(printed({r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\MpsSvc": {"Start": 4}}))
    (found,) = judged(capsys, "--registry", local, str(services), "--port", "tcp/5985", "--profile", "domain")
    assert (found["status"], "MpsSvc" in found["reason"]) == ("unknown", True)


@pytest.mark.parametrize("content", ["", "hello", "HKEY_LOCAL_MACHINE\\SOFTWARE\\X\r\n    a    REG_SZ    b\r\n"])
def test_files_that_hold_no_firewall(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    assert judge.main(["windows", "--registry", str(path), "--source", "192.0.2.77"]) == 2
    assert "judge: --registry" in capsys.readouterr().err
    assert judge.main(["windows", "--registry", str(path) + "x", "--source", "192.0.2.77"]) == 2
