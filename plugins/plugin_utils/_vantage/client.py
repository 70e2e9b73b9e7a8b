# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in to an SSH server by paramiko, and says in words what keeps it from doing so."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...module_utils._core.sanitize import safe_text
from .interface import VantageError
from .login import Login

try:
    import paramiko
except ImportError:  # reported when a vantage is asked for, not before
    paramiko = None  # type: ignore[assignment]

__all__ = ["close", "connect", "need_paramiko", "paramiko", "read_configuration"]

_LOG = "agentless.audit_ports.vantage"
_CONFIG_FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
_KEEPALIVE_S = 15
_DEAD_AFTER_S = 45  # without an acknowledgement of what was sent; keepalives see to it that something is
_TCP_USER_TIMEOUT = 18  # linux/tcp.h
_NOTHING_TO_TRY = "No authentication methods available"  # paramiko's words for a login without key and password

logging.getLogger(_LOG).addHandler(logging.NullHandler())  # paramiko's log would go to the terminal


def need_paramiko() -> None:
    """Raise VantageError where paramiko is missing."""
    if paramiko is None:
        raise VantageError(
            "probing from an audit host over SSH needs the Python library paramiko on the controller: "
            "pip install paramiko"
        )


def read_configuration(host: str, file: str | None) -> Mapping[str, Any]:
    """What ssh's configuration files say of a host (ssh_config(5)), or the one file that ``-F`` names."""
    need_paramiko()
    found: dict[str, Any] = {}
    for name in _CONFIG_FILES if file is None else (file,):
        path = Path(name).expanduser()
        if not path.is_file():
            continue
        try:
            told = paramiko.SSHConfig.from_path(str(path)).lookup(host)
        except Exception as error:  # its parser raises whatever it stumbles over
            raise VantageError(f"{path} cannot be read as ssh's configuration: {error}") from error
        found = {**told, **found}
    if found.get("hostname") == host:
        del found["hostname"]
    return found


def connect(login: Login, factory: Callable[..., Any] | None = None) -> Any:
    """A logged-in ``paramiko.SSHClient``; ``factory`` makes its transport. Raises VantageError, in words."""
    need_paramiko()
    way: list[Any] = []
    try:
        sock: Any = None
        for jump in login.jumps:
            way.append(_log_in(jump, sock, None))
            after = (*login.jumps[len(way) :], login)[0]
            sock = _forward(way[-1], after)
        client = _log_in(login, sock, factory)
    except BaseException:
        for jump_client in reversed(way):
            jump_client.close()
        raise
    client.jump_clients = way  # they live as long as it does
    return client


def close(client: Any) -> None:
    """Close a client of ``connect``, and the way to it."""
    for each in (client, *reversed(client.jump_clients)):
        each.close()


def _forward(client: Any, login: Login) -> Any:
    try:
        return client.get_transport().open_channel(
            "direct-tcpip", (login.host, login.port), ("127.0.0.1", 0), timeout=login.timeout_s
        )
    except (paramiko.SSHException, OSError) as error:
        raise VantageError(
            f"{login.name} ({login.host} port {login.port}) is not reached by way of its jump host: {_words(error)}"
        ) from error


def _log_in(login: Login, sock: Any, factory: Callable[..., Any] | None) -> Any:
    client: Any = paramiko.SSHClient()
    client.set_log_channel(_LOG)
    client.set_missing_host_key_policy(_Policy(login))
    for path in login.known_hosts:
        if os.path.isfile(path):
            client.load_system_host_keys(path)
    try:
        client.connect(
            login.key_alias or login.host,
            port=22 if login.key_alias else login.port,
            username=login.user,
            password=_reveal(login.password),
            passphrase=_reveal(login.passphrase),
            key_filename=list(login.key_files) or None,
            allow_agent=login.asks_agent,
            look_for_keys=not login.key_files,
            sock=sock or _dial(login),
            timeout=login.timeout_s,
            banner_timeout=login.timeout_s,
            auth_timeout=login.timeout_s,
            transport_factory=factory,
        )
    except BaseException as error:
        client.close()
        raise _explain(login, error) from error
    client.get_transport().set_keepalive(_KEEPALIVE_S)
    return client


def _dial(login: Login) -> Any:
    if login.proxy_command is not None:
        return paramiko.ProxyCommand(login.proxy_command)
    sock = socket.create_connection((login.host, login.port), timeout=login.timeout_s)
    with suppress(OSError):  # not on every system; then a path that goes dead is noticed late
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, _DEAD_AFTER_S * 1000)
    return sock


def _explain(login: Login, error: BaseException) -> BaseException:
    """Why the login failed, with the next step; an interrupt stays what it is."""
    place = f"{login.name} ({login.host} port {login.port})"
    if isinstance(error, VantageError) or not isinstance(error, Exception):
        return error
    if isinstance(error, paramiko.BadHostKeyException):
        return VantageError(
            f"{place}: its host key has changed: it shows {_print(error.key)}, known is {_print(error.expected_key)}. "
            "Something may stand in between; if the host was set up anew, correct known_hosts"
        )
    if isinstance(error, paramiko.AuthenticationException) or _NOTHING_TO_TRY in str(error):
        user = login.user or "the user of this process"
        return VantageError(
            f"{place}: the login as {user} was refused: {_words(error)}. It was tried with the keys and the password "
            "that the inventory names, and with the agent's keys"
        )
    if isinstance(error, OSError):
        return VantageError(f"{place} is not reached: {_words(error)}")
    return VantageError(f"{place}: no SSH session came about: {_words(error)}")


def _words(error: BaseException) -> str:
    return safe_text(str(error)) or type(error).__name__


def _print(key: Any) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def _reveal(secret: Any) -> str | None:
    return None if secret is None else secret.reveal().decode("utf-8")


class _Policy(paramiko.MissingHostKeyPolicy if paramiko else object):  # type: ignore[misc]
    """An unknown key ends the login, unless the inventory or ssh's configuration says otherwise."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Called by paramiko for a key that no known_hosts file has."""
        if not self._login.accepts_unknown:
            raise VantageError(
                f"{self._login.name} ({hostname}): its host key {_print(key)} is not known. Check it and add it "
                f"(ssh-keyscan -p {self._login.port} {self._login.host} >> ~/.ssh/known_hosts), "
                "or switch host_key_checking off"
            )
