#!/usr/bin/python
# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: readiness_report
short_description: Tell for every host of a run whether an audit would work, and what stands in the way
version_added: 0.1.0
author: agentless.audit_ports contributors (@agentless)
description:
  - Joins the results that the firewall plugins left with each host, and the observations of probes, into one row for
    each requirement on each host, with one cause and one next step, and into the readiness of each host.
  - A host that failed, could not be reached or has no platform is a row like any other, never a gap.
  - Shows the table on the terminal.
options:
  hosts:
    description:
      - The hosts to report.
      - When left out, all of the inventory group C(audit_targets) (in a run with C(--limit) those that it was about),
        and those of C(audit_hosts) that were judged.
    type: list
    elements: str
  results:
    description: The names of the variables that hold each host's results of firewall plugins.
    type: list
    elements: str
    default: [target_result, audit_host_result]
  observations:
    description: What P(agentless.audit_ports.reachability#lookup) returned.
    type: list
    elements: dict
    default: []
  requirements:
    description:
      - The requirements that were asked for, as P(agentless.audit_ports.requirements#lookup) returns them.
      - Those of the catalog for each host's systems when left out.
    type: list
    elements: dict
  psremoting:
    description: The way into Windows hosts, as for the firewall plugins.
    type: str
    choices: [auto, "true", "false"]
    default: auto
  waivers:
    description: Decisions to live without a requirement, each with C(requirement), C(hosts), C(reason) and C(expiry).
    type: list
    elements: dict
    default: []
  show:
    description: Whether to show the table on the terminal.
    type: bool
    default: true
  width:
    description: The most columns that a line of the table may take.
    type: int
    default: 160
attributes:
  check_mode:
    description: Can run in check mode; it never changes anything.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
  action:
    description: Runs as an action plugin on the controller.
    support: full
seealso:
  - plugin: agentless.audit_ports.diagnose
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Report the fleet, and fail where an audit would not work
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Show every host
      agentless.audit_ports.readiness_report:
        observations: "{{ query('agentless.audit_ports.reachability', *groups['audit_targets']) }}"
      register: audit

    - name: Fail where an audit would not work
      ansible.builtin.assert:
        that: audit.hosts | selectattr('readiness', 'equalto', 'not_ready') | length == 0
"""

RETURN = r"""
diagnoses:
  description:
    - One row for each requirement on each host, as the filter P(agentless.audit_ports.diagnose#filter) returns them.
  returned: success
  type: list
  elements: dict
hosts:
  description: Each host with its readiness, its route and the reasons.
  returned: success
  type: list
  elements: dict
table:
  description: The lines of the table.
  returned: success
  type: list
  elements: str
"""
