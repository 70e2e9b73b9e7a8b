# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script for an ESXi shell: what is added to the lists of rulesets that are on, as esxcli takes it.

Nobody has read the host, so nothing is switched and nothing narrowed: where a ruleset admits everyone, esxcli refuses
to add to its list, and all is open already; where it is off, only the host's own administrator may switch it on.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.errors import InputError
from ...module_utils._esxi.openings import Want, open_for
from ...module_utils._esxi.rulesets import HostFirewall, PortRule, Ruleset
from ...module_utils._esxi.state import Record
from .._esxi.write import command_lines
from .._platform.interface import Request
from .wanted import doors

# The rulesets that every ESXi since 6.0 ships with for the ports of the catalog.
_SHIPPED = {"webAccess": (80,), "vSphereClient": (443, 902)}


def esxcli_script(request: Request) -> str:
    """Additions to the lists. Raises InputError for ports that no shipped ruleset is about, and for everyone."""
    shipped = tuple(_ruleset(key, ports) for key, ports in _SHIPPED.items())
    found = open_for(HostFirewall(shipped, incoming_blocked=True), Record(), list(_wants(request)), AddressSet(), ())
    if found.advice:
        raise InputError("; ".join(f"{name}: {why}" for name, why in found.advice.items()))
    heading = [
        f"Lets an agentless audit in: {', '.join(row.id for row in request.requirements)}.",
        "To be run in the shell of the host. Where a ruleset is for everyone already, esxcli refuses the line: that is",
        "fine. One that is off stays off: esxcli network firewall ruleset list tells.",
    ]
    lines = [line for change in found.changes for line in command_lines(change)]
    return "\n".join(["#!/bin/sh", *(f"# {line}" for line in heading), *lines, ""])


def _ruleset(key: str, ports: tuple[int, ...]) -> Ruleset:
    rules = tuple(PortRule(inbound=True, destination=True, protocol="tcp", first=port, last=port) for port in ports)
    return Ruleset(key, enabled=True, allows_all=False, rules=rules)


def _wants(request: Request) -> Iterator[Want]:
    needed: dict[tuple[str, str, int | None], AddressSet] = {}
    for door in doors(request):
        if door.source == "any":
            raise InputError("sources: any cannot be added to a list of ESXi; name addresses or networks")
        key = (door.requirement, door.protocol, door.port)
        needed[key] = needed.get(key, AddressSet()) | AddressSet.parse(door.source)
    for (name, wire, port), addresses in needed.items():
        if port is None:
            raise InputError(f"{name}: no ruleset of ESXi is about it")
        yield Want(name, wire, port, addresses)
