# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one action base under every firewall plugin: argument spec, check mode, diff, I/O, the re-read and the result.

All logic runs on the controller; the host only runs its own native commands, through whatever connection and
``become`` the play has. It needs no Python there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase

from ...module_utils._core.changes import ChangeSet
from ...module_utils._core.errors import AuditPortsError, ReadError
from ...module_utils._core.readiness import assess_host
from ...module_utils._core.records import Verdict, to_result
from ...module_utils._core.vocabulary import VerdictStatus
from .._fleet.inventory import Fleet
from .arguments import ARGUMENT_SPEC, build_request
from .collector import collector_paused
from .interface import Command, Part, Plan, Platform, Request, Written
from .sections import split_parts

_PLANS_AT_MOST = 3
_SETTLED = frozenset({VerdictStatus.OPEN, VerdictStatus.NOT_APPLICABLE})


class FirewallAction(ActionBase):  # type: ignore[misc]
    """Judge, open or withdraw on one host. A subclass only names its ``platform``."""

    _supports_check_mode = True
    _supports_diff = True

    platform: Platform
    argument_spec: ClassVar[Mapping[str, Mapping[str, Any]]] = ARGUMENT_SPEC

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry point; returns the result dict of a task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _spec, options = self.validate_argument_spec(self.argument_spec)
        try:
            with collector_paused():
                result.update(self._audit(options, variables))
        except AuditPortsError as error:
            result.update(failed=True, changed=False, msg=f"{variables.get('inventory_hostname', 'host')}: {error}")
        return result

    def _audit(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        fleet = Fleet.of_task(variables, self._templar)
        request = build_request(options, fleet, str(variables["inventory_hostname"]))
        snapshot, verdicts, plan = self._judge(request)
        errors: Sequence[str] = ()
        if plan.changes.changed and not self._task.check_mode:
            snapshot, verdicts, plan, errors = self._change(request, snapshot, plan)
        shortfall = self._shortfall(options, request, verdicts, plan)
        return self._result(request, snapshot, verdicts, plan, [*errors, *shortfall])

    def _judge(self, request: Request) -> tuple[Any, tuple[Verdict, ...], Plan]:
        snapshot = self.platform.parse(self._execute(self.platform.read(request)), request)
        verdicts = self.platform.evaluate(snapshot, request)
        return snapshot, verdicts, self.platform.plan(snapshot, verdicts, request)

    def _change(
        self, request: Request, snapshot: Any, plan: Plan
    ) -> tuple[Any, tuple[Verdict, ...], Plan, Sequence[str]]:
        """Write, read again and judge again; plan anew when the host changed between the read and the write."""
        for _attempt in range(_PLANS_AT_MOST):
            wanted, written = plan.changes, self._write(snapshot, plan)
            snapshot, verdicts, plan = self._judge(request)
            if not written.stale:
                return snapshot, verdicts, *settled(wanted, plan, written.errors)
            if not plan.changes.changed:
                return snapshot, verdicts, plan, ()
        raise ReadError(
            f"the firewall's configuration changed between read and write {_PLANS_AT_MOST} times; nothing was written. "
            "Find out what else configures it, and run again"
        )

    def _write(self, snapshot: Any, plan: Plan) -> Written:
        """Carry the plan out. An answer that broke off is an error like any other: what was written is read again."""
        try:
            return self.platform.written(self._execute(self.platform.write(snapshot, plan)))
        except ReadError as error:
            return Written(stale=False, errors=(str(error),))

    def _execute(self, command: Command) -> Mapping[str, Part]:
        answer = self._start(command)
        said = " ".join(str(answer.get("stderr") or "").split())[:300]
        if said and command.mark not in answer["stdout"]:
            raise ReadError(
                f"no shell took the script on the host (return code {answer.get('rc')}): {said}. "
                "Check become and its password, and that the connection passes standard input on"
            )
        try:
            return split_parts(answer["stdout"], command.mark)
        except ReadError as error:
            raise ReadError(f"{error} (return code {answer.get('rc')}{'; ' + said if said else ''})") from error

    def _start(self, command: Command) -> Mapping[str, Any]:
        """Run the command over the task's connection; returns ``rc``, ``stdout`` and ``stderr``.

        A shell is not put into another one of its kind. Nor is the ``sleep 0`` behind it that keeps a terminal from
        losing output: what is given a standard input has no terminal.
        """
        shell = self._play_context.executable
        answer: dict[str, Any] = self._low_level_execute_command(
            command.program,
            in_data=command.body.encode(),
            executable=False if shell == command.program else shell,
            encoding_errors="replace",
        )
        return answer

    def _shortfall(
        self, options: Mapping[str, Any], request: Request, verdicts: Sequence[Verdict], plan: Plan
    ) -> list[str]:
        """What was asked for and is not there: the reasons for which the task fails; none in check mode unless
        enforced. What is only judged, such as the ways that the audit does not take, fails nothing.
        """
        if options["state"] == "absent":
            return list(plan.refusals)
        if self._task.check_mode and not options["enforce"]:
            return []
        wanted = request.openable | set(options["requirements"] or ())
        asked = [verdict for verdict in verdicts if verdict.requirement in wanted]
        return [*plan.refusals] + [_complaint(verdict, plan) for verdict in asked if verdict.status not in _SETTLED]

    def _result(
        self, request: Request, snapshot: Any, verdicts: Sequence[Verdict], plan: Plan, errors: Sequence[str]
    ) -> dict[str, Any]:
        told = [_advised(verdict, plan) for verdict in verdicts]
        readiness, route = assess_host(told, request.psremoting)
        result: dict[str, Any] = {
            "changed": plan.changes.changed,
            "host": request.host,
            "systems": list(request.systems),
            "platform": self.platform.name,
            "readiness": readiness.value,
            "route": route.value,
            "firewall": to_result(self.platform.firewall(snapshot)),
            "verdicts": to_result(told),
            "changes": plan.changes.to_result(),
            "failed": bool(errors),
            "msg": "; ".join([*errors, *plan.changes.messages()]) or f"{request.host}: {readiness.value}",
        }
        if self._task.diff and plan.changes.changed:
            result["diff"] = plan.changes.diff()
        return result


def settled(wanted: ChangeSet, plan: Plan, errors: Sequence[str]) -> tuple[Plan, Sequence[str]]:
    """What a write came to: ``plan``, made of the host as it is now, with what was written as its changes; and what
    went wrong.
    """
    missing = plan.changes if plan.changes.changed else None
    done = ChangeSet() if missing == wanted else wanted
    return replace(plan, changes=done), errors or _left_over(missing)


def _left_over(missing: ChangeSet | None) -> Sequence[str]:
    """What a write that reported no error did not bring about."""
    if missing is None:
        return ()
    return tuple(f"written without an error, and not there afterwards: {message}" for message in missing.messages())


def _complaint(verdict: Verdict, plan: Plan) -> str:
    wire = verdict.protocol.value if verdict.port is None else f"{verdict.protocol.value}/{verdict.port}"
    return f"{verdict.host}: {verdict.requirement} ({wire}) is {verdict.status.value}: {_with_advice(verdict, plan)}"


def _advised(verdict: Verdict, plan: Plan) -> Verdict:
    reason = _with_advice(verdict, plan)
    return verdict if reason == verdict.reason else replace(verdict, reason=reason)


def _with_advice(verdict: Verdict, plan: Plan) -> str:
    advice = plan.advice.get(verdict.requirement)
    return f"{verdict.reason}; {advice}" if advice and advice not in verdict.reason else verdict.reason
