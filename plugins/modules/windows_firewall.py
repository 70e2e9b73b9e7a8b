#!/usr/bin/python
# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; nothing runs on the host but its own commands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: windows_firewall
short_description: Judge and open the firewall of a Windows host for an agentless audit
version_added: 0.1.0
author: agentless.audit_ports contributors (@agentless)
description:
  - Answers for every requirement whether a packet from the audit host would get in, by merging what the local store,
    Group Policy and mobile device management say, as Windows does. Reads the registry, which is the same in every
    language, and names the store and the rule that decide.
  - Opens what is blocked by rules of its own in the local store, for the audit hosts alone, through C(netsh.exe), and
    reads again to see that it worked. A requirement that stays blocked fails the task, whatever else was changed.
  - Withdraws exactly what it opened with O(state=absent). Its rules are known by their name, which begins with
    C(agentless-audit).
  - Uses native programs only, such as C(reg.exe) and C(netsh.exe), in one script for each round trip. It works over
    the connections winrm, psrp and ssh, from Windows PowerShell 3.0 on, and in Constrained Language Mode. The host
    needs no module and no Python.
notes:
  - A run in check mode is the audit.
  - Changes need an elevated account. Over the network, that is the built-in administrator, a domain account with
    administrator rights, or any local one where C(LocalAccountTokenFilterPolicy) is set. That value is reported
    and never changed.
  - Where Group Policy makes local rules void, or a blocking rule wins, nothing is papered over. The reason holds the
    text for the administrator of the domain.
  - Windows knows no lock for native programs. Rules that two controllers made at once are found when they are read
    again, and the doubles are removed.
extends_documentation_fragment:
  - agentless.audit_ports.firewall
  - agentless.audit_ports.firewall.attributes
options:
  profiles:
    description:
      - The profiles to open for. By default V(domain) on members of a domain and V(private) on all other hosts.
      - V(public) is opened for only when it is named here.
    type: list
    elements: str
    choices: [domain, private, public]
  transport:
    description:
      - The shell that runs the script. V(cmd) is for hosts on which PowerShell may not run at all, and needs the
        connection winrm, whose open shell it uses. Standard error of the programs is not shown then.
    type: str
    choices: [powershell, cmd]
    default: powershell
  winrm:
    description:
      - With V(configure), a host that is to be reached by PowerShell remoting and is not set up for it gets the WinRM
        service started and a listener made, as C(winrm quickconfig) does.
    type: str
    choices: [leave, configure]
    default: leave
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
  agentless.audit_ports.windows_firewall:
  check_mode: true
  register: audit

- name: Open what is missing for the audit hosts of the inventory
  agentless.audit_ports.windows_firewall:

- name: Open RPC and SMB for one audit host, in place of PowerShell remoting
  agentless.audit_ports.windows_firewall:
    psremoting: "false"
    sources: [192.0.2.10]

- name: Set WinRM up where it is not, and open it in private and public networks
  agentless.audit_ports.windows_firewall:
    winrm: configure
    profiles: [private, public]

- name: Withdraw exactly what was opened
  agentless.audit_ports.windows_firewall:
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
  sample: windows
readiness:
  description: V(ready), V(degraded), V(not_ready) or V(unknown), as far as the verdicts tell without a probe.
  returned: success or failure of a judgement
  type: str
route:
  description: The way in that the audit takes.
  returned: success or failure of a judgement
  type: str
  sample: psremoting
firewall:
  description: Which firewall is in charge.
  returned: success or failure of a judgement
  type: dict
  contains:
    kind:
      description: V(windows), or the product that took the firewall over.
      type: str
    active:
      description: Whether the firewall's service runs; null where that is not known.
      type: bool
    profiles:
      description: The profiles of the networks that the host is in now; null where that is not known.
      type: list
      elements: str
    enabled:
      description: For each profile, whether the firewall is on.
      type: dict
    local_rules_count:
      description: For each profile, whether Group Policy lets local rules count.
      type: dict
    group_policy_rules:
      description: How many rules come from Group Policy.
      type: int
    product:
      description: What kind of Windows it is, in the words of its registry.
      type: str
      sample: LanmanNT
    elevated:
      description: Whether the account may change the firewall.
      type: bool
    local_account_token_filter_policy:
      description: Whether local administrators have all their rights over the network.
      type: bool
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
