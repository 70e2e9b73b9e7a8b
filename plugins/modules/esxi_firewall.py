#!/usr/bin/python
# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; nothing runs on the host but its own commands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: esxi_firewall
short_description: Judge and open the firewall of an ESXi host over SSH for an agentless audit
version_added: 0.1.0
author: agentless.audit_ports contributors (@agentless)
description:
  - Answers for every requirement whether the rulesets of the host let the audit host in. Rulesets are found by port,
    and their lists of allowed addresses count as much as whether they are enabled.
  - Opens what is blocked for the audit hosts alone. The list of an enabled ruleset is added to and never replaced or
    narrowed. A disabled ruleset gets the audit hosts as its list first and is enabled then. No ruleset is ever created,
    and none that carries SSH or opens a span of ports is used.
  - Withdraws exactly what it opened with O(state=absent), by the record that it keeps on the controller. What somebody
    else changed since stays.
  - Runs C(esxcli) over Ansible's C(ssh) connection and needs nothing else on the host, in particular no Python. Where
    SSH is off, as it is on hardened hosts, the vSphere API is the other way.
notes:
  - A run in check mode is the audit.
  - What was there before a change is recorded first, one file a host, in the directory that the variable
    C(audit_ports_state_dir) of the host names (C(~/.local/state/agentless-audit) by default). It has to last from one
    run to the next; an automation controller that runs jobs in containers has to mount it. Without a record, what is
    withdrawn is exactly the addresses in O(sources), from the rulesets of the ports that O(requirements) name, and the
    result says so.
  - Several ports may be of one ruleset, such as 443 and 902. It is put back when the last requirement that it was
    opened for is withdrawn; until then the result says what stays.
  - From 8.0 Update 2 on some rulesets belong to the system. Where such a one is in the way, RV(verdicts.status=blocked)
    stays, and the reason tells that no user may change it.
  - ESXi writes its configuration to disk once an hour and at a clean shutdown. A power failure within that hour loses a
    change.
  - O(manager), O(override) and O(persistent) mean nothing on ESXi.
extends_documentation_fragment:
  - agentless.audit_ports.firewall
  - agentless.audit_ports.firewall.attributes
seealso:
  - module: agentless.audit_ports.linux_firewall
  - plugin: agentless.audit_ports.requirements
    plugin_type: lookup
  - plugin: agentless.audit_ports.reachability
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: See whether the audit would get in, and change nothing
  agentless.audit_ports.esxi_firewall:
  check_mode: true
  register: audit

- name: Open what is missing for the audit hosts of the inventory
  agentless.audit_ports.esxi_firewall:

- name: Open HTTPS alone, for a network
  agentless.audit_ports.esxi_firewall:
    systems: [esxi]
    requirements: [esxi.https]
    sources: [192.0.2.0/28]

- name: Withdraw exactly what was opened
  agentless.audit_ports.esxi_firewall:
    state: absent
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
  sample: esxi
readiness:
  description: V(ready), V(degraded), V(not_ready) or V(unknown), as far as the verdicts tell without a probe.
  returned: success or failure of a judgement
  type: str
route:
  description: The way in that the audit takes.
  returned: success or failure of a judgement
  type: str
  sample: api
firewall:
  description: Which firewall is in charge.
  returned: success or failure of a judgement
  type: dict
  contains:
    kind:
      description: V(esxi).
      type: str
    active:
      description: Whether the firewall is enabled and loaded; null where that is not known.
      type: bool
    incoming_blocked:
      description: Whether the default action drops what no ruleset lets in.
      type: bool
    version:
      description: The host's version and build.
      type: str
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
      description: V(set_ruleset).
      type: str
    target:
      description: The ruleset.
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
      description: V(both), as a ruleset is kept over a reboot.
      type: str
"""
