# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A real OpenSSH server with PAM in front of a stand-in host, keyboard-interactive alone, and Ansible's ssh client."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.esxi.fleets import AUDIT, Fleet, close_all
from tests.standins.esxi.model import Host
from tests.standins.esxi.shell import Shell
from tests.standins.esxi.sshd import IMAGE, PASSWORD, RealSshd
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(180)
PLUGIN = "agentless.audit_ports.esxi_firewall"
PORTS = (80, 443, 902)


def _missing() -> str:
    if os.geteuid() != 0 or shutil.which("podman") is None or shutil.which("nsenter") is None:
        return "needs root, podman and nsenter, for a real OpenSSH server in a container"
    found = subprocess.run(["podman", "image", "exists", IMAGE], capture_output=True, check=False, timeout=60)
    return "" if found.returncode == 0 else f"needs the image {IMAGE}, which `make esxi` builds"


@pytest.fixture
def host(fleet: Fleet, release: Callable[..., Host]) -> Host:
    return close_all(release("8.0.3"))


@pytest.fixture
def server(fleet: Fleet, host: Host) -> Iterator[RealSshd]:
    reason = _missing()
    if reason:
        pytest.skip(reason)
    folder = fleet.folder / "sshd"
    folder.mkdir()
    shell = Shell(host, fleet.folder / "root-esx1")
    fleet.shells[host.name] = shell
    with RealSshd(shell, folder) as made:
        options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o ControlPersist=60s"
        fleet.variables[host.name] = {
            "ansible_host": "127.0.0.1",
            "ansible_port": made.port,
            "ansible_password": PASSWORD,
            "ansible_ssh_private_key_file": None,
            "ansible_ssh_common_args": options,
            "audit_ports_address": "198.51.100.21",
        }
        yield made


def task(**keywords: Any) -> dict[str, Any]:
    options = {"state": keywords.pop("state", "present")}
    return {PLUGIN: options, "register": "result", "ignore_errors": True, "ignore_unreachable": True, **keywords}


def test_check_open_withdraw_by_a_password(newest: Core, fleet: Fleet, host: Host, server: RealSshd) -> None:
    before = host.state()
    steps = [task(check_mode=True), task(), task(), task(state="absent")]
    checked, opened, again, withdrawn = fleet.run_each(newest, steps)
    assert {verdict["status"] for verdict in checked["verdicts"]} == {"blocked"}
    assert {verdict["status"] for verdict in opened["verdicts"]} == {"open"}
    assert [opened["changed"], again["changed"], withdrawn["changed"]] == [True, False, True]
    assert not opened["failed"], opened["msg"]
    assert host.state() == before
    assert f"list webAccess: {AUDIT}" in host.journal
    assert "Accepted keyboard-interactive/pam for root" in (server.folder / "sshd.log").read_text()


def test_whoever_is_locked_out_is_told(newest: Core, fleet: Fleet, host: Host, server: RealSshd) -> None:
    """SSH's own list loses the controller while the host is changed: an open session does not hide it."""
    change = host.change_list

    def shut_ssh(key: str, allows_all: bool, allowed: list[str]) -> None:
        change(key, allows_all, allowed)
        host.rulesets["sshServer"].allows_all, host.rulesets["sshServer"].allowed = False, ["203.0.113.9"]

    host.change_list = shut_ssh  # type: ignore[method-assign]
    opened, again = fleet.run_each(newest, [task(), task(check_mode=True)])
    for result in (opened, again):
        assert result.get("unreachable") or result.get("failed"), result
        assert "verdicts" not in result
        assert "sshServer" in result["msg"], result["msg"]
    assert server.refused >= 2
