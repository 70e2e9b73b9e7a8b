# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SMB: the negotiation of a dialect ([MS-SMB2] 3.2.4.2.2, [MS-CIFS] 2.2.4.52), and the server's challenge to a
session set-up, in which it names itself ([MS-NLMP] 2.2.1.2). Nobody signs in."""

from __future__ import annotations

import struct
from typing import ClassVar

from ..._core.vocabulary import ServiceStatus
from . import ber
from .base import Answer, Conversation, Evidence, MalformedError, bounded
from .netbios_name import encode_name

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
_SHA512 = 1
_AES_CCM, _AES_GCM = 1, 2
_SPNEGO, _NTLMSSP_MECHANISM = "1.3.6.1.5.5.2", "1.3.6.1.4.1.311.2.2.10"
_NTLMSSP = b"NTLMSSP\0"
_NTLM_FLAGS = 0xE2088297  # [MS-NLMP] 2.2.2.5: what Windows asks for, target information and version among it
_COMPUTER, _DOMAIN, _DNS_COMPUTER, _DNS_DOMAIN = 1, 2, 3, 4
_HAS_VERSION = 0x02000000
_LONGEST_PAIRS = 32


def _frame(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


class Smb(Conversation):
    """Asks for any dialect, then for the newest, then what the server calls itself."""

    name = "SMB"
    cap: ClassVar[int] = 32768

    def first(self, attempt: int = 0) -> bytes:
        """The old request that servers of every version understand."""
        return _frame(_negotiate_any())

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
        if command == _NEGOTIATE and self._exchange < 3 + self._extra:
            return self._negotiated(message, status)
        if command == _SESSION_SETUP and self._learnt is not None:
            return _named(message, status, self._learnt)
        raise MalformedError("it answers another SMB command")

    # How many exchanges came before the first negotiation.
    _extra: ClassVar[int] = 0

    def _negotiated(self, message: bytes, status: int) -> Answer:
        if status:
            return self._learnt or Evidence(ServiceStatus.CONFIRMED, f"SMB, which refuses to negotiate ({status:#010x})")
        mode, dialect = struct.unpack("<HH", _there(message, _SMB2_HEADER.size + 2, 4))
        signing = "required" if mode & _SIGNING_REQUIRED else "not required"
        if dialect == _ANY_SMB2:
            self._learnt = Evidence(ServiceStatus.CONFIRMED, "SMB 2 or newer")
            return _frame(_negotiate_newest())
        if dialect not in _DIALECTS:
            raise MalformedError("it chose a dialect that there is not")
        self._learnt = Evidence(ServiceStatus.CONFIRMED, f"SMB {_DIALECTS[dialect]}, signing {signing}")
        return _frame(_set_up(message_id=1))
