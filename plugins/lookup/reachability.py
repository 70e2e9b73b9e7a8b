# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup that probes hosts from the controller: what the wire says of every port that the audit needs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability
author: agentless.audit_ports contributors (!UNKNOWN)
version_added: 0.1.0
short_description: Probe the ports that an agentless audit needs, from the controller
description:
  - Tries every port that the audit needs of the given hosts, from the machine that Ansible runs on, and returns what
    came back on the wire, one dictionary for each requirement and address.
  - Tells open, closed, rejected by a firewall (by which, with which ICMP code), dropped, unreachable and not probed
    apart, and lets the service behind an open port identify itself. Nothing is signed in to and nothing is changed.
  - Needs no privileges. ICMP echo takes an unprivileged socket, a raw one, or the C(ping) program, as is allowed.
notes:
  - No more than four flows are in flight to a host, and each host's SSH service is greeted once a run.
  - A time-out, and whatever the controller itself could not do, is never reported as a closed port.
  - UDP is open only by an answer. Silence is V(no_answer), which proves nothing.
  - 138/udp and 162/udp answer nobody by protocol, and are V(unverifiable_from_here).
seealso:
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
    description: The address of the controller to probe from. The system chooses when left out.
    type: str
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
    type: str
    vars:
      - name: audit_ports_snmp_community
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
          V(unreachable), V(name_error), or V(local_error) (the controller itself could not probe).
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
      description: The address of the controller that the probe was sent from, as the controller sees it.
      type: str
      sample: 192.0.2.2
"""

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils._core.addressset import parse_address
from ..module_utils._core.errors import AuditPortsError, InputError
from ..module_utils._core.records import Observation, Requirement, to_result
from ..module_utils._core.selection import applicable
from ..module_utils._core.vocabulary import System
from ..module_utils._probe.engine import Engine
from ..module_utils._probe.records import ProbeOptions
from ..module_utils._probe.secret import Secret
from ..module_utils._probe.targets import Target, plan_probes
from ..plugin_utils._fleet.inventory import Fleet
from ..plugin_utils._fleet.needs import needed_of

_PROGRESS_S = 10.0
_PING_S = 60.0
# The names that a selection has for this plugin's options.
_SELECTION = {
    "systems": "systems",
    "levels": "levels",
    "ids": "requirements",
    "exclude": "exclude",
    "psremoting": "psremoting",
    "literal": "literal",
    "extra": "extra",
    "ports": "ports",
    "select": "select",
}

display = Display()


class LookupModule(LookupBase):  # type: ignore[misc]
    """Options and inventory in, probes through the engine, result dicts out."""

    def run(self, terms: Sequence[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """The observations of all hosts in ``terms``. Raises AnsibleLookupError for what is wrong with the input."""
        self.set_options(var_options=variables, direct=kwargs)
        found = variables or {}
        fleet = Fleet(found.get("hostvars") or {}, found.get("groups") or {})
        try:
            options = self._probe_options()
            probes = plan_probes(self._targets(fleet, [str(term) for term in self._flatten(terms)]))
        except AuditPortsError as error:
            raise AnsibleLookupError(str(error)) from error
        try:
            with Engine(options, runner=run_ping) as engine:
                observed = list(_with_progress(engine.run(probes), len(probes)))
        except OSError as error:
            raise AnsibleLookupError(f"the controller has not the means to probe: {error}") from error
        observed.sort(key=lambda item: (item[0], item[1].address or ""))
        return [to_result(observation) for _index, observation in observed]

    def _targets(self, fleet: Fleet, hosts: Sequence[str]) -> Iterator[Target]:
        for host in dict.fromkeys(hosts):
            requirements = self._requirements(fleet, host)
            if not requirements:
                display.warning(
                    f"{host}: nothing is probed there: no requirement is left by its systems and the options"
                )
            yield Target(host, fleet.address_text(host), requirements)

    def _requirements(self, fleet: Fleet, host: str) -> tuple[Requirement, ...]:
        """What is needed of the host itself: by its systems, and by what it is for the network."""
        given = {name: self.get_option(option) for name, option in _SELECTION.items()}
        if host not in fleet.hostvars and given["systems"] is None:
            if given["ids"] is None:
                raise InputError(
                    f"{host} is not in the inventory, so it is not known what is needed of it:"
                    " give systems or requirements"
                )
            given["systems"] = [system.value for system in System]
        roles = fleet.roles(host)
        return tuple(row for row in needed_of(fleet, host, given) if applicable(row, roles).applies)

    def _probe_options(self) -> ProbeOptions:
        community = self.get_option("snmp_community")
        source = self.get_option("source_address")
        options = ProbeOptions(
            timeout_s=self._number("timeout", least=0.01),
            retries=int(self._number("retries", least=0)),
            rate_per_s=self._number("rate", least=0.1),
            concurrency=int(self._number("concurrency", least=1)),
            source_address=None if source is None else str(parse_address(source)),
            service_check=self.get_option("service_check"),
            snmp_community=Secret(str(community)) if community else None,
        )
        if self.get_option("deadline") is not None:
            options = replace(options, deadline_s=self._number("deadline", least=0.01))
        return options

    def _number(self, name: str, *, least: float) -> float:
        value = self.get_option(name)
        if value < least:
            raise InputError(f"{name}: {value} is too small; {least:g} is the least")
        return float(value)


def _with_progress(observed: Iterator[tuple[int, Observation]], total: int) -> Iterator[tuple[int, Observation]]:
    """Pass everything on, and say every ten seconds how far it is: a worker process has no terminal for a bar."""
    begun = time.monotonic()
    told = begun
    done: set[int] = set()
    for index, observation in observed:
        yield index, observation
        done.add(index)
        now = time.monotonic()
        if now - told >= _PROGRESS_S:
            told = now
            rate = len(done) / (now - begun)
            left_s = (total - len(done)) / rate
            display.display(
                f"reachability: {len(done)} of {total} probes done, {rate:.0f} a second, about {left_s:.0f} s left"
            )


def run_ping(command: list[str]) -> tuple[int, str]:
    """Run the ``ping`` program. Raises OSError if there is none."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_PING_S, check=False)
    except subprocess.TimeoutExpired as error:
        return 2, f"no end after {error.timeout:g} s"
    return ended.returncode, (ended.stdout + ended.stderr).decode("utf-8", "replace")
