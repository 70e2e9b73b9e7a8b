# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splitting a command's output into its parts, strictly: a missing or broken marker is an error that says where it
broke off.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...module_utils._core.errors import ReadError
from .interface import Part


def split_parts(output: str, mark: str) -> Mapping[str, Part]:
    """The named parts of an output whose markers hold ``mark``, by name.

    Carriage returns that a terminal put in front of line ends are dropped. Raises ReadError when the output ends
    before its ``done`` marker or a part is damaged; the error names the part in which it broke off.
    """
    text = "\n" + output.replace("\r\n", "\n")
    noise, *pieces = text.split(f"\n{mark} ")
    if not pieces:
        words = " ".join(noise.split())[:200]
        raise ReadError(
            "the host answered, but not with the output of the script that was sent to its shell; "
            f"it said: {words or 'nothing'}. Check that the login shell passes standard input on"
        )
    parts: dict[str, Part] = {}
    rest = iter(pieces)
    for piece in rest:
        heading, _line_end, out = piece.partition("\n")
        if heading == "done":
            return parts
        word, _blank, name = heading.partition(" ")
        errors, end = next(rest, ""), next(rest, "")
        closing, _blank, rc = end.partition("\n")[0].rpartition(" ")
        ended = closing == f"end {name}" and rc.removeprefix("-").isdigit()
        if word != "begin" or not errors.startswith("errors\n") or not ended:
            raise ReadError(_broken_off(name))
        parts[name] = Part(rc=int(rc), out=out, err=errors.partition("\n")[2].strip())
    raise ReadError(_broken_off(next(reversed(parts), "the beginning") + " (its end)"))


def _broken_off(where: str) -> str:
    return f"the host's output broke off at the part '{where}': the connection or the script was cut; run again"
