# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Shells of one host: WinRS ([MS-WSMV] 3.1.4.5 and following), and those of PowerShell remoting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from tests.standins.winrm import soap
from tests.standins.winrm.answer import Answer
from tests.standins.winrm.host import Host
from tests.standins.winrm.psrp import PowerShellShell
from tests.standins.winrm.soap import FaultError, Request, Stream

_CHUNK = 100 * 1024  # of output in an envelope, so that it stays below the 150 KB that old systems allow
_COMMANDS_AT_MOST = 25


@dataclass
class Command:
    """A command of a shell: its line, its standard input as far as it came, and its answer as far as it was fetched."""

    line: str
    stdin: bytearray = field(default_factory=bytearray)
    complete: threading.Event = field(default_factory=threading.Event)
    worker: threading.Thread | None = None
    answer: Answer | None = None
    sent: int = 0


class WinRS:
    """A command shell."""

    resource = soap.CMD_RESOURCE

    def __init__(self, host: Host) -> None:
        self._host = host
        self._commands: dict[str, Command] = {}
        self._started = 0

    def command(self, request: Request) -> str:
        """Take a command. It runs when its input is complete."""
        given, program, arguments = request.command_line()
        self._started += 1
        quota = self._host.faults.quota_after
        if len(self._commands) >= _COMMANDS_AT_MOST or (quota is not None and self._started > quota):
            raise FaultError(soap.QUOTA_OF_OPERATIONS, "This user has exceeded the maximum number of operations")
        command = Command(" ".join([program, *arguments]))
        if request.options.get("WINRS_SKIP_CMD_SHELL", "FALSE").upper() != "TRUE":
            self._host.wrapped["cmd.exe"] += 1  # [MS-WSMV]: WinRS gives such a command line to cmd.exe
        console = request.options.get("WINRS_CONSOLEMODE_STDIN", "FALSE").upper() == "TRUE"
        if console or not self._host.reads_input(command.line):
            command.complete.set()  # nobody types at a console, and nobody waits for what is not read
        identifier = given or str(uuid4()).upper()
        self._commands[identifier] = command
        return soap.command_started(identifier)

    def send(self, request: Request) -> str:
        """Take standard input."""
        for stream in request.streams():
            command = self._find(stream.command)
            command.stdin += stream.data
            if stream.end:
                command.complete.set()
        return "<rsp:SendResponse/>"

    def receive(self, request: Request) -> str:
        """Run the command if it has not run, and give the next piece of its output."""
        identifier = request.wanted()
        command = self._find(identifier)
        deadline = time.monotonic() + request.timeout_s
        if not command.complete.wait(request.timeout_s):
            raise _timed_out()
        if command.worker is None:
            command.worker = threading.Thread(target=self._run, args=(command,), daemon=True)
            command.worker.start()
        command.worker.join(max(0, deadline - time.monotonic()))
        if command.answer is None:
            if command.worker.is_alive():
                raise _timed_out()
            raise FaultError(soap.INVALID_PARAMETER, "the command could not be run")
        answer = command.answer
        piece = answer.out[command.sent : command.sent + _CHUNK]
        command.sent += len(piece)
        if command.sent < len(answer.out):
            return soap.received([Stream("stdout", piece)], identifier, done=False)
        streams = [Stream("stdout", piece), *([Stream("stderr", answer.err)] if answer.err else [])]
        ends = [Stream("stdout", end=True), Stream("stderr", end=True)]
        return soap.received([*streams, *ends], identifier, done=True, code=answer.rc)

    def _run(self, command: Command) -> None:
        faults = self._host.faults
        time.sleep(faults.delay_s)
        answer = self._host.run(command.line, bytes(command.stdin))
        spoiled = self._host.requests["Command"] >= faults.from_command
        command.answer = Answer(answer.rc, faults.spoil(answer.out) if spoiled else answer.out, answer.err)

    def signal(self, request: Request) -> str:
        """Forget a command that ended or is to be ended."""
        self._commands.pop(request.signal()[0], None)
        return "<rsp:SignalResponse/>"

    def close(self) -> None:
        """Nothing of it stays."""
        self._commands.clear()

    def _find(self, identifier: str) -> Command:
        if identifier not in self._commands:
            raise FaultError(soap.INVALID_PARAMETER, f"no command {identifier}", subcode="w:InvalidParameter")
        return self._commands[identifier]


def _timed_out() -> FaultError:
    return FaultError(
        soap.TIMED_OUT,
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
        subcode="w:TimedOut",
    )


class Shells:
    """All shells of a host, by id; one request at a time on each connection, many connections at once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: dict[str, WinRS | PowerShellShell] = {}

    def answer(self, request: Request) -> bytes:
        """The answer to a request. Raises FaultError."""
        self._host.requests[request.operation] += 1
        if request.operation == "Identify":
            return soap.identify()
        if request.operation == "Create":
            return soap.response(request, self._create(request))
        shell = self._open.get(request.shell.upper())
        if shell is None:
            reason = f"the shell {request.shell} was not found on the server"
            raise FaultError(soap.SHELL_NOT_FOUND, reason, subcode="w:InvalidSelectors")
        if request.operation == "Delete":
            del self._open[request.shell.upper()]
            shell.close()
            return soap.response(request)
        operations: dict[str, Callable[[Request], str]] = {
            "Command": shell.command, "Send": shell.send, "Receive": shell.receive, "Signal": shell.signal,
        }  # fmt: skip
        return soap.response(request, operations[request.operation](request))

    def _create(self, request: Request) -> str:
        identifier = (request.shell_id() or str(uuid4())).upper()
        if request.resource == soap.CMD_RESOURCE:
            self._open[identifier] = WinRS(self._host)
        elif request.resource == soap.POWERSHELL_RESOURCE and "powershell" not in self._host.blocked:
            self._open[identifier] = PowerShellShell(self._host, request.creation())
        else:
            raise FaultError(soap.INVALID_PARAMETER, f"no resource {request.resource}", subcode="w:InvalidResourceURI")
        return soap.created(request.resource, identifier)

    def close(self) -> None:
        """Close all that clients left open."""
        for shell in self._open.values():
            shell.close()
        self._open.clear()
