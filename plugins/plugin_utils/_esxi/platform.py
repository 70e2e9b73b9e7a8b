# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESXi platform over SSH: its pure functions under the names that every platform has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._core.records import Verdict
from ...module_utils._esxi.state import Record
from .._platform.interface import Command, Part, Plan, Request, Written
from .evaluate import evaluate
from .plan import plan
from .read import read_command
from .snapshot import Snapshot, parse_snapshot
from .write import write_command, written

_SSH_PORT = 22


class EsxiPlatform:
    """An ESXi host, by its own esxcli. ``record`` is what the controller keeps of earlier changes to it."""

    name = "esxi"

    def __init__(self, record: Record) -> None:
        self.record = record

    def read(self, request: Request) -> Command:
        """See ``read_command``."""
        return read_command()

    def parse(self, parts: Mapping[str, Part], request: Request) -> Snapshot:
        """See ``parse_snapshot``."""
        return parse_snapshot(parts, self.record)

    def evaluate(self, snapshot: Snapshot, request: Request) -> tuple[Verdict, ...]:
        """See ``evaluate``."""
        return evaluate(snapshot, request)

    def plan(self, snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> Plan:
        """See ``plan``."""
        return plan(snapshot, verdicts, request, _SSH_PORT)

    def write(self, snapshot: Snapshot, plan: Plan) -> Command:
        """See ``write_command``."""
        return write_command(snapshot, plan.details.changes)

    def written(self, parts: Mapping[str, Part]) -> Written:
        """See ``written``."""
        return written(parts)

    def firewall(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """``kind``, ``active`` (``None``: not known), ``incoming_blocked`` and the host's ``version``."""
        return firewall_facts(snapshot)


def firewall_facts(snapshot: Snapshot) -> Mapping[str, Any]:
    """Which firewall is in charge, for the result."""
    state = (snapshot.firewall.enabled, snapshot.firewall.loaded)
    return {
        "kind": "esxi",
        "active": None if None in state else all(state),
        "incoming_blocked": snapshot.firewall.incoming_blocked,
        "version": snapshot.firewall.version,
    }
