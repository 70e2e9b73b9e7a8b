# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packet on its way through the rules, known as far as it can be known.

A *value* of a packet is an ``int`` (known), a ``RangeSet`` (one of these, nobody knows which), ``ABSENT`` (this packet
has no such field: a UDP packet has no TCP flags), or ``None`` (nothing is known of it).
The addresses of the clients are different: the packet stands for *every* one of them, and is split where rules treat
them differently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ...module_utils._core.ranges import RangeSet
from .model import HostView

Value = int | RangeSet | None
ABSENT = RangeSet()

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
ECHO_REQUEST, ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}  # by IP version (RFC 792, RFC 4443)

# linux/tcp.h; the order of the bits in the header's 13th octet (RFC 9293, 3.1)
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

# A client or a server may offer explicit congestion notification by these flags (RFC 3168, 6.1.1).
OPENING_FLAGS = RangeSet([(SYN, SYN), (SYN | ECE | CWR, SYN | ECE | CWR)])
ANSWERING_FLAGS = RangeSet([(SYN | ACK, SYN | ACK), (SYN | ACK | ECE, SYN | ACK | ECE)])
DATA_FLAGS = PSH | ACK

# include/uapi/linux/netfilter/nf_conntrack_common.h, as the bits that nft compares
STATE_INVALID, STATE_ESTABLISHED, STATE_RELATED, STATE_NEW, STATE_UNTRACKED = 1, 2, 4, 8, 64
STATUS_EXPECTED, STATUS_SEEN_REPLY, STATUS_ASSURED, STATUS_CONFIRMED, STATUS_SNAT, STATUS_DNAT = 1, 2, 4, 8, 16, 32

# include/uapi/linux/if_packet.h
PACKET_HOST = 0

INTERFACE_NAME_OCTETS = 16
_LONGEST = 0xFFFF  # what the header's length can say; of IPv6 that is without the header itself

_NO_FRAGMENT = RangeSet([(0, 0), (0x4000, 0x4000)])  # offset 0, with and without "do not fragment" (RFC 791, 3.1)


def interface_value(name: str) -> int:
    """An interface's name as a number: its octets, padded with zeros as the kernel compares them."""
    return int.from_bytes(name.encode("utf-8", "surrogateescape")[:INTERFACE_NAME_OCTETS].ljust(16, b"\0"), "big")


def interface_prefix(prefix: str) -> RangeSet:
    """All names that begin with this prefix, as numbers: nft's ``eth*`` and the ``eth+`` of iptables."""
    octets = prefix.encode("utf-8", "surrogateescape")[:INTERFACE_NAME_OCTETS]
    low, high = (int.from_bytes(octets.ljust(INTERFACE_NAME_OCTETS, fill), "big") for fill in (b"\0", b"\xff"))
    return RangeSet([(low, high)])


