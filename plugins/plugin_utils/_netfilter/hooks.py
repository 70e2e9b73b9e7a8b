# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks: what is registered on each of them, in which order, and what conntrack and translation do between.

Priorities: include/uapi/linux/netfilter_ipv4.h; conntrack and nat: net/netfilter/nf_conntrack_core.c, nf_nat_core.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .chains import ChainRunner, Place, merged
from .flow import DATA_FLAGS, STATE_NEW, UDP, Flow, changed
from .model import Chain, Hook, HostView, Ruleset
from .translation import (
    DESTINATION,
    SOURCE,
    translate_destination_again,
    translate_source_again,
    untranslate_destination,
    untranslate_source,
)

CONNTRACK_PRIORITY = -200
NAT_PRIORITY = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}
_SETTLES = {
    Hook.PREROUTING: DESTINATION,
    Hook.OUTPUT: DESTINATION,
    Hook.INPUT: SOURCE,
    Hook.POSTROUTING: SOURCE,
}
# What becomes of the packets after a connection's first: on the hooks of destination nat (True) or source nat, by
# direction.
_TRANSLATED_AS_BEFORE = {
    (True, 0): translate_destination_again,
    (True, 1): untranslate_destination,
    (False, 0): translate_source_again,
    (False, 1): untranslate_source,
}
# What has the kernel follow connections, in rules of nft and of iptables (nf_ct_netns_get and its callers).
_OF_CONNECTIONS = re.compile(
    r"\b(ct|dnat|snat|masquerade|redirect|synproxy|state|conntrack|connmark|connbytes|connlimit|connlabel|cluster|helper"
    r"|DNAT|SNAT|MASQUERADE|REDIRECT|NETMAP|CONNMARK|SYNPROXY)\b|\bCT --(?!notrack)"
)
# In a table of both families they have the kernel follow those of their own (nft_nat_init).
_NAT_OF_FAMILY = {family: re.compile(rf"\b[ds]nat {family} ") for family in ("ip", "ip6")}


