# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What a native program answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A return code, and bytes for standard output and standard error."""

    rc: int = 0
    out: bytes = b""
    err: bytes = b""


def lines(*texts: str, rc: int = 0) -> Answer:
    """An answer of these lines on standard output, in UTF-8, as a shell of code page 65001 gives it."""
    return Answer(rc, "".join(f"{text}\r\n" for text in texts).encode())


def error(text: str, *, rc: int = 1) -> Answer:
    """An answer of one line on standard error."""
    return Answer(rc, b"", f"{text}\r\n".encode())
