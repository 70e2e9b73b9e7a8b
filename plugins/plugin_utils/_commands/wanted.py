# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be opened on a host that nobody has read: the request of a plan that has no snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.errors import InputError
from ...module_utils._core.fields import parse_choice
from ...module_utils._core.records import Requirement
from ...module_utils._core.selection import opens_by_default, select_requirements
from ...module_utils._core.vocabulary import ListenerHome, Protocol, PsRemoting, SourceRole
from .._fleet.inventory import Fleet
from .._fleet.needs import selection_of
from .._platform.interface import NamedSource, Request

_NOBODY = "a host that is not in the inventory"
_ANY_ADDRESS = {4: ip_address("0.0.0.0"), 6: ip_address("::")}


@dataclass(frozen=True)
class Door:
    """One port (``None`` for the echo request) of one requirement, for one source of one family, as managers take it.

    ``source`` is an address or a network, or ``any``.
    """

    requirement: str
    protocol: str
    port: int | None
    source: str
    version: int


def make_request(platform: str, given: Mapping[str, Any], fleet: Fleet) -> Request:
    """What is asked for, of a host of this platform. ``given`` holds the options of the lookup.

    Without ``systems`` and without ``host`` it is what the platform's own system needs. Rows whose listener lives
    elsewhere (Kerberos, traps) have to be named. Raises InputError.
    """
    host = given["host"] or _NOBODY
    systems = given["systems"] or (list(fleet.systems(host)) if given["host"] else [platform])
    selection = selection_of(fleet, host, {**given, "systems": systems, "ids": given["requirements"]})
    named = selection["ids"] or ()
    way = parse_choice(PsRemoting, selection["psremoting"], "psremoting")
    rows = tuple(
        row
        for row in select_requirements(**selection)
        if opens_by_default(row, way, named) and (row.listener_home is ListenerHome.TARGET or row.id in named)
    )
    if not rows:
        raise InputError("nothing is left to open by systems, requirements, exclude, psremoting and select together")
    sources = {role: _sources(fleet, host, role, given) for role in {row.source_role for row in rows}}
    families = {version for group in sources.values() for source in group for version in _versions(source.addresses)}
    return Request(
        host=host,
        systems=tuple(systems),
        requirements=rows,
        openable=frozenset(row.id for row in rows),
        sources=sources,
        destinations=tuple(_ANY_ADDRESS[version] for version in sorted(families)),
        override=given["override"],
        psremoting=way,
        profiles=tuple(given["profiles"]),
    )


def _sources(fleet: Fleet, host: str, role: SourceRole, given: Mapping[str, Any]) -> tuple[NamedSource, ...]:
    """Who is to be let in; what the lookup is given names the devices, too."""
    if given["sources"] is None:
        return fleet.sources(host, role, None)
    return fleet.sources(host, SourceRole.AUDIT_HOST, given["sources"])


def _versions(addresses: AddressSet) -> Iterator[int]:
    return (version for version in (4, 6) if addresses.family(version))


def doors(request: Request) -> Iterator[Door]:
    """What a manager that knows ports and the echo request alone has to open. Raises InputError for what is neither."""
    for row in request.requirements:
        if row.protocol not in (Protocol.TCP, Protocol.UDP, Protocol.ICMP):
            raise InputError(f"{row.id} is no port that a rule of this platform could name")
        for source in request.sources[row.source_role]:
            yield from _doors(row, source)


def _doors(row: Requirement, source: NamedSource) -> Iterator[Door]:
    versions = (4,) if row.protocol is Protocol.ICMP else (4, 6)
    for version in versions:
        addresses = source.addresses.family(version)
        texts = ["any"] if addresses == AddressSet.any(version) else addresses.texts()
        for text in texts if addresses else ():
            yield Door(row.id, row.protocol.value, row.port, text, version)
