# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of one vSphere task, each on its own way from a request to a result: one's fault never stops another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._core.changes import ChangeSet
from ...module_utils._core.errors import AuditPortsError, InputError, choices
from ...module_utils._core.records import Verdict
from ...module_utils._esxi.state import Record
from .._fleet.inventory import Fleet
from .._platform.arguments import build_request
from .._platform.interface import Plan, Request
from .snapshot import Snapshot
from .store import Store
from .vsphere import VspherePlatform, orders, snapshot_of

_CONTAINERS = ("cluster", "folder")
_SHOWN_AS = "audit_ports_vsphere_name"
_OF_A_HOST = ("sources", "destination")
_FIELDS = frozenset({"name", "vsphere_name", *_OF_A_HOST})


@dataclass
class Member:
    """A host of the task. ``fault`` is why nothing can be said of it; ``told`` the module's last answer about it."""

    name: str
    vsphere_name: str
    store: Store
    request: Request | None = None
    fault: str = ""
    record: Record = field(default_factory=Record)
    told: Mapping[str, Any] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    verdicts: Sequence[Verdict] = ()
    plan: Plan = field(default_factory=lambda: Plan(ChangeSet()))
    errors: Sequence[str] = ()

    def judge(self, platform: VspherePlatform, told: Mapping[str, Any] | None, peers: Sequence[str]) -> None:
        """Take the module's answer: snapshot, verdicts, plan, or what stands in the way of them."""
        if self.request is None:
            return
        self.told = told or {"fault": f"the vSphere API shows no host of the name {self.vsphere_name!r}"}
        self.errors = tuple(str(text) for text in self.told.get("errors") or ())
        try:
            self.snapshot = snapshot_of(self.told, self.record, peers)
            self.verdicts = platform.evaluate(self.snapshot, self.request)
            self.plan = platform.plan(self.snapshot, self.verdicts, self.request)
        except AuditPortsError as error:
            self.snapshot, self.fault = None, "; ".join([*self.errors, str(error)])

    @property
    def stale(self) -> bool:
        """Whether nothing was written because the host had changed."""
        return bool(self.told.get("stale"))

    @property
    def wants_change(self) -> bool:
        """Whether something is to be written."""
        return self.snapshot is not None and self.plan.changes.changed

    def keep_record(self) -> None:
        """Keep what will be ours, before it is; what is withdrawn is forgotten afterwards alone."""
        if self.request is not None and self.request.state != "absent" and self.plan.details.record.rulesets:
            self.store.save(self.plan.details.record)


def container_of(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """The cluster or folder whose hosts are all meant. Raises InputError for more than one way to say which."""
    named = [(kind, str(options[kind])) for kind in _CONTAINERS if options[kind]]
    if len(named) > 1 or (named and options["hosts"] is not None):
        raise InputError("give hosts, cluster or folder, not several of them")
    return named[0] if named else None


def rows_of(options: Mapping[str, Any], here: str) -> list[Mapping[str, Any]]:
    """The hosts that are named: in the option, else the task's own; none for a cluster or folder."""
    if container_of(options) is not None:
        return []
    if options["hosts"] is not None and not options["hosts"]:
        raise InputError("hosts: the list is empty; leave it out for the task's own host")
    return [_row(item) for item in options["hosts"] or [here]]


def _row(item: Any) -> Mapping[str, Any]:
    if isinstance(item, str):
        return {"name": item}
    if not isinstance(item, Mapping) or not item.get("name") or set(item) - _FIELDS:
        raise InputError(f"hosts: {str(item)[:80]!r}: write a name, or a dictionary with name, of {choices(_FIELDS)}")
    return item


def inventory_names(fleet: Fleet) -> Mapping[str, str]:
    """The hosts of the inventory that vCenter shows by other names, by those."""
    shown = {host: fleet.variable(host, _SHOWN_AS) for host in fleet.hostvars}
    return {str(name): host for host, name in shown.items() if name}


def member_of(options: Mapping[str, Any], row: Mapping[str, Any], fleet: Fleet, here: str) -> Member:
    """A host of the task, which is ``here``; where its request is wrong, with that as its fault."""
    name = str(row["name"])
    shown = row.get("vsphere_name") or fleet.variable(name, _SHOWN_AS) or name
    member = Member(name, str(shown), Store.of(fleet, name, here))
    own = {key: row[key] for key in _OF_A_HOST if row.get(key) is not None}
    try:
        member.request = build_request({**options, **own}, fleet, name)
    except AuditPortsError as error:
        member.fault = str(error)
    return member


def reading(options: Mapping[str, Any], members: Sequence[Member]) -> dict[str, Any]:
    """What the module is asked to read. Of a cluster or folder everything, as nobody knows yet what its hosts need."""
    container = container_of(options)
    if container is not None:
        return {"names": None, "container": list(container), "ports": None, "keys": []}
    return {"names": [member.vsphere_name for member in members], "container": None, **_about(members)}


def writing(members: Sequence[Member]) -> dict[str, Any]:
    """What the module is asked to write."""
    hosts = [
        {
            **{key: member.told[key] for key in ("name", "state", "maintenance", "lockdown", "version", "firewall")},
            "guard": member.told["info"],
            "changes": orders(member.plan.details.changes),
        }
        for member in members
    ]
    return {"hosts": hosts, **_about(members)}


def _about(members: Sequence[Member]) -> dict[str, Any]:
    """The ports that are asked about, and where the hosts are managed; and the rulesets of which something is ours."""
    requests = [member.request for member in members if member.request is not None]
    asked = {(row.protocol.value, row.port) for request in requests for row in request.requirements if row.port}
    kept = {item.key for member in members for item in member.record.rulesets}
    return {"ports": sorted([*asked, ("tcp", 443)]), "keys": sorted(kept)}
