# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that all firewall plugins share, and how they and the inventory become a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils._core.addressset import Address
from ...module_utils._core.errors import InputError
from ...module_utils._core.fields import parse_choice
from ...module_utils._core.options import FIREWALL_OPTIONS
from ...module_utils._core.records import Requirement
from ...module_utils._core.selection import applicable, opens_by_default
from ...module_utils._core.vocabulary import PsRemoting, SourceRole
from .._fleet.inventory import Fleet
from .._fleet.needs import needed_by, selection_of
from .interface import NamedSource, Request

# What every firewall plugin takes; a plugin adds its own (``profiles`` and ``winrm`` of Windows).
ARGUMENT_SPEC = FIREWALL_OPTIONS


def build_request(options: Mapping[str, Any], fleet: Fleet, host: str) -> Request:
    """The request of one task for one host. Raises InputError for whatever the options or the inventory get wrong."""
    systems = tuple(options["systems"]) if options["systems"] is not None else fleet.systems(host)
    given = {**options, "ids": options["requirements"]}
    selection = selection_of(fleet, host, given)
    selected = needed_by(fleet, host, selection)
    way = parse_choice(PsRemoting, selection["psremoting"], "psremoting")
    if not selected:
        raise InputError(_nothing_asked(systems))
    roles = fleet.roles(host)
    answers = {row.id: applicable(row, roles) for row in selected}
    not_applicable = {name: answer.reason for name, answer in answers.items() if answer.applies is False}
    sources, sourceless = _sources(fleet, host, [row for row in selected if row.id not in not_applicable], options)
    return Request(
        host=host,
        systems=systems,
        requirements=selected,
        openable=frozenset(row.id for row in selected if opens_by_default(row, way, selection["ids"] or ())),
        sources=sources,
        destinations=_destinations(fleet, host, options["destination"]),
        state=options["state"],
        override=options["override"],
        force=options["force"],
        manager=options["manager"],
        persistent=options["persistent"],
        psremoting=way,
        not_applicable={**not_applicable, **sourceless},
        undetermined={name: answer.reason for name, answer in answers.items() if answer.applies is None},
        profiles=tuple(options.get("profiles") or ()),
        winrm=options.get("winrm", "leave"),
    )


def _sources(
    fleet: Fleet, host: str, rows: Sequence[Requirement], options: Mapping[str, Any]
) -> tuple[dict[SourceRole, tuple[NamedSource, ...]], dict[str, str]]:
    """The sources by role, and the rows that have none: without devices that send traps, nobody needs to take them."""
    sources: dict[SourceRole, tuple[NamedSource, ...]] = {}
    sourceless: dict[str, str] = {}
    for row in rows:
        if row.source_role in sources:
            continue
        try:
            sources[row.source_role] = fleet.sources(host, row.source_role, options["sources"])
        except InputError as error:
            if row.source_role is SourceRole.AUDIT_HOST or options["requirements"]:
                raise
            sourceless[row.id] = str(error)
    return sources, sourceless


def _nothing_asked(systems: tuple[str, ...]) -> str:
    if systems:
        return "no requirement is left by systems, requirements, exclude, psremoting and select together"
    return (
        "it is not said what kind of system this is: set audit_ports_systems (for example [linux]), "
        "the option systems, or put the host into a group such as audit_linux"
    )


def _destinations(fleet: Fleet, host: str, asked: str | None) -> tuple[Address, ...]:
    text = asked or fleet.address_text(host)
    return fleet.addresses(text, f"{host}: destination")
