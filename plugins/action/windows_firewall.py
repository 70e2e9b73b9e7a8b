# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge and open the firewall of a Windows host for an agentless audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..module_utils._core.errors import InputError, ReadError
from ..plugin_utils._platform.action_base import FirewallAction
from ..plugin_utils._platform.arguments import ARGUMENT_SPEC
from ..plugin_utils._platform.interface import Command
from ..plugin_utils._windows.platform import WindowsPlatform
from ..plugin_utils._windows.rehearsal import rehearse
from ..plugin_utils._windows.shells import SHELLS

_OWN: dict[str, dict[str, Any]] = {
    "profiles": {"type": "list", "elements": "str", "choices": ["domain", "private", "public"]},
    "transport": {"type": "str", "choices": list(SHELLS), "default": "powershell"},
    "winrm": {"type": "str", "choices": ["leave", "configure"], "default": "leave"},
}


class ActionModule(FirewallAction):
    """The action plugin ``windows_firewall``."""

    argument_spec: ClassVar[Mapping[str, Mapping[str, Any]]] = {**ARGUMENT_SPEC, **_OWN}

    def _audit(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        self._transport = options["transport"]
        self.platform = WindowsPlatform(self._transport)
        return super()._audit(options, variables)

    def _start(self, command: Command) -> Mapping[str, Any]:
        """Start a command, over whatever connection. Raises ReadError where that breaks off meanwhile."""
        try:
            return super()._start(command) if self._transport == "powershell" else self._start_without(command)
        except OSError as error:  # as the library beneath the connection tells it
            self._connection.reset()
            raise ReadError(
                f"the connection broke off while a command ran on the host ({error}); what it came to is not known."
                " Run again: that begins with a new look at the host"
            ) from error

    def _start_without(self, command: Command) -> Mapping[str, Any]:
        """Without PowerShell, the script goes to cmd.exe in the shell that the winrm connection holds open: all that
        goes through the connection's own ``exec_command`` is wrapped in PowerShell.
        """
        if self._connection.transport != "winrm":
            raise InputError(f"transport: cmd needs the winrm connection; this host has {self._connection.transport}")
        self._connection._connect()
        program, *arguments = command.program.split(" ")
        pieces = self._connection._wrapper_payload_stream(command.body.encode())
        rc, out, err = self._connection._winrm_exec(program, arguments, stdin_iterator=pieces)
        return {"rc": rc, "stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}


rehearse(ActionModule.argument_spec)
