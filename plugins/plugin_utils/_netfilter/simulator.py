# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet simulator: a new packet's way in and its answer's way out, over every hook, in three-valued logic.

The order of the hooks and what happens between them is the kernel's: include/uapi/linux/netfilter_ipv4.h for the
priorities, net/netfilter/nf_conntrack_core.c and nf_nat_core.c for what conntrack and translation do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...module_utils._core.ranges import RangeSet
from .addresstypes import addresses_of_types
from .chains import ChainRunner, Place, merged
from .flow import (
    ABSENT,
    ANSWERING_FLAGS,
    ICMP,
    ICMPV6,
    OPENING_FLAGS,
    STATE_ESTABLISHED,
    STATE_NEW,
    STATUS_CONFIRMED,
    STATUS_SEEN_REPLY,
    TCP,
    UDP,
    Flow,
    simplified,
)
from .model import Chain, Fate, Hook, HostView, Outcome, Packet, Ruleset
from .outcomes import outcomes_of
from .routing import LOOPBACK, inside, interface_to, ways
from .translation import DESTINATION, SOURCE, untranslate_destination, untranslate_source

CONNTRACK_PRIORITY = -200
NAT_PRIORITY = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}
_SETTLES = {
    Hook.PREROUTING: DESTINATION,
    Hook.OUTPUT: DESTINATION,
    Hook.INPUT: SOURCE,
    Hook.POSTROUTING: SOURCE,
}
_CLIENT_PORTS = RangeSet([(1024, 65535)])
_ECHO = {4: (8, 0), 6: (128, 129)}  # the types of echo requests and of their replies (RFC 792, RFC 4443)


