# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup that probes hosts from the controller: what the wire says of every port that the audit needs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability
author: agentless.audit_ports contributors (!UNKNOWN)
version_added: 0.1.0
short_description: Probe the ports that an agentless audit needs, from the controller or an audit host
description:
  - Tries every port that the audit needs of the given hosts, from the machine that Ansible runs on or from an audit
    host (O(vantage)), and returns what came back on the wire, one dictionary for each requirement and address.
  - Tells open, closed, rejected by a firewall (by which, with which ICMP code), dropped, unreachable and not probed
    apart, and lets the service behind an open port identify itself. Nothing is signed in to and nothing is changed.
  - Needs no privileges. ICMP echo takes an unprivileged socket, a raw one, or the C(ping) program, as is allowed.
extends_documentation_fragment:
  - agentless.audit_ports.probing
notes:
  - Says every ten seconds how many probes are done, at which rate, and how long the others will take.
  - No more than four flows are in flight to a host, and each host's SSH service is greeted once a run.
  - A time-out, and whatever the controller itself could not do, is never reported as a closed port.
  - UDP is open only by an answer. Silence is V(no_answer), which proves nothing.
  - 138/udp and 162/udp answer nobody by protocol, and are V(unverifiable_from_here).
seealso:
  - module: agentless.audit_ports.reachability
  - plugin: agentless.audit_ports.requirements
    plugin_type: lookup
  - plugin: agentless.audit_ports.diagnose
    plugin_type: filter
options:
  _terms:
    description:
      - Inventory host names, addresses or resolvable names, as words or lists of words.
      - Of an inventory host the address is the variable C(audit_ports_address), else C(ansible_host), else its name.
        All addresses of a name are probed.
    type: list
    elements: str
    required: true
  vantage:
    description:
      - Where to probe from. V(controller) is the machine that Ansible runs on. Otherwise a host of the inventory that
        is reached over SSH, WinRM or PowerShell remoting, by the same variables, settings and files that Ansible's own
        connection takes (address, port, user, password, key, agent, C(ProxyJump), known hosts, transport, certificate
        validation). SSH needs the Python library C(paramiko) on the controller, unless the host is a Windows one.
      - Where that host has Python 3.8 or later (C(python3), or its C(ansible_python_interpreter)), the engine runs in
        it from memory and sees all that it would see on the controller. Nothing is installed or written there.
      - Otherwise its SSH server makes the connections (C(direct-tcpip)). Those carry TCP alone, services prove
        themselves as ever, UDP and ICMP are V(unverifiable_from_here). A reset can't be told from a rejection there,
        nor the address that probes are sent from. O(retries) then lengthens the wait instead.
      - A Windows host (connection V(winrm) or V(psrp), or V(ssh) with a shell of Windows) probes by its own PowerShell,
        over Ansible's own connection plugin, which needs C(pywinrm) or C(pypsrp) on the controller. Windows does not
        tell a reset from a rejection, nor who rejected. Where O(timeout) is left at its default, a connect is waited
        for 3 s there, since Windows repeats the SYN after a reset. Constrained Language Mode is an error.
      - An unknown host key is an error unless C(host_key_checking) is off; a key that has changed is one in any case.
    type: str
    default: controller
    vars:
      - name: audit_ports_vantage
  dest:
    description:
      - A file on the controller. It takes the observations as they are made, one JSON object a line, each with the
        C(index) of its probe, and is readable by its owner alone. What it holds when a run is cut off is good.
    type: path
"""

EXAMPLES = r"""
- name: Show what the wire says of every audited host
  ansible.builtin.debug:
    msg: "{{ query('agentless.audit_ports.reachability', *groups['audit_targets']) }}"

- name: Probe SSH of two addresses that are not in the inventory
  ansible.builtin.debug:
    msg: "{{ query('agentless.audit_ports.reachability', '192.0.2.10', '2001:db8::10', requirements=['linux.ssh']) }}"

- name: Gently, and for a minute at most
  ansible.builtin.set_fact:
    observations: >-
      {{ query('agentless.audit_ports.reachability', groups['audit_targets'], rate=50, retries=1, deadline=60) }}

- name: Probe from where the audit starts
  ansible.builtin.debug:
    msg: "{{ query('agentless.audit_ports.reachability', groups['audit_targets'], vantage='audit1') }}"

