# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the host can be found on its link at all: IPv6 looks for it by ICMPv6, which rules may drop (RFC 4861, 7.2).

IPv4 asks by ARP, which the rules of ip and inet tables never see.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from ...module_utils._core.addressset import AddressSet
from .chains import ChainRunner
from .flow import ICMPV6, Flow
from .hooks import Hooks
from .model import Fate, Hook, HostView, Outcome, Packet, Ruleset
from .outcomes import outcomes_of

_SOLICITATION = 135
_MULTICAST = 2  # linux/if_packet.h
_LINK_LOCAL = AddressSet.parse("fe80::/10")
_SOLICITED_NODE = int(IPv6Address("ff02::1:ff00:0"))


def unfindable(ruleset: Ruleset, host: HostView, destination: IPv6Address, iif: str) -> Outcome | None:
    """What certainly drops the question for the host's link address, whoever asks; ``None`` where it may pass.

    The question goes to the solicited-node address of the destination; conntrack does not follow it
    (nf_conntrack_icmpv6_error).
    """
    clients = _LINK_LOCAL.ranges(6)
    flow = Flow(
        host=host,
        version=6,
        protocol=ICMPV6,
        clients=clients,
        source=clients,
        destination=_SOLICITED_NODE | (int(destination) & 0xFFFFFF),
        icmp_type=_SOLICITATION,
        icmp_code=0,
        packet_type=_MULTICAST,
        iif=iif,
        tracking="untracked",
    )
    runner = ChainRunner(ruleset)
    hooks = Hooks(ruleset, host, runner)
    flows = [flow]
    for hook in (Hook.INGRESS, Hook.PREROUTING, Hook.INPUT):
        flows = hooks.through(hook, flows)
    if flows:
        return None
    packet = Packet("icmp", _LINK_LOCAL, destination, None, iif)
    outcomes = outcomes_of(packet, clients, clients, runner.ends, ruleset.gaps)
    dropped = all(outcome.fate in (Fate.DROPPED, Fate.REJECTED) for outcome in outcomes)
    return outcomes[0] if dropped and outcomes else None
