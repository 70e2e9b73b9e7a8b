#!/usr/bin/python
# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; nothing runs on the host but its own commands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: linux_firewall
short_description: Judge and open the firewall of a Linux host for an agentless audit
version_added: 0.1.0
author: agentless.audit_ports contributors (@agentless)
description:
  - Answers for every requirement whether a packet from the audit host would get in and its answer get out, by walking
    the rules that the kernel holds, whoever wrote them. Names the rule that decides in the words of the firewall
    manager that owns it, and says whether the same holds after a reboot.
  - Opens what is blocked through firewalld or ufw, for the audit hosts alone, now and after a reboot, and reads again
    to see that it worked. A requirement that stays blocked fails the task, whatever else was changed.
  - Withdraws exactly what it opened with O(state=absent). The files of the firewall manager are put back byte for byte
    where nobody edited them since.
  - Needs a POSIX shell on the host and nothing else, in particular no Python. Needs root (C(become)).
notes:
  - A run in check mode is the audit.
  - What was opened is recorded on the host in C(/var/lib/agentless-audit), a directory that only root can read.
  - A rule that would win over ours is not papered over. The requirement stays RV(verdicts.status=blocked) and
    RV(verdicts.paths.decided_by) names the rule; see O(override).
extends_documentation_fragment:
  - agentless.audit_ports.firewall
  - agentless.audit_ports.firewall.attributes
seealso:
  - plugin: agentless.audit_ports.requirements
    plugin_type: lookup
  - plugin: agentless.audit_ports.reachability
    plugin_type: lookup
  - plugin: agentless.audit_ports.diagnose
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See whether the audit would get in, and change nothing
  agentless.audit_ports.linux_firewall:
  check_mode: true
  become: true
  register: audit

- name: Open what is missing for the audit hosts of the inventory
  agentless.audit_ports.linux_firewall:
  become: true

- name: Open SSH on another port and SNMP for one audit host
  agentless.audit_ports.linux_firewall:
    systems: [linux, snmp]
    sources: [192.0.2.10]
    ports:
      linux.ssh: 2222
  become: true

- name: Withdraw exactly what was opened
  agentless.audit_ports.linux_firewall:
    state: absent
  become: true
"""

RETURN = r"""
host:
  description: The inventory name of the host.
  returned: success or failure of a judgement
  type: str
systems:
  description: The systems whose requirements were judged.
  returned: success or failure of a judgement
  type: list
  elements: str
platform:
  description: The firewall that judges the host.
  returned: success or failure of a judgement
  type: str
  sample: linux
readiness:
  description: V(ready), V(degraded), V(not_ready) or V(unknown), as far as the verdicts tell without a probe.
  returned: success or failure of a judgement
  type: str
route:
  description: The way in that the audit takes.
  returned: success or failure of a judgement
  type: str
  sample: ssh
firewall:
  description: Which firewall is in charge.
  returned: success or failure of a judgement
  type: dict
  contains:
    kind:
      description: The manager in charge, V(netfilter) for rules without one, or V(none).
      type: str
    active:
      description: Whether any rule filters.
      type: bool
    managers:
      description: The managers that are installed, whether each runs and whether it is started at boot.
      type: list
      elements: dict
verdicts:
  description: One verdict for each requirement.
  returned: success or failure of a judgement
  type: list
  elements: dict
  contains:
    requirement:
      description: The id of the requirement.
      type: str
    host:
      description: The inventory name of the host.
      type: str
    system:
      description: The system that the requirement belongs to.
      type: str
    protocol:
      description: V(tcp), V(udp), V(icmp), V(service) or V(rpc).
      type: str
    port:
      description: The port, where there is one.
      type: int
    level:
      description: V(required), V(recommended) or V(attention).
      type: str
    status:
      description: V(open), V(blocked), V(partial), V(unknown) or V(not_applicable), of all paths together.
      type: str
    reason:
      description: Why, in one sentence.
      type: str
    persistent:
      description: Whether the same holds after a reboot; null where that is not known.
      type: bool
    listening:
      description: Whether something accepts there; null where that is not known.
      type: bool
    listener:
      description: What listens, or where it listens instead.
      type: str
    paths:
      description: The same for each source and destination, with RV(verdicts.paths.decided_by), the rules that decide.
      type: list
      elements: dict
      contains:
        source:
          description: The source, or the part of it that is treated alike.
          type: str
        destination:
          description: The address of the host.
          type: str
        status:
          description: What happens to the packets.
          type: str
        reason:
          description: Why, in one sentence.
          type: str
        persistent:
          description: Whether the same holds after a reboot.
          type: bool
        decided_by:
          description: The rules that decide, each with V(kind), V(id) and V(text) in the words of their manager.
          type: list
          elements: dict
changes:
  description: What was, or in check mode would be, added and removed.
  returned: success or failure of a judgement
  type: list
  elements: dict
  contains:
    kind:
      description: V(add_rule) or V(remove_rule).
      type: str
    target:
      description: The manager and the place within it.
      type: str
    before:
      description: What was there.
      type: str
    after:
      description: What is there now.
      type: str
    requirements:
      description: The ids of the requirements that it is for.
      type: list
      elements: str
    scope:
      description: V(runtime), V(permanent) or V(both).
      type: str
"""