@dataclass(frozen=True)
class Flow:
    """A packet for all of ``clients`` at once, in one state. See the module's text for what a Value says.

    ``linked`` names the header field that holds the clients (``source`` on the way to the host, ``destination`` for the
    answer, empty once that field was translated). ``tracking`` is how conntrack sees the packet now: ``none`` (before
    its hook), ``tracked``, ``untracked``; ``template``: a rule prepared a connection for that hook;
    ``connection_known``: it has seen the connection's first packet, in ``connection_zone``; ``answer_known``: the
    answer, too. ``answering`` is the address and port that the first packet
    came to and that answer. ``original_...`` is how the connection began, ``reply_...`` how its answers look to this
    host (``reply_linked``: they go to the clients; ``turned``: conntrack takes the answer for the first packet);
    ``translated`` holds ``source`` and ``destination`` once a nat chain has settled that translation.
    ``assumptions`` are the undecidable rules that were guessed on the way here, with the guess; ``guessed`` tells the
    simulator that the last match narrowed something that nobody knows. ``trail`` are the rules and policies that let
    the packet through or translated it.
    """

    host: HostView = field(compare=False, repr=False)
    version: int
    protocol: int
    clients: RangeSet
    source: Value
    destination: Value
    linked: str = "source"
    source_port: Value = ABSENT
    destination_port: Value = ABSENT
    icmp_type: Value = ABSENT
    icmp_code: Value = ABSENT
    tcp_flags: Value = ABSENT
    iif: str | None = None
    oif: str | None = None
    mark: Value = 0
    packet_type: Value = PACKET_HOST
    tracking: str = "none"
    template: bool = False
    connection_known: bool = False
    answer_known: bool = False
    state: int = STATE_NEW
    status: int = 0
    direction: int = 0
    ct_mark: Value = 0
    ct_zone: Value = 0
    connection_zone: Value = 0
    original_destination: Value = None
    original_port: Value = ABSENT
    answering: tuple[Value, Value] = (None, ABSENT)
    reply_source: Value = None
    reply_port: Value = ABSENT
    reply_destination: Value = None
    reply_linked: bool = True
    turned: bool = False
    translated: frozenset[str] = frozenset()
    forwarded: bool = False
    assumptions: frozenset[tuple[object, object]] = frozenset()
    guessed: bool = field(default=False, compare=False)
    trail: tuple[object, ...] = field(default=(), compare=False, repr=False)

    @property
    def original_source(self) -> Value:
        """From where the connection began: from the clients."""
        return simplified(self.clients)

    @property
    def client_port(self) -> Value:
        """From which port it began and to which it is answered: nobody knows."""
        return None

    def with_clients(self, clients: RangeSet) -> Flow:
        """The same packet for these clients alone."""
        value = simplified(clients)
        changes: dict[str, Any] = {"clients": clients}
        if self.linked:
            changes[self.linked] = value
        if self.reply_linked:
            changes["reply_destination"] = value
        return changed(self, **changes)


def changed(flow: Flow, **changes: Any) -> Flow:
    """The flow with other values. What dataclasses' ``replace`` does takes ten times as long, at every rule."""
    found = object.__new__(Flow)
    vars(found).update(vars(flow), **changes)
    return found


class Field(str, Enum):
    """A field of a packet, of its metadata or of its connection, that rules compare."""

    SOURCE = "saddr"
    DESTINATION = "daddr"
    SOURCE_PORT = "sport"
    DESTINATION_PORT = "dport"
    PROTOCOL = "l4proto"
    FAMILY = "nfproto"
    TCP_FLAGS = "tcp flags"
    ICMP_TYPE = "icmp type"
    ICMP_CODE = "icmp code"
    MARK = "mark"
    PACKET_TYPE = "pkttype"
    IN_NAME = "iifname"
    OUT_NAME = "oifname"
    IN_INDEX = "iif"
    OUT_INDEX = "oif"
    IN_GROUP = "iifgroup"
    OUT_GROUP = "oifgroup"
    CT_STATE = "ct state"
    CT_STATUS = "ct status"
    CT_MARK = "ct mark"
    CT_ZONE = "ct zone"
    CT_DIRECTION = "ct direction"
    CT_ORIGINAL_SOURCE = "ct original saddr"
    CT_ORIGINAL_DESTINATION = "ct original daddr"
    CT_ORIGINAL_SOURCE_PORT = "ct original proto-src"
    CT_ORIGINAL_DESTINATION_PORT = "ct original proto-dst"
    CT_REPLY_SOURCE = "ct reply saddr"
    CT_REPLY_DESTINATION = "ct reply daddr"
    IN_KIND = "iifkind"
    OUT_KIND = "oifkind"
    SOCKET_OWNER = "skuid"
    ETHER_TYPE = "protocol"
    VERSION = "version"
    FRAGMENT = "frag-off"
    TRANSPORT_SOURCE = "th sport"
    TRANSPORT_DESTINATION = "th dport"
    CT_PROTOCOL = "ct protocol"
    CT_FAMILY = "ct l3proto"
    CT_REPLY_SOURCE_PORT = "ct reply proto-src"
    CT_REPLY_DESTINATION_PORT = "ct reply proto-dst"
    LENGTH = "length"  # of the packet with all its headers
    PAYLOAD_LENGTH = "ip6 length"
    NOTHING = "nothing"  # a field that none of our packets has
    ZERO = "zero"  # how often a header is there that none of our packets has


def simplified(values: RangeSet) -> Value:
    """The one number of a set that holds one, else the set."""
    if not values:
        return values
    low, high = values.span
    return low if low == high else values