- name: Show what is not open
  ansible.builtin.debug:
    msg: >-
      {{ query('agentless.audit_ports.reachability', groups['audit_targets'])
         | rejectattr('status', 'equalto', 'open') }}
"""

RETURN = r"""
_raw:
  description:
    - The observations, hosts in the order given, requirements in the order of the catalog; of a name with several
      addresses one for each.
  type: list
  elements: dict
  contains:
    requirement:
      description: The id of the requirement.
      type: str
      sample: linux.ssh
    host:
      description: The host as it was given.
      type: str
      sample: web1
    address:
      description: The address that was probed, null where there was none to probe.
      type: str
      sample: 192.0.2.10
    protocol:
      description: V(tcp), V(udp), V(icmp), V(service) or V(rpc).
      type: str
      sample: tcp
    port:
      description: The port, null where the protocol has none.
      type: int
      sample: 22
    status:
      description:
        - V(open), V(closed) (a TCP reset, or for UDP the host's own ICMP port unreachable), V(rejected) (a firewall's
          ICMP answer), V(filtered) (silence on TCP or echo), V(no_answer) (silence on UDP), V(unverifiable_from_here),
          V(unreachable), V(name_error), or V(local_error) (the vantage itself could not probe).
      type: str
      sample: open
    service:
      description: V(confirmed), V(unexpected), V(silent) or V(not_checked).
      type: str
      sample: confirmed
    evidence:
      description: What was seen, in words.
      type: str
      sample: SSH 2.0, OpenSSH 9.2p1 Debian-2+deb12u3
    rtt_ms:
      description: The round trip in milliseconds, null where it is not known.
      type: float
      sample: 0.42
    attempts:
      description: How often was tried.
      type: int
      sample: 1
    vantage:
      description: Where the probe started.
      type: str
      sample: controller
    source_address:
      description: The address that the probe was sent from, as the vantage sees it; null where it can't be told.
      type: str
      sample: 192.0.2.2
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils._core.errors import AuditPortsError
from ..module_utils._probe.arguments import PROBING_SPEC
from ..module_utils._probe.wire import JsonLines, in_input_order
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._vantage.interface import Vantage
from ..plugin_utils._vantage.options import Plan, make_plan
from ..plugin_utils._vantage.progress import Progress
from ..plugin_utils._vantage.settings import find_vantage

display = Display()


class LookupModule(LookupBase):  # type: ignore[misc]
    """Options and inventory in, probes through a vantage, result dicts out."""

    def run(self, terms: Sequence[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """The observations of all hosts in ``terms``. Raises AnsibleLookupError for what is wrong with the input."""
        self.set_options(var_options=variables, direct=kwargs)
        found = variables or {}
        fleet = Fleet.of_task(found, self._templar)
        given = {name: self.get_option(name) for name in PROBING_SPEC}
        if given["snmp_community"] is None:
            given["snmp_community"] = self._templated(found.get("audit_ports_snmp_community"))
        name = str(self._templated(self.get_option("vantage")))
        try:
            plan = make_plan(given, fleet, [str(term) for term in self._flatten(terms)], name)
            return _observe(plan, find_vantage(name, fleet.hostvars, display.warning), self.get_option("dest"))
        except AuditPortsError as error:
            raise AnsibleLookupError(str(error)) from error
        except OSError as error:
            raise AnsibleLookupError(f"dest cannot be written: {error}") from error

    def _templated(self, value: Any) -> Any:
        """A variable's value, which a lookup gets as it was written."""
        return value if self._templar is None else self._templar.template(value)


def _observe(plan: Plan, vantage: Vantage, dest: str | None) -> list[dict[str, Any]]:
    """Probe, with progress, and with every observation written as it is made where there is a ``dest``."""
    for host in plan.idle:
        display.warning(f"{host}: nothing is probed there: no requirement is left by its systems and the options")
    observed = []
    with ExitStack() as stack:
        lines = stack.enter_context(JsonLines(dest)) if dest else None
        progress = stack.enter_context(
            Progress(display.display, len(plan.probes), plan.options.vantage, plan.options.rate_per_s)
        )
        for index, observation in progress.watch(vantage.observe(plan.probes, plan.options)):
            if lines is not None:
                lines.write(index, observation)
            observed.append((index, observation))
    return in_input_order(observed)
