# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge and open the firewall of an ESXi host over SSH for an agentless audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ansible.errors import AnsibleConnectionFailure

from ..module_utils._core.records import Verdict
from ..plugin_utils._esxi.plan import replaces_record, with_advice
from ..plugin_utils._esxi.platform import EsxiPlatform
from ..plugin_utils._esxi.store import Store
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._platform.action_base import FirewallAction
from ..plugin_utils._platform.interface import Command, Plan, Request, Written

_NO_WAY_IN = (
    "If the host is up: its SSH service (TSM-SSH) is off as delivered and has to be switched on, its ruleset sshServer "
    "has to let this controller in, and in lockdown mode it lets in its exception users alone. By the vSphere API none "
    "of these matter (audit_ports_vcenter, or audit_ports_vsphere_username for a host by itself not in lockdown)"
)


class ActionModule(FirewallAction):
    """The action plugin ``esxi_firewall``: the record of what was there is on the controller, and comes first."""

    platform: EsxiPlatform
    _store: Store
    _opens: bool

    def _audit(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        fleet = Fleet.of_task(variables, self._templar)
        here = str(variables["inventory_hostname"])
        self._store = Store.of(fleet, here, here)
        self._opens = options["state"] != "absent"
        with nullcontext() if self._task.check_mode else self._store.locked():
            self.platform = EsxiPlatform(self._store.load())
            return super()._audit(options, variables)

    def _start(self, command: Command) -> Mapping[str, Any]:
        """Run the command; where there is no way in, tell what that may be on an ESXi host."""
        try:
            return super()._start(command)
        except AnsibleConnectionFailure as error:
            raise AnsibleConnectionFailure(f"{error}. {_NO_WAY_IN}") from error

    def _write(self, snapshot: Any, plan: Plan) -> Written:
        """Keep what will be ours, carry the plan out, and leave the session: an old one would hide that we locked us
        out. What is withdrawn is forgotten afterwards alone.
        """
        if self._opens and plan.details.record.rulesets:
            self._store.save(plan.details.record)
        try:
            return super()._write(snapshot, plan)
        finally:
            self._connection.reset()

    def _result(
        self, request: Request, snapshot: Any, verdicts: Sequence[Verdict], plan: Plan, errors: Sequence[str]
    ) -> dict[str, Any]:
        """The result. What is withdrawn is forgotten once the host was seen to be as it was; what was there already is
        noted as needed by what was asked for.
        """
        if not errors and not self._task.check_mode and replaces_record(request, plan, self.platform.record):
            self._store.save(plan.details.record)
        return with_advice(super()._result(request, snapshot, verdicts, plan, errors), request, plan)
