# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all firewall plugins share in their documentation: options, attributes and results."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragments C(firewall) (options), C(firewall.attributes) and, for RETURN, the text that plugins repeat."""

    DOCUMENTATION = r"""
options:
  requirements:
    description:
      - Ids of the requirements to judge and open, as listed by the lookup P(agentless.audit_ports.requirements#lookup).
      - Defaults to the variable C(audit_ports_requirements), else to all that concern the host, those of its O(systems)
        and those whose listener lives on what the host is for the network, such as Kerberos on a host of the inventory
        group C(audit_domain_controllers).
    type: list
    elements: str
  systems:
    description:
      - The systems whose requirements the host must meet, such as V(linux) or V(snmp).
      - Defaults to the variable C(audit_ports_systems), else to the inventory groups C(audit_linux), C(audit_snmp)
        and so on that the host is in.
    type: list
    elements: str
  sources:
    description:
      - Addresses, networks or names of the audit hosts as the target sees them. Names are resolved on the controller.
      - V(any) stands for everybody and has to be written out.
      - Defaults to the variable C(audit_ports_sources), else to C(audit_ports_source) or C(ansible_host) of every
        host in the inventory group C(audit_hosts), whatever C(--limit) says.
    type: list
    elements: str
  destination:
    description:
      - The address (or name) of the host that the audit will use. Every address of a name is judged.
      - Defaults to the variable C(audit_ports_address), else to C(ansible_host), else to the inventory name.
    type: str
  state:
    description:
      - With V(present), what is blocked is opened for the sources, and openings of ours for sources that left the
        list are withdrawn. What is open already, by whatever rule, is left alone.
      - With V(absent), exactly what this collection opened for O(requirements) is withdrawn.
    type: str
    choices: [present, absent]
    default: present
  override:
    description:
      - Put our rule ahead of a rule of the same manager that would win over it otherwise.
      - Never done against managed policy or against rules that the manager does not own.
    type: bool
    default: false
  force:
    description:
      - Withdraw an opening even though Ansible's own connection comes in by it.
    type: bool
    default: false
  enforce:
    description:
      - In check mode, fail when a requirement is not open. Outside of it a requirement that stays blocked always fails.
    type: bool
    default: false
  manager:
    description:
      - The firewall manager to change. V(auto) takes the one in charge of firewalld and ufw.
      - With V(nftables) or V(iptables), a rule with the comment C(agentless-audit) is put into the chain that decides,
        in the kernel alone. It is lost at a reboot unless you store it in the file that is loaded then.
    type: str
    choices: [auto, firewalld, ufw, nftables, iptables]
    default: auto
  persistent:
    description:
      - Require, and make, that what is open now is open after a reboot, too.
    type: bool
    default: true
  psremoting:
    description:
      - For Windows, whether the audit comes in by PowerShell remoting (V(true)), by RPC and SMB (V(false)), or by
        remoting where the host is set up for it (V(auto)).
      - Defaults to the variable C(audit_ports_psremoting), else to V(auto).
    type: str
    choices: [auto, "true", "false"]
  literal:
    description:
      - Treat every Windows host alike, as the vendor's page does, also where the listener lives on a domain controller.
      - Defaults to the variable C(audit_ports_literal), else to V(false).
    type: bool
  exclude:
    description:
      - Ids of requirements to leave out. Defaults to the variable C(audit_ports_exclude).
    type: list
    elements: str
  select:
    description:
      - A JMESPath expression over the list of requirements that gives those to keep. Needs the library C(jmespath)
        on the controller. Defaults to the variable C(audit_ports_select).
    type: str
  extra:
    description:
      - Requirements of your own, each a dictionary with at least C(id), C(system), C(protocol) and C(port).
      - Defaults to the variable C(audit_ports_extra).
    type: list
    elements: dict
  ports:
    description:
      - Other ports than the catalog's, as a dictionary of ids and ports.
      - Defaults to the variable C(audit_ports_ports).
    type: dict
"""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Shows what was or would be added and removed.
    support: full
  action:
    description: Runs as an action plugin on the controller; the host needs no Python.
    support: full
"""
