# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listens on a host, from ``ss`` or, where there is none, from the kernel's own tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...module_utils._core.addressset import Address, parse_address, to_address
from ...module_utils._core.errors import InputError

_PROGRAM = re.compile(r'\("([^"]{1,64})",pid=')
_MANAGER = "systemd"  # holds the sockets of its socket units, beside the service that it has started for them
_LISTENING = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN; a UDP socket without a peer: include/net/tcp_states.h


@dataclass(frozen=True)
class Listener:
    """A bound socket. ``address`` ``None`` is every address; ``versions`` are the families that it accepts."""

    protocol: str
    address: Address | None
    port: int
    versions: frozenset[int]
    program: str = ""

    def accepts(self, protocol: str, destination: Address, port: int) -> bool:
        """Whether a packet to this destination reaches the socket."""
        return (
            (self.protocol, self.port) == (protocol, port)
            and destination.version in self.versions
            and self.address in (None, destination)
        )

    def __str__(self) -> str:
        where = "every address" if self.address is None else str(self.address)
        return f"{self.program or 'a program'} on {where}, {self.protocol}/{self.port}"


def parse_ss(text: str) -> tuple[Listener, ...]:
    """Listeners of ``ss -H -l -t -u -n -p``: columns Netid, State, Recv-Q, Send-Q, Local, Peer, Process (ss(8))."""
    return tuple(_unique(_parse_ss_line(line) for line in text.splitlines()))


def _parse_ss_line(line: str) -> Listener | None:
    columns = line.split(None, 6)
    if len(columns) < 6 or columns[0] not in _LISTENING:
        return None
    host, _colon, port = columns[4].rpartition(":")
    programs = _PROGRAM.findall(columns[6] if len(columns) > 6 else "")
    name = next((item for item in programs if item != _MANAGER), _MANAGER if programs else "")
    host = host.partition("%")[0].strip("[]") if "%" in host else host.strip("[]")
    if not port.isdigit():
        return None
    if host == "*":  # a socket of both families
        return Listener(columns[0], None, int(port), frozenset({4, 6}), name)
    return _bound(columns[0], host, int(port), name)


def _bound(protocol: str, host: str, port: int, program: str) -> Listener | None:
    try:
        address = parse_address(host)
    except InputError:
        return None
    versions = frozenset({address.version})
    return Listener(protocol, None if int(address) == 0 else address, port, versions, program)


def parse_proc_net(name: str, text: str) -> tuple[Listener, ...]:
    """Listeners of ``/proc/net/{tcp,tcp6,udp,udp6}`` (proc(5)): local address in hexadecimal, 32-bit words of the
    host's order.

    These tables do not tell whether a socket on ``::`` takes IPv4 too; it is said for IPv6 alone, so nothing is
    claimed.
    """
    protocol, version = name.rstrip("6"), 6 if name.endswith("6") else 4
    return tuple(_unique(_parse_proc_line(line, protocol, version) for line in text.splitlines()[1:]))


def _parse_proc_line(line: str, protocol: str, version: int) -> Listener | None:
    columns = line.split()
    if len(columns) < 4 or columns[3] != _LISTENING[protocol]:
        return None
    digits, _colon, port = columns[1].partition(":")
    try:
        words = [bytes.fromhex(digits[start : start + 8]) for start in range(0, len(digits), 8)]
        number = int.from_bytes(b"".join(word[::-1] if sys.byteorder == "little" else word for word in words), "big")
        return _bound(protocol, str(to_address(number, version)), int(port, 16), "")
    except ValueError:
        return None


def _unique(found: Iterable[Listener | None]) -> Iterator[Listener]:
    return iter(dict.fromkeys(item for item in found if item is not None))
