# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SMB: the negotiation of a dialect ([MS-SMB2] 3.2.4.2.2, [MS-CIFS] 2.2.4.52), and the server's challenge to a
session set-up, in which it names itself ([MS-NLMP] 2.2.1.2). Nobody signs in."""

from __future__ import annotations

import os
import struct
from typing import ClassVar

from ..._core.vocabulary import ServiceStatus
from . import ber
from .base import Answer, Conversation, Evidence, MalformedError, bounded
from .netbios_name import encode_name
from .text import shown

_SMB1, _SMB2 = b"\xffSMB", b"\xfeSMB"
_SMB1_HEADER = 32
_SMB1_NEGOTIATE = 0x72
_SMB1_DIALECTS = (b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???")
_NO_DIALECT = 0xFFFF
_SMB2_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
_NEGOTIATE, _SESSION_SETUP = 0, 1
_ANY_SMB2 = 0x02FF
_DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
_SIGNING_REQUIRED = 0x02
_MORE_PROCESSING = 0xC0000016
_LARGEST = 0x20000
_PREAUTH_INTEGRITY, _ENCRYPTION = 1, 2
_SHA512 = 1
_AES_CCM, _AES_GCM = 1, 2
_SPNEGO, _NTLMSSP_MECHANISM = "1.3.6.1.5.5.2", "1.3.6.1.4.1.311.2.2.10"
_NTLMSSP = b"NTLMSSP\0"
_NTLM_FLAGS = 0xE2088297  # [MS-NLMP] 2.2.2.5: what Windows asks for, target information and version among it
_COMPUTER, _DOMAIN, _DNS_COMPUTER, _DNS_DOMAIN = 1, 2, 3, 4
_HAS_VERSION = 0x02000000
_LONGEST_PAIRS = 32
_SESSION_REQUEST, _POSITIVE, _NEGATIVE, _RETARGET = 0x81, 0x82, 0x83, 0x84  # RFC 1002, 4.3.1
_SESSION_ANSWERS = ((_POSITIVE, 0), (_NEGATIVE, 1), (_RETARGET, 6))
_REASONS = {
    0x80: "nobody listens on the called name", 0x81: "nobody listens for the calling name",
    0x82: "the called name is not present", 0x83: "insufficient resources", 0x8F: "unspecified error",
}  # fmt: skip


def _frame(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


class Smb(Conversation):
    """Asks for any dialect, then for the newest, then what the server calls itself."""

    name = "SMB"
    cap: ClassVar[int] = 32768
    _via: ClassVar[str] = ""

    def first(self, attempt: int = 0) -> bytes:
        """The old request that servers of every version understand."""
        return _NEGOTIATE_ANY

    def _classify(self, data: bytes) -> Answer:
        length = int.from_bytes(bounded(data, 0, 4, "its length"), "big")
        if not 4 <= length <= _LARGEST:
            raise MalformedError("its length is no SMB message's")
        if bounded(data, 4, 4, "its header") not in (_SMB1, _SMB2):
            raise MalformedError("it is no SMB message")
        message = bounded(data, 4, length, "its message")
        if message.startswith(_SMB1):
            return _old(message)
        fields = _SMB2_HEADER.unpack(_there(message, 0, _SMB2_HEADER.size))
        status, command = fields[3], fields[4]
        if command == _NEGOTIATE:
            return self._negotiated(message, status)
        if command == _SESSION_SETUP and self._learnt is not None:
            return _named(message, status, self._learnt)
        raise MalformedError("it answers another SMB command")

    def _negotiated(self, message: bytes, status: int) -> Answer:
        if status:
            return self._learnt or Evidence(
                ServiceStatus.CONFIRMED, f"SMB, which refuses to negotiate ({status:#010x})"
            )
        mode, dialect = struct.unpack("<HH", _there(message, _SMB2_HEADER.size + 2, 4))
        signing = "required" if mode & _SIGNING_REQUIRED else "not required"
        if dialect == _ANY_SMB2:
            self._learnt = Evidence(ServiceStatus.CONFIRMED, "SMB 2 or newer")
            return _frame(_negotiate_newest(os.urandom(16), os.urandom(32)))
        if dialect not in _DIALECTS:
            raise MalformedError("it chose a dialect that there is not")
        is_first = self._learnt is None
        self._learnt = Evidence(ServiceStatus.CONFIRMED, f"SMB {_DIALECTS[dialect]}{self._via}, signing {signing}")
        return _SET_UP[1 if is_first else 2]


class NetbiosSession(Smb):
    """A session request on port 139 (RFC 1002, 4.3), then SMB inside of the session."""

    name = "NetBIOS session service"
    _via = " over NetBIOS"

    def __init__(self) -> None:
        super().__init__()
        self._has_session = False

    def first(self, attempt: int = 0) -> bytes:
        """The request for a session with whatever serves files there."""
        return _OPEN_SESSION

    def _classify(self, data: bytes) -> Answer:
        if self._has_session:
            return super()._classify(data)
        kind, flags, length = struct.unpack("!BBH", bounded(data, 0, 4, "its session answer"))
        if flags or (kind, length) not in _SESSION_ANSWERS:
            raise MalformedError("it is no answer to a session request")
        if kind == _POSITIVE:
            self._has_session = True
            self._learnt = Evidence(ServiceStatus.CONFIRMED, "NetBIOS session service")
            return super().first()
        if kind == _RETARGET:
            return Evidence(ServiceStatus.CONFIRMED, "NetBIOS session service, which points elsewhere")
        code = bounded(data, 4, 1, "its reason")[0]
        reason = _REASONS.get(code, f"reason {code:#04x}")
        return Evidence(ServiceStatus.CONFIRMED, f"NetBIOS session service, which refuses a session: {reason}")


def _session_request() -> bytes:
    names = encode_name(b"*SMBSERVER", 0x20) + encode_name(b"AGENTLESS-AUDIT", 0)
    return struct.pack("!BBH", _SESSION_REQUEST, 0, len(names)) + names


_OPEN_SESSION = _session_request()


def _there(message: bytes, start: int, length: int) -> bytes:
    """A part of a message that is complete: what is missing will never come."""
    if start + length > len(message):
        raise MalformedError("a part of its message is cut off")
    return message[start : start + length]


def _negotiate_any() -> bytes:
    dialects = b"".join(b"\x02" + name + b"\0" for name in _SMB1_DIALECTS)
    flags, flags2 = 0x18, 0xC853  # canonical paths, no case; Unicode, 32-bit status, extended security, long names
    header = struct.pack("<4sBIBHH8sHHHHH", _SMB1, _SMB1_NEGOTIATE, 0, flags, flags2, 0, bytes(8), 0, 0xFFFF, 0, 0, 0)
    return header + struct.pack("<BH", 0, len(dialects)) + dialects


def _smb2_header(command: int, message_id: int) -> bytes:
    return _SMB2_HEADER.pack(_SMB2, _SMB2_HEADER.size, 1, 0, command, 31, 0, 0, message_id, 0, 0, 0, bytes(16))


def _negotiate_newest(client: bytes, salt: bytes) -> bytes:
    """[MS-SMB2] 2.2.3; the message is the second of its connection (3.2.5.2)."""
    contexts = (
        (_PREAUTH_INTEGRITY, struct.pack("<HHH", 1, len(salt), _SHA512) + salt),
        (_ENCRYPTION, struct.pack("<HHH", 2, _AES_GCM, _AES_CCM)),
    )
    dialects = struct.pack(f"<{len(_DIALECTS)}H", *sorted(_DIALECTS))
    start = _SMB2_HEADER.size + 36 + len(dialects)
    padding = bytes(-start % 8)
    body = struct.pack("<HHHHI16sIHH", 36, len(_DIALECTS), 1, 0, 0, client, start + len(padding), len(contexts), 0)
    packed = b""
    for kind, data in contexts:
        packed += bytes(-len(packed) % 8) + struct.pack("<HHI", kind, len(data), 0) + data
    return _smb2_header(_NEGOTIATE, 1) + body + dialects + padding + packed


def _set_up(*, message_id: int) -> bytes:
    """[MS-SMB2] 2.2.5 with a first NTLM message ([MS-NLMP] 2.2.1.1) in SPNEGO (RFC 4178, 4.2.1)."""
    ntlm = _NTLMSSP + struct.pack("<II8s8s8s", 1, _NTLM_FLAGS, bytes(8), bytes(8), b"\x0a\0\0\0\0\0\0\x0f")
    mechanisms = ber.tlv(0xA0, ber.tlv(ber.SEQUENCE, ber.oid(_NTLMSSP_MECHANISM)))
    init = ber.tlv(0xA0, ber.tlv(ber.SEQUENCE, mechanisms, ber.tlv(0xA2, ber.octets(ntlm))))
    token = ber.tlv(0x60, ber.oid(_SPNEGO), init)
    body = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, _SMB2_HEADER.size + 24, len(token), 0)
    return _smb2_header(_SESSION_SETUP, message_id) + body + token


# The same to every server.
_NEGOTIATE_ANY = _frame(_negotiate_any())
_SET_UP = {number: _frame(_set_up(message_id=number)) for number in (1, 2)}


def _old(message: bytes) -> Evidence:
    """An answer of SMB 1: the index of the dialect it chose."""
    if _there(message, 4, 1)[0] != _SMB1_NEGOTIATE:
        raise MalformedError("it answers another SMB command")
    words = _there(message, _SMB1_HEADER, 1)[0]
    if not words:
        return Evidence(ServiceStatus.CONFIRMED, "SMB 1, which refuses to negotiate")
    index = struct.unpack("<H", _there(message, _SMB1_HEADER + 1, 2))[0]
    chosen = "none of our dialects" if index == _NO_DIALECT else "and nothing newer"
    return Evidence(ServiceStatus.CONFIRMED, f"SMB 1, {chosen}")


def _named(message: bytes, status: int, learnt: Evidence) -> Evidence:
    """What the server's NTLM challenge tells of it ([MS-NLMP] 2.2.1.2); without one, what was learnt before."""
    at = message.find(_NTLMSSP + b"\x02\0\0\0")
    if status != _MORE_PROCESSING or at < 0:
        return learnt
    challenge = message[at:]
    try:
        flags = struct.unpack("<I", _there(challenge, 20, 4))[0]
        length, _most, offset = struct.unpack("<HHI", _there(challenge, 40, 8))
        names = _target_information(_there(challenge, offset, length))
        major, minor, build = struct.unpack("<BBH", _there(challenge, 48, 4)) if flags & _HAS_VERSION else (0, 0, 0)
    except MalformedError:
        return learnt
    is_windows = build > 0  # others leave it empty
    return learnt._replace(
        product="Windows" if is_windows else None,
        version=f"{major}.{minor}.{build}" if is_windows else None,
        host_name=names.get(_DNS_COMPUTER) or names.get(_COMPUTER),
        domain=names.get(_DNS_DOMAIN) or names.get(_DOMAIN),
    )


def _target_information(data: bytes) -> dict[int, str]:
    """The pairs of [MS-NLMP] 2.2.2.1 as texts."""
    found: dict[int, str] = {}
    at = 0
    for _pair in range(_LONGEST_PAIRS):
        kind, length = struct.unpack("<HH", _there(data, at, 4))
        if not kind:
            break
        found[kind] = shown(_there(data, at + 4, length).decode("utf-16-le", "replace").encode())
        at += 4 + length
    return found