@dataclass
class Hooks:
    """The way through the hooks of a rule set; the flows whose way ends are noted in the runner."""

    ruleset: Ruleset
    host: HostView
    runner: ChainRunner

    def through(self, hook: Hook, flows: list[Flow]) -> list[Flow]:
        """The flows that come through all that is registered on a hook, in the order of priority."""
        if not flows:
            return flows
        for _priority, station in self._stations(hook, flows[0].version):
            flows = station(flows)
        return flows

    def bridged(self, hook: Hook, flows: list[Flow]) -> list[Flow]:
        """What chains of the family bridge do to frames that come or go by a bridge of this host."""
        for chain in self.ruleset.hooks.get(("bridge", hook), ()):
            flows = merged([later for flow in flows for later in self._bridge_chain(chain, flow)])
        return flows

    def _bridge_chain(self, chain: Chain, flow: Flow) -> list[Flow]:
        side = "iif" if chain.hook in (Hook.PREROUTING, Hook.INPUT) else "oif"
        bridge = self.host.interface(getattr(flow, side) or "")
        ports = [item.name for item in self.host.interfaces if bridge and item.master == bridge.name]
        if bridge is None or (bridge.kind != "bridge" and (bridge.kind or not ports)):
            return [flow]
        if not bridge.kind:  # what has ports is a bridge, a bond or the like
            return self._perhaps(replace(chain, doubt=f"whether {bridge.name} is a bridge is not known"), flow)
        if not ports:
            return self._perhaps(replace(chain, doubt=f"the ports of {bridge.name} are not known"), flow)
        doubt = f"nobody can tell by which port of {bridge.name} the packet goes"
        place = Place(replace(chain, doubt=doubt), None, "gap")
        passed: list[Flow] = []
        for port in ports:
            guess = frozenset({(place, port)}) if len(ports) > 1 else frozenset()
            # Connections are followed on bridges only where a rule there asks for them, which then sees them as here.
            changes: dict[str, Any] = {side: port, "tracking": "tracked", "assumptions": flow.assumptions | guess}
            for later in self.runner.base_chain(chain, [changed(flow, **changes)]):
                back: dict[str, Any] = {side: bridge.name, "tracking": flow.tracking}
                passed.append(changed(later, **back))
        return passed

    def _stations(self, hook: Hook, version: int) -> list[tuple[int, Callable[[list[Flow]], list[Flow]]]]:
        chains = self.ruleset.hooks.get(("ip" if version == 4 else "ip6", hook), ())
        stations: list[tuple[int, Callable[[list[Flow]], list[Flow]]]] = []
        if hook in (Hook.PREROUTING, Hook.OUTPUT):
            stations.append((CONNTRACK_PRIORITY, lambda flows: [_tracked(flow) for flow in flows]))
        if hook in NAT_PRIORITY:
            # The kernel calls all nat chains of a hook at one priority, whatever theirs; it only orders them.
            translating = [self._perhaps_translating(chain, version) for chain in chains if chain.kind == "nat"]
            stations.append((NAT_PRIORITY[hook], lambda flows: self._translate(hook, translating, flows)))
        for chain in chains:
            if chain.kind != "nat" or hook not in NAT_PRIORITY:
                stations.append((chain.priority, self._station(chain)))
        return sorted(stations, key=lambda station: station[0])

    def _perhaps_translating(self, chain: Chain, version: int) -> Chain:
        """A nat chain is called for the packets of connections only: where the kernel follows some (nf_nat_inet_fn)."""
        followed = self.ruleset.follows_connections
        if version not in followed:
            families = ("inet", "ip" if version == 4 else "ip6")
            of_others = _NAT_OF_FAMILY["ip6" if version == 4 else "ip"]
            followed[version] = any(
                _OF_CONNECTIONS.search(of_others.sub("", str(rule.text)))
                for (family, _table, _name), other in self.ruleset.chains.items()
                if family in families
                for rule in other.rules
            )
        if followed[version] or chain.doubt:
            return chain
        return replace(chain, doubt="no rule has the kernel follow connections, and without them it is not called")

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
        met = changed(flow, assumptions=flow.assumptions | {(place, True)})
        unmet = changed(flow, assumptions=flow.assumptions | {(place, False)})
        return [unmet, *self.runner.base_chain(chain, [met])]

    def _translate(self, hook: Hook, chains: list[Chain], flows: list[Flow]) -> list[Flow]:
        done: list[Flow] = []
        asking: list[Flow] = []
        for flow in flows:
            if flow.tracking != "tracked":
                done.append(flow)
            elif flow.state == STATE_NEW:
                asking.append(flow)
            else:
                done.append(_TRANSLATED_AS_BEFORE[hook in (Hook.PREROUTING, Hook.OUTPUT), flow.direction](flow))
        for chain in chains:
            done += [flow for flow in asking if _SETTLES[hook] in flow.translated]
            asking = [flow for flow in asking if _SETTLES[hook] not in flow.translated]
            if chain.doubt:
                asking = merged([later for flow in asking for later in self._perhaps(chain, flow)])
            elif asking:
                asking = self.runner.base_chain(chain, asking)
        return merged([*done, *asking])


def _tracked(flow: Flow) -> Flow:
    """What conntrack's hook makes of a flow (nf_conntrack_in).

    The answer of a connection that conntrack was kept from seeing is to it the first packet of a new one for UDP, and
    invalid for the rest: a SYN+ACK or an echo reply begins nothing. The client's next packet is invalid where the
    answer was not seen. TCP's data of a connection that was not seen is taken for the first packet of one, as the
    sysctl nf_conntrack_tcp_loose has it unless it was changed.
    """
    if flow.tracking == "untracked":
        return flow
    flow = changed(flow, template=False)
    same = flow.connection_known and flow.ct_zone == flow.connection_zone
    if flow.direction == 0 and (flow.state == STATE_NEW or not same):
        begun = changed(flow, tracking="tracked", connection_known=True, connection_zone=flow.ct_zone)
        return begun if flow.state == STATE_NEW else _picked_up(begun)
    if flow.direction == 0:
        return changed(flow, tracking="tracked") if flow.answer_known else flow
    if same:
        return changed(flow, tracking="tracked", answer_known=True)
    if flow.protocol == UDP or flow.tcp_flags == DATA_FLAGS:
        begun = changed(flow, tracking="tracked", state=STATE_NEW, status=0, direction=0)
        return changed(begun, turned=True, translated=frozenset())
    return flow


def _picked_up(flow: Flow) -> Flow:
    """A connection that conntrack sees for the first time when it has begun already."""
    return changed(flow, state=STATE_NEW, status=0, translated=frozenset())
