# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a fleet at the end of a run: every host is a row, the failed and the unreachable ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._core.fleet import diagnose_results
from ...module_utils._core.sanitize import safe_text
from .._fleet.inventory import Fleet

_JUDGED = ("linux",)  # the platforms that have a plugin
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

    ``names`` are the variables that may hold a host's results of firewall plugins; ``options`` go to ``diagnose_results``
    (``today`` is needed). Raises InputError for options and variables that are wrong.
    """
    results = {host: result_of(fleet, host, names) for host in hosts}
    verdicts = [verdict for found in results.values() for verdict in found.get("verdicts") or ()]
    return diagnose_results(
        verdicts,
        list(observations),
        {
            **options,
            "systems": {host: _systems(fleet, host, found) for host, found in results.items() if _is_target(fleet, host, found)},
            "roles": {host: _roles(fleet, host) for host in hosts},
            "reasons": {host: _reason(fleet, host, results[host]) for host in hosts},
        },
    )


def result_of(fleet: Fleet, host: str, names: Sequence[str]) -> Mapping[str, Any]:
    """What the plugins left with a host: all its verdicts, and the last message, of the variables of these names."""
    found: dict[str, Any] = {}
    for name in names:
        value = fleet.variable(host, name)
        if isinstance(value, Mapping) and not value.get("skipped"):
            found = {**found, **value, "verdicts": [*found.get("verdicts", ()), *(value.get("verdicts") or ())]}
    return found


def _is_target(fleet: Fleet, host: str, result: Mapping[str, Any]) -> bool:
    """Whether every requirement of the host's systems is wanted of it; of an audit host only what was judged is."""
    return bool(fleet.systems(host)) or not result.get("verdicts")


def _systems(fleet: Fleet, host: str, result: Mapping[str, Any]) -> list[str]:
    return list(fleet.systems(host) or result.get("systems") or ())


def _roles(fleet: Fleet, host: str) -> list[str]:
    roles = fleet.roles(host)
    held = (
        ("domain_controller", roles.is_domain_controller),
        ("dns_server", roles.is_dns_server),
        ("audit_host", roles.is_audit_host),
    )
    return [name for name, holds in held if holds]


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

