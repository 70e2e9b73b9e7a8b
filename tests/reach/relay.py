# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long and leaky wire between two namespaces: packets are delayed, and some are lost, by the address they concern.

    python -m tests.reach.relay VANTAGE TARGET SEED {"10.81.1": [0.05, 0.01], ...}

makes a TUN device in each namespace, carries packets between the two, and prints "ready". The target has all of
10.81.0.0/16, and sees the vantage as 10.82.0.1. Of a network of 256 addresses, the two numbers are the seconds that a
packet takes one way and the share of packets that gets lost one way.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
_NEW_NETWORK = 0x40000000  # sched.h: CLONE_NEWNET
DEVICE = "longwire"
FAR, NEAR = "10.81.0.0/16", "10.82.0.1"


def open_tun(namespace: str) -> int:
    """A TUN device in the namespace, as a descriptor to read packets from and write them to."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", "rb") as place:
        if libc.setns(place.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _TUN_WITHOUT_HEADER))
    return tun


def lay(vantage: str, target: str) -> None:
    """Addresses and routes of both ends."""
    for command in (
        f"ip -n {vantage} link set {DEVICE} up txqueuelen 20000",
        f"ip -n {target} link set {DEVICE} up txqueuelen 20000",
        f"ip -n {vantage} address add {NEAR}/32 dev {DEVICE}",
        f"ip -n {vantage} route add {FAR} dev {DEVICE} src {NEAR}",
        f"ip -n {target} route add local {FAR} dev lo",
        f"ip -n {target} route add {NEAR} dev {DEVICE}",
    ):
        subprocess.run(command.split(), check=True, timeout=20)


def carry(ends: tuple[int, int], ways: dict[str, tuple[float, float]], chance: random.Random) -> None:
    """Carry packets for ever."""
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    # Of an IPv4 header (RFC 791, 3.1): towards the target its destination counts, on the way back the source.
    offset = {ends[0]: 16, ends[1]: 12}
    by_network = {bytes(map(int, text.split("."))): way for text, way in ways.items()}
    on_the_way: list[tuple[float, int, int, bytes]] = []
    number = 0
    poller = select.poll()
    for end in ends:
        poller.register(end, select.POLLIN)
    while True:
        wait_ms = max(0.0, (on_the_way[0][0] - time.monotonic()) * 1000) if on_the_way else None
        for end, _mask in poller.poll(wait_ms):
            for packet in _waiting(end):
                delay_s, loss = by_network.get(packet[offset[end] : offset[end] + 3], (0.0, 0.0))
                if packet[0] >> 4 == 4 and chance.random() >= loss:
                    number += 1
                    heapq.heappush(on_the_way, (time.monotonic() + delay_s, number, other[end], packet))
        now = time.monotonic()
        while on_the_way and on_the_way[0][0] <= now:
            _due, _number, end, packet = heapq.heappop(on_the_way)
            os.write(end, packet)


def _waiting(end: int) -> list[bytes]:
    packets = []
    for _packet in range(64):
        try:
            packets.append(os.read(end, 65535))
        except BlockingIOError:
            break
    return packets


def main() -> None:
    """Lay the wire and carry."""
    vantage, target, seed, ways = sys.argv[1:]
    ends = open_tun(vantage), open_tun(target)
    lay(vantage, target)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    carry(ends, {network: (way[0], way[1]) for network, way in json.loads(ways).items()}, random.Random(int(seed)))


if __name__ == "__main__":
    main()
