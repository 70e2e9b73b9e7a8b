# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that carries a plan out on a Windows host: one step after the other, up to the first that fails.

Rules are added before others are removed, so that nothing is closed when something could not be opened.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._platform.interface import Command, Part, Written
from .netsh import add_arguments, delete_arguments
from .opening import Details
from .parts import WSMAN
from .shells import SHELLS, Shell

_ALREADY_RUNNING = 1056  # winerror.h, ERROR_SERVICE_ALREADY_RUNNING
_LISTENER = rf"{WSMAN}\Listener\*+HTTP"
_LOOK_FOR_LISTENER = "look for a listener"
_START = "start WinRM"
# What a step's program may also answer: that there is nothing to be done, or that the next step is needed.
_FINE = {_START: (_ALREADY_RUNNING,), _LOOK_FOR_LISTENER: (1,)}


def write_command(details: Details, *, transport: str = "powershell") -> Command:
    """The command. Every step is a part of its output."""
    shell = SHELLS[transport]
    steps = [
        *((f"add {number}", add_arguments(opening)) for number, opening in enumerate(details.add, 1)),
        *((f"remove {number}", delete_arguments(opening)) for number, opening in enumerate(details.remove, 1)),
    ]
    rules = [shell.part(name, ("netsh.exe", *arguments)) for name, arguments in steps]
    service = [_configure(shell)] if details.configure_winrm else []
    return shell.script(shell.all_of([*service, *rules]))


def _configure(shell: Shell) -> str:
    """What ``winrm quickconfig`` does to the service and its listener. It leaves the token policy of local accounts
    alone, and the firewall, where rules of ours name the sources.
    """
    start = shell.part("WinRM at boot", ("sc.exe", "config", "WinRM", "start=", "delayed-auto"))
    run = shell.part(_START, ("sc.exe", "start", "WinRM"))
    create = ("cmd.exe", "/d", "/c", "winrm.cmd", "create", "winrm/config/Listener?Address=*+Transport=HTTP")
    look = shell.part(_LOOK_FOR_LISTENER, ("reg.exe", "query", _LISTENER))
    return start + run + look + shell.when_failed(shell.part("create a listener", create))


def written(parts: Mapping[str, Part]) -> Written:
    """How the command ended, of its parts."""
    failed = {name: part for name, part in parts.items() if part.rc != 0 and part.rc not in _FINE.get(name, ())}
    return Written(stale=False, errors=tuple(_error(name, part) for name, part in failed.items()))


def _error(name: str, part: Part) -> str:
    said = " ".join((part.out or part.err).split())[:300] or "no message"
    return f"the step '{name}' failed on the host with return code {part.rc}: {said}"
