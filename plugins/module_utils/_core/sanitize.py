# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes text that came from a network or a target safe to show: on a terminal, in a table, in a log."""

from __future__ import annotations

import re
import unicodedata

DEFAULT_LIMIT = 300
ELLIPSIS = "…"
# ECMA-48: control sequences (CSI), control strings (OSC, DCS, SOS, PM, APC; unterminated ones too), other escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_SPACES = re.compile(r"\s+")
# Control, format (bidi marks and overrides, zero width), surrogate, private use, unassigned.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn")


def safe_text(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """The text as one line of visible characters, at most ``limit`` of them.

    Escape sequences, control, bidi and invisible characters are removed, white space of any kind becomes one space.
    """
    # A hostile text may be long: what is far behind the limit is not worth reading.
    shortened = text[: limit * 16]
    shown = shortened
    if not shown.isprintable():
        shown = _SPACES.sub(" ", _ESCAPES.sub("", shown))
        shown = "".join(char for char in shown if unicodedata.category(char) not in _HIDDEN)
    shown = _SPACES.sub(" ", shown).strip()
    if len(shown) > limit:
        return shown[: limit - len(ELLIPSIS)].rstrip() + ELLIPSIS
    return shown + ELLIPSIS if len(shortened) < len(text) and len(shown) < limit else shown


def text_width(text: str) -> int:
    """How many columns of a terminal the text takes (Unicode Standard Annex 11: wide and fullwidth take two)."""
    return len(text) if text.isascii() else sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def fit_width(text: str, width: int) -> str:
    """The longest beginning of the text that takes at most ``width`` columns; at least one character."""
    used = 0
    for index, char in enumerate(text):
        used += _char_width(char)
        if used > width and index:
            return text[:index]
    return text
