# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a fleet at the end of a run: every host is a row, the failed and the unreachable ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._core.diagnosis import make_verdict
from ...module_utils._core.errors import InputError
from ...module_utils._core.fleet import diagnose_results
from ...module_utils._core.records import to_result
from ...module_utils._core.sanitize import safe_text
from .._fleet.inventory import Fleet
from .._fleet.needs import needed_of

_JUDGED = ("windows", "linux", "esxi", "vsphere")  # the platforms that have a plugin
_NOT_JUDGED = "the host was not judged in this run"


def report(
    fleet: Fleet,
    hosts: Sequence[str],
    *,
    names: Sequence[str],
    observations: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """``{"diagnoses": [...], "hosts": [...]}`` of these hosts.

    ``names`` are the variables that may hold a host's results of firewall plugins; ``options`` go to
    ``diagnose_results`` (``today`` is needed). Raises InputError for options and variables that are wrong.
    """
    results = {host: result_of(fleet, host, names) for host in hosts}
    verdicts = [
        verdict for host, found in results.items() for verdict in found["verdicts"] or _unjudged(fleet, host, found)
    ]
    systems = {host: _systems(fleet, host, found) for host, found in results.items()}
    return diagnose_results(verdicts, list(observations), {**options, "systems": systems, "complete": True})


def _systems(fleet: Fleet, host: str, result: Mapping[str, Any]) -> list[str]:
    """A host's systems; of an audit host that has none of its own, those that it was judged for."""
    try:
        return list(fleet.systems(host) or result.get("systems") or ())
    except InputError:
        return []


def result_of(fleet: Fleet, host: str, names: Sequence[str]) -> Mapping[str, Any]:
    """What the plugins left with a host: all its verdicts, and the last message, of the variables of these names."""
    found: dict[str, Any] = {"verdicts": []}
    for name in names:
        value = fleet.variable(host, name)
        if isinstance(value, Mapping) and not value.get("skipped"):
            found = {**found, **value, "verdicts": [*found["verdicts"], *(value.get("verdicts") or ())]}
    return found


def _unjudged(fleet: Fleet, host: str, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A verdict for each requirement of a host that nothing judged: unknown, or not applicable by what the host is."""
    try:
        reason, roles = _reason(fleet, host, result), fleet.roles(host)
        rows = needed_of(fleet, host, {})
    except InputError:  # the host's own task told what is wrong with its variables; here it is a host without rows
        return []
    return [to_result(make_verdict(row, host, roles=roles, reason=reason)) for row in rows]


def _reason(fleet: Fleet, host: str, result: Mapping[str, Any]) -> str:
    """Why there is no verdict of a host."""
    message = safe_text(str(result.get("msg") or ""))
    if result.get("unreachable"):
        return f"Ansible could not reach the host: {message}"
    if result.get("failed") and message:
        return message
    platform = fleet.platform(host)
    if platform in _JUDGED:
        return _NOT_JUDGED
    return f"the firewall of this host is not judged (platform {platform}); only a probe can tell"
