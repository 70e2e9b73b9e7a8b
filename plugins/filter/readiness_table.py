# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that shows diagnoses and readiness as a plain text table."""

from __future__ import annotations

DOCUMENTATION = r"""
name: readiness_table
author: agentless.audit_ports contributors (!UNKNOWN)
version_added: 0.1.0
short_description: Diagnoses and readiness as a table of plain text
description:
  - Renders what P(agentless.audit_ports.diagnose#filter) returns as aligned lines - each host with its readiness, and
    below it each requirement with port, verdict, observation, cause and next step.
  - Text that came from a host or from the network is shown without control, escape and invisible characters.
options:
  _input:
    description: The dictionary that P(agentless.audit_ports.diagnose#filter) returns, with C(diagnoses) and C(hosts).
    type: dict
    required: true
  width:
    description: The most columns that a line may take; at least 80.
    type: int
    default: 160
"""

EXAMPLES = r"""
- name: Show the fleet
  ansible.builtin.debug:
    msg: "{{ verdicts | agentless.audit_ports.diagnose(observations) | agentless.audit_ports.readiness_table }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import InputError
from ..module_utils._core.fields import parse_rows
from ..module_utils._core.tables import DEFAULT_WIDTH, render_table


def readiness_table(result: Any, width: Any = DEFAULT_WIDTH) -> list[str]:
    """The lines of the table of a result of ``diagnose``. Raises AnsibleFilterError for anything else."""
    if not isinstance(result, Mapping) or "diagnoses" not in result or "hosts" not in result:
        raise AnsibleFilterError(
            "agentless.audit_ports.readiness_table: the result of agentless.audit_ports.diagnose is expected,"
            f" a dictionary with diagnoses and hosts, not {type(result).__name__}"
        )
    try:
        columns = int(width)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(
            f"agentless.audit_ports.readiness_table: width: {width!r} is no number of columns"
        ) from error
    try:
        return render_table(parse_rows(result["diagnoses"], "diagnoses"), parse_rows(result["hosts"], "hosts"), columns)
    except InputError as error:
        raise AnsibleFilterError(f"agentless.audit_ports.readiness_table: {error}") from error


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Ansible's entry point."""
        return {"readiness_table": readiness_table}
