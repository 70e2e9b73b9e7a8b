# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is needed of one host: by the systems that it is, and by what it is for the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._core.records import Requirement
from ...module_utils._core.selection import applicable, select_requirements
from ...module_utils._core.vocabulary import ListenerHome
from .inventory import Fleet
from .jmes import make_select

# Option of select_requirements, the host's variable that gives it where the task does not, and what holds without
# either.
_VARIABLES: tuple[tuple[str, str, Any], ...] = (
    ("ids", "audit_ports_requirements", None),
    ("exclude", "audit_ports_exclude", ()),
    ("psremoting", "audit_ports_psremoting", "auto"),
    ("literal", "audit_ports_literal", False),
    ("extra", "audit_ports_extra", ()),
    ("ports", "audit_ports_ports", {}),
    ("select", "audit_ports_select", None),
)


def selection_of(fleet: Fleet, host: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``select_requirements`` for a host: the task's own where ``given`` has them, else its variables.

    ``given`` may hold ``systems``, ``levels`` and the options of the table above; ``None`` is not given.
    """
    found = {
        option: fleet.variable(host, variable, default) if given.get(option) is None else given[option]
        for option, variable, default in _VARIABLES
    }
    expression = found["select"]
    return {
        **found,
        "select": make_select(str(expression)) if expression else None,
        "systems": given.get("systems"),
        "levels": given.get("levels"),
    }


def needed_of(fleet: Fleet, host: str, given: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """The requirements that concern a host, those included whose listener lives elsewhere.

    Where ``systems`` is not given, those of the host's own systems and, in addition, those whose listener lives on
    hosts of its kind: Kerberos on a domain controller whatever system it is, traps on the audit host. Rows of the
    user's own that are asked for by name concern a host of any kind. ``given`` is as for ``selection_of``. Raises
    InputError.
    """
    return needed_by(fleet, host, selection_of(fleet, host, given))


def needed_by(fleet: Fleet, host: str, selection: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """The requirements that concern a host, as ``needed_of`` tells, by its ``selection_of``."""
    selected = select_requirements(**selection)
    if selection["systems"] is not None:
        return selected
    systems, roles = fleet.systems(host), fleet.roles(host)
    own = {row["id"] for row in selection["extra"]} & set(selection["ids"] or ())
    return tuple(
        row
        for row in selected
        if row.system in systems
        or row.id in own
        or (row.listener_home is not ListenerHome.TARGET and applicable(row, roles).applies)
    )
