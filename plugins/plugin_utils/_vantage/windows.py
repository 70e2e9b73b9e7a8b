# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows audit host: its own PowerShell opens the sockets, over whatever connection Ansible has to it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from ...module_utils._probe import constants
from ...module_utils._probe.names import Resolution, parse_endpoint
from ...module_utils._probe.records import Endpoint, Probe, ProbeOptions
from ...module_utils._probe.wire import Numbered
from . import winsock
from .asks import BATCH, NAME, Ask, Told
from .batches import BatchEngine
from .courier import Courier, Machine
from .interface import VantageError

_NO_NAME = re.compile(r"[\s\0]")


class WindowsVantage:
    """An audit host by its name in messages. ``exchanges`` is how many scripts the last run took."""

    def __init__(self, name: str, machine: Machine) -> None:
        self._name = name
        self._machine = machine
        self.exchanges = 0

    def observe(self, probes: Sequence[Probe], options: ProbeOptions) -> Iterator[Numbered]:
        """Observations in the order in which they are made. Raises VantageError."""
        courier = Courier(self._machine, options)
        try:
            names = _resolve(courier, dict.fromkeys(probe.address for probe in probes))
            with BatchEngine(options, courier, names) as engine:
                yield from engine.run(iter(probes))
        except VantageError as error:
            raise VantageError(f"{self._name}: {error}") from error
        finally:
            self.exchanges = courier.exchanges
            self._machine.close()


def _resolve(courier: Courier, addresses: Iterable[str]) -> dict[str, Resolution]:
    """What the audit host knows of each name among them. Raises VantageError where it cannot be asked."""
    found: dict[str, Resolution] = {}
    names = []
    for address in addresses:
        if parse_endpoint(address) is not None:
            continue
        if (endpoint := _parse_scoped(address)) is not None:
            found[address] = (endpoint,)
        elif not address or _NO_NAME.search(address):
            found[address] = "it is no name"
        else:
            names.append(address)
    for first in range(0, len(names), BATCH):
        batch = names[first : first + BATCH]
        asks = [Ask(kind=NAME, address=name, wait_s=constants.RESOLVE_S) for name in batch]
        answers = courier.ask(asks, float("inf"))
        if answers.trouble is not None:
            raise VantageError(f"names could not be looked up there: {answers.trouble}")
        found.update({batch[row.number]: _resolution(row) for row in answers.told})
    return found


def _resolution(told: Told) -> Resolution:
    if told.code == winsock.TIMED_OUT:
        return f"no answer from the resolver within {constants.RESOLVE_S:g} s"
    if told.code:
        return winsock.name_error(told.code)
    endpoints = [endpoint for text in told.data if (endpoint := _parse_scoped(text)) is not None]
    return tuple(dict.fromkeys(endpoints))[: constants.ADDRESSES_PER_NAME] or "the name has no address"


def _parse_scoped(text: str) -> Endpoint | None:
    """A numeric address; what is behind ``%`` is an interface of the audit host."""
    try:
        version = ip_address(text).version
    except ValueError:
        return None
    return Endpoint(socket.AF_INET6 if version == 6 else socket.AF_INET, text)
