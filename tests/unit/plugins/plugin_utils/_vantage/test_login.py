# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an audit host is logged in to, by Ansible's settings and ssh's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import settings as module
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.client import read_configuration
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.login import Login, read_login


def _read(settings: dict[str, Any], files: dict[str, dict[str, Any]] | None = None) -> Login:
    return read_login("audit1", settings, lambda host, _file: (files or {}).get(host, {}))


def test_ansible_settings_are_used() -> None:
    login = _read(
        {
            "host": "192.0.2.10",
            "port": 2222,
            "remote_user": "audit",
            "password": "geheim",
            "private_key_file": "/keys/audit",
            "timeout": 3,
        }
    )
    assert (login.host, login.port, login.user, login.key_files) == ("192.0.2.10", 2222, "audit", ("/keys/audit",))
    assert login.password is not None
    assert login.password.reveal() == b"geheim"
    assert "geheim" not in repr(login)
    assert (login.timeout_s, login.accepts_unknown, login.asks_agent) == (3.0, False, True)
    assert any(path.endswith("/.ssh/known_hosts") for path in login.known_hosts)


def test_names_and_defaults() -> None:
    login = _read({})
    assert (login.host, login.port, login.user, login.key_files) == ("audit1", 22, None, ())


def test_ssh_configuration_fills_in() -> None:
    files = {
        "audit1": {
            "hostname": "192.0.2.10",
            "port": "2200",
            "user": "root",
            "identityfile": ["~/one", "/two"],
            "identitiesonly": "yes",
            "userknownhostsfile": "/etc/known '/with space'",
            "hostkeyalias": "alias",
        }
    }
    login = _read({"remote_user": "audit"}, files)
    assert (login.host, login.port, login.user) == ("192.0.2.10", 2200, "audit")
    assert login.key_files == (str(Path("~/one").expanduser()), "/two")
    assert login.asks_agent is False
    assert login.known_hosts[:2] == ("/etc/known", "/with space")
    assert login.key_alias == "alias"


def test_arguments_for_ssh_win_over_its_files() -> None:
    files = {"audit1": {"user": "root", "proxyjump": "other"}}
    settings = {
        "ssh_args": "-C -o ControlMaster=auto -o ControlPersist=60s",
        "ssh_common_args": "-o User=one -l two -i /key -p 2022 -o 'ProxyJump none'",
        "ssh_extra_args": "-o StrictHostKeyChecking=accept-new",
    }
    login = _read(settings, files)
    assert (login.user, login.port, login.key_files, login.jumps) == ("one", 2022, ("/key",), ())
    assert login.accepts_unknown


@pytest.mark.parametrize(("checking", "accepted"), [(True, False), (False, True)])
def test_host_key_checking(checking: bool, accepted: bool) -> None:
    assert _read({"host_key_checking": checking}).accepts_unknown is accepted


def test_jump_hosts_have_their_own_users_and_keys() -> None:
    files = {"gate": {"hostname": "192.0.2.1", "identityfile": ["/gate-key"]}, "2001:db8::1": {"user": "six"}}
    settings = {
        "password": "geheim",
        "private_key_file": "/keys/audit",
        "ssh_common_args": "-J ops@gate:2200,ssh://[2001:db8::1]:22 -o UserKnownHostsFile=/known",
    }
    first, second = _read(settings, files).jumps
    assert (first.host, first.port, first.user, first.key_files) == ("192.0.2.1", 2200, "ops", ("/gate-key",))
    assert (second.host, second.port, second.user) == ("2001:db8::1", 22, "six")
    assert first.password is None
    assert first.key_files == ("/gate-key",)
    assert first.known_hosts[0] == second.known_hosts[0] == "/known"


def test_proxy_command_is_filled_in() -> None:
    settings = {"host": "192.0.2.10", "port": 2222, "ssh_common_args": "-o ProxyCommand='ssh -W %h:%p gate 100%%'"}
    assert _read(settings).proxy_command == "ssh -W 192.0.2.10:2222 gate 100%"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ssh_common_args": "-o 'unclosed"}, "not understood"),
        ({"ssh_common_args": "--surprise"}, "not understood"),
        ({"ssh_common_args": "-C elsewhere"}, "'elsewhere'"),
        ({"ssh_common_args": "-J a@b@c:d:e"}, "ProxyJump"),
        ({"port": "many"}, "ansible_port"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _read(settings)


def test_configuration_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("Host audit*\n  User watcher\n  Port 2200\n  ProxyJump gate\nHost *\n  User other\n")
    found = read_configuration("audit1", str(file))
    assert (found["user"], found["port"], found["proxyjump"]) == ("watcher", "2200", "gate")
    assert "hostname" not in found
    assert read_configuration("audit1", str(tmp_path / "none")) == {}


def test_ansible_tells_what_its_own_connection_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables, with their older names, and the environment."""
    monkeypatch.setenv("ANSIBLE_SSH_EXTRA_ARGS", "-J gate")
    variables = {
        "ansible_host": "192.0.2.10",
        "ansible_ssh_port": 2222,
        "ansible_user": "audit",
        "ansible_ssh_pass": "geheim",
        "ansible_ssh_private_key_file": "/keys/audit",
        "ansible_ssh_host_key_checking": False,
    }
    login = read_login("audit1", module._ssh_settings(variables), lambda _host, _file: {})
    assert (login.host, login.port, login.user, login.key_files) == ("192.0.2.10", 2222, "audit", ("/keys/audit",))
    assert login.password is not None
    assert login.accepts_unknown
    assert [jump.host for jump in login.jumps] == ["gate"]


def test_without_paramiko_the_controller_still_probes_and_an_audit_host_is_an_error(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['paramiko'] = None\n"
        "from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.settings import find_vantage\n"
        "find_vantage('controller', {}, print)\n"
        "try: find_vantage('audit1', {'audit1': {'ansible_host': '192.0.2.1'}}, print)\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "pip install paramiko" in done.stdout
