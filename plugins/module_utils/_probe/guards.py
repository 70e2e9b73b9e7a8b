# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a run within the means of the machine and the network that it starts from."""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import chain
from typing import Callable, Union

from . import constants
from .records import ProbeOptions
from .spread import Host

try:
    import resource
except ImportError:  # no POSIX system
    resource = None  # type: ignore[assignment]

_ROUNDING = 1e-6  # of a token: no sleep can be that short
_REJECT_ROUTE = 0x200  # linux/route.h: RTF_REJECT
Network = Union[IPv4Network, IPv6Network]


class Bucket:
    """New flows per second: a token bucket. What must go out at once may overdraw it; new probes then wait."""

    def __init__(self, rate_per_s: float, now: float) -> None:
        self._rate = rate_per_s
        self._depth = max(1.0, rate_per_s / 50)
        self._tokens = self._depth
        self._filled = now
        self.spent = 0  # flows started since the last look; whoever starts one counts it here

    def allowance(self, now: float) -> int:
        """How many flows may start now."""
        self._tokens = min(self._depth, self._tokens - self.spent + (now - self._filled) * self._rate)
        self._filled = now
        self.spent = 0
        return max(0, int(self._tokens + _ROUNDING))

    def wait_s(self) -> float:
        """How long, from the last look on, until the next flow may start; 0 if it might then."""
        missing = 1 - self._tokens
        return missing / self._rate if missing > _ROUNDING else 0.0


class Descriptors:
    """How many sockets may be open at once: raises the soft limit to the hard one, and leaves the process some."""

    def __init__(self, wanted: int) -> None:
        self.open = 0
        self.limit = max(constants.LEAST_WINDOW, min(wanted, _descriptor_limit() - constants.SPARE_DESCRIPTORS))

    @property
    def room(self) -> int:
        """How many more sockets may be opened."""
        return self.limit - self.open

    def exhausted(self) -> bool:
        """The kernel refused another socket: make do with those that there are. False if there are none."""
        self.limit = max(1, self.open)
        return self.open > 0


def _descriptor_limit() -> int:
    if resource is None:
        return constants.CONCURRENCY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = constants.CONCURRENCY + constants.SPARE_DESCRIPTORS
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return most if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


class Neighbours:
    """Dead hosts on the own link each hold an entry of the kernel's neighbour table; when that is full, routed targets
    turn silent too. So at most half of it may be waiting for an answer."""

    def __init__(self, networks: Iterable[Network], most: int) -> None:
        self._networks = [
            (network.version, int(network.network_address), network.max_prefixlen - network.prefixlen)
            for network in networks
        ]
        self._most = most
        self._waiting: OrderedDict[str, float] = OrderedDict()
        self._looked = float("-inf")
        self._missing: frozenset[str] = frozenset()

    @classmethod
    def of_this_machine(cls, shards: int) -> Neighbours:
        """As /proc tells; without it nothing counts as on the own link."""
        threshold = _read_number("/proc/sys/net/ipv4/neigh/default/gc_thresh3") or constants.NEIGHBOUR_THRESHOLD
        return cls(
            chain(parse_routes_v4(_read("/proc/net/route")), parse_routes_v6(_read("/proc/net/ipv6_route"))),
            threshold // 2 // shards,
        )

    def admits(self, address: str, now: float) -> bool:
        """Whether a probe of this address, one of the own link, may start; it then counts as waiting."""
        if address not in self._waiting and not self.has_room(now):
            return False
        self._waiting[address] = now + constants.NEIGHBOUR_HOLD_S
        self._waiting.move_to_end(address)
        return True

    def answered(self, address: str) -> None:
        """Something came from this address: its entry is resolved."""
        self._waiting.pop(address, None)

    def has_room(self, now: float) -> bool:
        """Whether one more host on the own link may be asked."""
        while self._waiting and next(iter(self._waiting.values())) <= now:
            self._waiting.popitem(last=False)
        return len(self._waiting) < self._most

    def is_missing(self, address: str, now: float) -> bool:
        """Whether the kernel asked for this address, one of the own link, by ARP, and nobody has it."""
        if now - self._looked >= constants.NEIGHBOUR_PERIOD_S:
            self._looked = now
            self._missing = parse_missing(_read("/proc/net/arp"))
        return address in self._missing

    def is_on_link(self, address: str) -> bool:
        """Whether the address is reached without a gateway."""
        if not self._networks:
            return False
        version = 6 if ":" in address else 4
        packed = socket.inet_pton(socket.AF_INET6 if version == 6 else socket.AF_INET, address.partition("%")[0])
        number = int.from_bytes(packed, "big")
        return any(family == version and number >> bits == network >> bits for family, network, bits in self._networks)


