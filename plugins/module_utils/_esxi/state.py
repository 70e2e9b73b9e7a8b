# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's rulesets were before us and what of them is ours: the record that is kept on the controller, because
ESXi keeps no marks of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .._core.addressset import AddressSet
from .._core.errors import InputError, ReadError
from .rulesets import Ruleset, canonical

_FORMAT = 1


@dataclass(frozen=True)
class State:
    """What of a ruleset can be changed."""

    enabled: bool | None
    allows_all: bool | None
    allowed: tuple[str, ...] = ()

    @classmethod
    def of(cls, ruleset: Ruleset) -> State:
        """The state that a ruleset is in."""
        return cls(ruleset.enabled, ruleset.allows_all, ruleset.allowed)

    def is_between(self, before: State, after: State) -> bool:
        """Whether this is a state on the way from one to the other, both ends included: what a change of ours may have
        left that broke off half-way. An entry counts as the network that it means, in whatever order.
        """
        mine, first, last = ({canonical(text) for text in state.allowed} for state in (self, before, after))
        return (
            self.enabled in (before.enabled, after.enabled)
            and self.allows_all in (before.allows_all, after.allows_all)
            and first & last <= mine <= first | last
        )


@dataclass(frozen=True)
class Recorded:
    """One ruleset: as it was before the first change of ours, as the last one left it, our entries on its list, and the
    ids of the requirements that were asked for and that it meets since.

    ``left`` is ``None`` where somebody else changed it in between: then it can no more be put back as a whole.
    """

    key: str
    before: State
    left: State | None
    added: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether anything of the ruleset is ours."""
        return bool(self.added) or (self.left is not None and self.left != self.before)


@dataclass(frozen=True)
class Record:
    """The record of one host; empty where nothing is ours."""

    rulesets: tuple[Recorded, ...] = ()

    def of(self, key: str) -> Recorded | None:
        """What is recorded of a ruleset."""
        return next((item for item in self.rulesets if item.key == key), None)

    def to_text(self, host: str) -> str:
        """The record as JSON, for a file that says of itself what it is."""
        told = {"format": _FORMAT, "host": host, "rulesets": [asdict(item) for item in self.rulesets]}
        return json.dumps(told, indent=2, sort_keys=True) + "\n"


def parse_record(text: str, where: str) -> Record:
    """The record in a file's text. Raises ReadError, naming the file, when it is damaged or of another format."""
    try:
        told = json.loads(text)
        if told["format"] != _FORMAT:
            raise ValueError(f"format {told['format']!r}")
        return Record(tuple(_parse_recorded(item) for item in told["rulesets"]))
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise ReadError(
            f"{where}: the record of what was changed cannot be read ({error}); "
            "restore it from a copy, or move it away to go on without it"
        ) from error


def _parse_recorded(item: Mapping[str, Any]) -> Recorded:
    left = item["left"]
    added = _texts(item["added"])
    for text in added:
        AddressSet.parse(text)
    return Recorded(
        key=str(item["key"]),
        before=_parse_state(item["before"]),
        left=None if left is None else _parse_state(left),
        added=added,
        requirements=_texts(item["requirements"]),
    )


def _parse_state(item: Mapping[str, Any]) -> State:
    flags = (item["enabled"], item["allows_all"])
    if not all(flag in (True, False, None) for flag in flags):
        raise ValueError("a switch that is neither on nor off")
    return State(*flags, allowed=_texts(item["allowed"]))


def _texts(items: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(text) for text in items)
