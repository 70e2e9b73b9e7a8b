# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that turns options and inventory into plain probes, for every vantage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._core.errors import InputError
from ...module_utils._core.records import Requirement
from ...module_utils._core.selection import applicable
from ...module_utils._core.vocabulary import System
from ...module_utils._probe.arguments import make_options
from ...module_utils._probe.records import Probe, ProbeOptions
from ...module_utils._probe.targets import Target, plan_probes
from .._fleet.inventory import Fleet
from .._fleet.needs import needed_of

CONTROLLER = "controller"
# The names that a selection has for these options.
_SELECTION = {
    "systems": "systems",
    "levels": "levels",
    "ids": "requirements",
    "exclude": "exclude",
    "psremoting": "psremoting",
    "literal": "literal",
    "extra": "extra",
    "ports": "ports",
    "select": "select",
}


@dataclass(frozen=True)
class Plan:
    """What is to be probed, and how. ``idle`` are the hosts that nothing is left to be probed of."""

    probes: list[Probe]
    options: ProbeOptions
    idle: tuple[str, ...]


def make_plan(given: Mapping[str, Any], fleet: Fleet, hosts: Sequence[str], vantage: str = CONTROLLER) -> Plan:
    """The probes of ``hosts`` (inventory names, addresses or names) by the options that lookup and action share.

    Raises InputError that names the host or the option.
    """
    options = make_options(given, vantage)
    targets = list(_targets(given, fleet, hosts))
    idle = tuple(target.host for target in targets if not target.requirements)
    return Plan(plan_probes(targets), options, idle)


def audited_from(fleet: Fleet, vantage: str) -> tuple[str, ...]:
    """The hosts of ``audit_targets`` that this audit host audits, by their sites; all, from anywhere else."""
    targets = fleet.members("audit_targets")
    if vantage not in fleet.members("audit_hosts"):
        return targets
    return tuple(host for host in targets if vantage in fleet.audit_hosts(host))


def _targets(given: Mapping[str, Any], fleet: Fleet, hosts: Sequence[str]) -> Iterator[Target]:
    for host in dict.fromkeys(hosts):
        yield Target(host, fleet.address_text(host), _requirements(given, fleet, host))


def _requirements(given: Mapping[str, Any], fleet: Fleet, host: str) -> tuple[Requirement, ...]:
    """What is needed of the host itself: by its systems, and by what it is for the network."""
    selection = {name: given[option] for name, option in _SELECTION.items()}
    if selection["systems"] is None and not fleet.systems(host):
        if selection["ids"] is not None:
            selection["systems"] = [system.value for system in System]
        elif host not in fleet.hostvars:
            raise InputError(
                f"{host} is not in the inventory, so it is not known what is needed of it: give systems or requirements"
            )
    roles = fleet.roles(host)
    return tuple(row for row in needed_of(fleet, host, selection) if applicable(row, roles).applies)
