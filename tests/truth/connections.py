# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The connections that the host's kernel remembers (ctnetlink), to be forgotten between two looks at its rules."""

from __future__ import annotations

import socket
import struct

from .field import Field

_NETLINK_NETFILTER = 12
_IPCTNL_MSG_CT_DELETE = 1 << 8 | 2
_NLM_F_REQUEST_ACK = 5


def flush_connections(field_of_packets: Field) -> None:
    """Forget all connections of the host, so that no packet is taken for one of an earlier look."""
    delete_all = struct.pack("=LHHLLBBH", 20, _IPCTNL_MSG_CT_DELETE, _NLM_F_REQUEST_ACK, 1, 0, 0, 0, 0)
    with (
        field_of_packets.inside("host"),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink,
    ):
        netlink.settimeout(2)
        netlink.send(delete_all)
        netlink.recv(4096)
