# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Shells of PowerShell remoting ([MS-PSRP]): the fragments go through to the engine's own server and back.

That server speaks on standard input and output, in a framing of one element a line; WS-Management carries the same
fragments in its streams.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import threading
from collections import defaultdict
from uuid import UUID

from tests.standins.engine import find_engine
from tests.standins.winrm import soap
from tests.standins.winrm.host import Host
from tests.standins.winrm.soap import FaultError, Request, Stream

_POOL = str(UUID(int=0))
_ELEMENT = re.compile(
    rb"<(?P<name>\w+) (?:Stream='\w+' )?PSGuid='(?P<guid>[0-9a-fA-F-]{36})'\s*(?:/>|>(?P<data>[^<]*)</\w+>)"
)
_PIECE = 64 * 1024


class PowerShellShell:
    """A runspace pool: one process of the engine's server, which knows the full language only."""

    resource = soap.POWERSHELL_RESOURCE

    def __init__(self, host: Host, creation: bytes) -> None:
        self._host = host
        host.shells_started["powershell remoting"] += 1
        engine = find_engine()
        if engine is None:
            raise FaultError(soap.INVALID_PARAMETER, "no engine", subcode="w:InvalidResourceURI")
        self._process = subprocess.Popen(
            [*host.engines.prefix, str(engine), "-s"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **host.environment},
        )  # fmt: skip
        self._data: dict[str, list[bytes]] = defaultdict(list)
        self._acknowledged: set[tuple[str, str]] = set()
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write_data(_POOL, creation)

    def command(self, request: Request) -> str:
        """Make a pipeline."""
        identifier, _name, arguments = request.command_line()
        guid = str(UUID(identifier))
        self._write(f"<Command PSGuid='{guid}' />")
        self._await_ack("CommandAck", guid)
        self._write_data(guid, base64.b64decode("".join(arguments)))
        return soap.command_started(identifier)

    def send(self, request: Request) -> str:
        """Hand input on."""
        for stream in request.streams():
            self._write_data(str(UUID(stream.command)) if stream.command else _POOL, stream.data)
        return "<rsp:SendResponse/>"

    def receive(self, request: Request) -> str:
        """What the pipeline (or the pool) has said since."""
        identifier = request.wanted()
        guid = str(UUID(identifier)) if identifier else _POOL
        with self._news:
            if not self._news.wait_for(lambda: self._data[guid] or self._ended, timeout=request.timeout_s):
                raise FaultError(soap.TIMED_OUT, "nothing within OperationTimeout", subcode="w:TimedOut")
            pieces, self._data[guid] = self._data[guid], []
        return soap.received([Stream("stdout", piece) for piece in pieces], identifier, done=False)

    def signal(self, request: Request) -> str:
        """Stop a pipeline and close it."""
        identifier, _code = request.signal()
        guid = str(UUID(identifier))
        self._write(f"<Signal PSGuid='{guid}' />")
        self._await_ack("SignalAck", guid)
        self._write(f"<Close PSGuid='{guid}' />")
        return "<rsp:SignalResponse/>"

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        try:
            self._write(f"<Close PSGuid='{_POOL}' />")
            self._process.stdin.close()
            self._process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _write(self, element: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(element.encode() + b"\n")
        self._process.stdin.flush()

    def _write_data(self, guid: str, data: bytes) -> None:
        """Hand fragments on, and wait until the engine took them: input for a pipeline that is not yet made is lost."""
        self._write(f"<Data Stream='Default' PSGuid='{guid}'>{base64.b64encode(data).decode()}</Data>")
        self._await_ack("DataAck", guid)

    def _await_ack(self, name: str, guid: str) -> None:
        with self._news:
            if not self._news.wait_for(lambda: (name, guid) in self._acknowledged or self._ended, timeout=20):
                raise FaultError(soap.TIMED_OUT, f"no {name} from the engine", subcode="w:TimedOut")
            self._acknowledged.discard((name, guid))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = _ELEMENT.match(line)
            if not found:
                continue
            guid, name = found["guid"].decode().lower(), found["name"].decode()
            with self._news:
                if name == "Data":
                    self._data[guid].append(base64.b64decode(found["data"]))
                else:
                    self._acknowledged.add((name, guid))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
