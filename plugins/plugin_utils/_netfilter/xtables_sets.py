# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The match ``set`` of iptables on the sets of ipset.

Sources: iptables-extensions(8), ipset(8); linux: net/netfilter/xt_set.c, net/netfilter/ipset/ip_set_core.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .expressions import Expression, FieldValue
from .flow import TCP, UDP, Field
from .ipset import IpSet
from .matches import AllOf, Always, AnyOf, InSet, Match, Not, Truth, Undecidable, field_is
from .xtables_arguments import Section
from .xtables_lines import UnreadableError, shown
from .xtables_special import BridgePort, SetPort

_FALSE = Always(Truth.FALSE)
_WITHOUT_EFFECT = {"--update-counters", "--update-subcounters"}


_CHANGE = re.compile(r"--(add|del)-set \"?([^\s\"]+)")


@dataclass(frozen=True)
class KnownSets:
    """ipset's sets by name, and the names of those to which packets add elements (``gains``) or delete (``loses``)."""

    by_name: Mapping[str, IpSet]
    gains: frozenset[str] = frozenset()
    loses: frozenset[str] = frozenset()


def known_sets(by_name: Mapping[str, IpSet], lines: Iterable[str]) -> KnownSets:
    """The sets with what the rules in ``lines`` do to them with the target SET; a list's change is its members'."""
    changed: dict[str, set[str]] = {"add": set(), "del": set()}
    for line in lines:
        if "-j SET " in line:
            for action, name in _CHANGE.findall(line):
                listed = by_name.get(name)
                changed[action] |= {name, *(listed.members if listed else ())}
    return KnownSets(by_name, frozenset(changed["add"]), frozenset(changed["del"]))


def set_match(section: Section, version: int, sets: KnownSets) -> Iterator[Match]:
    """The match on one set. Raises UnreadableError where it, or an element of the set, cannot be read."""
    options = {option.name: option for option in section.options}
    wanted = options.pop("--match-set", None)
    if wanted is None or len(wanted.values) != 2:
        raise UnreadableError("--match-set takes a set and its directions")
    name, directions = wanted.values
    unknown = set(directions.split(",")) - {"src", "dst"}
    if unknown:
        raise UnreadableError(f"{shown(directions)} is no list of src and dst")
    search = _Search(version, sets, tuple(directions.split(",")), options.pop("--return-nomatch", None) is not None)
    found = search.match(name)
    yield Not(found) if wanted.negated else found
    for option in options.values():
        if option.name not in _WITHOUT_EFFECT:
            yield Undecidable(f"set {option}")


class _Search:
    """How one rule looks up packets: the directions of the dimensions, and whether exceptions are what it asks for."""

    def __init__(self, version: int, known: KnownSets, directions: tuple[str, ...], exceptions: bool) -> None:
        self._version = version
        self._known = known
        self._sets = known.by_name
        self._directions = directions
        self._exceptions = exceptions

    def match(self, name: str) -> Match:
        found = self._sets.get(name)
        if found is None:
            return Undecidable(f"set {shown(name)}, whose content is not known")
        if found.kind == "list":
            if any(self._sets[member].kind == "list" for member in found.members if member in self._sets):
                raise UnreadableError(f"the set {shown(name)} is a list of lists")
            return AnyOf(tuple(self.match(member) for member in found.members))
        if len(found.dimensions) > len(self._directions) or found.version not in (None, self._version):
            # The kernel takes such a packet for one that is not in the set.
            return _FALSE
        return self._element(found)

    def _element(self, found: IpSet) -> Match:
        expressions = tuple(self._expressions(found))
        if "mac" in found.dimensions:
            unknown = Undecidable(f"set {shown(found.name)}, which compares hardware addresses")
            return AllOf((InSet(expressions, found.content), unknown)) if expressions else unknown
        has_exceptions = self._exceptions and "net" in found.dimensions
        gains, loses = found.name in self._known.gains, found.name in self._known.loses
        inside: Match = InSet(expressions, found.content, gains=gains, loses=loses)
        if has_exceptions:
            either = gains or loses
            inside = InSet(expressions, found.exceptions, gains=either, loses=either)
        if found.physical is not None:
            bridged = BridgePort(f"set {shown(found.name)}", without=False)
            inside = AnyOf((inside, AllOf((bridged, InSet(expressions[:1], found.physical)))))
        if found.kind == "bitmap" and found.dimensions == ("port",):
            has_ports = AnyOf((field_is(Field.PROTOCOL, TCP), field_is(Field.PROTOCOL, UDP)))
            return AllOf((has_ports, inside))
        return inside

    def _expressions(self, found: IpSet) -> Iterator[Expression]:
        for name, direction in zip(found.dimensions, self._directions, strict=False):
            source = direction == "src"
            if name in ("ip", "net"):
                yield FieldValue(Field.SOURCE if source else Field.DESTINATION)
            elif name == "port":
                if found.kind != "bitmap":
                    yield FieldValue(Field.PROTOCOL)
                yield SetPort(Field.SOURCE_PORT if source else Field.DESTINATION_PORT)
            elif name == "iface":
                yield FieldValue(Field.IN_NAME if source else Field.OUT_NAME)
            elif name == "mark":
                yield FieldValue(Field.MARK)
