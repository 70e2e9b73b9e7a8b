# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the audit host is logged in to: Ansible's settings of its ``ssh`` connection, and what ssh_config(5) adds."""

from __future__ import annotations

import getopt
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...module_utils._core.errors import InputError
from ...module_utils._core.fields import parse_port
from ...module_utils._probe.secret import Secret

# ssh(1): the options that the command line takes, those with a value marked by a colon.
_SSH_OPTIONS = "46AaB:b:Cc:D:E:e:fF:GgI:i:J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtVvw:W:XxYy"
_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
_KEYWORD = {"-J": "proxyjump", "-i": "identityfile", "-l": "user", "-p": "port"}
_KNOWN_HOSTS = {
    "userknownhostsfile": "~/.ssh/known_hosts ~/.ssh/known_hosts2",
    "globalknownhostsfile": "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",
}
_ACCEPTING = frozenset({"no", "off", "accept-new"})
_JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:]+))(?::(?P<port>\d+))?/?\Z")
_SSH_PORT = 22

# What ssh_config(5) says of a host, keywords in small letters; the second argument is the file of ``-F``.
Configuration = Callable[[str, "str | None"], Mapping[str, Any]]


@dataclass(frozen=True)
class Login:
    """All that is needed to log in to one SSH server, by way of ``jumps`` or of ``proxy_command``."""

    name: str
    host: str
    port: int
    user: str | None
    password: Secret | None
    passphrase: Secret | None
    key_files: tuple[str, ...]
    asks_agent: bool
    known_hosts: tuple[str, ...]
    key_alias: str | None
    accepts_unknown: bool
    timeout_s: float
    proxy_command: str | None = None
    jumps: tuple[Login, ...] = ()


def read_login(name: str, settings: Mapping[str, Any], configuration: Configuration) -> Login:
    """The login of the audit host ``name`` by the options of Ansible's connection plugin ``ssh``.

    Raises InputError for what is wrong in them.
    """
    written = [str(settings[option]) for option in _ARGUMENTS if settings.get(option)]
    arguments = _parse_arguments(name, " ".join(written))
    host = str(settings.get("host") or name)
    config = {**configuration(host, arguments.get("-F")), **{k: v for k, v in arguments.items() if k != "-F"}}
    login = _make(name, host, settings, config)
    proxy = config.get("proxycommand")
    jumps = str(config.get("proxyjump") or "none")
    if jumps.lower() != "none":
        return _through(login, jumps, settings, lambda jump: configuration(jump, arguments.get("-F")))
    if proxy and str(proxy).lower() != "none":
        words = {"%h": login.host, "%p": str(login.port), "%r": login.user or "", "%n": host, "%%": "%"}
        command = re.sub("%[hprn%]", lambda found: words[found[0]], str(proxy))
        return _replace(login, proxy_command=command)
    return login


def _replace(login: Login, **changes: Any) -> Login:
    return Login(**{**login.__dict__, **changes})


def _make(name: str, host: str, settings: Mapping[str, Any], config: Mapping[str, Any]) -> Login:
    """Ansible's own settings first, then ssh's arguments and files."""
    key_files = _texts(settings.get("private_key_file") or config.get("identityfile"))
    known = [str(config.get(keyword) or usual) for keyword, usual in _KNOWN_HOSTS.items()]
    checking = str(config.get("stricthostkeychecking") or "").lower()
    if not settings.get("host_key_checking", True):
        checking = "no"
    port = settings.get("port") or config.get("port") or _SSH_PORT
    user = settings.get("remote_user") or config.get("user")
    return Login(
        name=name,
        host=str(config.get("hostname") or host),
        port=parse_port(port, f"{name}: ansible_port"),
        user=None if user is None else str(user),
        password=_secret(settings.get("password")),
        passphrase=_secret(settings.get("private_key_passphrase")),
        key_files=tuple(str(Path(path).expanduser()) for path in key_files),
        asks_agent=str(config.get("identitiesonly") or "no").lower() != "yes",
        known_hosts=tuple(str(Path(path).expanduser()) for path in shlex.split(" ".join(known))),
        key_alias=config.get("hostkeyalias"),
        accepts_unknown=checking in _ACCEPTING,
        timeout_s=float(settings.get("timeout") or 10),
    )


def _through(
    login: Login, jumps: str, settings: Mapping[str, Any], configuration: Callable[[str], Mapping[str, Any]]
) -> Login:
    """The login by way of the hosts of ``ProxyJump``, whose users, keys and ports ssh's own files tell."""
    way = []
    for text in jumps.split(","):
        found = _JUMP.match(text.strip())
        if not found:
            raise InputError(f"{login.name}: ProxyJump: {text!r} is not of the form [user@]host[:port]")
        host = found["v6"] or found["host"]
        own = {
            "remote_user": found["user"],
            "port": found["port"],
            **{name: settings[name] for name in ("host_key_checking", "timeout") if name in settings},
        }
        config = dict(configuration(host))
        # Known hosts that were named for the audit host hold for the way there, as they do for ssh's own ProxyJump.
        config.setdefault("userknownhostsfile", " ".join(shlex.quote(path) for path in login.known_hosts))
        way.append(_make(f"{login.name}'s jump host {host}", host, own, config))
    return _replace(login, jumps=tuple(way))


def _parse_arguments(name: str, text: str) -> dict[str, Any]:
    """ssh's command-line arguments as keywords of ssh_config(5); of each the first holds. ``-F`` stays as it is."""
    try:
        options, others = getopt.getopt(shlex.split(text), _SSH_OPTIONS)
    except (getopt.GetoptError, ValueError) as error:
        raise InputError(f"{name}: the arguments for ssh are not understood: {error}") from error
    if others:
        raise InputError(f"{name}: the arguments for ssh hold {others[0]!r}, which belongs to no option")
    found: dict[str, Any] = {}
    for option, value in options:
        if option == "-o":
            keyword, _sign, value = re.sub(r"\s*=\s*|\s+", "=", value.strip(), count=1).partition("=")
            found.setdefault(keyword.lower(), value.strip('"'))
        elif option in _KEYWORD:
            found.setdefault(_KEYWORD[option], value)
        elif option == "-F":
            found.setdefault(option, value)
    return found


def _texts(value: Any) -> Sequence[str]:
    if value is None:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(item) for item in value)


def _secret(value: Any) -> Secret | None:
    return None if value is None or value == "" else Secret(str(value))
