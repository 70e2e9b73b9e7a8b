# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge and open the firewall of an ESXi host over SSH for an agentless audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ..module_utils._core.records import Verdict
from ..plugin_utils._esxi.platform import EsxiPlatform
from ..plugin_utils._esxi.store import Store
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._platform.action_base import FirewallAction
from ..plugin_utils._platform.interface import Plan, Request, Written


class ActionModule(FirewallAction):
    """The action plugin ``esxi_firewall``: the record of what was there is on the controller, and comes first."""

    _store: Store

    def _audit(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        fleet = Fleet(hostvars=variables.get("hostvars", {}), groups=variables.get("groups", {}))
        self._store = Store.of(fleet, str(variables["inventory_hostname"]))
        with nullcontext() if self._task.check_mode else self._store.locked():
            self.platform = EsxiPlatform(self._store.load())
            return super()._audit(options, variables)

    def _write(self, snapshot: Any, plan: Plan) -> Written:
        """Keep the record, carry the plan out, and leave the session: an old one would hide that we locked us out."""
        if plan.details.record.rulesets:
            self._store.save(plan.details.record)
        try:
            return super()._write(snapshot, plan)
        finally:
            self._connection.reset()

    def _result(
        self, request: Request, snapshot: Any, verdicts: Sequence[Verdict], plan: Plan, errors: Sequence[str]
    ) -> dict[str, Any]:
        """The result; what is withdrawn is forgotten, once the host was seen to be as it was."""
        if request.state == "absent" and not errors and not self._task.check_mode:
            self._store.save(plan.details.record)
        return super()._result(request, snapshot, verdicts, plan, errors)
