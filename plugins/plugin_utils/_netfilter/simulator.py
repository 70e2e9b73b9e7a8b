# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet simulator: a new packet's way in and its answer's way out, over every hook, in three-valued logic.

A TCP connection is open once data has gone both ways, so after the SYN and its answer the packets that follow are
walked too: the client's next, and the service's.

The order of the hooks and what happens between them is the kernel's: include/uapi/linux/netfilter_ipv4.h for the
priorities, net/netfilter/nf_conntrack_core.c and nf_nat_core.c for what conntrack and translation do.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...module_utils._core.ranges import RangeSet
from .addresstypes import addresses_of_types
from .chains import ChainRunner, Place, together
from .flow import (
    ABSENT,
    ANSWERING_FLAGS,
    DATA_FLAGS,
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP,
    ICMPV6,
    OPENING_FLAGS,
    STATE_ESTABLISHED,
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_SEEN_REPLY,
    STATUS_SNAT,
    TCP,
    UDP,
    Flow,
    changed,
    simplified,
)
from .hooks import Hooks
from .model import Chain, Fate, Hook, HostView, Outcome, Packet, Ruleset
from .outcomes import outcomes_of
from .routing import LOOPBACK, inside, interfaces_to, ways
from .translation import DESTINATION, SOURCE

_SHARED = Place(Chain("", "", "", (), doubt="by which of several ways the packet leaves"), None, "gap")
_CLIENT_PORTS = RangeSet([(1024, 65535)])


def walk(ruleset: Ruleset, packet: Packet, host: HostView) -> tuple[Outcome, ...]:
    """What becomes of a new packet and of those that follow it, for each part of the packet's sources.

    The parts partition ``packet.source``. UNDECIDED where the rules alone do not decide, naming those that do not.
    Addresses of a network that nobody else can send from, the host's own and the broadcast ones, are no part of their
    own but belong to the largest.
    """
    version = packet.destination.version
    everyone = packet.source.ranges(version)
    senders = everyone
    if packet.iif != LOOPBACK:
        never = addresses_of_types(host, version, frozenset({"local", "broadcast", "multicast"})) or RangeSet()
        senders = (everyone - never) or everyone
    runner = ChainRunner(ruleset)
    if senders:
        _Journey(host, runner, Hooks(ruleset, host, runner), packet.iif).make(_arriving(packet, senders, host))
    return outcomes_of(packet, everyone, senders, runner.ends, ruleset.gaps)


def _arriving(packet: Packet, clients: RangeSet, host: HostView) -> Flow:
    version = packet.destination.version
    protocol = {"tcp": TCP, "udp": UDP}.get(packet.protocol, ICMP if version == 4 else ICMPV6)
    has_ports = protocol in (TCP, UDP)
    flow = Flow(
        host=host,
        version=version,
        protocol=protocol,
        clients=clients,
        source=simplified(clients),
        destination=int(packet.destination),
        source_port=_CLIENT_PORTS if has_ports else ABSENT,
        destination_port=packet.port if has_ports else ABSENT,
        icmp_type=ABSENT if has_ports else ECHO_REQUEST[version],
        icmp_code=ABSENT if has_ports else 0,
        tcp_flags=OPENING_FLAGS if protocol == TCP else ABSENT,
        iif=packet.iif,
    )
    return changed(
        flow,
        original_destination=flow.destination,
        original_port=flow.destination_port,
        reply_source=flow.destination,
        reply_port=flow.destination_port,
        reply_destination=flow.source,
    )