def parse_missing(text: str) -> frozenset[str]:
    """The addresses of /proc/net/arp that nobody has answered for (flags 0)."""
    rows = (line.split() for line in text.splitlines()[1:])
    return frozenset(fields[0] for fields in rows if len(fields) >= 4 and fields[2] == "0x0")


def parse_routes_v4(text: str) -> Iterator[Network]:
    """The networks of /proc/net/route that are reached without a gateway."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or int(fields[2], 16):
            continue
        mask = struct.unpack("=I", struct.pack("!I", int(fields[7], 16)))[0]
        network = struct.unpack("=I", struct.pack("!I", int(fields[1], 16)))[0]
        prefix = bin(mask).count("1")
        if 0 < prefix < 32:
            yield IPv4Network((network & mask, prefix))


def parse_routes_v6(text: str) -> Iterator[Network]:
    """The networks of /proc/net/ipv6_route that are reached without a gateway; no multicast, no loopback."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[9] == "lo" or int(fields[4], 16) or int(fields[8], 16) & _REJECT_ROUTE:
            continue
        network, prefix = int(fields[0], 16), int(fields[1], 16)
        if 0 < prefix < 128 and network >> 120 != 0xFF:
            yield IPv6Network((network, prefix))


class Conntrack:
    """Own entries of connection tracking: when the table fills up, probes would push out what others need."""

    def __init__(self, read: Callable[[str], int | None] | None = None) -> None:
        self._read = read or _read_number
        self._most = self._read("/proc/sys/net/netfilter/nf_conntrack_max")
        self._looked = float("-inf")
        self._is_crowded = False

    def is_crowded(self, now: float) -> bool:
        """Whether more than the share of CONNTRACK_SHARE is taken; read once a second."""
        if self._most and now - self._looked >= constants.CONNTRACK_PERIOD_S:
            self._looked = now
            count = self._read("/proc/sys/net/netfilter/nf_conntrack_count") or 0
            self._is_crowded = count > constants.CONNTRACK_SHARE * self._most
        return self._is_crowded


@dataclass
class Means:
    """All that one run may spend, and what it has learnt about the network."""

    options: ProbeOptions
    bucket: Bucket
    descriptors: Descriptors
    neighbours: Neighbours
    conntrack: Conntrack
    started: float  # when the last probe was

    @classmethod
    def of_this_machine(cls, options: ProbeOptions, now: float, *, shards: int = 1) -> Means:
        """What this machine has, as far as the options allow; of the neighbour table only one share of so many."""
        return cls(
            options,
            Bucket(options.rate_per_s, now),
            Descriptors(options.concurrency),
            Neighbours.of_this_machine(shards),
            Conntrack(),
            now,
        )

    def answered(self, host: Host) -> None:
        """Something came from this address."""
        if host.is_on_link:
            self.neighbours.answered(host.address)

    def allowance(self, now: float) -> tuple[int, float]:
        """How many probes may start now, and if none may, how long until one may."""
        flows = self.bucket.allowance(now)
        if self.conntrack.is_crowded(now):
            flows = min(flows, 1)
            crowded_s = self.started + constants.CROWDED_PAUSE_S - now
            if crowded_s > 0:
                return 0, max(crowded_s, self.bucket.wait_s())
        return min(flows, self.descriptors.room), self.bucket.wait_s()


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _read_number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None