def _narrow(attribute: str) -> Callable[[Flow, RangeSet], Flow]:
    def narrow(flow: Flow, values: RangeSet) -> Flow:
        return _with_values(flow, attribute, values)

    return narrow


def clients_field(flow: Flow, field: Field) -> bool:
    """Whether a field stands for all clients of a flow at once."""
    if field is Field.SOURCE:
        return flow.linked == "source"
    if field is Field.DESTINATION:
        return flow.linked == "destination"
    if flow.turned:
        return flow.linked == "destination" and field in (Field.CT_ORIGINAL_DESTINATION, Field.CT_REPLY_SOURCE)
    return field is Field.CT_ORIGINAL_SOURCE or (field is Field.CT_REPLY_DESTINATION and flow.reply_linked)


def _with_values(flow: Flow, attribute: str, values: RangeSet) -> Flow:
    changes: dict[str, Any] = {attribute: simplified(values)}
    return changed(flow, guessed=True, **changes)


def _index(flow: Flow, name: str | None) -> Value:
    if name is None:
        return 0
    interface = flow.host.interface(name)
    return interface.index if interface else None


def _group(flow: Flow, name: str | None) -> Value:
    if name is None:
        return ABSENT
    interface = flow.host.interface(name)
    return interface.group if interface else None


def _kind(flow: Flow, name: str | None) -> Value:
    if name is None:
        return ABSENT
    interface = flow.host.interface(name)
    return interface_value(interface.kind) if interface and interface.kind else None


def _state(flow: Flow) -> Value:
    # What has no connection is "invalid" to the kernel, also before conntrack's hook (nft_ct.c, xt_conntrack.c).
    if flow.tracking == "tracked":
        return flow.state
    if flow.template:  # what is prepared for conntrack's hook is taken for a new one (nf_ct_set with IP_CT_NEW)
        return STATE_NEW
    return STATE_UNTRACKED if flow.tracking == "untracked" else STATE_INVALID


def _missing(flow: Flow) -> Value:
    """What is read of a connection where there is none, or only what a rule prepared."""
    return None if flow.template else ABSENT


def _of_tuple(attribute: str, of_turned: str) -> Callable[[Flow], Value]:
    """A part of how a connection began or is answered; ``of_turned`` is the header field that it is for the answer."""

    def read(flow: Flow) -> Value:
        value: Value = getattr(flow, of_turned if flow.turned else attribute)
        return value if flow.tracking == "tracked" else _missing(flow)

    return read


def _port_of_tuple(attribute: str, of_turned: str, icmp_types: dict[int, int] | None) -> Callable[[Flow], Value]:
    """A port of a connection. Of ICMP it is the type and the code, or the identifier (struct nf_conntrack_tuple)."""

    def read(flow: Flow) -> Value:
        if flow.tracking != "tracked":
            return _missing(flow)
        if flow.protocol in (ICMP, ICMPV6):
            return icmp_types[flow.version] << 8 if icmp_types else None
        value: Value = getattr(flow, of_turned if flow.turned else attribute)
        return value

    return read


def _of_connection(attribute: str) -> Callable[[Flow], Value]:
    def read(flow: Flow) -> Value:
        value: Value = getattr(flow, attribute)
        return value if flow.tracking == "tracked" else _missing(flow)

    return read


def _length(flow: Flow, base: int) -> Value:
    """How long a packet may be whose IP header counts ``base`` octets.

    A SYN and its answer carry options alone, of at most 40 octets (RFC 9293, 3.1); a datagram may carry nothing.
    """
    longest = _LONGEST if flow.version == 4 else base + _LONGEST
    if flow.protocol != TCP:
        return RangeSet([(base + 8, longest)])
    if flow.tcp_flags == DATA_FLAGS:
        return RangeSet([(base + 21, longest)])
    return RangeSet([(base + 20, base + 60)])


