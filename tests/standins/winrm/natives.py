# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The native programs of one machine: by name, counted, with what can go wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.standins.winrm import tools
from tests.standins.winrm.answer import Answer, error, lines
from tests.standins.winrm.cmdshell import Cmd
from tests.standins.winrm.machine import LISTENER, Machine
from tests.standins.winrm.netsh import netsh

PROGRAMS = ("reg.exe", "netsh.exe", "sc.exe", "netstat.exe", "chcp.com", "cmd.exe")
_CREATE_LISTENER = ["create", "winrm/config/listener?address=*+transport=http"]


@dataclass
class Natives:
    """Runs programs on a machine, one at a time; `started` counts them by name."""

    machine: Machine
    started: Counter[str] = field(default_factory=Counter)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, argv: Sequence[str]) -> Answer:
        """Run a program; one that the machine does not have ends with 9009."""
        program, *arguments = argv
        with self.machine.lock:
            self.calls.append(tuple(argv))
            self.started[program.lower()] += 1
            match program.lower():
                case "reg.exe":
                    return tools.reg(self.machine, arguments)
                case "netsh.exe":
                    return netsh(self.machine, arguments)
                case "sc.exe":
                    return tools.sc(self.machine, arguments)
                case "netstat.exe":
                    return tools.netstat(self.machine, arguments)
                case "chcp.com":
                    return tools.chcp(arguments)
                case "winrm.cmd":
                    return self._winrm(arguments)
                case "cmd.exe" if [word.lower() for word in arguments[:2]] == ["/d", "/c"]:
                    return Cmd(self.run).command(" ".join(arguments[2:]))
        return error(f"'{program}' is not recognized as an internal or external command,", rc=9009)

    def _winrm(self, arguments: Sequence[str]) -> Answer:
        if [word.lower() for word in arguments] != _CREATE_LISTENER:
            return lines("Error: Invalid use of command line.", rc=1)
        if not self.machine.elevated:
            return lines("WSManFault", "    Message = Access is denied.", "", "Error number:  -2147024891", rc=1)
        if self.machine.registry.find(LISTENER) is not None:
            return lines("WSManFault", "    Message = The requested object already exists.", rc=1)
        self.machine.registry.set_number(LISTENER, "Port", 5985)
        self.machine.registry.set(LISTENER, "uriprefix", "wsman")
        return lines("ResourceCreated")
