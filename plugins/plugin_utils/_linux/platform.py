# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux platform: its pure functions under the names that every platform has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._core.records import Verdict
from .._platform.interface import Command, Part, Plan, Request, Written
from .charge import is_running
from .evaluate import evaluate
from .plan import plan
from .read import read_command
from .snapshot import Snapshot, parse_snapshot
from .write import write_command, written


class LinuxPlatform:
    """Hosts whose packets netfilter judges, whoever wrote the rules; firewalld and ufw are changed."""

    name = "linux"

    def read(self, request: Request) -> Command:
        """See ``read_command``."""
        return read_command(withdrawing=request.state == "absent")

    def parse(self, parts: Mapping[str, Part], request: Request) -> Snapshot:
        """See ``parse_snapshot``."""
        return parse_snapshot(parts)

    def evaluate(self, snapshot: Snapshot, request: Request) -> tuple[Verdict, ...]:
        """See ``evaluate``."""
        return evaluate(snapshot, request)

    def plan(self, snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> Plan:
        """See ``plan``."""
        return plan(snapshot, verdicts, request)

    def write(self, snapshot: Snapshot, plan: Plan) -> Command:
        """See ``write_command``."""
        return write_command(plan.details, snapshot.fingerprint)

    def written(self, parts: Mapping[str, Part]) -> Written:
        """See ``written``."""
        return written(parts)

    def firewall(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """``kind`` (the manager in charge, ``netfilter`` for rules without one, or ``none``), ``active`` and
        ``managers``.
        """
        running = [name for name in snapshot.managers if is_running(snapshot, name)]
        filters = bool(snapshot.ruleset.hooks)
        kind = " and ".join(running) or ("netfilter" if filters else "none")
        managers = [
            {"name": name, "running": name in running, "at_boot": snapshot.enabled(name)} for name in snapshot.managers
        ]
        return {"kind": kind, "active": filters, "managers": managers}
