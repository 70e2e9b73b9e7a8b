# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of probing: in turn over subnets, in turn over the hosts of each, with a cap on what one host bears."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Host(Generic[Item]):
    __slots__ = ("in_flight", "is_listed", "queue", "subnet")

    def __init__(self, subnet: str) -> None:
        self.subnet = subnet
        self.queue: deque[Item] = deque()
        self.in_flight = 0
        self.is_listed = False


class Spreader(Generic[Item]):
    """Queued items by subnet and host. Every operation takes constant time."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host[Item]] = {}
        self._ready: dict[str, deque[str]] = {}
        self._turn: deque[str] = deque()

    def add(self, subnet: str, address: str, item: Item) -> None:
        """Queue an item behind the others of its host."""
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = _Host(subnet)
        host.queue.append(item)
        self._list(address, host)

    def take(self) -> Item | None:
        """The next item, or ``None`` if every host with items has its share in flight."""
        if not self._turn:
            return None
        subnet = self._turn.popleft()
        addresses = self._ready[subnet]
        address = addresses.popleft()
        host = self._hosts[address]
        item = host.queue.popleft()
        host.in_flight += 1
        host.is_listed = False
        if addresses:
            self._turn.append(subnet)
        else:
            del self._ready[subnet]
        self._list(address, host)
        return item

    def release(self, address: str) -> None:
        """An item of this host is done."""
        host = self._hosts[address]
        host.in_flight -= 1
        if not host.queue and not host.in_flight:
            del self._hosts[address]
            return
        self._list(address, host)

    def _list(self, address: str, host: _Host[Item]) -> None:
        if host.is_listed or not host.queue or host.in_flight >= self._per_host:
            return
        host.is_listed = True
        if host.subnet not in self._ready:
            self._ready[host.subnet] = deque()
            self._turn.append(host.subnet)
        self._ready[host.subnet].append(address)
