# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address translation: what it makes of a new packet, and how the answer is translated back."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv6Address

from ...module_utils._core.ranges import RangeSet
from .flow import ABSENT, STATUS_DNAT, STATUS_SNAT, Flow, Value, changed, simplified
from .model import HostView

DESTINATION, SOURCE = "destination", "source"
Named = tuple[Value] | None
_ANY_PORT = RangeSet([(1, 65535)])


class Translation(Enum):
    """The kinds of address translation."""

    DNAT = "dnat"
    SNAT = "snat"
    REDIRECT = "redirect"
    MASQUERADE = "masquerade"


def translate(flow: Flow, kind: Translation, address: Named, port: Named) -> Flow:
    """The flow after a rule has translated its connection; ``address`` and ``port`` are what the rule names.

    An address that is to come from an interface is one of that interface's; nothing is known of it where the interface
    is not.
    """
    if kind is Translation.REDIRECT:
        # What this host sends itself is redirected to the loopback address (nf_nat_redirect.c).
        own = 0x7F000001 if flow.version == 4 else 1
        address = (own if flow.iif is None else _interface_addresses(flow.host, flow.iif, flow),)
    elif kind is Translation.MASQUERADE:
        address = (_interface_addresses(flow.host, flow.oif, flow),)
    if kind in (Translation.DNAT, Translation.REDIRECT):
        return _new_destination(flow, address, port)
    return _new_source(flow, address, port)


def _new_destination(flow: Flow, address: Named, port: Named) -> Flow:
    new_address = address[0] if address else flow.destination
    new_port = _known_port(port[0]) if port and flow.destination_port != ABSENT else flow.destination_port
    moved = (new_address, new_port) != (flow.destination, flow.destination_port)
    return changed(
        flow,
        destination=new_address,
        destination_port=new_port,
        reply_source=new_address,
        reply_port=new_port,
        status=flow.status | (STATUS_DNAT if moved else 0),
        translated=flow.translated | {DESTINATION},
    )


def _new_source(flow: Flow, address: Named, port: Named) -> Flow:
    # A port that is not named is kept where no other connection uses it already, which nobody knows.
    new_port = ABSENT if flow.source_port == ABSENT else _known_port(port[0] if port else None)
    status = flow.status | STATUS_SNAT
    settled = changed(flow, source_port=new_port, translated=flow.translated | {SOURCE}, status=status)
    if not address:
        return settled
    return changed(settled, source=address[0], linked="", reply_destination=address[0], reply_linked=False)


def _known_port(port: Value) -> Value:
    return _ANY_PORT if port is None else port


def untranslate_destination(flow: Flow) -> Flow:
    """An answer whose destination is translated back to the clients (linux: nf_nat_packet on prerouting and output)."""
    if flow.reply_linked:
        return flow
    return changed(flow, linked="destination", reply_linked=False, destination=simplified(flow.clients))


def untranslate_source(flow: Flow) -> Flow:
    """An answer whose source is again what the client sent its packet to (nf_nat_packet on postrouting)."""
    return changed(flow, source=flow.original_destination, source_port=flow.original_port)


def translate_destination_again(flow: Flow) -> Flow:
    """A later packet of the client, to where the connection's first was sent (nf_nat_packet)."""
    address, port = flow.answering
    return changed(flow, destination=address, destination_port=port)


def translate_source_again(flow: Flow) -> Flow:
    """A later packet of the client, from where the connection's first seemed to come."""
    if not flow.status & STATUS_SNAT:
        return flow
    settled = changed(flow, source_port=ABSENT if flow.source_port == ABSENT else _ANY_PORT)
    return settled if flow.reply_linked else changed(settled, source=flow.reply_destination, linked="")


def _interface_addresses(host: HostView, name: str | None, flow: Flow) -> Value:
    interface = host.interface(name) if name else None
    if interface is None or not host.addresses_known:
        return None
    found = [item.ip for item in interface.addresses if item.version == flow.version]
    if flow.version == 6:
        link_local = isinstance(flow.destination, int) and IPv6Address(flow.destination).is_link_local
        found = [ip for ip in found if ip.is_link_local == link_local] or found
    else:
        found = found[:1]
    return simplified(RangeSet((int(ip), int(ip)) for ip in found)) if found else None
