# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that joins verdicts and observations of a fleet into diagnoses and readiness."""

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnose
author: agentless.audit_ports contributors (!UNKNOWN)
version_added: 0.1.0
short_description: Join verdicts and observations into one cause and one next step
description:
  - Takes the verdicts of the firewall plugins and the observations of the reachability plugins, of one or many hosts.
  - Says of each requirement on each host what stands in the way and what to do next, and of each host whether it is
    ready.
  - An observation counts for the source that it came from. One that came from an address which is none of the sources
    proves nothing for them.
positional: observations
options:
  _input:
    description:
      - The verdicts, as the firewall plugins return them under C(verdicts), of all hosts in one list.
      - Of several verdicts of one requirement on one host the last one counts.
    type: list
    elements: dict
    required: true
  observations:
    description: The observations, as the reachability plugins return them.
    type: list
    elements: dict
    default: []
  systems:
    description:
      - The systems of each host. A requirement of these systems without a verdict becomes a row of its own, so that
        hosts that could not be reached or that nothing judges are not missing.
    type: dict
    default: {}
  complete:
    description: The verdicts are all there are. No row is added for O(systems).
    type: bool
    default: false
  requirements:
    description:
      - The requirements that were asked for, as P(agentless.audit_ports.requirements#lookup) returns them.
      - Needed with requirements of your own. Without it, those of the catalog for O(systems) are meant.
    type: list
    elements: dict
  reasons:
    description: Why there are no verdicts of a host, such as C(unreachable), as a dictionary of hosts and texts.
    type: dict
    default: {}
  roles:
    description:
      - What a host is for the network, as a dictionary of hosts and lists of C(domain_controller), C(dns_server) and
        C(audit_host). It decides which requirements concern a host of which there is no verdict.
      - Of a host that is not in it, this is not known.
    type: dict
    default: {}
  psremoting:
    description:
      - V(auto), V(true) or V(false), or a dictionary of hosts and these words.
      - With V(auto) a Windows host is ready through PowerShell remoting or through RPC and SMB.
    type: raw
    default: auto
  waivers:
    description:
      - Decisions to live without a requirement, each with C(requirement), C(hosts) (names, or V(*)), C(reason) and
        C(expiry) (the last day, as V(YYYY-MM-DD); left out for none).
    type: list
    elements: dict
    default: []
  listeners:
    description:
      - Witnesses of whether something listens, for rows whose verdict does not know, each with C(host), C(requirement),
        C(listening) and C(listener).
    type: list
    elements: dict
    default: []
  seen_sources:
    description: The address that a host saw the audit come from, as a dictionary of those hosts that can tell.
    type: dict
    default: {}
  today:
    description: The day for which waivers are judged, as V(YYYY-MM-DD); the controller's date where it is left out.
    type: str
"""

EXAMPLES = r"""
- name: Diagnose the fleet
  ansible.builtin.set_fact:
    fleet: "{{ verdicts | agentless.audit_ports.diagnose(observations, systems=systems) }}"
  vars:
    verdicts: "{{ ansible_play_hosts_all | map('extract', hostvars, 'checked') | map(attribute='verdicts') | flatten }}"
    observations: "{{ query('agentless.audit_ports.reachability', groups['audit_targets']) }}"
    systems:
      web1.example.com: [linux, snmp]
      printer1.example.com: [printer]

- name: Stop where a host is not ready
  ansible.builtin.assert:
    that: fleet.hosts | rejectattr('readiness', 'in', ['ready', 'degraded']) | length == 0
"""

RETURN = r"""
_value:
  description: The diagnoses and the hosts.
  type: dict
  contains:
    diagnoses:
      description:
        - One dictionary for each requirement on each host, with C(requirement), C(host), C(status), C(cause),
          C(reason), C(next_step), C(verdict), C(observations) and C(waiver).
        - The status is one of V(fine), V(unverified), V(blocked), V(unknown), V(waived) and V(not_applicable).
      type: list
      elements: dict
    hosts:
      description:
        - One dictionary for each host, with C(host), C(systems), C(readiness), C(route) and C(reasons).
        - The readiness is one of V(ready), V(degraded), V(not_ready) and V(unknown).
      type: list
      elements: dict
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import InputError
from ..module_utils._core.fleet import diagnose_results


def diagnose(verdicts: Any, observations: Any = (), **options: Any) -> dict[str, Any]:
    """The diagnoses and the readiness of hosts. Raises AnsibleFilterError naming the row, the field and the choices."""
    options["today"] = options.get("today") or date.today().isoformat()
    try:
        return diagnose_results(verdicts, observations, options)
    except InputError as error:
        raise AnsibleFilterError(f"agentless.audit_ports.diagnose: {error}") from error


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Ansible's entry point."""
        return {"diagnose": diagnose}
