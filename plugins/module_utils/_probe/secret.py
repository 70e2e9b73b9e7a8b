# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value that never shows: not in a repr, a message or a log."""

from __future__ import annotations


class Secret:
    """Holds a password-like text. Only ``reveal`` gives it away; printing, formatting and comparing do not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The value as the bytes that go on the wire."""
        return self._value.encode("utf-8")

    def __repr__(self) -> str:
        return "Secret(********)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")
