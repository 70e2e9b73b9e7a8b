# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions: for our own faults and for input that we refuse. A closed port is a result, never an exception."""

from __future__ import annotations

from collections.abc import Iterable


class AuditPortsError(Exception):
    """Base of every error that the outermost layer turns into a failure; its text is complete on its own."""


class InputError(AuditPortsError):
    """The user's input cannot be used; the text names the input and what would be accepted."""


class ReadError(AuditPortsError):
    """What came back from a host cannot be used; the text says where it broke off and what to do."""


def choices(values: Iterable[str]) -> str:
    """The values as the tail of an error message: ``a, b, c``, sorted, without repeats."""
    return ", ".join(sorted(set(values)))
