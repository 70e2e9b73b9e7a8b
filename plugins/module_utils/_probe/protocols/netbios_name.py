# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NetBIOS names: a node status request, to which every node lists its names (RFC 1002, 4.2.17 and 4.2.18)."""

from __future__ import annotations

import random
import struct

from ..._core.vocabulary import ServiceStatus
from .base import Answer, DatagramConversation, Evidence, MalformedError, bounded
from .text import shown

_HEADER = struct.Struct("!HHHHHH")
_STATUS_TYPE, _INTERNET = 0x21, 1
_IS_RESPONSE = 0x8000
_ENTRY_BYTES, _NAME_BYTES = 18, 15
_GROUP = 0x8000
_WORKSTATION, _FILE_SERVER, _DOMAIN_CONTROLLERS = 0x00, 0x20, 0x1C


def encode_name(name: bytes, suffix: int, pad: bytes = b" ") -> bytes:
    """A NetBIOS name in first-level encoding as one label (RFC 1001, 14.1): each half byte as a letter from A."""
    padded = name[:_NAME_BYTES].ljust(_NAME_BYTES, pad) + bytes((suffix,))
    letters = bytes(letter for byte in padded for letter in (0x41 + (byte >> 4), 0x41 + (byte & 15)))
    return bytes((len(letters),)) + letters + b"\0"


_ANY_NODE = encode_name(b"*", 0, b"\0") + struct.pack("!HH", _STATUS_TYPE, _INTERNET)


class NetbiosName(DatagramConversation):
    """Asks any node (the name ``*``) for its names."""

    name = "NetBIOS name service"

    def __init__(self, *, request_id: int | None = None) -> None:
        super().__init__()
        self._id = random.getrandbits(16) if request_id is None else request_id

    def first(self, attempt: int = 0) -> bytes:
        """The node status request."""
        return _HEADER.pack(self._id, 0, 1, 0, 0, 0) + _ANY_NODE

    def _classify(self, data: bytes) -> Answer:
        number, flags, _questions, answers, _authorities, _more = _HEADER.unpack(
            bounded(data, 0, _HEADER.size, "its NetBIOS header")
        )
        if number != self._id or not flags & _IS_RESPONSE:
            raise MalformedError("it is no response to our request")
        if not answers:
            raise MalformedError("it lists no names, as a DNS server would answer")
        at = _skip_name(data, _HEADER.size)
        kind, _class, _ttl, _length, count = struct.unpack("!HHIHB", bounded(data, at, 11, "its node status"))
        if kind != _STATUS_TYPE:
            raise MalformedError("it answers with another kind of record")
        entries = bounded(data, at + 11, count * _ENTRY_BYTES, "its list of names")
        return _told([entries[start : start + _ENTRY_BYTES] for start in range(0, len(entries), _ENTRY_BYTES)])


def _skip_name(data: bytes, at: int) -> int:
    """Where the name that begins at ``at`` ends: a label of 32 letters and a scope, or a pointer."""
    while True:
        length = bounded(data, at, 1, "its name")[0]
        if length >= 0xC0:
            return at + 2
        at += 1 + length
        if not length:
            return at


def _told(entries: list[bytes]) -> Evidence:
    host = domain = None
    serves = is_controller = False
    for entry in entries:
        name, suffix = shown(entry[:_NAME_BYTES].rstrip(b" \0")), entry[_NAME_BYTES]
        is_group = bool(int.from_bytes(entry[16:], "big") & _GROUP)
        if suffix == _WORKSTATION and not is_group:
            host = host or name
        elif suffix == _WORKSTATION:
            domain = domain or name
        serves = serves or (suffix == _FILE_SERVER and not is_group)
        is_controller = is_controller or (suffix == _DOMAIN_CONTROLLERS and is_group)
    what = (
        "NetBIOS name service" + (", file server" if serves else "") + (", domain controller" if is_controller else "")
    )
    return Evidence(ServiceStatus.CONFIRMED, what, host_name=host, domain=domain)
