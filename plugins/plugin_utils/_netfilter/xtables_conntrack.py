# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What iptables asks of a packet's connection: the matches ``state`` and ``conntrack``.

Source: iptables-extensions(8); linux: net/netfilter/xt_conntrack.c.
"""

from __future__ import annotations

from collections.abc import Callable

from ...module_utils._core.ranges import RangeSet
from .expressions import FieldValue
from .flow import (
    STATE_ESTABLISHED,
    STATE_INVALID,
    STATE_NEW,
    STATE_RELATED,
    STATE_UNTRACKED,
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_DNAT,
    STATUS_EXPECTED,
    STATUS_SEEN_REPLY,
    STATUS_SNAT,
    Field,
)
from .matches import AllOf, AnyBit, AnyOf, Match, Not, Undecidable, field_in, field_is
from .xtables_arguments import Option, Section
from .xtables_lines import UnreadableError, shown
from .xtables_values import network, ports, protocol, ranges_of_network

_STATES = {
    "INVALID": STATE_INVALID,
    "NEW": STATE_NEW,
    "ESTABLISHED": STATE_ESTABLISHED,
    "RELATED": STATE_RELATED,
    "UNTRACKED": STATE_UNTRACKED,
}
_TRANSLATIONS = {"SNAT": STATUS_SNAT, "DNAT": STATUS_DNAT}
_STATUSES = {
    "NONE": 0,
    "EXPECTED": STATUS_EXPECTED,
    "SEEN_REPLY": STATUS_SEEN_REPLY,
    "ASSURED": STATUS_ASSURED,
    "CONFIRMED": STATUS_CONFIRMED,
}
_DIRECTIONS = {"ORIGINAL": 0, "REPLY": 1}
_ADDRESSES = {
    "--ctorigsrc": Field.CT_ORIGINAL_SOURCE,
    "--ctorigdst": Field.CT_ORIGINAL_DESTINATION,
    "--ctreplsrc": Field.CT_REPLY_SOURCE,
    "--ctrepldst": Field.CT_REPLY_DESTINATION,
}
_PORTS = {
    "--ctorigsrcport": Field.CT_ORIGINAL_SOURCE_PORT,
    "--ctorigdstport": Field.CT_ORIGINAL_DESTINATION_PORT,
    "--ctreplsrcport": Field.CT_REPLY_SOURCE_PORT,
    "--ctrepldstport": Field.CT_REPLY_DESTINATION_PORT,
}
# A packet that belongs to no connection.
_WITHOUT = AnyBit(FieldValue(Field.CT_STATE), STATE_INVALID | STATE_UNTRACKED)


def state(section: Section) -> Match:
    """The match ``state``. Raises UnreadableError."""
    (option,) = section.options or (Option(""),)
    if option.name != "--state":
        raise UnreadableError("the match state has no --state")
    return _states(option)


def conntrack(section: Section, version: int) -> Match:
    """The match ``conntrack``; every option must hold. Raises UnreadableError.

    Without a connection the state is all that is asked, and a rule that does not ask for it does not apply.
    """
    states = [_states(option) for option in section.options if option.name == "--ctstate"]
    others = tuple(_other(option, version) for option in section.options if option.name != "--ctstate")
    if not states:
        return AllOf((Not(_WITHOUT), *others))
    if not others:
        return states[0] if len(states) == 1 else AllOf(tuple(states))
    return AllOf((*states, AnyOf((_WITHOUT, AllOf(others)))))


def _states(option: Option) -> Match:
    names = option.value.split(",")
    unknown = set(names) - set(_STATES) - set(_TRANSLATIONS)
    if unknown:
        raise UnreadableError(f"{shown(', '.join(sorted(unknown)))} is no state of a connection")
    states = sum({_STATES[name] for name in names if name in _STATES})
    translations = sum({_TRANSLATIONS[name] for name in names if name in _TRANSLATIONS})
    if not translations:
        return AnyBit(FieldValue(Field.CT_STATE), states, option.negated)
    either = AnyOf((AnyBit(FieldValue(Field.CT_STATE), states), AnyBit(FieldValue(Field.CT_STATUS), translations)))
    return Not(either) if option.negated else either


def _other(option: Option, version: int) -> Match:
    reader = _OTHERS.get(option.name)
    if reader is not None:
        return reader(option)
    if option.name in _ADDRESSES:
        value, mask = network(option.value, version)
        ranges = ranges_of_network(value, mask, version)
        if ranges is not None:
            return field_in(_ADDRESSES[option.name], ranges, negated=option.negated)
    if option.name in _PORTS:
        return field_in(_PORTS[option.name], ports(option.value), negated=option.negated)
    return Undecidable(f"conntrack {option}")


def _protocol(option: Option) -> Match:
    return field_is(Field.PROTOCOL, protocol(option.value), negated=option.negated)


def _status(option: Option) -> Match:
    try:
        mask = sum({_STATUSES[name] for name in option.value.split(",")})
    except KeyError:
        raise UnreadableError(f"{shown(option.value)} is no status of a connection") from None
    return AnyBit(FieldValue(Field.CT_STATUS), mask, option.negated)


def _direction(option: Option) -> Match:
    wanted = _DIRECTIONS.get(option.value)
    if wanted is None:
        raise UnreadableError(f"{shown(option.value)} is no direction of a connection")
    return field_in(Field.CT_DIRECTION, RangeSet([(wanted, wanted)]), negated=option.negated)


_OTHERS: dict[str, Callable[[Option], Match]] = {
    "--ctproto": _protocol,
    "--ctstatus": _status,
    "--ctdir": _direction,
}
