# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills the connection tracking of a namespace with connections that are nobody's, and empties it again.

    python -m tests.reach.crowd fill ROOM     leaves room for so many more
    python -m tests.reach.crowd empty

The size of the table cannot be set in a namespace, so it is filled by the entries themselves, through netlink
(linux/netfilter/nfnetlink_conntrack.h). They are "assured": the kernel would drop others in favour of a new one.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_NETFILTER = 12  # linux/netlink.h: NETLINK_NETFILTER
_NEW, _DELETE = 1 << 8, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_NEW and _DELETE
_REQUEST, _ACKNOWLEDGE, _CREATE = 1, 4, 0x400
_NESTED = 0x8000
_ANSWERED_AND_ASSURED = 2 | 4 | 8  # linux/netfilter/nf_conntrack_common.h; the last: in the table, as any is
_LASTS_S = 60
_PORTS = 40_000
_BATCH = 500
_SETTINGS = Path("/proc/sys/net/netfilter")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _way(kind: int, source: bytes, destination: bytes, ports: tuple[int, int]) -> bytes:
    addresses = _attribute(_NESTED | 1, _attribute(1, source) + _attribute(2, destination))
    numbers = b"".join(_attribute(2 + number, struct.pack("!H", port)) for number, port in enumerate(ports))
    return _attribute(_NESTED | kind, addresses + _attribute(_NESTED | 2, _attribute(1, b"\x11") + numbers))


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    body = struct.pack("=BBH", socket.AF_INET, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 0, 0) + body


def _entries(count: int) -> Iterator[bytes]:
    """Messages for so many UDP connections; the same for all of a host but for the port."""
    ours, mark = socket.inet_aton("10.99.0.1"), 0xABCD
    lasting = _attribute(3, struct.pack("!I", _ANSWERED_AND_ASSURED)) + _attribute(7, struct.pack("!I", _LASTS_S))
    for host in range(count // _PORTS + 1):
        theirs = struct.pack("!I", 0x0A630101 + host)
        ways = _way(1, ours, theirs, (mark, 9)) + _way(2, theirs, ours, (9, mark))
        parts = _message(_NEW, _CREATE, ways + lasting).split(struct.pack("!H", mark))
        for number in range(min(_PORTS, count - host * _PORTS)):
            yield struct.pack("!H", 1024 + number).join(parts)


def _read(name: str) -> int:
    return int((_SETTINGS / name).read_text(encoding="ascii"))


def main() -> None:
    """Do what the arguments say; the entries that there are then are printed."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as netlink:
        if sys.argv[1] == "fill":
            missing = _read("nf_conntrack_max") - _read("nf_conntrack_count") - int(sys.argv[2])
            entries = _entries(missing)
            while batch := b"".join(islice(entries, _BATCH)):
                netlink.send(batch)
        else:
            netlink.send(_message(_DELETE, _ACKNOWLEDGE, b""))
            netlink.recv(4096)
    print(_read("nf_conntrack_count"))


if __name__ == "__main__":
    main()
