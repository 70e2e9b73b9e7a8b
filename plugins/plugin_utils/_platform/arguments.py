# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that all firewall plugins share, and how they and the inventory become a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._core.addressset import Address
from ...module_utils._core.errors import InputError
from ...module_utils._core.fields import parse_choice
from ...module_utils._core.records import Requirement
from ...module_utils._core.selection import applicable, opens_by_default
from ...module_utils._core.vocabulary import PsRemoting, SourceRole
from .._fleet.inventory import Fleet
from .._fleet.needs import needed_of, selection_of
from .interface import NamedSource, Request

# Documented in doc_fragments/firewall.py; the two are held together by a test.
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "requirements": {"type": "list", "elements": "str"},
    "systems": {"type": "list", "elements": "str"},
    "sources": {"type": "list", "elements": "str"},
    "destination": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "override": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "enforce": {"type": "bool", "default": False},
    "manager": {"type": "str", "choices": ["auto", "firewalld", "ufw"], "default": "auto"},
    "persistent": {"type": "bool", "default": True},
    "psremoting": {"type": "str", "choices": ["auto", "true", "false"]},
    "literal": {"type": "bool"},
    "exclude": {"type": "list", "elements": "str"},
    "select": {"type": "str"},
    "extra": {"type": "list", "elements": "dict"},
    "ports": {"type": "dict"},
}


def build_request(options: Mapping[str, Any], fleet: Fleet, host: str) -> Request:
    """The request of one task for one host. Raises InputError for whatever the options or the inventory get wrong."""
    systems = tuple(options["systems"]) if options["systems"] is not None else fleet.systems(host)
    given = {**options, "ids": options["requirements"]}
    selected = needed_of(fleet, host, given)
    if not selected:
        raise InputError(_nothing_asked(systems))
    roles = fleet.roles(host)
    answers = {row.id: applicable(row, roles) for row in selected}
    not_applicable = {name: answer.reason for name, answer in answers.items() if answer.applies is False}
    sources: dict[SourceRole, tuple[NamedSource, ...]] = {}
    for row in selected:
        if row.id in not_applicable or row.source_role in sources:
            continue
        try:
            sources[row.source_role] = fleet.sources(host, row.source_role, options["sources"])
        except InputError as error:
            if row.source_role is SourceRole.AUDIT_HOST or options["requirements"]:
                raise
            not_applicable[row.id] = str(error)  # a fleet without devices that send traps needs nobody to take them
    return Request(
        host=host,
        systems=systems,
        requirements=selected,
        openable=_openable(selected, selection_of(fleet, host, given)),
        sources=sources,
        destinations=_destinations(fleet, host, options["destination"]),
        state=options["state"],
        override=options["override"],
        force=options["force"],
        manager=options["manager"],
        persistent=options["persistent"],
        not_applicable=not_applicable,
        undetermined={name: answer.reason for name, answer in answers.items() if answer.applies is None},
    )


def _nothing_asked(systems: tuple[str, ...]) -> str:
    if systems:
        return "no requirement is left by systems, requirements, exclude, psremoting and select together"
    return (
        "it is not said what kind of system this is: set audit_ports_systems (for example [linux]), "
        "the option systems, or put the host into a group such as audit_linux"
    )


def _openable(selected: tuple[Requirement, ...], selection: Mapping[str, Any]) -> frozenset[str]:
    way = parse_choice(PsRemoting, selection["psremoting"], "psremoting")
    return frozenset(row.id for row in selected if opens_by_default(row, way, selection["ids"] or ()))


def _destinations(fleet: Fleet, host: str, asked: str | None) -> tuple[Address, ...]:
    text = asked or fleet.address_text(host)
    return fleet.addresses(text, f"{host}: destination")
