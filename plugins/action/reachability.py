# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn requirements and inventory into plain probes here, and have them run on the host of the task."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import AuditPortsError, InputError
from ..module_utils._probe.arguments import ARGUMENT_SPEC
from ..module_utils._probe.wire import JsonLines, count_statuses, in_input_order, pack_probe
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._vantage.connection import AnsibleMachine
from ..plugin_utils._vantage.heard import listener, new_mark
from ..plugin_utils._vantage.options import CONTROLLER, Plan, audited_from, make_plan
from ..plugin_utils._vantage.progress import Progress
from ..plugin_utils._vantage.windows import WindowsVantage

_MODULE = "agentless.audit_ports.reachability"
# A path of the probing host, whose home directory is not the controller's.
_SPEC = {**ARGUMENT_SPEC, "dest": {"type": "str"}}
_RUN = (
    "timeout",
    "retries",
    "rate",
    "per_host",
    "concurrency",
    "deadline",
    "source_address",
    "confirm",
    "service_check",
    "printer_pjl",
    "dest",
)
# What Python says of this collection's code where it is older than 3.8.
_TOO_OLD = ("future feature annotations is not defined", "invalid syntax", "SyntaxError")


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin ``reachability``."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry point; returns the result dict of a task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _spec, options = self.validate_argument_spec(_SPEC)
        try:
            plan = self._plan(options, variables)
        except AuditPortsError as error:
            result.update(failed=True, changed=False, msg=str(error))
            return result
        for host in plan.idle:
            self._display.warning(
                f"{host}: nothing is probed there: no requirement is left by its systems and the options"
            )
        if getattr(self._connection._shell, "_IS_WINDOWS", False):
            result.update(self._look_from_windows(plan, options["dest"]))
            return result
        total, vantage, mark = len(plan.probes), plan.options.vantage, new_mark()
        listen = listener(self._connection, mark)
        with Progress(self._display.display, total, vantage, plan.options.rate_per_s, listen=listen):
            found = self._execute_module(
                module_name=_MODULE, module_args={**_arguments(plan, options), "mark": mark}, task_vars=task_vars
            )
        found.pop("invocation", None)  # all probes, once more
        result.update(found)
        if result.get("failed"):
            result["msg"] = _explain(vantage, found)
        return result

    def _look_from_windows(self, plan: Plan, dest: str | None) -> dict[str, Any]:
        """What the module would return, from a host that has no Python: its sockets are PowerShell's."""
        vantage = WindowsVantage(plan.options.vantage, AnsibleMachine(lambda: self._connection, is_ours=False))
        progress = Progress(self._display.display, len(plan.probes), plan.options.vantage, plan.options.rate_per_s)
        observed = []
        with tempfile.TemporaryDirectory(prefix="audit-ports-") as folder:
            path = os.path.join(folder, "observations.jsonl")
            try:
                with progress, JsonLines(path) as lines:
                    for index, observation in progress.watch(vantage.observe(plan.probes, plan.options)):
                        lines.write(index, observation)
                        observed.append((index, observation))
            except AuditPortsError as error:
                return {"failed": True, "changed": False, "msg": str(error)}
            writes = dest is not None and not self._task.check_mode
            if writes:
                self._transfer_file(path, dest)
        rows = in_input_order(observed)
        return {"changed": writes, "observations": rows, "counts": count_statuses(rows)}

    def _plan(self, options: dict[str, Any], variables: dict[str, Any]) -> Plan:
        fleet = Fleet.of_task(variables, self._templar)
        host = str(self._task.delegate_to or variables["inventory_hostname"])
        is_here = self._connection.transport == "local" and host not in fleet.members("audit_hosts")
        hosts = options["hosts"] if options["hosts"] is not None else audited_from(fleet, host)
        if not hosts:
            raise InputError("nobody to probe: give hosts, or put them into the inventory group audit_targets")
        if options["snmp_community"] is None:
            options["snmp_community"] = self._templar.template(variables.get("audit_ports_snmp_community"))
        return make_plan(options, fleet, hosts, options["vantage"] or (CONTROLLER if is_here else host))


def _arguments(plan: Plan, options: dict[str, Any]) -> dict[str, Any]:
    """The module's arguments: plain probes, and how to run them."""
    arguments = {name: options[name] for name in _RUN if options[name] is not None}
    if plan.options.snmp_community is not None:
        arguments["snmp_community"] = plan.options.snmp_community.reveal().decode("utf-8")
    return {**arguments, "vantage": plan.options.vantage, "probes": [pack_probe(probe) for probe in plan.probes]}


def _explain(vantage: str, found: dict[str, Any]) -> str:
    """Why the module failed, with the next step where that is known."""
    said = f"{found.get('msg', '')} {found.get('module_stderr', '')} {found.get('module_stdout', '')}"
    if any(words in said for words in _TOO_OLD):
        return (
            f"{vantage}: its Python is too old to probe with, 3.8 is needed: set ansible_python_interpreter, "
            "or use the lookup reachability with vantage, which makes do without"
        )
    return f"{vantage}: {found.get('msg', 'the module failed')}"
