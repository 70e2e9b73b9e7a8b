# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where text becomes part of a script for cmd.exe, for hosts on which PowerShell may not run.

The script comes on standard input, where cmd.exe reads it line by line. All of it is one block in parentheses, which
is read to its end before any of it is run; a script that was cut off lacks its last marker at least. Return codes
within a block need delayed expansion (``/v:on``).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence

from ...module_utils._core.errors import InputError
from .interface import Command

# /d: without what the registry makes every cmd.exe run first; /q: without echo and prompts.
PROGRAM = "cmd.exe /d /q /v:on"
LINE_AT_MOST = 8191  # cmd.exe cuts off what is longer, without a word

_PART_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9 _.-]*\Z")
_REFUSED = re.compile(r'[\x00-\x1f\x7f"!^%]')
# The one variable that rules of ours name. cmd.exe puts its value in place, which names the same program.
_EXPANDED = "%SystemRoot%"
_PLAIN = re.compile(r"\A[A-Za-z0-9_.:/\\=-]+\Z")


def quote(text: str) -> str:
    """One word of a command line. Raises InputError for characters that cmd.exe interprets even within quotes."""
    if not text or _REFUSED.search(text.replace(_EXPANDED, "")) or text.endswith("\\"):
        raise InputError(f"{text!r} cannot be a word of a command line of cmd.exe")
    return text if _PLAIN.match(text) else f'"{text}"'


def line(argv: Sequence[str]) -> str:
    """One command line. Raises InputError where it would be cut off, and as ``quote`` does."""
    text = " ".join(map(quote, argv))
    if len(text) > LINE_AT_MOST - 100:  # room for an expanded variable and the redirections
        raise InputError(f"a command line of {len(text)} characters is too long for cmd.exe: {text[:60]}...")
    return text


def part(name: str, argv: Sequence[str], *, unneeded: str = "", heads: bool = False) -> str:
    """Lines that run one native program as a named part of the output. What it says on standard error is dropped; what
    is unneeded is printed, because cmd.exe has nothing to find it by.
    """
    if not _PART_NAME.match(name):
        raise InputError(f"{name!r} cannot name a part of a script's output")
    return (
        f"echo !m! begin {name}\n{line(argv)} <nul 2>nul\n"
        f"set rc=!errorlevel!\necho !m! errors\necho.\necho !m! end {name} !rc!\n"
    )


def listing(name: str, argv: Sequence[str]) -> str:
    """A part that lists keys."""
    return part(name, argv)


def if_listed(key: str, lines: str) -> str:
    """The lines, in any case: cmd.exe cannot look at what a program printed without a file."""
    return lines


def all_of(parts: Iterable[str]) -> str:
    """The parts one after the other, up to the first that fails."""
    first, *rest = parts
    return first + "".join(f"if !rc! == 0 (\n{lines})\n" for lines in rest)


def when_failed(lines: str) -> str:
    """Lines for the case that the part before them failed."""
    return f"if not !rc! == 0 (\n{lines})\n"


def script(body: str, *, mark: str | None = None) -> Command:
    """A complete script of parts. The empty line it begins with ends the one on which cmd.exe asked for more."""
    mark = mark or f"@@{secrets.token_hex(12)}"
    return Command(program=PROGRAM, body=f"(\nset m={mark}\necho.\n{body}echo !m! done\n)\nexit\n", mark=mark)
