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


def needed_of(fleet: Fleet, host: str, options: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """The requirements that concern a host, those included whose listener lives elsewhere.

    Where ``systems`` is not given, those of the host's own systems and, in addition, those whose listener lives on hosts
    of its kind: Kerberos on a domain controller whatever system it is, traps on the audit host. ``options`` are the
    arguments of ``select_requirements``. Raises InputError.
    """
    selected = select_requirements(**options)
    if options.get("systems") is not None:
        return selected
    systems, roles = fleet.systems(host), fleet.roles(host)
    return tuple(
        row
        for row in selected
        if row.system in systems or (row.listener_home is not ListenerHome.TARGET and applicable(row, roles).applies)
    )
