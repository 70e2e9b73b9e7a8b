# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge and open the firewalls of ESXi hosts by the vSphere API, many of one vCenter in one task.

The controller judges, plans and keeps the records. The calls of the API are made where the task runs: on the controller
itself by this very process, in one session, as the start of a module would take longer than all calls together; else by
the module of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from ..module_utils._core.changes import ChangeSet
from ..module_utils._core.errors import ReadError
from ..module_utils._esxi.options import VSPHERE_OPTIONS
from ..module_utils._esxi.session import PYVMOMI_ERROR, login_from, session
from ..module_utils._esxi.vsphere import carry_out
from ..plugin_utils._esxi.members import Member, container_of, inventory_names, member_of, reading, rows_of, writing
from ..plugin_utils._esxi.plan import replaces_record, with_advice
from ..plugin_utils._esxi.vsphere import VspherePlatform, login_of
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._platform.action_base import FirewallAction, settled
from ..plugin_utils._platform.arguments import ARGUMENT_SPEC

_MODULE = "agentless.audit_ports.vsphere_firewall"
_PLANS_AT_MOST = 3


class ActionModule(FirewallAction):
    """The action plugin ``vsphere_firewall``."""

    argument_spec: ClassVar[Mapping[str, Mapping[str, Any]]] = {**ARGUMENT_SPEC, **VSPHERE_OPTIONS}
    platform: Any = VspherePlatform()

    def _audit(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        fleet = Fleet.of_task(variables, self._templar)
        here = str(variables["inventory_hostname"])
        rows = rows_of(options, here)
        self._login = login_of(options, fleet, [*(str(row["name"]) for row in rows[:1]), here])
        self._variables = variables
        members = [member_of(options, row, fleet, here) for row in rows]
        with ExitStack() as held:
            self._api = held.enter_context(session(login_from(self._login))) if self._is_controller() else None
            if container_of(options) is None:
                self._enter(members, held)
            answer = self._ask({"read": reading(options, members)})
            if container_of(options) is not None:
                known = inventory_names(fleet)
                shown = [str(told["name"]) for told in answer["hosts"]]
                rows = [{"name": known.get(name, name), "vsphere_name": name} for name in shown]
                members = [member_of(options, row, fleet, here) for row in rows]
                self._enter(members, held)
            self._judge_all(members, answer)
            self._change_all(members)
            results = [self._told(options, member) for member in members]
        if options["hosts"] is None and container_of(options) is None:
            return results[0]
        return _together(results)

    def _enter(self, members: Iterable[Member], locks: ExitStack) -> None:
        """Hold the locks of the hosts' records, where something may be changed, and load the records."""
        for member in members:
            if not self._task.check_mode:
                locks.enter_context(member.store.locked())
            member.record = member.store.load()

    def _is_controller(self) -> bool:
        """Whether the task runs where this process does, as whom it does, and the library is here, too."""
        elsewhere = self._connection.transport != "local" or self._connection.become is not None
        return PYVMOMI_ERROR is None and not elsewhere and not any(self._task.environment or ())

    def _ask(self, work: Mapping[str, Any]) -> dict[str, Any]:
        """What comes of an order. Raises ReadError with what could not be done."""
        if self._api is not None:
            return carry_out(self._api, login_from(self._login), work)
        answer: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args={**self._login, "work": work}, task_vars=self._variables
        )
        if answer.get("failed") or "hosts" not in answer:
            said = answer.get("msg") or answer.get("module_stderr") or answer.get("exception")
            raise ReadError(" ".join(str(said or f"the module answered {answer}").split())[:1000])
        return answer

    def _judge_all(self, members: Iterable[Member], answer: Mapping[str, Any]) -> None:
        told = {str(host["name"]): host for host in answer["hosts"]}
        for member in members:
            member.judge(self.platform, told.get(member.vsphere_name), answer["peers"])

    def _change_all(self, members: Sequence[Member]) -> None:
        """Write, read again and judge again; plan anew for hosts that changed between the read and the write."""
        pending = [member for member in members if member.wants_change]
        for _attempt in range(0 if self._task.check_mode else _PLANS_AT_MOST):
            if not pending:
                return
            for member in pending:
                member.keep_record()
            wanted = {member.vsphere_name: member.plan.changes for member in pending}
            answer = self._ask({"write": writing(pending)})
            self._judge_all(pending, answer)
            pending = [member for member in pending if not _settle(member, wanted[member.vsphere_name])]
        for member in () if self._task.check_mode else pending:
            member.fault = f"its rulesets changed between read and write {_PLANS_AT_MOST} times; nothing was written"

    def _told(self, options: Mapping[str, Any], member: Member) -> dict[str, Any]:
        """The result of one host, as the other firewall plugins give it; what is withdrawn is forgotten."""
        if member.request is None or member.snapshot is None or member.fault:
            return {"host": member.name, "changed": False, "failed": True, "msg": f"{member.name}: {member.fault}"}
        errors = [*member.errors, *self._shortfall(options, member.request, member.verdicts, member.plan)]
        replaced = replaces_record(member.request, member.plan, member.record)
        if replaced and not errors and not self._task.check_mode:
            member.store.save(member.plan.details.record)
        result = self._result(member.request, member.snapshot, member.verdicts, member.plan, errors)
        result["firewall"].update({name: member.told.get(name) for name in ("maintenance", "lockdown")})
        return with_advice(result, member.request, member.plan)


def _settle(member: Member, wanted: ChangeSet) -> bool:
    """Note what a write came to. False where it has to be planned anew, as the host had changed."""
    if member.stale and member.wants_change:
        return False
    if not member.stale and member.snapshot is not None:
        member.plan, member.errors = settled(wanted, member.plan, member.errors)
    return True


def _together(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of a task about many hosts: each on its own, and whether any failed."""
    failed = [str(result["host"]) for result in results if result["failed"]]
    diffs = [entry for result in results for entry in result.get("diff", ())]
    return {
        **({"diff": diffs} if diffs else {}),
        "changed": any(result["changed"] for result in results),
        "hosts": list(results),
        "failed": bool(failed),
        "msg": f"not as asked for: {', '.join(failed)}; each host's own msg tells why" if failed else "",
    }
