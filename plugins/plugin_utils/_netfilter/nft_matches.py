# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The match statements of nft's JSON: a left side, an operator, a right side (libnftables-json(5), "MATCH")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...module_utils._core.ranges import RangeSet
from .expressions import Bitwise, Constant, FieldValue, Unknown
from .flow import Field
from .matches import AllOf, AnyBit, InSet, MaskedIs, Match, Undecidable, ValueBetween, ValueIn, field_is
from .nft_expressions import UNKNOWN, Typed, read_expression
from .nft_sets import NamedSet, set_content, value_map
from .nft_values import BITMASK_TYPES, NotUnderstoodError, bounds, number, numbers
from .routing import WayTo
from .sets import SetContent
from .xtables_special import MaskedAddress

_ALL_BITS = (1 << 32) - 1
_HIGHEST = (1 << 128) - 1


@dataclass(frozen=True)
class TableContext:
    """What the rules of one table can name."""

    family: str
    table: str
    sets: Mapping[str, NamedSet]

    def named(self, reference: str) -> NamedSet:
        """The set or map of a reference such as ``@blocked``. Raises NotUnderstoodError where it is not shown."""
        found = self.sets.get(reference[1:])
        if found is None:
            raise NotUnderstoodError(f"the set {reference}, which is not shown")
        return found

    def map_values(self, data: Any, kinds: tuple[str, ...], _hint: str | None) -> Any:
        """A reader of map expressions for read_expression."""
        return value_map(kinds, self.elements_of(data))

    def elements_of(self, data: Any) -> list[Any]:
        """The elements of an anonymous or a named set or map. Raises NotUnderstoodError."""
        if isinstance(data, str) and data.startswith("@"):
            return self.named(data).elements
        if isinstance(data, dict) and isinstance(data.get("set"), list):
            return list(data["set"])
        raise NotUnderstoodError("a set that is written in an unknown way")


def read_match(body: Mapping[str, Any], context: TableContext) -> Match:
    """A match of nft's JSON. Raises NotUnderstoodError for what is not known."""
    operator, right = body["op"], body["right"]
    sides = read_expression(body["left"], context.map_values)
    negated = operator in ("!=", "!")
    if len(sides) > 1:
        return _read_concatenation(sides, right, negated, context)
    (left,) = sides
    if left.kind == UNKNOWN or isinstance(left.expression, Unknown):
        # Nothing is known of its value, but perhaps that this packet has none.
        return ValueIn(left.expression, RangeSet(), negated)
    if isinstance(right, str) and right.startswith("@"):
        named = context.named(right)
        return InSet((left.expression,), named.content((left.kind,)), negated, named.gains, named.loses)
    if isinstance(right, dict) and "set" in right:
        content = set_content((left.kind,), right["set"])
        return ValueIn(left.expression, content.ranges or RangeSet(), negated)
    return _read_comparison(left, operator, right, negated)


def _read_concatenation(sides: tuple[Typed, ...], right: Any, negated: bool, context: TableContext) -> Match:
    kinds = tuple(side.kind for side in sides)
    if UNKNOWN in kinds:
        return Undecidable("a concatenation with a part that cannot be known beforehand")
    expressions = tuple(side.expression for side in sides)
    if isinstance(right, str) and right.startswith("@"):
        named = context.named(right)
        return InSet(expressions, named.content(kinds), negated, named.gains, named.loses)
    elements = right["set"] if isinstance(right, dict) and "set" in right else [right]
    content: SetContent = set_content(kinds, elements)
    return InSet(expressions, content, negated)


def _read_comparison(left: Typed, operator: str, right: Any, negated: bool) -> Match:
    if left.kind == "fib_index":
        return _read_way(left, right, negated)
    if left.kind in BITMASK_TYPES:
        bits = number(left.kind, right)
        if operator in ("in", "!"):
            return AnyBit(left.expression, bits, negated)
        return MaskedIs(left.expression, _ALL_BITS, bits, negated)
    if operator in ("<", ">", "<=", ">="):
        value = number(left.kind, right)
        low, high = {
            "<": (0, value - 1),
            "<=": (0, value),
            ">": (value + 1, _HIGHEST),
            ">=": (value, _HIGHEST),
        }[operator]
        return ValueBetween(left.expression, low, high)
    masked = _read_masked_address(left, operator, right, negated)
    if masked:
        return masked
    if operator not in ("==", "!=", "in"):
        raise NotUnderstoodError(f"the operator {operator!r}")
    low, high = bounds(left.kind, right)
    return ValueBetween(left.expression, low, high, negated)


def _read_masked_address(left: Typed, operator: str, right: Any, negated: bool) -> Match | None:
    """``ip saddr & 255.0.255.0 == 10.0.1.0``, where the mask has holes: without, nft writes a prefix."""
    masked = left.expression
    if not isinstance(masked, Bitwise) or masked.operator != "&" or operator not in ("==", "!="):
        return None
    field, mask = masked.left, masked.right
    if not isinstance(field, FieldValue) or not isinstance(mask, Constant) or not isinstance(mask.value, int):
        return None
    if field.field not in (Field.SOURCE, Field.DESTINATION):
        return None
    of_version = field_is(Field.VERSION, field.version or 4)
    return AllOf((of_version, MaskedAddress(field.field, number(left.kind, right), mask.value, negated)))


def _read_way(left: Typed, right: Any, negated: bool) -> Match:
    """``fib ... oif``: compared with an interface, or with whether there is a way at all."""
    nowhere = RangeSet([(0, 0)])
    if right in (False, "0", 0):
        return ValueIn(left.expression, nowhere, negated)
    if right is True:
        return ValueIn(left.expression, nowhere, not negated)
    way = left.expression
    if not isinstance(way, WayTo):
        raise NotUnderstoodError(f"fib compared with {right}")
    return ValueIn(WayTo(way.which, True, way.same_interface), numbers("ifname", right), negated)
