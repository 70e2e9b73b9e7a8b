# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From result dicts of a whole fleet to its diagnoses and readiness, again as result dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .addressset import parse_address
from .diagnosis import UNJUDGED, Context, Key, Listener, diagnose, judge_fleet, make_verdict
from .errors import InputError, choices
from .fields import Fields, parse_choice, parse_date, parse_mapping, parse_rows, parse_texts
from .parsing import parse_observation, parse_requirement, parse_verdict, parse_waiver
from .records import Requirement, Verdict, to_result
from .selection import Roles, select_requirements
from .vocabulary import ListenerHome, PsRemoting, System

OPTIONS = (
    "complete",
    "listeners",
    "psremoting",
    "reasons",
    "requirements",
    "roles",
    "seen_sources",
    "systems",
    "today",
    "waivers",
)
_ROLES = (ListenerHome.DOMAIN_CONTROLLER, ListenerHome.DNS_SERVER, ListenerHome.AUDIT_HOST)


@dataclass(frozen=True)
class _Hosts:
    """What is said of the hosts, by name."""

    systems: Mapping[str, tuple[str, ...]]
    roles: Mapping[str, Roles]
    reasons: Mapping[str, str]
    psremoting: Mapping[str, PsRemoting]


def diagnose_results(verdicts: object, observations: object, options: Mapping[str, Any]) -> dict[str, Any]:
    """``{"diagnoses": [...], "hosts": [...]}`` from lists of result dicts.

    ``options`` may hold ``today`` (needed, an ISO date), ``systems``, ``reasons``, ``roles`` and ``seen_sources``
    (dicts by host), ``requirements``, ``waivers`` and ``listeners`` (lists of dicts), and ``psremoting`` (a word, or a
    dict by host). With ``complete`` the verdicts are all there are, and no row is added for the hosts' ``systems``.
    Raises InputError naming the row, the field and the choices.
    """
    Fields(options, "options").refuse_unknown(OPTIONS)
    requirements = _parse_requirements(options.get("requirements"))
    judged = [
        parse_verdict(row, f"verdicts, row {number}") for number, row in enumerate(parse_rows(verdicts, "verdicts"), 1)
    ]
    seen = [
        parse_observation(row, f"observations, row {number}")
        for number, row in enumerate(parse_rows(observations, "observations"), 1)
    ]
    named = dict.fromkeys([item.host for item in judged] + [item.host for item in seen])
    hosts = _parse_hosts(options, named)
    context = Context(
        today=parse_date(options.get("today"), "today"),
        requirements=requirements or {},
        waivers=[
            parse_waiver(row, f"waivers, row {number}")
            for number, row in enumerate(parse_rows(options.get("waivers") or [], "waivers"), 1)
        ],
        seen_sources={
            host: str(parse_address(str(text)))
            for host, text in parse_mapping(options.get("seen_sources"), "seen_sources").items()
        },
        listeners=_parse_listeners(options.get("listeners") or []),
    )
    missing = [] if options.get("complete") else _missing(judged, hosts, requirements)
    diagnoses = diagnose([*judged, *missing], seen, context)
    return {
        "diagnoses": to_result(diagnoses),
        "hosts": to_result(judge_fleet(diagnoses, context, hosts.systems, hosts.psremoting)),
    }


def _missing(judged: Sequence[Verdict], hosts: _Hosts, requirements: Mapping[str, Requirement] | None) -> list[Verdict]:
    """A verdict for each requirement of a host's systems that has none: unknown, or not applicable by its roles."""
    known = {(verdict.host, verdict.requirement) for verdict in judged}
    found = []
    for host, systems in hosts.systems.items():
        way = hosts.psremoting[host]
        if requirements is None:
            wanted = list(select_requirements(systems, psremoting=way)) if systems else []
        else:
            wanted = [row for row in requirements.values() if row.system in systems]
        found += [
            make_verdict(row, host, roles=hosts.roles.get(host, Roles()), reason=hosts.reasons.get(host, UNJUDGED))
            for row in wanted
            if (host, row.id) not in known
        ]
    return found


def _parse_requirements(value: object) -> dict[str, Requirement] | None:
    if value is None:
        return None
    rows = parse_rows(value, "requirements")
    found = [parse_requirement(row, f"requirements, row {number}") for number, row in enumerate(rows, 1)]
    return {row.id: row for row in found}


def _parse_hosts(options: Mapping[str, Any], named: Mapping[str, object]) -> _Hosts:
    systems = {
        host: tuple(parse_choice(System, word, f"systems: {host}").value for word in parse_texts(words, "systems"))
        for host, words in parse_mapping(options.get("systems"), "systems").items()
    }
    way = options.get("psremoting", PsRemoting.AUTO)
    ways = way if isinstance(way, Mapping) else dict.fromkeys([*named, *systems], way)
    return _Hosts(
        systems=systems,
        roles={
            host: _parse_roles(words, f"roles: {host}")
            for host, words in parse_mapping(options.get("roles"), "roles").items()
        },
        reasons={host: str(text) for host, text in parse_mapping(options.get("reasons"), "reasons").items()},
        psremoting={
            host: parse_choice(PsRemoting, ways.get(host, PsRemoting.AUTO), f"psremoting: {host}")
            for host in dict.fromkeys([*named, *systems])
        },
    )


def _parse_roles(value: object, where: str) -> Roles:
    """The roles of a host that is listed: those that are not in its list it has not."""
    words = parse_texts(value, where)
    for word in words:
        if word not in [role.value for role in _ROLES]:
            known = choices(role.value for role in _ROLES)
            raise InputError(f"{where}: {word!r} is not known; choose from {known}")
    return Roles(*(role.value in words for role in _ROLES))


def _parse_listeners(value: object) -> dict[Key, Listener]:
    found = {}
    for number, row in enumerate(parse_rows(value, "listeners"), 1):
        reader = Fields(row, f"listeners, row {number}")
        reader.refuse_unknown(("host", "requirement", "listening", "listener"))
        listening = reader.flag("listening")
        if listening is not None:
            found[Key(reader.text("host"), reader.text("requirement"))] = Listener(
                listening, reader.optional_text("listener")
            )
    return found
