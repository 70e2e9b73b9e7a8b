# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vSphere API's side of judging and opening on the controller: whom to sign in to, what to ask the module for, and
its answers as snapshots.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.errors import InputError, ReadError
from ...module_utils._core.records import Verdict
from ...module_utils._esxi.info import parse_info
from ...module_utils._esxi.openings import RulesetChange
from ...module_utils._esxi.rulesets import Ruleset
from ...module_utils._esxi.state import Record
from .._fleet.inventory import Fleet
from .._platform.interface import Plan, Request
from .evaluate import evaluate
from .plan import plan
from .platform import firewall_facts
from .snapshot import Snapshot

_API_PORT = 443
# Option: the host's variable, the environment's, and what else.
_LOGIN: Mapping[str, tuple[str, str, Any]] = {
    "username": ("audit_ports_vsphere_username", "VMWARE_USER", None),
    "password": ("audit_ports_vsphere_password", "VMWARE_PASSWORD", None),
    "port": ("audit_ports_vsphere_port", "VMWARE_PORT", _API_PORT),
    "validate_certs": ("audit_ports_vsphere_validate_certs", "VMWARE_VALIDATE_CERTS", True),
}


class VspherePlatform:
    """An ESXi host by the vSphere API; it is read and written by the module, many at once."""

    name = "vsphere"

    def evaluate(self, snapshot: Snapshot, request: Request) -> tuple[Verdict, ...]:
        """See ``evaluate``."""
        return evaluate(snapshot, request)

    def plan(self, snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> Plan:
        """See ``plan``."""
        return plan(snapshot, verdicts, request, _API_PORT)

    def firewall(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """See ``firewall_facts``."""
        return firewall_facts(snapshot)


def login_of(options: Mapping[str, Any], fleet: Fleet, hosts: Sequence[str]) -> dict[str, Any]:
    """Where and as whom to sign in, by the options, the variables of the first of ``hosts`` that has them, and the
    environment, in this order.

    Raises InputError that names what is missing.
    """
    found = {"timeout": options["timeout"]}
    own = str(fleet.variable(hosts[0], "ansible_host") or hosts[0])  # the way by which it is managed, not audited
    wanted = {"hostname": ("audit_ports_vcenter", "VMWARE_HOST", own), **_LOGIN}
    for name, (variable, environment, default) in wanted.items():
        said = [fleet.variable(host, variable) for host in hosts]
        given = [options[name], *said, os.environ.get(environment), default]
        found[name] = next((value for value in given if value is not None), None)
        if found[name] is None:
            raise InputError(f"{hosts[0]}: no {name} for the vSphere API: give it, or set {variable} or {environment}")
    return found


def snapshot_of(told: Mapping[str, Any], record: Record, peers: Iterable[str]) -> Snapshot:
    """The snapshot of one host. Raises ReadError with what stands in the way of reading it."""
    if told.get("info") is None:
        raise ReadError(f"{told.get('fault') or 'nothing came back of this host'}{_lockdown(told)}")
    return Snapshot(
        firewall=parse_info(told["info"], str(told.get("version", ""))),
        peers=AddressSet.parse(list(peers)),
        record=record,
    )


def _lockdown(told: Mapping[str, Any]) -> str:
    locked = str(told.get("lockdown", "")) not in ("", "lockdownDisabled")
    return f" (the host is in {told['lockdown']}: only its vCenter and exception users get in)" if locked else ""


def orders(changes: Sequence[RulesetChange]) -> list[dict[str, Any]]:
    """The changes as the module takes them: what to switch, and the whole list where it differs."""
    return [
        {
            "key": change.before.key,
            "enabled": None if change.after.enabled == change.before.enabled else change.after.enabled,
            "allowed": None if _listed(change.after) == _listed(change.before) else _ip_list(change.after),
        }
        for change in changes
    ]


def _listed(item: Ruleset) -> tuple[Any, ...]:
    return (item.allows_all, item.allowed)


def _ip_list(item: Ruleset) -> dict[str, Any]:
    """A list in the API's two parts; entries that the host had keep their own form."""
    return {
        "all": bool(item.allows_all),
        "addresses": [text for text in item.allowed if "/" not in text],
        "networks": [_network(text) for text in item.allowed if "/" in text],
    }


def _network(text: str) -> list[Any]:
    """An entry's own address, which may have host bits, and the length of its prefix."""
    return [text.partition("/")[0], ip_network(text, strict=False).prefixlen]
