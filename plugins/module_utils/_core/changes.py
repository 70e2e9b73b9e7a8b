# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be or was written on a host. ``changed``, the diff, check mode and the messages all come from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from .records import to_result


class Scope(str, Enum):
    """Which state of a firewall a change belongs to: what filters now, what is loaded at boot, or one that is both."""

    RUNTIME = "runtime"
    PERMANENT = "permanent"
    BOTH = "both"


_WHEN = {Scope.RUNTIME: "now", Scope.PERMANENT: "after a reboot", Scope.BOTH: "now and after a reboot"}


@dataclass(frozen=True)
class Change:
    """One step: what ``target`` (a zone, a file, a rule set) says before and after, and for which requirements.

    ``kind`` names the step in the platform's words (``add_rule``, ``remove_rule``, ``set_list``). ``before`` and
    ``after`` are the lines that differ, empty where there is nothing; a step whose two sides are equal changes nothing.
    """

    kind: str
    target: str
    before: str
    after: str
    requirements: tuple[str, ...] = ()
    scope: Scope = Scope.BOTH

    @property
    def changed(self) -> bool:
        """Whether the step writes anything."""
        return self.before != self.after

    @property
    def message(self) -> str:
        """The step as one sentence for people."""
        if not self.before:
            what = f"added {_one_line(self.after)}"
        elif not self.after:
            what = f"removed {_one_line(self.before)}"
        else:
            what = f"replaced {_one_line(self.before)} by {_one_line(self.after)}"
        reason = f", for {', '.join(self.requirements)}" if self.requirements else ""
        return f"{self.target}: {what} ({_WHEN[self.scope]}{reason})"


@dataclass(frozen=True)
class ChangeSet:
    """The steps in the order in which they are written; empty where nothing is to be done."""

    steps: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was or would be written."""
        return any(step.changed for step in self.steps)

    def diff(self) -> list[dict[str, str]]:
        """Ansible's diff form: one entry a target and scope, in the order of their first step."""
        entries: dict[str, dict[str, str]] = {}
        for step in self.steps:
            if not step.changed:
                continue
            header = f"{step.target} ({step.scope.value})"
            empty = {"before_header": header, "after_header": header, "before": "", "after": ""}
            entry = entries.setdefault(header, empty)
            entry["before"] += _lines(step.before)
            entry["after"] += _lines(step.after)
        return list(entries.values())

    def messages(self) -> list[str]:
        """One sentence a step that changes something."""
        return [step.message for step in self.steps if step.changed]

    def to_result(self) -> list[dict[str, Any]]:
        """The steps that change something, as users see them."""
        return [to_result(step) for step in self.steps if step.changed]


def _lines(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines)