@dataclass
class _Journey:
    """One walk: the stages of the way, each taking the flows that the one before let go on."""

    host: HostView
    runner: ChainRunner
    hooks: Hooks
    iif: str

    def make(self, flow: Flow) -> None:
        """Walk a new packet and all that must follow it; how their ways end is noted in the runner."""
        answered = self._exchange([flow], "arrival")
        if flow.protocol == TCP:
            answered = self._exchange([_next_of(flow, self.iif) for flow in answered], "established")
        for flow in answered:
            self.runner.end(flow, Fate.PASSES, None, "")

    def _exchange(self, flows: list[Flow], stage: str) -> list[Flow]:
        """The answers that reach the client, of the packets that it sends."""
        if not flows:
            return flows
        self.runner.stage = stage
        local, forwarded = self._arrive(flows)
        self.runner.stage = "answer"
        answers = [
            *self._answer(together(local), forwarded=False),
            *self._answer(together(forwarded), forwarded=True),
        ]
        return [flow for flow in answers if self._is_received(flow)]

    def _arrive(self, flows: list[Flow]) -> tuple[list[Flow], list[Flow]]:
        """The flows that come in to this host, and those that it sends on."""
        if flows[0].iif == LOOPBACK:
            flows = self._looped([changed(flow, iif=None) for flow in flows])
        for hook in (Hook.PREROUTING, Hook.INPUT):
            flows = self.hooks.bridged(hook, flows)
        for hook in (Hook.INGRESS, Hook.PREROUTING):
            flows = self.hooks.through(hook, flows)
        local, foreign = self._routed([flow for flow in flows if self._keeps_to_its_way(flow)])
        local = self.hooks.through(Hook.INPUT, local)
        foreign = [flow for flow in foreign if self._is_ours(flow)]
        for_others = self.hooks.through(Hook.FORWARD, self._leaving(foreign))
        for hook in (Hook.POSTROUTING, Hook.EGRESS):
            for_others = self.hooks.through(hook, for_others)
        return [flow for flow in local if flow.protocol != TCP or self._is_ours(flow)], for_others

    def _keeps_to_its_way(self, flow: Flow) -> bool:
        """Whether a packet of a connection goes to where its first one went."""
        if self.runner.stage == "arrival" or (flow.destination, flow.destination_port) == flow.answering:
            return True
        reason = "it does not go to the address and port that answered: nothing translates it as the first was"
        self.runner.end(flow, Fate.DROPPED, None, reason)
        return False

    def _is_ours(self, flow: Flow) -> bool:
        """Whether the packet is still "to this host": TCP and forwarding take no other (tcp_v4_rcv, ip_forward)."""
        if flow.packet_type == 0:
            return True
        if isinstance(flow.packet_type, int):
            reason = "a rule changed its type, and the kernel takes it for a packet that is not for this host"
            self.runner.end(flow, Fate.DROPPED, None, reason)
        else:
            self.runner.end(flow, Fate.UNDECIDED, None, "nobody can tell what a rule makes of its type")
        return False

    def _answer(self, flows: list[Flow], *, forwarded: bool) -> list[Flow]:
        flows = [_answer_of(flow) for flow in flows]
        if forwarded:
            for hook in (Hook.INGRESS, Hook.PREROUTING):
                flows = self.hooks.through(hook, flows)
        flows = self._leaving(flows)
        inward = [flow for flow in flows if flow.oif == LOOPBACK]
        flows = [flow for flow in flows if flow.oif != LOOPBACK]
        for hook in (Hook.FORWARD if forwarded else Hook.OUTPUT, Hook.POSTROUTING, Hook.EGRESS):
            flows = self.hooks.through(hook, flows)
        for hook in (Hook.OUTPUT, Hook.POSTROUTING):
            flows = self.hooks.bridged(hook, flows)
        inward = self._looped(inward)
        for hook in (Hook.PREROUTING, Hook.INPUT):
            inward = self.hooks.through(hook, inward)
        return [*flows, *inward]

    def _is_received(self, flow: Flow) -> bool:
        """Whether the client takes an answer for one: if it comes from where it sent its packet to."""
        answered = (flow.source, flow.source_port, flow.linked)
        asked = (flow.original_destination, flow.original_port, "destination")
        if answered == asked:
            return True
        if all(isinstance(value, int) or value == ABSENT for value in answered[:2]):
            reason = "it does not come from the address and port that were asked: nothing translates it back"
            self.runner.end(flow, Fate.DROPPED, None, reason)
        else:
            reason = "nobody can tell whether the answer comes from the address and port that were asked"
            self.runner.end(flow, Fate.UNDECIDED, None, reason)
        return False

    def _looped(self, flows: list[Flow]) -> list[Flow]:
        """Packets of this host to itself: they leave by the loopback interface, and then arrive there."""
        flows = [changed(flow, oif=LOOPBACK) for flow in flows]
        for hook in (Hook.OUTPUT, Hook.POSTROUTING):
            flows = self.hooks.through(hook, flows)
        # What nat could do to such a connection is settled once it has left.
        settled = frozenset({DESTINATION, SOURCE})
        return [changed(flow, oif=None, iif=LOOPBACK, translated=flow.translated | settled) for flow in flows]

    def _routed(self, flows: list[Flow]) -> tuple[list[Flow], list[Flow]]:
        """The flows for this host, and those for others."""
        local: list[Flow] = []
        foreign: list[Flow] = []
        for flow in flows:
            own = addresses_of_types(self.host, flow.version, frozenset({"local"}))
            where = inside(flow.destination, own or RangeSet())
            if where is None:
                self.runner.end(flow, Fate.UNDECIDED, None, "nobody can tell to which address it is translated")
            elif not where and not self.host.addresses_known:
                self.runner.end(flow, Fate.UNDECIDED, None, "whether it is translated to this host is not known")
            elif where and flow.translated and _is_loopback(flow) and flow.iif != LOOPBACK:
                self._translated_to_loopback(flow)
            else:
                (local if where else foreign).append(flow)
        return local, foreign

    def _translated_to_loopback(self, flow: Flow) -> None:
        if flow.version == 6:
            self.runner.end(flow, Fate.DROPPED, None, "it is translated to ::1, which takes no packets from outside")
        else:
            reason = "it is translated to 127.0.0.0/8, where the sysctl route_localnet decides"
            self.runner.end(flow, Fate.UNDECIDED, None, reason)

    def _leaving(self, flows: list[Flow]) -> list[Flow]:
        """The flows with the interface by which they leave, split where the clients' routes differ."""
        routed: list[Flow] = []
        for flow in flows:
            if flow.iif is not None and not self._forwards(flow):
                continue
            routed += self._by_route(changed(flow, forwarded=True) if flow.iif is not None else flow)
        return routed

    def _forwards(self, flow: Flow) -> bool:
        family = "ip" if flow.version == 4 else "ip6"
        allowed = self.host.forwards.get(family)
        if allowed is None:
            reason = "its destination is not an address of this host, and whether it forwards packets is not known"
            self.runner.end(flow, Fate.UNDECIDED, None, reason)
        elif not allowed:
            reason = "its destination is not an address of this host, and it does not forward packets"
            self.runner.end(flow, Fate.DROPPED, None, reason)
        return bool(allowed)

    def _by_route(self, flow: Flow) -> list[Flow]:
        if flow.linked != "destination":
            names = interfaces_to(self.host, flow.version, flow.destination)
            if names is None:
                self.runner.end(flow, Fate.UNDECIDED, None, "the way to its destination is not known")
                return []
            return self._by_any(flow, names)
        found: list[Flow] = []
        rest = flow.clients
        for network, names in ways(self.host, flow.version):
            common = rest & network
            if common:
                found += self._by_any(flow.with_clients(common), names)
                rest = rest - common
            if not rest:
                return found
        if self.host.routes_to:
            self.runner.end(flow.with_clients(rest), Fate.DROPPED, None, "the host has no route back to the source")
        else:
            self.runner.end(flow.with_clients(rest), Fate.UNDECIDED, None, "the routes of the host are not known")
        return found

    def _by_any(self, flow: Flow, names: tuple[str, ...]) -> list[Flow]:
        """The flow by the interface of its route; a guess where packets may take any of several."""
        if names == ("",):
            # What is sent on without a route is answered by ICMP (ip_error), except by a route of the type blackhole.
            self.runner.end(flow, Fate.REJECTED, None, "the host has no route to where it is to go")
            return []
        if not names:
            self.runner.end(flow, Fate.UNDECIDED, None, "the way to its destination is not known")
        if len(names) == 1:
            return [changed(flow, oif=names[0])]
        return [changed(flow, oif=name, assumptions=flow.assumptions | {(_SHARED, name)}) for name in names]


