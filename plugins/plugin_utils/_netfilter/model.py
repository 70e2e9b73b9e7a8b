# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of a netfilter rule set and of a walk through it.

A rule set is the kernel's: base chains on hooks in the order of their priority, chains that they jump to, rules. Two
readers make it, one of ``nft -j list ruleset`` and one of the ``-save`` texts of iptables; the simulator walks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import takewhile
from typing import TYPE_CHECKING, cast

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.ranges import RangeSet

if TYPE_CHECKING:
    from .matches import Match
    from .statements import Statement

ChainKey = tuple[str, str, str]  # family, table, name


class Hook(str, Enum):
    """Where in the network stack a base chain is called."""

    INGRESS = "ingress"
    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"
    EGRESS = "egress"


class Fate(str, Enum):
    """What becomes of a packet."""

    PASSES = "passes"
    DROPPED = "dropped"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Interface:
    """A network interface; ``kind`` is its link kind (``veth``, ``bridge``, empty), ``master`` its bridge."""

    name: str
    index: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    group: int = 0
    kind: str = ""
    master: str | None = None


@dataclass(frozen=True)
class Route:
    """A route of the main table: the packets to ``network`` leave by ``interface``; where it is empty, they do not.

    ``one_of_several``: its network has other routes that packets may take as well.
    """

    network: IPv4Network | IPv6Network
    interface: str
    gateway: IPv4Address | IPv6Address | None = None
    preferred_source: IPv4Address | IPv6Address | None = None
    one_of_several: bool = False


@dataclass(frozen=True)
class HostView:
    """What is known of the host beside its rules. The hour and the weekday are never known.

    ``forwards`` says whether packets to others are sent on (sysctl ``net.ipv4.ip_forward``,
    ``net.ipv6.conf.all.forwarding``), per family of packets (``ip``, ``ip6``); a family that is not named is unknown.
    ``other_tables``: there are more tables of routes than the main one, so that ``routes_to`` is not all.
    ``addresses_known``: no address of the host is missing.
    """

    interfaces: tuple[Interface, ...]
    routes_to: tuple[Route, ...] = ()
    forwards: Mapping[str, bool] = field(default_factory=dict)
    other_tables: bool = False
    addresses_known: bool = True

    @cached_property
    def types_found(self) -> dict[tuple[int, str | None], Mapping[str, RangeSet]]:
        """What addresstypes.py found out of the host's addresses, kept: rules ask for it again and again."""
        return {}

    def routes(self, version: int) -> tuple[Route, ...]:
        """The routes of one family, 4 or 6, in their order."""
        return tuple(route for route in self.routes_to if route.network.version == version)

    def ways(self, route: Route) -> tuple[str, ...]:
        """The interfaces of which packets to the route's network may take any."""
        if not route.one_of_several:
            return (route.interface,)
        equals = (item for item in self.routes_to if item.one_of_several and item.network == route.network)
        return tuple(dict.fromkeys(item.interface for item in equals))

    def interface(self, name: str) -> Interface | None:
        """The interface of this name, None where there is none."""
        return next((item for item in self.interfaces if item.name == name), None)


@dataclass(frozen=True)
class Packet:
    """A new packet: ``tcp`` (a SYN), ``udp`` or ``icmp`` (an echo request, of ICMPv6 where the destination is IPv6).

    ``source`` holds addresses of the destination's family, one or a whole network; ``iif`` is the interface by which
    the packet arrives.
    """

    protocol: str
    source: AddressSet
    destination: IPv4Address | IPv6Address
    port: int | None
    iif: str


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule: matches and statements in their order, carried out until a match fails or a verdict is given.

    ``str(text)`` is the rule in its manager's own syntax; ``position`` counts from 1 within the chain.
    """

    statements: tuple[Match | Statement, ...]
    text: object
    position: int
    handle: int | None = None
    comment: str | None = None

    @cached_property
    def effective(self) -> tuple[Match | Statement, ...]:
        """The statements up to the last that has an effect: what comes after it need not be decided."""
        last = 0
        for number, item in enumerate(self.statements, start=1):
            if hasattr(item, "apply") and not getattr(item, "without_effect", False):
                last = number
        return self.statements[:last]

    @cached_property
    def conditions(self) -> tuple[Match, ...]:
        """The matches before the first statement. A packet for which one of them is false goes on to the next rule."""
        return cast("tuple[Match, ...]", tuple(takewhile(lambda item: hasattr(item, "evaluate"), self.effective)))

    @cached_property
    def first(self) -> Match | None:
        """The first of the conditions, None where there is none."""
        return self.conditions[0] if self.conditions else None


@dataclass(frozen=True, eq=False)
class Chain:
    """A chain: a base chain has a hook, a priority and a policy (``accept`` or ``drop``), others have none.

    ``kind`` is ``filter``, ``nat`` or ``route``. ``devices`` limits a chain on the ingress or egress hook to these
    interfaces. ``doubt`` is a sentence where it is not known whether the chain is called at all.
    """

    family: str
    table: str
    name: str
    rules: tuple[Rule, ...]
    policy: str | None = None
    hook: Hook | None = None
    priority: int = 0
    kind: str = "filter"
    devices: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def key(self) -> ChainKey:
        """What names the chain within a rule set."""
        return (self.family, self.table, self.name)


@dataclass(frozen=True)
class Ruleset:
    """All that filters on a host.

    ``hooks`` holds the base chains per family of the packet (``ip`` and ``ip6``) and hook, in the order in which they
    are called; chains of ``inet`` tables are in both. ``gaps`` are sentences that name what could not be read, for the
    whole rule set; a gap that concerns one chain stands in that chain as a rule that nobody can decide.
    """

    hooks: Mapping[tuple[str, Hook], Sequence[Chain]] = field(default_factory=dict)
    chains: Mapping[ChainKey, Chain] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()

    @cached_property
    def follows_connections(self) -> dict[int, bool]:
        """What hooks.py found out, kept for all walks: whether the kernel follows connections, by the version of IP."""
        return {}


@dataclass(frozen=True)
class XtTable:
    """One table of an iptables-save text. ``family`` is ``ip`` or ``ip6``.

    ``in_nft``: the header named the nf_tables backend, so that nft's list shows this table, too. Built-in chains have
    their policy, hook, standard priority and kind; chains of users have none. ``problem`` is a sentence naming what
    could not be read (the chains are then empty, and whoever meets the table's hooks is undecided).
    """

    family: str
    table: str
    in_nft: bool
    chains: tuple[Chain, ...]
    problem: str | None = None


@dataclass(frozen=True)
class Step:
    """What decided, or could not be decided. ``kind`` is ``rule``, ``policy``, ``set element`` or ``gap``."""

    family: str
    table: str
    chain: str
    handle: int | None
    position: int
    text: str
    comment: str | None
    kind: str = "rule"


@dataclass(frozen=True)
class Outcome:
    """The fate of a part of the packet's sources; the parts of all outcomes of a walk are the whole, without overlap.

    ``stage`` tells which part of the way decided: ``arrival``, ``answer``, or ``established`` for what the client sends
    over a TCP connection that has begun. ``decided_by`` ends with the deciding step;
    for UNDECIDED it holds those that could not be decided. ``delivered`` is ``local`` or ``forwarded``.
    """

    source: AddressSet
    fate: Fate
    stage: str
    decided_by: tuple[Step, ...]
    reason: str
    final_destination: IPv4Address | IPv6Address
    final_port: int | None
    delivered: str = "local"
