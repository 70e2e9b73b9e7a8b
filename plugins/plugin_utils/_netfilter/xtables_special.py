# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matches and values that only iptables has and that need more of the packet than one field."""

from __future__ import annotations

from dataclasses import dataclass

from ...module_utils._core.ranges import RangeSet
from .flow import ICMP, ICMPV6, TCP, UDP, Field, Flow, Value
from .flow import READERS as FIELD_READERS
from .matches import Answer, Truth


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
