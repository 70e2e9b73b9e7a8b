# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Windows platform: its pure functions under the names that every platform has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._core.records import Verdict
from .._platform.interface import Command, Part, Plan, Request, Written
from .evaluate import evaluate
from .plan import plan
from .policy import Store
from .read import read_command
from .snapshot import Snapshot, parse_snapshot
from .words import Profile
from .write import write_command, written


class WindowsPlatform:
    """Hosts whose packets Windows' own firewall judges; rules are added to its local store."""

    name = "windows"

    def __init__(self, transport: str = "powershell") -> None:
        """``transport`` is the shell that commands are sent to: powershell, or cmd where that one is blocked."""
        self.transport = transport

    def read(self, request: Request) -> Command:
        """See ``read_command``."""
        return read_command(request.requirements, transport=self.transport)

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
        return write_command(plan.details, transport=self.transport)

    def written(self, parts: Mapping[str, Part]) -> Written:
        """See ``written``."""
        return written(parts)

    def firewall(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """``kind`` (``windows`` or the product in charge), ``active``, the active ``profiles``, and whether local rules
        count in each profile.
        """
        mpssvc = (snapshot.services or {}).get("mpssvc")
        settings = snapshot.policy.settings
        return {
            "kind": snapshot.third_party or "windows",
            "active": None if mpssvc is None else mpssvc.running,
            "profiles": None if snapshot.active is None else [profile.value for profile in snapshot.active],
            "enabled": {profile.value: bool(settings[profile].enabled.value) for profile in Profile},
            "local_rules_count": {profile.value: bool(settings[profile].local_rules.value) for profile in Profile},
            "group_policy_rules": sum(
                item.store is Store.GROUP_POLICY and item.rule.is_candidate for item in snapshot.policy.rules
            ),
            "product": snapshot.product,
            "elevated": snapshot.elevated,
            "local_account_token_filter_policy": snapshot.token_filter,
        }