def _answer_of(flow: Flow) -> Flow:
    """The answer to a packet that was let in: addresses and ports swapped, nothing remembered but the connection."""
    is_icmp = flow.icmp_type != ABSENT
    begins = flow.tcp_flags == OPENING_FLAGS
    return changed(
        flow,
        source=flow.destination,
        destination=flow.source,
        linked="destination" if flow.linked == "source" else "",
        source_port=flow.destination_port,
        destination_port=flow.source_port,
        answering=(flow.destination, flow.destination_port),
        icmp_type=ECHO_REPLY[flow.version] if is_icmp else ABSENT,
        tcp_flags=(ANSWERING_FLAGS if begins else DATA_FLAGS) if flow.protocol == TCP else ABSENT,
        iif=flow.oif,
        oif=None,
        mark=0,
        ct_zone=0,
        template=False,
        packet_type=0,
        tracking="none",
        state=STATE_ESTABLISHED,
        status=flow.status | STATUS_SEEN_REPLY | STATUS_CONFIRMED,
        direction=1,
    )


def _next_of(answer: Flow, iif: str) -> Flow:
    """What the client sends once it has been answered: data, to where it sent its first packet."""
    return changed(
        answer,
        source=simplified(answer.clients),
        destination=answer.original_destination,
        linked="source",
        source_port=_CLIENT_PORTS if answer.status & STATUS_SNAT else answer.destination_port,
        destination_port=answer.original_port,
        tcp_flags=DATA_FLAGS,
        iif=iif,
        oif=None,
        mark=0,
        ct_zone=0,
        template=False,
        packet_type=0,
        tracking="none",
        status=answer.status | STATUS_ASSURED,
        direction=0,
        forwarded=False,
    )


def _is_loopback(flow: Flow) -> bool:
    loopback = RangeSet([(0x7F000000, 0x7FFFFFFF)]) if flow.version == 4 else RangeSet([(1, 1)])
    return inside(flow.destination, loopback) is not False
