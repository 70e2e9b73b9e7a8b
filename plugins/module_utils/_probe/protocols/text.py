# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of a peer as text that can be shown."""

from __future__ import annotations

from functools import lru_cache

from ..._core.sanitize import safe_text

LIMIT = 120


@lru_cache(maxsize=512)  # in a fleet most greetings are the same
def shown(data: bytes, limit: int = LIMIT) -> str:
    """The bytes as one line of visible characters, at most ``limit``; what is no UTF-8 is replaced."""
    text = data[: limit * 16].decode("utf-8", "replace")
    if len(text) <= limit and text.isprintable():  # nearly all are, and only their spaces are left to see to
        return " ".join(text.split())
    return safe_text(text, limit)
