# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lookup and the module C(reachability) share in their documentation: how to choose and how to probe."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of a run of probes; held together with PROBING_SPEC by a test."""

    DOCUMENTATION = r"""
options:
  systems:
    description:
      - The systems whose requirements are probed, such as V(linux) or V(snmp).
      - Defaults to each host's variable C(audit_ports_systems), else to the inventory groups C(audit_linux),
        C(audit_snmp) and so on that it is in.
      - Needed for what is not in the inventory, unless O(requirements) is given.
      - Without it, members of C(audit_domain_controllers), C(audit_dns_servers) and C(audit_hosts) are also probed
        for what the audit needs of such hosts.
    type: list
    elements: str
  requirements:
    description: Only these requirements, by their ids. Defaults to each host's variable C(audit_ports_requirements).
    type: list
    elements: str
    aliases: [ids]
  levels:
    description: Only requirements of these levels - V(required), V(recommended), V(attention).
    type: list
    elements: str
  exclude:
    description: Requirements to leave out, by their ids. Defaults to each host's variable C(audit_ports_exclude).
    type: list
    elements: str
  select:
    description:
      - A JMESPath expression over the list of requirements. It gives those that stay, or their ids.
      - Needs the Python library C(jmespath) on the controller.
      - Defaults to each host's variable C(audit_ports_select).
    type: str
  psremoting:
    description:
      - The way into Windows. V(true) leaves out what is needed only without PowerShell remoting, V(false) leaves out
        PowerShell remoting itself, V(auto) probes both ways.
      - Defaults to each host's variable C(audit_ports_psremoting), else to V(auto).
    type: str
  literal:
    description:
      - Treat every Windows host alike, as the vendor's page does. Otherwise Kerberos and LDAP are probed on domain
        controllers only.
      - Defaults to each host's variable C(audit_ports_literal), else to V(false).
    type: bool
  extra:
    description:
      - Requirements of your own, each a dictionary with at least C(id), C(system), C(protocol) and C(port).
      - Defaults to each host's variable C(audit_ports_extra).
    type: list
    elements: dict
  ports:
    description:
      - Other ports than the catalog's, as a dictionary of ids and ports.
      - Defaults to each host's variable C(audit_ports_ports).
    type: dict
  timeout:
    description:
      - The longest wait for the answer to one try, in seconds. It is shortened to what the measured round trips to
        the same subnet allow, never below 0.2 seconds.
      - A service gets five seconds to identify itself once its port has accepted the connection.
    type: float
    default: 2
  retries:
    description: Fresh tries after the first that met silence. They tell a lossy path from a filter.
    type: int
    default: 2
  rate:
    description: New flows a second, over all hosts. Every stateful firewall on the way keeps an entry for each.
    type: float
    default: 1000
  per_host:
    description: Flows in flight to one address at once. The SSH service of a host is greeted once a run whatever it is.
    type: int
    default: 4
  concurrency:
    description: Probes in flight at once. Lowered to what the limit of open files allows.
    type: int
    default: 4000
  deadline:
    description:
      - Seconds after which the run ends, whatever is left. What was not probed by then is V(local_error).
      - Without it the run ends when every probe has had its tries.
    type: float
  source_address:
    description: The address of the probing machine to probe from. The system chooses when left out.
    type: str
  confirm:
    description:
      - Try TCP ports that stay silent once more, and wait 3.2 seconds for that, before they are called filtered.
      - For paths that lose many packets. A run then takes that much longer where anything is filtered.
    type: bool
    default: false
  service_check:
    description:
      - Let the service behind an open TCP port identify itself. With V(false) a connection is made and closed.
      - Over UDP a request of the service is always sent, since only its answer tells that the port is open.
    type: bool
    default: true
  snmp_community:
    description:
      - The community to ask SNMP agents of versions 1 and 2c with. It is never shown.
      - Without it, agents are asked by the discovery of version 3, which needs no secret; those that speak only the
        older versions do not answer that.
      - Defaults to the variable C(audit_ports_snmp_community).
    type: str
  printer_pjl:
    description:
      - Ask raw printing ports (9100) who they are by a PJL request. A printer that does not speak PJL prints it.
      - Otherwise such a port gets a connection and not one byte, and IPP or SNMP has to prove the printer.
    type: bool
    default: false
"""
