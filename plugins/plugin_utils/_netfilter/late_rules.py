# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that are read when a packet meets them, and no further than it takes to know that they do not concern it.

Most rules of a host are met by no packet that is asked about, and most of those that are met end with their first
condition.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any

from .matches import Match
from .model import Rule
from .statements import Statement


class LateRule(Rule):
    """A rule as a listing holds it. What it is made of is in ``material``; a subclass knows how to read that."""

    material: Any

    def __init__(self, material: Any, text: object, position: int) -> None:
        vars(self).update(material=material, text=text, position=position)

    @abstractmethod
    def read(self) -> Rule:
        """The whole rule. Never raises: what cannot be read is a statement that nobody can decide."""

    @abstractmethod
    def read_first(self) -> Match | None:
        """One of its conditions, at as little cost as can be; None where there is none."""

    @cached_property
    def first(self) -> Match | None:
        """See Rule."""
        return self.read_first()

    @cached_property
    def whole(self) -> Rule:
        """The rule once it is read."""
        return self.read()

    @cached_property
    def statements(self) -> tuple[Match | Statement, ...]:
        """See Rule."""
        return self.whole.statements

    @cached_property
    def comment(self) -> str | None:
        """See Rule."""
        return self.whole.comment

    @cached_property
    def handle(self) -> int | None:
        """See Rule."""
        return self.whole.handle
