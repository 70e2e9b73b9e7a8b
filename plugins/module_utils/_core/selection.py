# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requirements are meant: of which systems, by which way into Windows, changed and added to by the user; and
which of them are judged on which host, given where their listener lives."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable

from .catalog import CATALOG, OPENED_ONLY_WHEN_NAMED, REMOTING_ID
from .errors import InputError, choices
from .fields import parse_choice, parse_mapping, parse_port, parse_rows, parse_texts
from .parsing import parse_requirement
from .records import Requirement, to_result
from .vocabulary import Condition, Level, ListenerHome, PsRemoting, System

Select = Callable[["list[dict[str, Any]]"], Any]


@dataclass(frozen=True)
class Roles:
    """What a host is for the network: true, false, or ``None`` where nobody said."""

    is_domain_controller: bool | None = None
    is_dns_server: bool | None = None
    is_audit_host: bool | None = None


@dataclass(frozen=True)
class Applicability:
    """Whether a requirement is judged on a host (``None``: not known), and why."""

    applies: bool | None
    reason: str


def select_requirements(
    systems: Iterable[str] | None = None,
    *,
    ids: Iterable[str] | None = None,
    levels: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    psremoting: str | bool | PsRemoting = PsRemoting.AUTO,
    literal: bool = False,
    extra: Sequence[Mapping[str, Any]] = (),
    ports: Mapping[str, Any] | None = None,
    select: Select | None = None,
) -> tuple[Requirement, ...]:
    """The requirements of these systems, in the catalog's order, the user's own (``extra``) behind them.

    ``systems``, ``ids`` and ``levels`` each narrow the selection; ``None`` leaves it. ``exclude`` switches ids off.
    ``psremoting`` true drops what is needed only without PowerShell remoting, false drops remoting itself, and auto
    keeps both ways; an id in ``ids`` is kept either way. ``literal`` treats every Windows host alike, domain controller
    or not. ``ports`` maps ids to other ports. ``select`` gets the selection as result dicts, and returns those that
    stay (dicts with their ``id``, or ids). Raises InputError naming the field and the choices.
    """
    rows = {row.id: row for row in CATALOG + _parse_extra(extra)}
    wanted = _words(systems, [system.value for system in System], "systems")
    named = _words(ids, rows, "requirements")
    graded = _words(levels, [level.value for level in Level], "levels")
    off = _known(parse_texts(exclude, "exclude"), rows, "exclude")
    way = parse_choice(PsRemoting, psremoting, "psremoting")
    _change_ports(rows, parse_mapping(ports, "ports"))
    found = tuple(
        _to_the_letter(row) if literal else row
        for row in rows.values()
        if row.id not in off
        and (wanted is None or row.system in wanted)
        and (graded is None or row.level.value in graded)
        and (row.id in named if named is not None else _on_way(row, way))
    )
    return found if select is None else _apply_select(found, select)


def opens_by_default(requirement: Requirement, psremoting: PsRemoting, named: Collection[str] = ()) -> bool:
    """Whether opening may touch the requirement; what it may not touch is only judged.

    RPC and SMB are opened only where PowerShell remoting is switched off; what no Windows listens on, when ``named``.
    """
    if requirement.condition is Condition.WITHOUT_PSREMOTING and psremoting is not PsRemoting.FALSE:
        return False
    return requirement.id not in OPENED_ONLY_WHEN_NAMED or requirement.id in named


def applicable(requirement: Requirement, roles: Roles) -> Applicability:
    """Whether the requirement is judged on a host with these roles: where its listener lives."""
    home = requirement.listener_home
    if home is ListenerHome.TARGET:
        return Applicability(True, "its listener lives on every audited host of the system")
    name, group = _HOMES[home]
    held = {
        ListenerHome.DOMAIN_CONTROLLER: roles.is_domain_controller,
        ListenerHome.DNS_SERVER: roles.is_dns_server,
        ListenerHome.AUDIT_HOST: roles.is_audit_host,
    }[home]
    if held:
        return Applicability(True, f"the host is {name}")
    if held is None:
        return Applicability(
            None,
            f"{requirement.wire} is needed of {name}, and nobody said whether the host is one;"
            f" put those that are into the inventory group {group}",
        )
    return Applicability(False, f"{requirement.wire} is needed of {name}, which this host is not; it is checked there")


_HOMES = {
    ListenerHome.DOMAIN_CONTROLLER: ("a domain controller", "audit_domain_controllers"),
    ListenerHome.DNS_SERVER: ("a DNS server", "audit_dns_servers"),
    ListenerHome.AUDIT_HOST: ("the audit host", "audit_hosts"),
}


def _on_way(row: Requirement, way: PsRemoting) -> bool:
    if way is PsRemoting.TRUE:
        return row.condition is not Condition.WITHOUT_PSREMOTING
    return way is not PsRemoting.FALSE or row.id != REMOTING_ID


def _to_the_letter(row: Requirement) -> Requirement:
    if row.system == System.WINDOWS.value and row.listener_home is ListenerHome.DOMAIN_CONTROLLER:
        return replace(row, listener_home=ListenerHome.TARGET)
    return row


def _parse_extra(extra: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
    taken = {row.id for row in CATALOG}
    found = []
    for number, values in enumerate(parse_rows(extra, "extra"), 1):
        row = parse_requirement(values, f"extra, row {number}")
        if row.id in taken:
            raise InputError(
                f"extra, row {number} ({row.id}): id: there is one of this id already;"
                " choose another, or change its port by 'ports'"
            )
        taken.add(row.id)
        found.append(row)
    return tuple(found)


def _change_ports(rows: dict[str, Requirement], ports: Mapping[str, Any]) -> None:
    with_port = [row.id for row in rows.values() if row.port is not None]
    for requirement_id, value in ports.items():
        _known([requirement_id], with_port, "ports")
        rows[requirement_id] = replace(rows[requirement_id], port=parse_port(value, f"ports: {requirement_id}"))


def _words(values: Iterable[str] | None, known: Collection[str], where: str) -> frozenset[str] | None:
    if values is None:
        return None
    found = _known(parse_texts(values, where), known, where)
    if not found:
        raise InputError(f"{where}: the list is empty; leave it out for all, or choose from {choices(known)}")
    return frozenset(found)


def _known(values: Iterable[str], known: Collection[str], where: str) -> list[str]:
    found = list(values)
    for value in found:
        if value not in known:
            raise InputError(f"{where}: {value!r} is not known; choose from {choices(known)}")
    return found


def _apply_select(found: tuple[Requirement, ...], select: Select) -> tuple[Requirement, ...]:
    answer = select([to_result(row) for row in found])
    if not isinstance(answer, (list, tuple)):
        raise InputError(f"select: the expression gave {answer!r}, but must give a list of requirements or of ids")
    kept = {str(item.get("id")) if isinstance(item, Mapping) else str(item) for item in answer}
    _known(sorted(kept), [row.id for row in found], "select")
    return tuple(row for row in found if row.id in kept)
