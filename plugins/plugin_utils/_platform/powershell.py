# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where text becomes part of a PowerShell script.

A script runs native programs and prints markers, in words that Windows PowerShell 3.0 to 7 have in common and that
Constrained Language Mode allows. It is one script block, so that a cut-off script does not even parse and does nothing.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable, Sequence

from ...module_utils._core.errors import InputError
from .interface import Command

# The body comes on standard input, behind this. Without @() the lines would be joined with blanks.
BOOTSTRAP = 'iex (@($input) -join "`n")'
# In exactly these words Ansible's connections recognise a script that is encoded already: winrm passes it on as it is,
# and psrp, which starts no process, hands the body over as lines of text instead of bytes.
_PREFIX = "PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand "
NOT_STARTED = 9009  # what cmd.exe says of a program that it does not find

# PowerShell takes all of these for the closing quote, and any of them doubled for one of them (about_Quoting_Rules).
_QUOTES = re.compile("(['\u2018\u2019\u201a\u201b])")
_PART_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9 _.-]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Standard error is told apart by the type of its records. They are turned into text, because Windows PowerShell 5.1
# would print them with its own decoration, in its own language.
_PART = """\
"$m begin {name}"
$e = @(); $global:LASTEXITCODE = {not_started}
{call} 2>&1 | ForEach-Object {{ if ($_ -is [System.Management.Automation.ErrorRecord]) {{ $e += "$_" }} {line} }}
"$m errors"; $e; ''; "$m end {name} $LASTEXITCODE"
"""
_LINE = "else { $_ }"
_LINE_OF_LIST = "else { $k += $_; $_ }"
_LINE_IF_NEEDED = "elseif ($_ -cnotmatch %s) { $_ }"
# A line that nobody needs still ends the one before it: its head is printed where a line follows that may go on with
# it, as the second line of a text of several lines does.
_LINE_OR_HEAD = (
    "elseif ($_ -cmatch %s) { $s = $_ }"
    " else { if ($s -and $_ -notlike '    *') { $s -creplace '(?<=[|]).*' }; $s = ''; $_ }"
)
_SCRIPT = """\
& {{
$ErrorActionPreference = 'Continue'
$m = {mark}
& {{
{body}}}
"$m done"
}}
"""


def quote(text: str) -> str:
    """A single-quoted literal of this very text. Raises InputError for a NUL and for a lone carriage return, which a
    script that arrives line by line cannot hold.
    """
    if "\0" in text or "\r" in text:
        raise InputError(f"{text!r} holds a NUL or a carriage return and cannot be part of a script")
    return "'" + _QUOTES.sub(r"\1\1", text) + "'"


def words(argv: Sequence[str]) -> str:
    """A call of a native program. Raises InputError for what not every PowerShell hands on unchanged: double quotes,
    empty words, a backslash at the end of a word with blanks, control characters.
    """
    program, *arguments = argv
    if not re.fullmatch(r"[a-z][a-z0-9]*\.(?:exe|com)", program):
        raise InputError(f"{program!r} is not a native program by its full name, such as reg.exe")
    return " ".join([program, *map(_argument, arguments)])


def _argument(text: str) -> str:
    lost = not text or '"' in text or _CONTROL.search(text) or (text.endswith("\\") and re.search(r"\s", text))
    if lost:
        raise InputError(f"{text!r} cannot be an argument of a native program: PowerShell versions differ about it")
    return quote(text)


def part(name: str, argv: Sequence[str], *, unneeded: str = "", heads: bool = False) -> str:
    """Lines that run one native program as a named part of the output, with its own errors and return code.

    Lines that match the regular expression ``unneeded`` are left out; with ``heads``, but for the text up to the first
    ``|`` of one before a line that is not indented. The expression must mean the same to Python and .NET, in every
    culture.
    """
    if not unneeded:
        return _part(name, argv, "", _LINE)
    if heads:
        return _part(name, argv, "$s = ''\n", _LINE_OR_HEAD % quote(unneeded))
    return _part(name, argv, "", _LINE_IF_NEEDED % quote(unneeded))


def listing(name: str, argv: Sequence[str]) -> str:
    """A part whose output ``if_listed`` looks at, up to the next listing."""
    return _part(name, argv, "$k = @()\n", _LINE_OF_LIST) + "$u = $LASTEXITCODE\n"


def if_listed(key: str, lines: str) -> str:
    """Lines for the case that the last listing names a key, or failed, so that nobody knows what there is."""
    return f"if ($u -ne 0 -or ($k -like {quote(f'*{chr(92)}{key}')})) {{\n{lines}}}\n"


def _part(name: str, argv: Sequence[str], before: str, line: str) -> str:
    if not _PART_NAME.match(name):
        raise InputError(f"{name!r} cannot name a part of a script's output")
    return before + _PART.format(name=name, call=words(argv), line=line, not_started=NOT_STARTED)


def all_of(parts: Iterable[str]) -> str:
    """The parts one after the other, up to the first that fails."""
    return "if ($LASTEXITCODE -ne 0) { return }\n".join(parts)


def when_failed(lines: str) -> str:
    """Lines for the case that the part before them failed."""
    return f"if ($LASTEXITCODE -ne 0) {{\n{lines}}}\n"


def script(body: str, *, mark: str | None = None) -> Command:
    """A complete script of parts, behind the bootstrap that every connection of Ansible's to a Windows host takes."""
    mark = mark or f"@@{secrets.token_hex(12)}"
    return Command(program=_PROGRAM, body=_SCRIPT.format(mark=quote(mark), body=body), mark=mark)


def program(text: str) -> str:
    """The command line that runs a short script, its body on standard input."""
    return _PREFIX + base64.b64encode(text.encode("utf-16-le")).decode()


_PROGRAM = program(BOOTSTRAP)
