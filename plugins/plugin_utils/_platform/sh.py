# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where text becomes part of a POSIX shell script.

A script is one function that is called on its last line, so that a cut-off script does nothing. Its output is split by
markers that hold a random token: noise before the first marker (banners, profiles) can neither be mistaken for output
nor forge it. Only what dash and busybox know is used.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterable, Sequence

from ...module_utils._core.errors import InputError
from .interface import Command

_PREAMBLE = """\
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
LC_ALL=C
export PATH LC_ALL
umask 077
audit_ports_part() {
    audit_ports_name=$1
    shift
    printf '\\n%s begin %s\\n' "$audit_ports_mark" "$audit_ports_name"
    { audit_ports_errors=$("$@" 2>&1 >&3 3>&- </dev/null); audit_ports_rc=$?; } 3>&1
    printf '\\n%s errors\\n%.4000s' "$audit_ports_mark" "$audit_ports_errors"
    printf '\\n%s end %s %s\\n' "$audit_ports_mark" "$audit_ports_name" "$audit_ports_rc"
    return "$audit_ports_rc"
}
"""


def quote(text: str) -> str:
    """One shell word; line ends are kept. Raises InputError for a NUL, which no argument can carry."""
    if "\0" in text:
        raise InputError(f"{text!r} holds a NUL and cannot be an argument of a command")
    return shlex.quote(text)


def words(argv: Iterable[str]) -> str:
    """An argument list as shell words."""
    return " ".join(quote(word) for word in argv)


def part(name: str, argv: Sequence[str]) -> str:
    """A line that runs one command (or shell function) as a named part of the output, with its own errors and return
    code.
    """
    return f"audit_ports_part {quote(name)} {words(argv)}"


def script(functions: str, body: str, *, mark: str | None = None) -> Command:
    """A complete script: helper ``functions`` and a ``body`` of parts, run as one function by ``/bin/sh`` from
    standard input.
    """
    mark = mark or f"@@{secrets.token_hex(12)}"
    text = (
        f"audit_ports_mark={quote(mark)}\n"
        f"{_PREAMBLE}{functions}\n"
        f"audit_ports_main() {{\n{body}\nprintf '\\n%s done\\n' \"$audit_ports_mark\"\n}}\n"
        "audit_ports_main\n"
    )
    return Command(program="/bin/sh", body=text, mark=mark)
