# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matches and values that only iptables has and that need more of the packet than one field."""

from __future__ import annotations

from dataclasses import dataclass

from ...module_utils._core.ranges import Range, RangeSet
from .expressions import FieldValue, holds_clients
from .flow import ICMP, ICMPV6, TCP, UDP, Field, Flow, Value
from .flow import READERS as FIELD_READERS
from .matches import Answer, Truth

_MOST_RUNS = 512
_LARGEST_ADDRESS_BITS = 128


@dataclass(frozen=True)
class BridgePort:
    """The bridge port by which the packet came or goes (linux: net/netfilter/xt_physdev.c).

    A packet that did not come through a bridge has none: then the match is true exactly when all its options are
    negated (``without``). Through a bridge it depends on br_netfilter.
    """

    name: str
    without: bool

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        for interface in (flow.iif, flow.oif):
            known = flow.host.interface(interface) if interface else None
            if interface and (known is None or known.kind == "bridge"):
                return ((flow, Truth.MAYBE),)
        return ((flow, Truth.TRUE if self.without else Truth.FALSE),)


@dataclass(frozen=True)
class SocketOwner:
    """The owner of the socket that sends a packet (linux: net/netfilter/xt_owner.c).

    A packet that is forwarded has no socket: then the match is true exactly when all its options are negated
    (``without``). Who sends the host's own answers is not known from its rules.
    """

    name: str
    without: bool

    def evaluate(self, flow: Flow) -> Answer:
        """See Match."""
        if flow.direction == 0:
            return ((flow, Truth.TRUE if self.without else Truth.FALSE),)
        return ((flow, Truth.MAYBE),)


@dataclass(frozen=True)
class SetPort:
    """The port by which ipset looks up a packet: of ICMP its type and code, of a protocol without ports 0.

    ``which`` is SOURCE_PORT or DESTINATION_PORT (linux: net/netfilter/ipset/ip_set_getport.c).
    """

    which: Field

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression."""
        if flow.protocol in (TCP, UDP):
            return ((flow, FIELD_READERS[self.which](flow)),)
        if flow.protocol in (ICMP, ICMPV6):
            kind, code = flow.icmp_type, flow.icmp_code
            return ((flow, kind << 8 | code if isinstance(kind, int) and isinstance(code, int) else None),)
        return ((flow, 0),)


@dataclass(frozen=True)
class PortWithin:
    """The port that DNAT or REDIRECT to the ports ``low`` to ``high`` gives to a packet.

    With ``base``, the ports are shifted: that one becomes ``low``. Else a port that is in the range already stays
    (linux: get_unique_tuple of nf_nat_core.c), and any of them may be taken for another.
    """

    low: int
    high: int
    base: int | None = None
    keeps: bool = True

    def evaluate(self, flow: Flow) -> tuple[tuple[Flow, Value], ...]:
        """See Expression."""
        port = flow.destination_port
        anyone = RangeSet([(self.low, self.high)])
        if isinstance(port, int):
            if self.base is not None and self.low <= port - self.base + self.low <= self.high:
                return ((flow, port - self.base + self.low),)
            if self.base is None and self.keeps and self.low <= port <= self.high:
                return ((flow, port),)
        return ((flow, anyone),)


@dataclass(frozen=True)
class MaskedAddress:
    """An address of the packet under a mask with holes is ``value``, or with ``negated`` is not."""

    which: Field
    value: int
    mask: int
    negated: bool = False

    def evaluate(self, flow: Flow) -> Answer:
        """See Match. The clients are split where the mask cuts them into at most a few hundred ranges."""
        inside, outside = (Truth.FALSE, Truth.TRUE) if self.negated else (Truth.TRUE, Truth.FALSE)
        address = FIELD_READERS[self.which](flow)
        if isinstance(address, int):
            return ((flow, inside if address & self.mask == self.value else outside),)
        found = self._among(flow.clients) if holds_clients(FieldValue(self.which), flow) else None
        if found is None:
            return ((flow, Truth.MAYBE),)
        parts = ((found, inside), (flow.clients - found, outside))
        return tuple((flow.with_clients(clients), truth) for clients, truth in parts if clients)

    def _among(self, clients: RangeSet) -> RangeSet | None:
        size = (self.mask & -self.mask) - 1  # the lowest bits, which are free, make runs of this size
        runs: list[Range] = []
        for low, high in clients:
            start = self._next(low)
            while start is not None and start <= high:
                runs.append((start, min(start | size, high)))
                if len(runs) > _MOST_RUNS:
                    return None
                start = self._next((start | size) + 1)
        return RangeSet(runs)

    def _next(self, number: int) -> int | None:
        """The lowest number from this one on that has ``value`` under the mask; None where there is none."""
        if number & self.mask == self.value:
            return number
        wrong = (number ^ self.value) & self.mask
        highest = 1 << wrong.bit_length() - 1
        if not number & highest:
            # Setting the highest wrong bit makes it larger: what is below may be as low as the mask allows.
            return self._lowest((number | highest) & ~(highest - 1))
        # That bit must become 0: a free bit above it that is 0 has to become 1.
        free = ~(number | self.mask) & ~(highest * 2 - 1)
        carry = free & -free
        if carry.bit_length() > _LARGEST_ADDRESS_BITS:
            return None
        return self._lowest((number | carry) & ~(carry - 1))

    def _lowest(self, number: int) -> int:
        return number & ~self.mask | self.value
