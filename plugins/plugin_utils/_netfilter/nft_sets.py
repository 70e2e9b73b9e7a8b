# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named and anonymous sets and maps of nft's JSON (libnftables-json(5), "SET", "MAP", "SET ELEMENT")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._core.ranges import Range, RangeSet
from .flow import Value, simplified
from .maps import MapContent
from .nft_values import WIDTHS, NotUnderstoodError, bounds
from .nft_verdicts import read_verdict
from .sets import Box, SetContent, address_numbers
from .statements import Verdict

_VERSIONS = {"ipv4_addr": 4, "ipv6_addr": 6}


@dataclass
class NamedSet:
    """A named set or map: its elements as nft lists them, and whether packets add (``gains``) or delete (``loses``)."""

    name: str
    elements: list[Any]
    size: int | None = None
    gains: bool = False
    loses: bool = False
    _contents: dict[tuple[str, ...], SetContent] = field(default_factory=dict)

    def content(self, kinds: tuple[str, ...]) -> SetContent:
        """The set for expressions of these types. Raises NotUnderstoodError."""
        if kinds not in self._contents:
            self._contents[kinds] = set_content(kinds, self.elements)
        return self._contents[kinds]

    @property
    def full(self) -> bool:
        """Whether no element can be added any more."""
        return self.size is not None and len(self.elements) >= self.size


def set_content(kinds: tuple[str, ...], elements: Sequence[Any]) -> SetContent:
    """The elements of a set of these types. Raises NotUnderstoodError."""
    if len(kinds) == 1:
        return SetContent.of_ranges(RangeSet(_single(kinds[0], elements)))
    return SetContent(len(kinds), (box(kinds, item) for item in elements))


def _single(kind: str, elements: Sequence[Any]) -> list[Range]:
    """The ranges of a set of one dimension. The many plain addresses and prefixes of a big set take the short way."""
    version = _VERSIONS.get(kind)
    if version is None:
        return [box((kind,), item)[0] for item in elements]
    plain = [item for item in elements if isinstance(item, str) and item != "*"]
    found = [(address, address) for address in _addresses(version, plain)]
    if len(found) == len(elements):
        return found
    networks = [item["prefix"] for item in elements if isinstance(item, dict) and "prefix" in item]
    sizes = [(1 << WIDTHS[kind] - length) - 1 for length in range(WIDTHS[kind] + 1)]
    addresses = _addresses(version, [network["addr"] for network in networks])
    found += [(low, low | sizes[network["len"]]) for low, network in zip(addresses, networks, strict=True)]
    if len(found) < len(elements):
        found += [
            box((kind,), item)[0]
            for item in elements
            if item == "*" or (not isinstance(item, str) and not (isinstance(item, dict) and "prefix" in item))
        ]
    return found


def _addresses(version: int, texts: Sequence[str]) -> Sequence[int]:
    """The addresses of one family as numbers. Raises NotUnderstoodError."""
    try:
        return address_numbers(version, texts)
    except (OSError, TypeError) as error:
        raise NotUnderstoodError("an element that is no address") from error


def box(kinds: tuple[str, ...], item: Any) -> Box:
    """One element of a set or the key of one of a map. Raises NotUnderstoodError."""
    if isinstance(item, dict) and "elem" in item:
        item = item["elem"]["val"]
    if item == "*" and kinds != ("ifname",):
        return tuple((0, (1 << WIDTHS.get(kind, 128)) - 1) for kind in kinds)
    parts = item["concat"] if isinstance(item, dict) and "concat" in item else [item]
    if len(parts) != len(kinds):
        raise NotUnderstoodError(f"an element of {len(parts)} parts in a set of {len(kinds)}")
    return tuple(bounds(kind, part) for kind, part in zip(kinds, parts, strict=True))


def verdict_map(kinds: tuple[str, ...], elements: Iterable[Any]) -> MapContent[Verdict | None]:
    """The elements of a verdict map. Raises NotUnderstoodError."""
    return MapContent((box(kinds, key), read_verdict(verdict)) for key, verdict in catchall_last(elements))


def value_map(kinds: tuple[str, ...], elements: Iterable[Any]) -> tuple[MapContent[tuple[Value, ...]], tuple[str, ...]]:
    """The elements of a map to values, and the types of what they map to. Raises NotUnderstoodError."""
    found: list[tuple[Box, tuple[Value, ...]]] = []
    types: tuple[str, ...] = ("integer",)
    for key, data in catchall_last(elements):
        parts = data["concat"] if isinstance(data, dict) and "concat" in data else [data]
        types = tuple(data_kind(part) for part in parts)
        values = tuple(simplified(RangeSet([bounds(kind, part)])) for kind, part in zip(types, parts, strict=True))
        found.append((box(kinds, key), values))
    return MapContent(found), types


def catchall_last(elements: Iterable[Any]) -> list[tuple[Any, Any]]:
    """The pairs of a map's elements, the one for everything else last. Raises NotUnderstoodError."""
    pairs: list[tuple[Any, Any]] = []
    for item in elements:
        if not isinstance(item, list) or len(item) != 2:
            raise NotUnderstoodError("an element of a map that is no pair")
        pairs.append((item[0], item[1]))
    return sorted(pairs, key=lambda pair: _key_value(pair[0]) == "*")


def _key_value(key: Any) -> Any:
    return key["elem"]["val"] if isinstance(key, dict) and "elem" in key else key


def data_kind(item: Any) -> str:
    """The type of a map's data, told by its notation: nft's JSON does not always name it."""
    if isinstance(item, dict):
        if "prefix" in item:
            return data_kind(item["prefix"]["addr"])
        if "range" in item:
            return data_kind(item["range"][0])
    if isinstance(item, str):
        return "ipv6_addr" if ":" in item else "ipv4_addr" if item.count(".") == 3 else "integer"
    return "integer"
