#!/usr/bin/python
# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs plain probes where the audit starts; the action plugin of the same name makes them on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reachability
short_description: Probe the ports that an agentless audit needs, from the host that the task runs on
version_added: 0.1.0
author: agentless.audit_ports contributors (@agentless)
description:
  - Tries every port that the audit needs of the given hosts, from the audit host, and returns what came back on the
    wire, one dictionary for each requirement and address.
  - Tells open, closed, rejected by a firewall (by which, with which ICMP code), dropped, unreachable and not probed
    apart, and lets the service behind an open port identify itself. Nothing is signed in to and nothing is changed.
  - The action plugin resolves requirements, inventory and JMESPath on the controller. The audit host gets plain probes
    and needs Python 3.8 or later, nothing else, and no privileges.
  - A Windows audit host needs PowerShell 5.1 or later instead, and runs a script of it over the task's own connection
    (winrm, psrp or ssh). Windows does not tell a reset from a rejection, nor who rejected. Where O(timeout) is left at
    its default, a connect is waited for 3 s there, since Windows repeats the SYN after a reset.
notes:
  - A closed port is a result. The task fails only where the options are wrong or the audit host cannot probe.
  - While it runs, a line every ten seconds tells how many probes are done, at which rate, and how long the others will
    take. The module tells that by the name of its process, which is read over the task's own kind of connection (ssh,
    local, podman, docker) and leaves nothing behind. Where it can't be read, the line tells how long it has been.
  - A run in check mode probes like any other, and writes no O(dest).
  - An audit host without Python is a vantage for the lookup.
extends_documentation_fragment:
  - agentless.audit_ports.probing
attributes:
  check_mode:
    description: Can run in check mode and return what it would return otherwise.
    support: full
  diff_mode:
    description: Returns what has changed, or would change, in diff mode.
    support: none
options:
  hosts:
    description:
      - Inventory host names, addresses or resolvable names.
      - Of an inventory host the address is the variable C(audit_ports_address), else C(ansible_host), else its name.
        All addresses of a name are probed, as the audit host resolves it.
      - Defaults to the hosts of the inventory group C(audit_targets), on a host of C(audit_hosts) those of its
        C(audit_ports_site).
    type: list
    elements: str
  dest:
    description:
      - A file on the host that the task runs on. It takes the observations as they are made, one JSON object a line,
        each with the C(index) of its probe, and is readable by its owner alone.
      - What it holds when a run is cut off is good. On a Windows host it is written when the run is over, with the
        permissions of its folder.
    type: path
  vantage:
    description: The name of the probing host in the results. Defaults to its inventory name, or V(controller).
    type: str
  probes:
    description: The plain probes, made by the action plugin of all other options. Not for use in a task.
    type: list
    elements: list
  mark:
    description: Made by the action plugin, which reads by it how far the module is. Not for use in a task.
    type: str
seealso:
  - plugin: agentless.audit_ports.reachability
    plugin_type: lookup
  - plugin: agentless.audit_ports.diagnose
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Probe every audited host from the audit host
  agentless.audit_ports.reachability:
  delegate_to: audit1
  run_once: true
  register: seen

- name: Show what is not open
  ansible.builtin.debug:
    msg: "{{ seen.observations | rejectattr('status', 'equalto', 'open') }}"

- name: Probe SSH of a large site gently, and keep what is seen on the audit host
  agentless.audit_ports.reachability:
    hosts: "{{ groups['site_a'] }}"
    requirements: [linux.ssh]
    rate: 200
    deadline: 900
    dest: /var/tmp/site_a.jsonl
  delegate_to: audit1
  run_once: true
"""

RETURN = r"""
observations:
  description:
    - The observations, hosts in the order given, requirements in the order of the catalog; of a name with several
      addresses one for each.
  returned: success
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
        - V(open), V(closed), V(rejected), V(filtered), V(no_answer), V(unverifiable_from_here), V(unreachable),
          V(name_error), or V(local_error) (the probing host itself could not probe).
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
      sample: audit1
    source_address:
      description: The address that the probe was sent from, as the probing host sees it.
      type: str
      sample: 192.0.2.2
counts:
  description: How many observations there are of each status.
  returned: success
  type: dict
  sample: {"open": 40, "filtered": 2}
"""

import sys
from contextlib import ExitStack

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import AuditPortsError
from ..module_utils._probe.arguments import ARGUMENT_SPEC, make_options
from ..module_utils._probe.engine import Engine
from ..module_utils._probe.telling import tell_while
from ..module_utils._probe.wire import JsonLines, count_statuses, in_input_order, unpack_probe

OLDEST = (3, 8)


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    if sys.version_info < OLDEST:
        module.fail_json(msg=f"Python {sys.version.split()[0]} runs here; at least 3.8 is needed to probe")
    if module.params["probes"] is None:
        module.fail_json(msg="there are no probes: the action plugin of the same name makes them of the other options")
    dest = None if module.check_mode else module.params["dest"]
    observed = []

    def run_ping(command: list[str]) -> tuple[int, str]:
        code, out, errors = module.run_command(command, handle_exceptions=False)
        return code, out + errors

    try:
        options = make_options(module.params, module.params["vantage"])
        probes = [unpack_probe(values) for values in module.params["probes"]]
        with ExitStack() as stack:
            lines = stack.enter_context(JsonLines(dest)) if dest else None
            engine = stack.enter_context(Engine(options, runner=run_ping))
            found = engine.run(probes)
            for index, observation in tell_while(module.params["mark"], found) if module.params["mark"] else found:
                if lines is not None:
                    lines.write(index, observation)
                observed.append((index, observation))
    except AuditPortsError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"this host cannot probe, or cannot write what it saw: {error}")
    rows = in_input_order(observed)
    module.exit_json(changed=dest is not None, observations=rows, counts=count_statuses(rows))


if __name__ == "__main__":
    main()
