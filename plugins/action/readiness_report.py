# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Join the results of a whole play into diagnoses, readiness and a table."""

from __future__ import annotations

from datetime import date
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import AuditPortsError
from ..module_utils._core.tables import render_table
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._report.fleet_report import report, result_of

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "hosts": {"type": "list", "elements": "str"},
    "results": {"type": "list", "elements": "str", "default": ["target_result", "audit_host_result"]},
    "observations": {"type": "list", "elements": "dict", "default": []},
    "requirements": {"type": "list", "elements": "dict"},
    "psremoting": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
    "waivers": {"type": "list", "elements": "dict", "default": []},
    "show": {"type": "bool", "default": True},
    "width": {"type": "int", "default": 160},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin ``readiness_report``. Runs on the controller alone and changes nothing."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry point; returns the result dict of a task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _spec, options = self.validate_argument_spec(ARGUMENT_SPEC)
        fleet = Fleet.of_task(variables, self._templar)
        hosts = options["hosts"]
        if hosts is None:
            hosts = _everyone(fleet, options["results"], limited=bool(variables.get("ansible_limit")))
        given = {name: options[name] for name in ("requirements", "psremoting", "waivers")}
        try:
            found = report(
                fleet,
                list(dict.fromkeys(hosts)),
                names=options["results"],
                observations=options["observations"],
                options={**given, "today": date.today().isoformat()},
            )
        except AuditPortsError as error:
            result.update(failed=True, msg=str(error))
            return result
        table = render_table(found["diagnoses"], found["hosts"], options["width"])
        if options["show"]:
            for line in table:
                self._display.display(line)
        result.update(found, table=table, changed=False, msg=_message(found["hosts"]))
        return result


def _everyone(fleet: Fleet, names: list[str], *, limited: bool) -> list[str]:
    """The audited hosts, those of a run with ``--limit`` that it was about, and the audit hosts that were looked at."""
    targets = fleet.members("audit_targets")
    asked = [host for host in targets if not limited or any(fleet.variable(host, name) for name in names)]
    judged = [host for host in fleet.members("audit_hosts") if result_of(fleet, host, names)["verdicts"]]
    return [*asked, *judged]


def _message(hosts: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for host in hosts:
        counts[host["readiness"]] = counts.get(host["readiness"], 0) + 1
    return ", ".join(f"{number} {word}" for word, number in counts.items()) or "no host was asked for"
