# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on a Windows audit host through a connection plugin of Ansible's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

from ...module_utils._core.errors import InputError
from ...module_utils._core.sanitize import safe_text
from .._platform.interface import Command
from .interface import VantageError


class AnsibleMachine:
    """Runs commands over the connection that ``connect`` gives. One of our own is closed; another's is only reset."""

    def __init__(self, connect: Callable[[], Any], *, is_ours: bool = True) -> None:
        self._connect = connect
        self._is_ours = is_ours
        self._connection: Any = None
        self._has_run = False

    def run(self, command: Command) -> tuple[str, str]:
        """Standard output and standard error. Raises VantageError; then the next command begins a fresh connection.

        What keeps a task's own connection from the very first command is left as Ansible says it: unreachable.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            _rc, output, errors = self._connection.exec_command(
                command.program, in_data=command.body.encode(), sudoable=False
            )
        except InputError:
            raise
        except Exception as error:  # requests', pywinrm's, pypsrp's and Ansible's own have nothing in common
            self._drop()
            if isinstance(error, AnsibleConnectionFailure) and not self._is_ours and not self._has_run:
                raise
            words = safe_text(str(error)) or type(error).__name__
            raise VantageError(f"the connection to it failed: {words}") from error
        self._has_run = True
        return output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")

    def close(self) -> None:
        """Close a connection of our own."""
        if self._is_ours:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # what is broken need not close well
                if self._is_ours:
                    connection.close()
                else:
                    connection.reset()


def open_connection(kind: str, variables: Mapping[str, Any]) -> Any:
    """The connection that Ansible would take to a host of these variables: winrm, psrp or ssh. Raises InputError."""
    context = PlayContext()
    context.shell = str(variables.get("ansible_shell_type") or "powershell")
    connection = connection_loader.get(kind, context, None)
    if connection is None:
        raise InputError(f"vantage: Ansible has no connection plugin {kind} here")
    names = constants.config.get_plugin_vars("connection", kind)
    given: dict[str, Any] = {name: variables[name] for name in names if name in variables}
    if getattr(connection, "allow_extras", False):
        extra = f"ansible_{getattr(connection, 'extras_prefix', kind)}_"
        given["_extras"] = {name: variables[name] for name in variables if name.startswith(extra)}
    connection.set_options(var_options=given)
    return connection
