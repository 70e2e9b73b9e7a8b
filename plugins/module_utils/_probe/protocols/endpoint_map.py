# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint map: which RPC services listen on which dynamic ports (C706, appendix O, ept_lookup; towers: L).

No sign-in is needed to read it. WMI itself is reached through DCOM, which tells its port to those who have signed in
([MS-DCOM] 3.1.2.5.1.1); where the map does not list it, another service on a dynamic port stands for it: the path
through the firewalls is the same.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from uuid import UUID

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Evidence, IncompleteError, MalformedError, bounded
from .rpc import FAULT, Packet, Rpc, packet, parse_packet

_REQUEST, _RESPONSE = 0, 2
_LOOKUP = 2  # the operation's number
_ALL_ENTRIES, _ALL_VERSIONS = 0, 1
_MOST_ENTRIES = 400
_HANDLE = 20
_CALL = 2
_UUID_FLOOR, _TCP_FLOOR = 0x0D, 0x07  # C706, appendix I: protocol identifiers
_FIRST_DYNAMIC = 1024  # [MS-RPCE] names none; Windows took 1025 and up before 49152 and up

# Interfaces by what they are for, the ones that say most about WMI first.
_SERVICES = {
    UUID("9556dc99-828c-11cf-a37e-00aa003240c7"): "WMI",
    UUID("f309ad18-d86a-11d0-a075-00c04fb68820"): "WMI",
    UUID("367abb81-9844-35f1-ad32-98f038001003"): "the service control manager",
    UUID("86d35949-83c9-4044-b424-db363231fd0c"): "the task scheduler",
    UUID("f6beaff7-1e19-4fbb-9f8f-b89e2018337c"): "the event log",
    UUID("12345778-1234-abcd-ef00-0123456789ac"): "the account manager",
    UUID("12345778-1234-abcd-ef00-0123456789ab"): "the local security authority",
    UUID("12345678-1234-abcd-ef00-01234567cffb"): "Netlogon",
    UUID("e3514235-4b06-11d1-ab04-00c04fc2dcd2"): "directory replication",
    UUID("d95afe70-a6d5-4259-822e-2c84da1ddb0d"): "the shutdown service",
}
_RANK = {interface: rank for rank, interface in enumerate(_SERVICES)}
_WMI = "WMI"


class Endpoint(NamedTuple):
    """A TCP endpoint of the map."""

    interface: UUID
    port: int

    @property
    def service(self) -> str:
        """What listens there."""
        return _SERVICES.get(self.interface, f"the interface {self.interface}")


class EndpointMap(Rpc):
    """Binds to the endpoint mapper and reads its map; the evidence names the port that is worth a probe."""

    name = "RPC endpoint mapper"
    cap = 131072

    def __init__(self) -> None:
        super().__init__()
        self._is_bound = False

    def _classify(self, data: bytes) -> Answer:
        if self._is_bound:
            return _told(_listed(data))
        answer = super()._classify(data)
        if not isinstance(answer, Evidence) or answer.status is not ServiceStatus.CONFIRMED:
            return answer
        self._is_bound = True
        self._learnt = Evidence(ServiceStatus.CONFIRMED, "RPC endpoint mapper, which does not show its map")
        return _lookup()


def _lookup() -> bytes:
    """A request of ept_lookup: everything, from the beginning."""
    stub = struct.pack("<IIII", _ALL_ENTRIES, 0, 0, _ALL_VERSIONS) + bytes(_HANDLE) + struct.pack("<I", _MOST_ENTRIES)
    return packet(_REQUEST, _CALL, struct.pack("<IHH", len(stub), 0, _LOOKUP) + stub)


def _listed(data: bytes) -> list[Endpoint]:
    """The TCP endpoints of a response, which may come in many packets. Raises IncompleteError until all are there."""
    stub, rest = b"", data
    while True:
        answer, rest = parse_packet(rest, _CALL)
        if answer.kind == FAULT:
            raise MalformedError("it answers the look-up with a fault")
        if answer.kind != _RESPONSE:
            raise MalformedError("it answers the look-up with something else")
        stub += answer.body[8:]
        if answer.is_last:
            break
    try:
        return _entries(answer._replace(body=stub))
    except IncompleteError as error:
        raise MalformedError(str(error)) from error


def _entries(response: Packet) -> list[Endpoint]:
    """NDR (C706, 14.3): an array of entries, then what their pointers point to, one tower each."""
    long = struct.Struct(response.order + "I")
    body = response.body

    def number(at: int) -> int:
        return int(long.unpack(bounded(body, at, 4, "its map"))[0])

    at = _HANDLE + 4  # the number of entries is told again in front of the array
    count = number(at + 8)
    if count > _MOST_ENTRIES:
        raise MalformedError("its map has more entries than were asked for")
    at += 12
    towers = 0
    for _entry in range(count):  # object, pointer, annotation (offset, length, text), aligned to 4
        towers += number(at + 16) != 0
        at = _aligned(at + 28 + number(at + 24))
    found = []
    for _tower in range(towers):
        size = number(at + 4)
        endpoint = _endpoint(bounded(body, at + 8, size, "a tower of its map"), response.order)
        if endpoint is not None:
            found.append(endpoint)
        at = _aligned(at + 8 + size)
    return found


def _endpoint(tower: bytes, order: str) -> Endpoint | None:
    """The interface and port of a tower over TCP, ``None`` for one over anything else."""
    count = int.from_bytes(bounded(tower, 0, 2, "a tower"), "little")
    at = 2
    interface = port = None
    for floor in range(min(count, 8)):
        left, at = _part(tower, at)
        right, at = _part(tower, at)
        if floor == 0 and len(left) >= 17 and left[0] == _UUID_FLOOR:
            interface = UUID(bytes_le=left[1:17])
        elif left[:1] == bytes((_TCP_FLOOR,)) and len(right) == 2:
            port = int.from_bytes(right, "big")
    return Endpoint(interface, port) if interface is not None and port else None


def _part(tower: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(bounded(tower, at, 2, "a floor"), "little")
    return bounded(tower, at + 2, size, "a floor"), at + 2 + size


def _aligned(at: int) -> int:
    return (at + 3) // 4 * 4


def _told(endpoints: list[Endpoint]) -> Evidence:
    dynamic = [endpoint for endpoint in endpoints if endpoint.port >= _FIRST_DYNAMIC]
    what = f"RPC endpoint mapper with {len(dynamic)} services on dynamic TCP ports"
    if not dynamic:
        return Evidence(ServiceStatus.CONFIRMED, what)
    best = min(dynamic, key=lambda endpoint: (_RANK.get(endpoint.interface, len(_RANK)), endpoint.port))
    stands = "" if best.service == _WMI else ", which stands for WMI, whose port is told only after a sign-in"
    return Evidence(ServiceStatus.CONFIRMED, f"{what}; {best.port} is {best.service}{stands}", port=best.port)
