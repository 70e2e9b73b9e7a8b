# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup of the native commands that open what an audit needs, for a host that nobody can reach yet."""

from __future__ import annotations

DOCUMENTATION = r"""
name: commands
author: agentless.audit_ports contributors (!UNKNOWN)
version_added: 0.1.0
short_description: The script that opens what an audit needs on a host that nobody can reach yet
description:
  - Returns a script for the host's own administrator, or for whoever manages its policy - a C(.cmd) file with C(netsh),
    PowerShell for the local store or one of Group Policy, a shell script for a manager of Linux, or one with C(esxcli).
  - It is made of the catalog and the sources alone, by what the firewall modules write themselves. Nothing is read of
    the host, so everything that is asked for is in it, whether it is open already or not.
  - It only adds rules for the sources. A rule that blocks, or a policy that makes local rules void, still wins; once
    the host can be reached, the modules tell.
options:
  _terms:
    description: The platform, one of V(windows), V(linux) and V(esxi). With several, one script each is returned.
    type: list
    elements: str
    required: true
  manager:
    description:
      - Which commands are meant.
      - V(netsh) (the default of V(windows)) makes a C(.cmd) file, V(powershell) a C(.ps1) file.
      - V(firewalld) (the default of V(linux)), V(ufw), V(nftables) and V(iptables) make a shell script. The last two
        change what filters now and nothing that is loaded at boot.
      - V(esxcli) (the default of V(esxi)) adds to the lists of rulesets that are on, and switches none.
    type: str
    choices: [netsh, powershell, firewalld, ufw, nftables, iptables, esxcli]
  policy_store:
    description:
      - With O(manager=powershell), the Group Policy object that the rules go to, as V(example.com\\NAME).
      - Without it, they go to the local store of the computer that runs the script.
    type: str
  profiles:
    description: On V(windows), the profiles to open for.
    type: list
    elements: str
    choices: [domain, private, public]
    default: [domain, private]
  zone:
    description: With O(manager=firewalld), the zone that gets the rules.
    type: str
    default: public
  chain:
    description:
      - With O(manager=nftables) or O(manager=iptables), the chain whose head gets the rules.
      - Without it, it is V(inet filter input), or V(INPUT).
    type: str
  override:
    description: With O(manager=firewalld) or O(manager=ufw), put the rules ahead of those that are there.
    type: bool
    default: false
  host:
    description: A host of the inventory, whose systems, sources and other variables of this collection count.
    type: str
  sources:
    description:
      - Addresses and networks to let in.
      - Without any, they come from the inventory, as the firewall modules find them.
    type: list
    elements: str
  systems:
    description:
      - The systems whose requirements are meant, such as V(linux) and V(snmp).
      - Without any, those of O(host), else the system of the platform.
    type: list
    elements: str
  requirements:
    description:
      - Only these requirements, by their ids.
      - What needs a listener elsewhere, as Kerberos and SNMP traps do, has to be named here.
    type: list
    elements: str
    aliases: [ids]
  exclude:
    description: Requirements to leave out, by their ids.
    type: list
    elements: str
  psremoting:
    description: The way into Windows. RPC and SMB are opened with V(false) alone.
    type: str
    choices: [auto, 'true', 'false']
  literal:
    description: Read the page to the letter, and treat every Windows host as a domain controller, too.
    type: bool
  extra:
    description: Requirements of your own, as for the lookup P(agentless.audit_ports.requirements#lookup).
    type: list
    elements: dict
  ports:
    description: Other ports than the catalog's, as a dictionary of ids and ports.
    type: dict
  select:
    description: A JMESPath expression over the list of requirements. It gives those that stay, or their ids.
    type: str
seealso:
  - plugin: agentless.audit_ports.requirements
    plugin_type: lookup
  - module: agentless.audit_ports.windows_firewall
  - module: agentless.audit_ports.linux_firewall
  - module: agentless.audit_ports.esxi_firewall
"""

EXAMPLES = r"""
- name: Write the script for Windows hosts whose WinRM is closed
  ansible.builtin.copy:
    content: "{{ lookup('agentless.audit_ports.commands', 'windows', sources=['192.0.2.10']) }}"
    dest: open-for-audit.cmd
    mode: "0644"
  delegate_to: localhost

- name: Write the script for those who manage the Group Policy
  ansible.builtin.copy:
    content: "{{ lookup('agentless.audit_ports.commands', 'windows', manager='powershell', policy_store=store) }}"
    dest: open-for-audit.ps1
    mode: "0644"
  delegate_to: localhost
  vars:
    store: example.com\Agentless audit

- name: Show what a host of the inventory needs, RPC and SMB in place of PowerShell remoting
  ansible.builtin.debug:
    msg: "{{ lookup('agentless.audit_ports.commands', 'windows', host='win7', psremoting='false') }}"

- name: Show the commands for ufw
  ansible.builtin.debug:
    msg: "{{ lookup('agentless.audit_ports.commands', 'linux', manager='ufw', systems=['linux', 'snmp']) }}"
"""

RETURN = r"""
_raw:
  description: One script for each term. That for C(netsh) has the line ends of Windows.
  type: list
  elements: str
  sample:
    - |
      #!/bin/sh
      # Lets an agentless audit in: linux.ssh.
      set -e
      ufw allow proto tcp from 192.0.2.10 to any port 22 comment agentless-audit
"""

from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils._core.errors import InputError
from ..plugin_utils._commands.scripts import render
from ..plugin_utils._fleet.inventory import Fleet

_OPTIONS = (
    *("manager", "policy_store", "profiles", "zone", "chain", "override", "host", "sources", "systems"),
    *("requirements", "exclude", "psremoting", "literal", "extra", "ports", "select"),
)


class LookupModule(LookupBase):  # type: ignore[misc]
    """Options and inventory in, one script a platform out."""

    def run(self, terms: Sequence[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """The scripts. Raises AnsibleLookupError for what is wrong with the input."""
        self.set_options(var_options=variables, direct=kwargs)
        given = {name: self.get_option(name) for name in _OPTIONS}
        found = variables or {}
        fleet = Fleet.of_task(found, self._templar)
        try:
            return [render(str(term), given, fleet) for term in self._flatten(terms)]
        except InputError as error:
            raise AnsibleLookupError(str(error)) from error