READERS: dict[Field, Callable[[Flow], Value]] = {
    Field.SOURCE: lambda flow: flow.source,
    Field.DESTINATION: lambda flow: flow.destination,
    Field.SOURCE_PORT: lambda flow: flow.source_port,
    Field.DESTINATION_PORT: lambda flow: flow.destination_port,
    Field.PROTOCOL: lambda flow: flow.protocol,
    Field.FAMILY: lambda flow: 2 if flow.version == 4 else 10,
    Field.TCP_FLAGS: lambda flow: flow.tcp_flags,
    Field.ICMP_TYPE: lambda flow: flow.icmp_type,
    Field.ICMP_CODE: lambda flow: flow.icmp_code,
    Field.MARK: lambda flow: flow.mark,
    Field.PACKET_TYPE: lambda flow: flow.packet_type,
    Field.IN_NAME: lambda flow: interface_value(flow.iif or ""),
    Field.OUT_NAME: lambda flow: interface_value(flow.oif or ""),
    Field.IN_INDEX: lambda flow: _index(flow, flow.iif),
    Field.OUT_INDEX: lambda flow: _index(flow, flow.oif),
    Field.IN_GROUP: lambda flow: _group(flow, flow.iif),
    Field.OUT_GROUP: lambda flow: _group(flow, flow.oif),
    Field.CT_STATE: _state,
    Field.CT_STATUS: _of_connection("status"),
    Field.CT_MARK: _of_connection("ct_mark"),
    Field.CT_ZONE: _of_connection("ct_zone"),
    Field.CT_DIRECTION: _of_connection("direction"),
    Field.CT_ORIGINAL_SOURCE: _of_tuple("original_source", "source"),
    Field.CT_ORIGINAL_DESTINATION: _of_tuple("original_destination", "destination"),
    Field.CT_REPLY_SOURCE: _of_tuple("reply_source", "destination"),
    Field.CT_REPLY_DESTINATION: _of_tuple("reply_destination", "source"),
    Field.CT_ORIGINAL_SOURCE_PORT: _port_of_tuple("client_port", "source_port", None),
    Field.CT_ORIGINAL_DESTINATION_PORT: _port_of_tuple("original_port", "destination_port", ECHO_REQUEST),
    Field.CT_REPLY_SOURCE_PORT: _port_of_tuple("reply_port", "destination_port", None),
    Field.CT_REPLY_DESTINATION_PORT: _port_of_tuple("client_port", "source_port", ECHO_REPLY),
    Field.IN_KIND: lambda flow: _kind(flow, flow.iif),
    Field.OUT_KIND: lambda flow: _kind(flow, flow.oif),
    Field.ETHER_TYPE: lambda flow: 0x0800 if flow.version == 4 else 0x86DD,
    Field.VERSION: lambda flow: flow.version,
    Field.FRAGMENT: lambda flow: _NO_FRAGMENT,
    # What stands there in an ICMP packet is its type and code, then its checksum.
    Field.TRANSPORT_SOURCE: lambda flow: flow.source_port if flow.source_port != ABSENT else None,
    Field.TRANSPORT_DESTINATION: lambda flow: flow.destination_port if flow.destination_port != ABSENT else None,
    Field.CT_PROTOCOL: _of_connection("protocol"),
    Field.CT_FAMILY: lambda flow: (2 if flow.version == 4 else 10) if flow.tracking == "tracked" else ABSENT,
    Field.LENGTH: lambda flow: _length(flow, 20 if flow.version == 4 else 40),
    Field.PAYLOAD_LENGTH: lambda flow: _length(flow, 0),
    Field.NOTHING: lambda flow: ABSENT,
    Field.ZERO: lambda flow: 0,
    # A packet that arrives has no socket yet; the answer's is the service's, whose user nobody knows.
    Field.SOCKET_OWNER: lambda flow: ABSENT if flow.iif is not None else None,
}

# How a flow is narrowed to a part of a field's values where the field does not stand for its clients: a guess.
NARROWERS: dict[Field, Callable[[Flow, RangeSet], Flow]] = {
    Field.SOURCE: _narrow("source"),
    Field.DESTINATION: _narrow("destination"),
    Field.SOURCE_PORT: _narrow("source_port"),
    Field.DESTINATION_PORT: _narrow("destination_port"),
    Field.TRANSPORT_SOURCE: _narrow("source_port"),
    Field.TRANSPORT_DESTINATION: _narrow("destination_port"),
    Field.MARK: _narrow("mark"),
    Field.CT_MARK: _narrow("ct_mark"),
}
