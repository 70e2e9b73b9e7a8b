# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sets of ipset, read from ``ipset save``. Sources: ipset(8); linux: net/netfilter/ipset/."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import groupby, pairwise

from ...module_utils._core.ranges import Range, RangeSet
from .flow import interface_prefix, interface_value
from .sets import Box, SetContent, address_numbers
from .xtables_lines import UnreadableError, shown
from .xtables_values import ALL_BITS, WIDTHS, address, icmp_type, number, protocol

_VERSIONS = {"inet": 4, "inet6": 6}
_PHYSICAL = "physdev:"
_NO_LINE = "\n"
_DECIDABLE = {"ip", "net", "port", "iface", "mark", "mac"}


@dataclass
class IpSet:
    """One set. ``dimensions`` are those of its type (``ip``, ``net``, ``port``, ``iface``, ``mac``, ``mark``).

    ``version`` is 4 or 6, None for the types without addresses. ``members`` are the sets of a ``list:set``.
    ``lines`` are the elements as ``ipset save`` prints them after the set's name; they are read when first asked for,
    and what cannot be read then raises UnreadableError.
    """

    name: str
    kind: str
    dimensions: tuple[str, ...]
    version: int | None
    options: Mapping[str, str]
    lines: list[str] = field(default_factory=list)

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the sets in a list of sets, in their order."""
        return tuple(line.split(" ", 1)[0] for line in self.lines) if self.kind == "list" else ()

    @cached_property
    def content(self) -> SetContent:
        """The points that are in the set, less those that a narrower ``nomatch`` element excludes.

        An address, network, mark or interface is one dimension, a port two (protocol, number); a MAC is none.
        """
        return self._content(excluded=False)

    @cached_property
    def exceptions(self) -> SetContent:
        """The points that a ``nomatch`` element excludes, less those that a narrower element puts back."""
        return self._content(excluded=True)

    @cached_property
    def physical(self) -> SetContent | None:
        """The addresses of the elements that name the port of a bridge; None where there are none."""
        if "iface" not in self.dimensions:
            return None
        boxes = [box[:-1] for box in self._of_interfaces(physical=True, excluded=False)]
        return SetContent(1, boxes) if boxes else None

    def _width(self, dimensions: int | None = None) -> int:
        """How many numbers the first dimensions (None: all) of an element are."""
        widths = {"port": 1 if self.kind == "bitmap" else 2, "mac": 0}
        return sum(widths.get(name, 1) for name in self.dimensions[:dimensions])

    def _content(self, *, excluded: bool) -> SetContent:
        if "iface" in self.dimensions:
            return SetContent(self._width(), self._of_interfaces(physical=False, excluded=excluded))
        plain = self._plain_ranges()
        if plain is not None:
            return SetContent.of_ranges(RangeSet(() if excluded else plain))
        boxes = list(self._boxes())
        if not any(nomatch for _box, nomatch in boxes):
            return SetContent(self._width(), () if excluded else (box for box, _nomatch in boxes))
        nets = [position for position, name in enumerate(self.dimensions) if name == "net"]
        if len(nets) != 1:
            raise UnreadableError(f"the set {shown(self.name)} has exceptions in more than one dimension")
        return SetContent(self._width(), _layered(boxes, self._width(nets[0]), excluded=excluded))

    def _plain_ranges(self) -> list[Range] | None:
        """The short way for the many elements of a set of addresses or networks alone; None where it has others."""
        if self.dimensions not in (("ip",), ("net",)) or any("nomatch" in line for line in self.lines):
            return None
        version = self.version or 4
        width = WIDTHS[version]
        usual_length = str(self._netmask if self.dimensions == ("ip",) else width)
        sizes = {str(length): (1 << width - length) - 1 for length in range(width + 1)}
        elements = [line.partition(" ")[0].partition("/") for line in self.lines]
        try:
            numbers = address_numbers(version, [base for base, _slash, _length in elements])
            found = [sizes[length or usual_length] for _base, _slash, length in elements]
        except (OSError, KeyError):
            return None
        return [(number & ~size, number | size) for number, size in zip(numbers, found, strict=True)]

    def _of_interfaces(self, *, physical: bool, excluded: bool) -> Iterator[Box]:
        """Of hash:net,iface, the narrowest network that holds an address hides all wider ones, of any interface.

        Linux: mtype_test_cidrs of ip_set_hash_gen.h with hash_netiface4_data_equal.
        """
        elements = [(box, nomatch, of_bridge) for of_bridge in (False, True) for box, nomatch in self._boxes(of_bridge)]
        found: dict[tuple[Range, bool], RangeSet] = {}
        for _size, layer in groupby(sorted(elements, key=_size_of_network), key=_size_of_network):
            listed = list(layer)
            covered = RangeSet(box[0] for box, _nomatch, _of_bridge in listed)
            wanted: dict[tuple[Range, bool], list[Range]] = {}
            for (network, interface), nomatch, of_bridge in listed:
                if nomatch == excluded:
                    wanted.setdefault((interface, of_bridge), []).append(network)
            found = {key: ranges - covered for key, ranges in found.items()}
            for key, networks in wanted.items():
                found[key] = found.get(key, RangeSet()) | RangeSet(networks)
        for (interface, of_bridge), ranges in found.items():
            if of_bridge == physical:
                yield from ((network, interface) for network in ranges)

    def _boxes(self, physical: bool = False) -> Iterator[tuple[Box, bool]]:
        readers = [(place, self._reader(name)) for place, name in enumerate(self.dimensions) if name != "mac"]
        for line in self.lines:
            element, _space, rest = line.partition(" ")
            if (_PHYSICAL in element) is not physical:
                continue
            parts = element.split(",")
            if len(parts) != len(self.dimensions) and self.dimensions[len(parts) :] != ("mac",):
                raise UnreadableError(f"{shown(element)} is no element of the set {shown(self.name)}")
            flags = _flags(rest)
            box: Box = ()
            for place, read in readers:
                box += read(parts[place], flags)
            yield box, "nomatch" in flags

    def _reader(self, name: str) -> Callable[[str, Collection[str]], Box]:
        """What reads one dimension of an element, given the flags of the element."""
        if name in ("ip", "net"):
            return self._address_reader(self._netmask if name == "ip" else WIDTHS[self.version or 4])
        if name == "port":
            of_port = _port_number if self.kind == "bitmap" else _port
            return lambda text, _flags: of_port(text)
        return _mark if name == "mark" else _interface

    def _address_reader(self, usual_length: int) -> Callable[[str, Collection[str]], Box]:
        version = self.version or 4
        width = WIDTHS[version]
        usual_size = (1 << width - usual_length) - 1

        def read(text: str, _flags: Collection[str]) -> Box:
            if "/" not in text and "-" not in text:  # most elements of large sets
                found = address(text, version)
                return ((found & ~usual_size, found | usual_size),)
            low, dash, high = text.partition("-")
            base, slash, prefix = low.partition("/")
            first = address(base, version)
            size = (1 << width - number(prefix, width)) - 1 if slash else usual_size
            return ((first & ~size, (address(high, version) if dash else first) | size),)

        return read

    @cached_property
    def _netmask(self) -> int:
        width = WIDTHS[self.version or 4]
        if "bitmask" in self.options:
            raise UnreadableError(f"the set {shown(self.name)} compares addresses under a bitmask")
        return number(self.options.get("netmask", str(width)), width)


def parse_ipsets(text: str | None) -> Mapping[str, IpSet]:
    """The sets of ``ipset save`` by name; none where its output is not known (None).

    Never raises: a set that cannot be read says so when it is asked, and lines that are none of ipset's are left out,
    so that a rule that asks for such a set cannot be decided.
    """
    sets: dict[str, IpSet] = {}
    beginning, lines = _NO_LINE, list[str]()  # of the set whose elements are being listed
    for line in (text or "").splitlines():
        if line.startswith(beginning):
            lines.append(line[len(beginning) :])
            continue
        command, _space, rest = line.partition(" ")
        name, _space, rest = rest.partition(" ")
        if command == "create":
            beginning = _NO_LINE
            found = _created(name, rest.split())
            if found:
                sets[name] = found
        elif command == "add" and name in sets:
            beginning, lines = f"add {name} ", sets[name].lines
            lines.append(rest)
    return sets


def _created(name: str, words: list[str]) -> IpSet | None:
    if not words or ":" not in words[0]:
        return None
    kind, _colon, dimensions = words[0].partition(":")
    names = tuple(dimensions.split(","))
    options = dict(pairwise(words))
    if kind != "list" and not set(names) <= _DECIDABLE:
        return None
    addressed = bool({"ip", "net"} & set(names))
    return IpSet(name, kind, names, _VERSIONS.get(options.get("family", "inet")) if addressed else None, options)


def _flags(rest: str) -> Collection[str]:
    """The words after an element, without its comment, where they are more than a time or a count."""
    if "nomatch" in rest or "wildcard" in rest:
        return rest.partition('comment "')[0].split()
    return ()


@lru_cache(maxsize=4096)
def _port(text: str) -> Box:
    kind, colon, rest = text.partition(":")
    if not colon:
        kind, rest = "tcp", text
    numbered = protocol(kind)
    if numbered in (1, 58):
        found, code = icmp_type(rest, 4 if numbered == 1 else 6)
        value = found << 8 | (code or 0)
        return (numbered, numbered), (value, value)
    return (numbered, numbered), *_port_number(rest)


def _port_number(text: str) -> Box:
    low, dash, high = text.partition("-")
    return ((number(low, 0xFFFF), number(high if dash else low, 0xFFFF)),)


def _mark(text: str, _flags: Collection[str]) -> Box:
    mark = number(text, ALL_BITS)
    return ((mark, mark),)


def _interface(text: str, flags: Collection[str]) -> Box:
    name = text.removeprefix(_PHYSICAL)
    if "wildcard" in flags:
        return interface_prefix(name).ranges
    return ((interface_value(name), interface_value(name)),)


def _size_of_network(element: tuple[Box, bool, bool]) -> int:
    low, high = element[0][0]
    return low - high


def _layered(boxes: Iterable[tuple[Box, bool]], position: int, *, excluded: bool) -> Iterator[Box]:
    """Boxes in which the narrower network at ``position`` wins over the wider one, as the kernel looks it up."""
    groups: dict[tuple[Box, Box], dict[int, tuple[list[Range], list[Range]]]] = {}
    for box, nomatch in boxes:
        low, high = box[position]
        layers = groups.setdefault((box[:position], box[position + 1 :]), {})
        layers.setdefault(high - low, ([], []))[nomatch != excluded].append((low, high))
    for (before, after), layers in groups.items():
        found = RangeSet()
        for size in sorted(layers, reverse=True):
            wanted, unwanted = layers[size]
            found = (found - RangeSet(unwanted)) | RangeSet(wanted)
        for item in found:
            yield (*before, item, *after)
