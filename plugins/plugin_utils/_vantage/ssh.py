# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit host over SSH: by its Python where it has one, else by the connections that its SSH server makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...module_utils._core.sanitize import safe_text
from ...module_utils._probe.records import Probe, ProbeOptions
from ...module_utils._probe.wire import Numbered
from .client import close, connect, need_paramiko, paramiko
from .flows import Mailbox, Session
from .forward import ForwardingEngine
from .interface import VantageError
from .login import Login
from .piped import OLDEST, Remote, read_version, start_command
from .sessions import Sessions

_ANSWER_S = 30.0  # for a Python to start
DEFAULT_PYTHON = "python3"


class SshVantage:
    """The audit host of ``login``. ``warn`` is told, once, where it is less of a vantage than one with Python is."""

    def __init__(self, login: Login, *, python: str | None, warn: Callable[[str], object]) -> None:
        self._login = login
        self._python = python or DEFAULT_PYTHON
        self._warn = warn

    def observe(self, probes: Sequence[Probe], options: ProbeOptions) -> Iterator[Numbered]:
        """Observations in the order in which they are made. Raises VantageError."""
        need_paramiko()
        mailbox = Mailbox()
        try:
            client = self._connect(mailbox)
            remote = self._start(client)
            if isinstance(remote, Remote):
                try:
                    yield from remote.observe(probes, options)
                finally:
                    close(client)
            else:
                yield from self._forward(Sessions(client, mailbox, self._connect), remote, probes, options)
        finally:
            mailbox.close()

    def _connect(self, mailbox: Mailbox) -> Any:
        def make_session(*arguments: Any, **others: Any) -> Session:
            return Session(*arguments, mailbox=mailbox, **others)

        return connect(self._login, make_session)

    def _start(self, client: Any) -> Remote | str:
        """The engine behind a pipe, or why there is none."""
        try:
            channel = client.get_transport().open_session(timeout=_ANSWER_S)
            channel.settimeout(_ANSWER_S)
            channel.exec_command(start_command(self._python))
            output = channel.makefile("rb")
            version = read_version(output)
            if version is None:
                said = channel.makefile_stderr("rb").read(4096).decode("utf-8", "replace")
                return safe_text(said) or "no answer of a Python"
        except (paramiko.SSHException, OSError, EOFError) as error:
            return f"no command can be run there ({safe_text(str(error)) or type(error).__name__})"
        if version < OLDEST:
            channel.close()
            return f"its {self._python} is {version[0]}.{version[1]}, at least {OLDEST[0]}.{OLDEST[1]} is needed"
        channel.settimeout(None)
        return Remote(channel, output)

    def _forward(
        self, sessions: Sessions, reason: str, probes: Sequence[Probe], options: ProbeOptions
    ) -> Iterator[Numbered]:
        try:
            if options.source_address is not None:
                raise VantageError(
                    f"{self._login.name}: source_address needs Python on the audit host, and there is none: {reason}"
                )
            self._warn(
                f"{self._login.name}: no Python to probe with ({reason}): TCP alone, by connections that its SSH "
                "server makes; a rejection cannot be told from a closed port, UDP and ICMP not be probed"
            )
            with ForwardingEngine(options, sessions) as engine:
                yield from engine.run(iter(probes))
        finally:
            sessions.close()
