#!/usr/bin/python
# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes rulesets by the vSphere API; the action plugin of the same name judges and plans."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_firewall
short_description: Judge and open the firewalls of ESXi hosts by the vSphere API for an agentless audit
version_added: 0.1.0
author: agentless.audit_ports contributors (@agentless)
description:
  - Does what M(agentless.audit_ports.esxi_firewall) does, by the vSphere API, of one ESXi host or of many hosts of a
    vCenter in one task. Two calls read any number of hosts; one call per change writes, a few hosts at a time.
  - Each host has its own result. A host that is disconnected, hangs, is not there or refuses to be read or written
    fails on its own and stops no other.
  - Judges, plans and keeps its records on the controller. Only the calls of the API are made where the task runs, which
    needs the Python library C(pyvmomi) and a way to the API. On the controller they are made by the process of the task
    itself, with the Python that runs Ansible, in one session; with C(become), an C(environment) or on another host, and
    where that Python lacks the library, by the module.
requirements:
  - pyvmomi (where the task runs)
notes:
  - A run in check mode is the audit.
  - Whether the firewall is switched on at all is not part of the API. A port that no ruleset lets in is told as
    blocked.
  - What was there before a change is recorded on the controller, see M(agentless.audit_ports.esxi_firewall).
  - A host with a free licence refuses writes by the API; C(esxi_firewall) changes it over SSH.
  - Several ports may be of one ruleset, such as 443 and 902. It is put back when the last requirement that it was
    opened for is withdrawn.
  - O(manager), O(override) and O(persistent) mean nothing on ESXi.
extends_documentation_fragment:
  - agentless.audit_ports.firewall
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Shows what was or would be added and removed; of many hosts each in its own result.
    support: full
options:
  hostname:
    description:
      - The vCenter or ESXi host to sign in to.
      - Defaults to the variable C(audit_ports_vcenter) of the (first) host, else to the environment variable
        C(VMWARE_HOST), else to C(ansible_host) of the host itself, else to its inventory name.
    type: str
  username:
    description:
      - Defaults to the variable C(audit_ports_vsphere_username), else to C(VMWARE_USER).
    type: str
  password:
    description:
      - Defaults to the variable C(audit_ports_vsphere_password), else to C(VMWARE_PASSWORD).
    type: str
  port:
    description:
      - Defaults to the variable C(audit_ports_vsphere_port), else to C(VMWARE_PORT), else to 443.
    type: int
  validate_certs:
    description:
      - Whether the certificate must be trusted where the task runs.
      - Defaults to the variable C(audit_ports_vsphere_validate_certs), else to C(VMWARE_VALIDATE_CERTS), else to
        V(true).
    type: bool
  timeout:
    description:
      - Seconds that a request to the API may take.
    type: int
    default: 30
  hosts:
    description:
      - The hosts to judge and open, all of one vCenter. Without it, O(cluster) and O(folder), it is the task's host.
      - An item is the inventory name of a host, or a dictionary with its C(name) and, where they differ from the rest,
        C(vsphere_name) (the name that the API has for it), C(sources) and C(destination).
      - The API's name of a host defaults to the variable C(audit_ports_vsphere_name), else to its inventory name.
    type: list
    elements: raw
  cluster:
    description:
      - The name of a cluster all of whose hosts are meant; they go by their inventory names, and those that the
        inventory does not have by the names that the API has for them.
    type: str
  folder:
    description:
      - The name of a folder, likewise.
    type: str
  work:
    description: What the action plugin asks of the module. Not for use in a task.
    type: dict
seealso:
  - module: agentless.audit_ports.esxi_firewall
  - plugin: agentless.audit_ports.requirements
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: See whether the audit would get in to one host, by its own API
  agentless.audit_ports.vsphere_firewall:
    username: root
    password: "{{ vault_esxi_password }}"
  delegate_to: localhost
  check_mode: true
  register: audit

- name: Open all hosts of a cluster for the audit host
  agentless.audit_ports.vsphere_firewall:
    hostname: vcenter.example.com
    username: auditor@vsphere.local
    password: "{{ vault_vcenter_password }}"
    cluster: Production
    systems: [esxi]
    sources: [192.0.2.10]
  delegate_to: localhost
  run_once: true

- name: Withdraw what was opened on two hosts
  agentless.audit_ports.vsphere_firewall:
    hosts: [esx1.example.com, esx2.example.com]
    state: absent
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
hosts:
  description:
    - One result for each host, with what is described below and RV(hosts.failed), RV(hosts.changed) and RV(hosts.msg).
  returned: when O(hosts), O(cluster) or O(folder) is given
  type: list
  elements: dict
  contains:
    failed:
      description: Whether the host is not as asked for, or nothing can be said of it.
      type: bool
    changed:
      description: Whether anything was, or in check mode would be, written.
      type: bool
    msg:
      description: What happened, and what to do.
      type: str
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
  sample: vsphere
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
      description: Whether the firewall is enabled and loaded; null, as the API does not tell.
      type: bool
    incoming_blocked:
      description: Whether the default action drops what no ruleset lets in.
      type: bool
    version:
      description: The host's version and build.
      type: str
    maintenance:
      description: Whether the host is in maintenance mode. It is judged and changed all the same.
      type: bool
    lockdown:
      description: The lockdown mode in the API's own word. Through vCenter the host is judged and changed all the same.
      type: str
      sample: lockdownDisabled
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

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import AuditPortsError
from ..module_utils._core.options import FIREWALL_OPTIONS
from ..module_utils._esxi.options import VSPHERE_OPTIONS
from ..module_utils._esxi.session import login_from, session
from ..module_utils._esxi.vsphere import carry_out


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec={**FIREWALL_OPTIONS, **VSPHERE_OPTIONS}, supports_check_mode=True)
    if module.params["work"] is None:
        module.fail_json(msg="there is nothing to do: the action plugin of the same name makes it of the other options")
    try:
        login = login_from(module.params)
        with session(login) as content:
            answer = carry_out(content, login, module.params["work"])
        module.exit_json(changed=False, **answer)
    except AuditPortsError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
