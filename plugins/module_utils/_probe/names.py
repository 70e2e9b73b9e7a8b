# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names to addresses: in parallel, each once, within bounds."""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import Callable, List, Tuple, Union

from . import constants
from .records import Endpoint
from .workers import Workers

# Resolves a name on a thread; blocks as long as it has to. Raises OSError (socket.gaierror) with its reason.
Resolver = Callable[[str], List[Endpoint]]
Resolution = Union[Tuple[Endpoint, ...], str]
_Told = Callable[[Resolution], None]


def resolve_by_system(name: str) -> list[Endpoint]:
    """What getaddrinfo(3) says, in its order, each address once. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    endpoints = []
    for family, _type, _protocol, _canonical, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            scope = address[3] if len(address) == 4 else 0
            endpoints.append(Endpoint(socket.AddressFamily(family), str(address[0]), int(scope)))
    return list(dict.fromkeys(endpoints))


def parse_endpoint(text: str) -> Endpoint | None:
    """A numeric address, or ``None`` for a name. What is behind ``%`` must be an interface of this machine."""
    plain, _percent, interface = text.partition("%")
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
    try:
        socket.inet_pton(family, plain)
        scope = (int(interface) if interface.isdigit() else socket.if_nametoindex(interface)) if interface else 0
    except (ValueError, OSError):
        return None
    return Endpoint(family, text, scope)


class Names:
    """Every name is asked for once a run; who asks again meanwhile is told at the same time."""

    def __init__(self, workers: Workers, resolver: Resolver) -> None:
        self._workers = workers
        self._resolver = resolver
        self._known: dict[str, Resolution] = {}
        self._asking: dict[str, list[_Told]] = {}
        self._begun: deque[tuple[float, str]] = deque()  # filled by the threads

    def find(self, name: str, told: _Told) -> None:
        """Call ``told`` with the addresses, at once where they are known."""
        if name in self._known:
            told(self._known[name])
        elif name in self._asking:
            self._asking[name].append(told)
        else:
            self._asking[name] = [told]
            self._workers.call(lambda: self._resolve(name), lambda resolution: self._settle(name, resolution))

    def give_up_late(self, now: float) -> None:
        """Settle the names whose resolver has not answered within RESOLVE_S."""
        while self._begun and self._begun[0][0] + constants.RESOLVE_S <= now:
            _time, name = self._begun.popleft()
            self._settle(name, f"no answer from the resolver within {constants.RESOLVE_S:g} s")

    def abandon(self) -> None:
        """Settle every name that is still being asked for."""
        for name in list(self._asking):
            self._settle(name, "the run is over")

    def _settle(self, name: str, resolution: Resolution) -> None:
        waiting = self._asking.pop(name, None)
        if waiting is None:
            return
        self._known[name] = resolution
        for told in waiting:
            told(resolution)

    def _resolve(self, name: str) -> Resolution:
        self._begun.append((time.monotonic(), name))
        try:
            endpoints = self._resolver(name)
        except (OSError, UnicodeError) as error:
            return str(getattr(error, "strerror", None) or error)
        return tuple(endpoints[: constants.ADDRESSES_PER_NAME]) or "the name has no address"