def walk(ruleset: Ruleset, packet: Packet, host: HostView) -> tuple[Outcome, ...]:
    """What becomes of a new packet and of its answer, for each part of the packet's sources.

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
        _Journey(ruleset, host, runner).arrive([_arriving(packet, senders, host)])
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
        icmp_type=ABSENT if has_ports else _ECHO[version][0],
        icmp_code=ABSENT if has_ports else 0,
        tcp_flags=OPENING_FLAGS if protocol == TCP else ABSENT,
        iif=packet.iif,
    )
    return replace(
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

    ruleset: Ruleset
    host: HostView
    runner: ChainRunner

    def arrive(self, flows: list[Flow]) -> None:
        """Walk flows in and their answers out; how they end is noted in the runner."""
        if flows[0].iif == LOOPBACK:
            flows = self._looped([replace(flow, iif=None) for flow in flows])
        for hook in (Hook.PREROUTING, Hook.INPUT):
            flows = self._bridged(hook, flows)
        for hook in (Hook.INGRESS, Hook.PREROUTING):
            flows = self._hook(hook, flows)
        local, foreign = self._routed(flows)
        self._answer(self._hook(Hook.INPUT, local), forwarded=False)
        foreign = self._hook(Hook.FORWARD, self._leaving(foreign))
        for hook in (Hook.POSTROUTING, Hook.EGRESS):
            foreign = self._hook(hook, foreign)
        self._answer(foreign, forwarded=True)

    def _answer(self, flows: list[Flow], *, forwarded: bool) -> None:
        self.runner.stage = "answer"
        flows = [_answer_of(flow) for flow in flows]
        if forwarded:
            for hook in (Hook.INGRESS, Hook.PREROUTING):
                flows = self._hook(hook, flows)
        flows = self._leaving(flows)
        inward = [flow for flow in flows if flow.oif == LOOPBACK]
        flows = [flow for flow in flows if flow.oif != LOOPBACK]
        for hook in (Hook.FORWARD if forwarded else Hook.OUTPUT, Hook.POSTROUTING, Hook.EGRESS):
            flows = self._hook(hook, flows)
        for hook in (Hook.OUTPUT, Hook.POSTROUTING):
            flows = self._bridged(hook, flows)
        inward = self._looped(inward)
        for hook in (Hook.PREROUTING, Hook.INPUT):
            inward = self._hook(hook, inward)
        for flow in [*flows, *inward]:
            self.runner.end(flow, Fate.PASSES, None, "")
        self.runner.stage = "arrival"

    def _looped(self, flows: list[Flow]) -> list[Flow]:
        """Packets of this host to itself: they leave by the loopback interface, and then arrive there."""
        flows = [replace(flow, oif=LOOPBACK) for flow in flows]
        for hook in (Hook.OUTPUT, Hook.POSTROUTING):
            flows = self._hook(hook, flows)
        # What nat could do to such a connection is settled once it has left.
        settled = frozenset({DESTINATION, SOURCE})
        return [replace(flow, oif=None, iif=LOOPBACK, translated=flow.translated | settled) for flow in flows]

    def _hook(self, hook: Hook, flows: list[Flow]) -> list[Flow]:
        """The flows that come through all that is registered on a hook, in the order of priority."""
        if not flows:
            return flows
        for _priority, station in self._stations(hook, flows[0].version):
            flows = station(flows)
        return flows

    def _bridged(self, hook: Hook, flows: list[Flow]) -> list[Flow]:
        """What chains of the family bridge do to frames that come or go by a bridge of this host."""
        for chain in self.ruleset.hooks.get(("bridge", hook), ()):
            flows = merged([later for flow in flows for later in self._bridge_chain(chain, flow)])
        return flows

    def _bridge_chain(self, chain: Chain, flow: Flow) -> list[Flow]:
        side = "iif" if self.runner.stage == "arrival" else "oif"
        bridge = self.host.interface(getattr(flow, side) or "")
        if bridge is None or bridge.kind != "bridge":
            return [flow]
        ports = [item.name for item in self.host.interfaces if item.master == bridge.name]
        if len(ports) != 1:
            where = f"chain {chain.name} of table bridge {chain.table}"
            return self._perhaps(
                replace(chain, doubt=f"nobody can tell by which port of {bridge.name} {where} sees it"), flow
            )
        # Connections are followed on bridges only where a rule there asks for them; such a rule sees them as here.
        changes: dict[str, Any] = {side: ports[0], "tracking": "tracked"}
        back: dict[str, Any] = {side: bridge.name, "tracking": flow.tracking}
        passed = self.runner.base_chain(chain, [replace(flow, **changes)])
        return [replace(later, **back) for later in passed]

    def _stations(self, hook: Hook, version: int) -> list[tuple[int, Callable[[list[Flow]], list[Flow]]]]:
        chains = self.ruleset.hooks.get(("ip" if version == 4 else "ip6", hook), ())
        stations: list[tuple[int, Callable[[list[Flow]], list[Flow]]]] = []
        if hook in (Hook.PREROUTING, Hook.OUTPUT):
            stations.append((CONNTRACK_PRIORITY, lambda flows: [_tracked(flow) for flow in flows]))
        if hook in NAT_PRIORITY:
            # The kernel calls all nat chains of a hook at one priority, whatever theirs; it only orders them.
            translating = [chain for chain in chains if chain.kind == "nat"]
            stations.append((NAT_PRIORITY[hook], lambda flows: self._translate(hook, translating, flows)))
        for chain in chains:
            if chain.kind != "nat" or hook not in NAT_PRIORITY:
                stations.append((chain.priority, self._station(chain)))
        return sorted(stations, key=lambda station: station[0])

    def _station(self, chain: Chain) -> Callable[[list[Flow]], list[Flow]]:
        if not chain.doubt and chain.hook not in (Hook.INGRESS, Hook.EGRESS):
            return lambda flows: self.runner.base_chain(chain, flows)
        return lambda flows: merged([later for flow in flows for later in self._limited(chain, flow)])

    def _limited(self, chain: Chain, flow: Flow) -> list[Flow]:
        """A chain that is only called for some interfaces, or perhaps not at all."""
        if chain.doubt:
            return self._perhaps(chain, flow)
        device = flow.iif if chain.hook is Hook.INGRESS else flow.oif
        return self.runner.base_chain(chain, [flow]) if device in chain.devices else [flow]

    def _perhaps(self, chain: Chain, flow: Flow) -> list[Flow]:
        """A chain of which nobody knows whether it is called."""
        place = Place(chain, None, "gap")
        met = replace(flow, assumptions=flow.assumptions | {(place, True)})
        unmet = replace(flow, assumptions=flow.assumptions | {(place, False)})
        return [unmet, *self.runner.base_chain(chain, [met])]

    def _translate(self, hook: Hook, chains: list[Chain], flows: list[Flow]) -> list[Flow]:
        done: list[Flow] = []
        asking: list[Flow] = []
        for flow in flows:
            if flow.tracking != "tracked":
                done.append(flow)
            elif flow.state == STATE_NEW:
                asking.append(flow)
            elif hook in (Hook.PREROUTING, Hook.OUTPUT):
                done.append(untranslate_destination(flow))
            else:
                done.append(untranslate_source(flow))
        for chain in chains:
            done += [flow for flow in asking if _SETTLES[hook] in flow.translated]
            asking = [flow for flow in asking if _SETTLES[hook] not in flow.translated]
            if chain.doubt:
                asking = merged([later for flow in asking for later in self._perhaps(chain, flow)])
            elif asking:
                asking = self.runner.base_chain(chain, asking)
        return merged([*done, *asking])

    def _routed(self, flows: list[Flow]) -> tuple[list[Flow], list[Flow]]:
        """The flows for this host, and those for others."""
        local: list[Flow] = []
        foreign: list[Flow] = []
        for flow in flows:
            own = addresses_of_types(self.host, flow.version, frozenset({"local"}))
            where = inside(flow.destination, own or RangeSet())
            if where is None:
                self.runner.end(flow, Fate.UNDECIDED, None, "nobody can tell to which address it is translated")
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
            routed += self._by_route(replace(flow, forwarded=True) if flow.iif is not None else flow)
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
        found: list[Flow] = []
        if flow.linked != "destination":
            name = interface_to(self.host, flow.version, flow.destination)
            if name is None:
                self.runner.end(flow, Fate.UNDECIDED, None, "the way to its destination is not known")
                return []
            return [replace(flow, oif=name)]
        rest = flow.clients
        for network, name in ways(self.host, flow.version):
            common = rest & network
            if common:
                found.append(replace(flow.with_clients(common), oif=name))
                rest = rest - common
            if not rest:
                return found
        self.runner.end(flow.with_clients(rest), Fate.DROPPED, None, "the host has no route back to the source")
        return found


def _tracked(flow: Flow) -> Flow:
    """What conntrack's hook makes of a flow (nf_conntrack_in).

    The answer of a connection that conntrack was kept from seeing is to it the first packet of a new one for UDP, and
    invalid for the rest: a SYN+ACK or an echo reply begins nothing.
    """
    if flow.tracking == "untracked":
        return flow
    if flow.direction == 0:
        return replace(flow, tracking="tracked", connection_known=True, connection_zone=flow.ct_zone)
    if flow.connection_known and flow.ct_zone == flow.connection_zone:
        return replace(flow, tracking="tracked")
    if flow.protocol == UDP:
        return replace(flow, tracking="tracked", state=STATE_NEW, status=0, direction=0, translated=frozenset())
    return flow


def _answer_of(flow: Flow) -> Flow:
    """The answer to a packet that was let in: addresses and ports swapped, nothing remembered but the connection."""
    is_icmp = flow.icmp_type != ABSENT
    return replace(
        flow,
        source=flow.destination,
        destination=flow.source,
        linked="destination" if flow.linked == "source" else "",
        source_port=flow.destination_port,
        destination_port=flow.source_port,
        icmp_type=_ECHO[flow.version][1] if is_icmp else ABSENT,
        tcp_flags=ANSWERING_FLAGS if flow.protocol == TCP else ABSENT,
        iif=flow.oif,
        oif=None,
        mark=0,
        ct_zone=0,
        packet_type=0,
        tracking="none",
        state=STATE_ESTABLISHED,
        status=flow.status | STATUS_SEEN_REPLY | STATUS_CONFIRMED,
        direction=1,
    )


def _is_loopback(flow: Flow) -> bool:
    loopback = RangeSet([(0x7F000000, 0x7FFFFFFF)]) if flow.version == 4 else RangeSet([(1, 1)])
    return inside(flow.destination, loopback) is not False
