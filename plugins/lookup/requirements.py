# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup of the catalog: which ports and services an agentless audit needs of which system."""

from __future__ import annotations

DOCUMENTATION = r"""
name: requirements
author: agentless.audit_ports contributors (!UNKNOWN)
version_added: 0.1.0
short_description: What an agentless audit needs of each kind of system
description:
  - Returns the requirements of an agentless audit as data, one dictionary each - port, protocol, level, what it is for,
    and what is lost without it.
  - The catalog is that of the page I(Required ports for agentless audit); rows of your own come on top.
options:
  _terms:
    description:
      - The systems whose requirements are meant, as words or lists of words.
      - The systems are V(windows), V(linux), V(macos), V(esxi), V(nas), V(snmp), V(printer) and V(network_scan).
      - Without any, all systems are meant.
    type: list
    elements: str
    required: false
  psremoting:
    description:
      - The way into Windows. V(true) leaves out what is needed only without PowerShell remoting, V(false) leaves out
        PowerShell remoting itself, V(auto) returns both ways.
    type: str
    default: auto
  levels:
    description: Only requirements of these levels - V(required), V(recommended), V(attention).
    type: list
    elements: str
  ids:
    description:
      - Only these requirements, by their ids.
      - What is named here is returned whatever O(psremoting) says.
    type: list
    elements: str
    aliases: [requirements]
  exclude:
    description: Requirements to leave out, by their ids.
    type: list
    elements: str
    default: []
  select:
    description:
      - A JMESPath expression over the list of requirements. It gives those that stay, or their ids.
      - Needs the Python library C(jmespath) on the controller.
    type: str
  extra:
    description:
      - Requirements of your own, with the fields that this lookup returns.
      - C(id), C(system) and C(protocol) are needed, C(port) too for C(tcp) and C(udp).
    type: list
    elements: dict
    default: []
  literal:
    description:
      - Read the page to the letter, and treat every Windows host alike. Otherwise Kerberos and LDAP are needed of
        domain controllers only.
    type: bool
    default: false
  ports:
    description: Other ports than the catalog's, as a dictionary of ids and ports.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what the audit needs of Linux hosts that answer SNMP, too
  ansible.builtin.debug:
    msg: "{{ query('agentless.audit_ports.requirements', 'linux', 'snmp') }}"

- name: Show the ports that Windows needs where PowerShell remoting is not wanted
  ansible.builtin.debug:
    msg: "{{ query('agentless.audit_ports.requirements', 'windows', psremoting=false) | map(attribute='port') }}"

- name: Use SSH on port 2222, and a check of your own
  ansible.builtin.set_fact:
    needed: >-
      {{ query('agentless.audit_ports.requirements', 'linux', ports={'linux.ssh': 2222}, extra=[
           {'id': 'linux.agent', 'system': 'linux', 'protocol': 'tcp', 'port': 10050, 'level': 'recommended'}]) }}

- name: Only TCP, and only what an audit cannot do without
  ansible.builtin.debug:
    msg: "{{ query('agentless.audit_ports.requirements', select=expression) }}"
  vars:
    expression: "[?protocol == 'tcp' && level == 'required']"
"""

RETURN = r"""
_raw:
  description: The requirements, in the order of the catalog, those of O(extra) behind them.
  type: list
  elements: dict
  contains:
    id:
      description: The name of the requirement, which begins with its system.
      type: str
      sample: linux.ssh
    system:
      description: The kind of system that it is needed of.
      type: str
      sample: linux
    protocol:
      description: V(tcp), V(udp), V(icmp), V(service) or V(rpc).
      type: str
      sample: tcp
    port:
      description: The port, null where the protocol has none.
      type: int
      sample: 22
    level:
      description: V(required), V(recommended) or V(attention).
      type: str
      sample: required
    condition:
      description: V(always) or V(without_psremoting).
      type: str
      sample: always
    source_role:
      description: Who sends the packets, V(audit_host) or V(device).
      type: str
      sample: audit_host
    listener_home:
      description: Where the listener lives, V(target), V(audit_host), V(domain_controller) or V(dns_server).
      type: str
      sample: target
    service:
      description: The probe that proves the service; V(none) where nothing can be asked.
      type: str
      sample: ssh
    purpose:
      description: What it is for.
      type: str
    without:
      description: What is lost without it.
      type: str
    source:
      description: The page that says so, and the date on which it was read.
      type: dict
    catalog_version:
      description: The version of the catalog.
      type: str
"""

from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils._core.errors import InputError
from ..module_utils._core.records import to_result
from ..module_utils._core.selection import select_requirements
from ..plugin_utils._fleet.jmes import make_select


class LookupModule(LookupBase):  # type: ignore[misc]
    """A thin layer over ``select_requirements``: options in, result dicts out."""

    def run(self, terms: Sequence[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """The requirements of the systems in ``terms``. Raises AnsibleLookupError that names the choices."""
        self.set_options(var_options=variables, direct=kwargs)
        expression = self.get_option("select")
        try:
            found = select_requirements(
                self._flatten(terms) or None,
                ids=self.get_option("ids"),
                levels=self.get_option("levels"),
                exclude=self.get_option("exclude"),
                psremoting=self.get_option("psremoting"),
                literal=self.get_option("literal"),
                extra=self.get_option("extra"),
                ports=self.get_option("ports"),
                select=make_select(expression) if expression else None,
            )
        except InputError as error:
            raise AnsibleLookupError(str(error)) from error
        return [to_result(requirement) for requirement in found]
