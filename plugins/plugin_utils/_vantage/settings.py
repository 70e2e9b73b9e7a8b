# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which vantage an inventory host is, by the connection that Ansible itself would take to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible import constants
from ansible.plugins.loader import connection_loader

from ...module_utils._core.errors import InputError
from .client import read_configuration
from .connection import AnsibleMachine, open_connection
from .interface import Vantage
from .local import LocalVantage
from .login import read_login
from .options import CONTROLLER
from .ssh import SshVantage
from .windows import WindowsVantage

_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
_WINDOWS = ("winrm", "psrp")
_WINDOWS_SHELLS = ("powershell", "cmd")
_PLUGIN = "ssh"
# Of the options of Ansible's connection plugin, those that decide how to log in; older versions lack some of them.
_OPTIONS = (
    "host",
    "port",
    "remote_user",
    "password",
    "private_key_file",
    "private_key_passphrase",
    "host_key_checking",
    "ssh_args",
    "ssh_common_args",
    "ssh_extra_args",
    "timeout",
)


def find_vantage(name: str, hostvars: Mapping[str, Mapping[str, Any]], warn: Callable[[str], object]) -> Vantage:
    """The vantage of this name: ``controller``, or a host of the inventory. Raises InputError."""
    if name == CONTROLLER:
        return LocalVantage()
    if name not in hostvars:
        raise InputError(
            f"vantage: {name} is not in the inventory; name a host of it, which says how to log in, or {CONTROLLER}"
        )
    variables = hostvars[name]
    connection = str(variables.get("ansible_connection") or constants.DEFAULT_TRANSPORT).rpartition(".")[2]
    if connection == "local":
        return LocalVantage()
    if connection in _WINDOWS or (connection in _SSH and variables.get("ansible_shell_type") in _WINDOWS_SHELLS):
        kind = connection if connection in _WINDOWS else _PLUGIN
        return WindowsVantage(name, AnsibleMachine(lambda: open_connection(kind, variables)))
    if connection in _SSH:
        login = read_login(name, _ssh_settings(variables), read_configuration)
        return SshVantage(login, python=_python(variables), warn=warn)
    raise InputError(
        f"vantage: {name} is reached by {connection}, and only over SSH, WinRM or PowerShell remoting (psrp) a host "
        "can be probed from"
    )


def _ssh_settings(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What Ansible's connection plugin ``ssh`` would take from this host's variables, its environment and its files."""
    connection_loader.get(_PLUGIN, class_only=True)  # its options are known once it is loaded
    known = constants.config.get_configuration_definitions("connection", _PLUGIN)
    return {
        option: constants.config.get_config_value(
            option, plugin_type="connection", plugin_name=_PLUGIN, variables=variables
        )
        for option in _OPTIONS
        if option in known
    }


def _python(variables: Mapping[str, Any]) -> str | None:
    """The interpreter that the inventory names; without one, or where Ansible would look for it, the usual name."""
    named = str(variables.get("ansible_python_interpreter") or "auto")
    return None if named.startswith("auto") else named
