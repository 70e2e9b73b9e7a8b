# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What can go wrong between a client and the stand-in, to be set by a test."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass
class Faults:
    """Nothing goes wrong as it is made.

    `delay_s`: every command takes that long. `drop_at`: the connection is cut in answer to that operation, each time.
    `cut_after`: a command's output breaks off after so many bytes, as if it were all. `garble`: every so many bytes of
    output, one is another. `refuse`: HTTP 503 for everything. `quota_after`: a shell takes no more commands than that.
    `from_command`: output breaks off, is garbled or dropped from that command of the host on.
    """

    delay_s: float = 0
    drop_at: str = ""
    cut_after: int | None = None
    garble: int = 0
    refuse: bool = False
    quota_after: int | None = None
    from_command: int = 1

    def spoil(self, output: bytes) -> bytes:
        """A command's output as it arrives."""
        if self.cut_after is not None:
            output = output[: self.cut_after]
        if self.garble:
            spoiled = bytearray(output)
            spoiled[self.garble - 1 :: self.garble] = b"\xfe" * len(spoiled[self.garble - 1 :: self.garble])
            return bytes(spoiled)
        return output


def clixml(text: str) -> bytes:
    """Errors as powershell.exe writes them to a standard error that is no console ([MS-PSRP] 2.2.5)."""
    escaped = re.sub("[\r\n]", lambda found: f"_x{ord(found[0]):04X}_", text)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    head = '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
    return f'{head}<S S="Error">{escaped}</S></Objs>'.encode()
