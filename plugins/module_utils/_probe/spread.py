# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of probing: in turn over subnets, in turn over the hosts of each, with a cap on what one host bears."""

from __future__ import annotations

import socket
from collections import deque
from typing import Dict, Tuple

from .._core.vocabulary import ObservationStatus
from .records import Endpoint, Probe, Question
from .timing import RoundTrips, subnet_of


class Subnet:
    """A /24 or /64: what the way there is like, and which of its hosts may be asked next."""

    __slots__ = ("has_loss", "ready", "round_trips")

    def __init__(self, round_trips: RoundTrips) -> None:
        self.round_trips = round_trips
        self.has_loss = False  # an answer came to a later try, or to a repeated SYN
        self.ready: deque[Host] = deque()


class Host:
    """An address while there is something to ask of it, and what was learnt of it meanwhile.

    ``source`` is the own address that packets to it leave from, once that is known. ``is_alive``: something came from
    it. ``control`` is what became of the control question over UDP, which was asked ``control_tries`` times and is
    waited for until ``control_until``. ``next_udp`` is when the next UDP port would be asked if none may be early.
    """

    __slots__ = (
        "address", "asked", "control", "control_tries", "control_until", "endpoint", "in_flight", "is_alive",
        "is_ipv4", "is_listed", "is_on_link", "next_udp", "queue", "source", "subnet",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, subnet: Subnet, *, is_on_link: bool, source: str | None) -> None:
        self.endpoint = endpoint
        self.address = endpoint.address  # as it was given
        self.is_ipv4 = endpoint.family == socket.AF_INET
        self.subnet = subnet
        self.is_on_link = is_on_link
        self.source = source
        self.queue: deque[Probe] = deque()
        self.in_flight = 0
        self.is_listed = False
        self.is_alive = False
        self.control: ObservationStatus | None = None
        self.control_tries = 0
        self.control_until = self.next_udp = 0.0
        # What is queued or in flight. Where several probes ask the same, the first is made for all of them.
        self.asked: Dict[Question, Probe] = {}  # noqa: UP006


Taken = Tuple[Host, Probe]


class Spreader:
    """Queued probes by subnet and host. Every operation takes constant time."""

    def __init__(self, per_host: int, longest_s: float) -> None:
        self._per_host = per_host
        self._longest_s = longest_s
        self._subnets: dict[str, Subnet] = {}
        self._turn: deque[Subnet] = deque()

    def subnet(self, address: str) -> Subnet:
        """The subnet of an address; always the same for the same."""
        key = subnet_of(address)
        found = self._subnets.get(key)
        if found is None:
            found = self._subnets[key] = Subnet(RoundTrips(self._longest_s))
        return found

    def add(self, host: Host, probe: Probe) -> None:
        """Queue a probe behind the others of its host."""
        host.queue.append(probe)
        if not host.is_listed:
            self.enlist(host)

    def take(self, most: int) -> list[Taken]:
        """The next probes, each with its host; fewer if every host with probes has its share in flight."""
        turn, per_host = self._turn, self._per_host
        taken: list[Taken] = []
        add = taken.append
        # They all leave at once, so what a subnet gives is taken in one go.
        part = max(1, most // len(turn)) if turn else 0
        while turn and len(taken) < most:
            subnet = turn.popleft()
            ready = subnet.ready
            for _place in range(min(part, len(ready), most - len(taken))):
                host = ready.popleft()
                queue = host.queue
                add((host, queue.popleft()))
                host.in_flight += 1
                if queue and host.in_flight < per_host:
                    ready.append(host)
                else:
                    host.is_listed = False
            if ready:
                turn.append(subnet)
        return taken

    def release(self, host: Host) -> None:
        """A probe of this host is done."""
        host.in_flight -= 1
        if host.queue and not host.is_listed:
            self.enlist(host)

    def enlist(self, host: Host) -> None:
        """It has something queued: give it a turn, unless it has its share in flight."""
        if host.in_flight >= self._per_host:
            return
        host.is_listed = True
        ready = host.subnet.ready
        if not ready:
            self._turn.append(host.subnet)
        ready.append(host)
