# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of one rule of iptables, sorted by the match or target that they belong to.

What an option means is not known here: an option takes the words up to the next option. Sources: iptables(8),
iptables-extensions(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .xtables_lines import Quoted, UnreadableError, shown

# The options of every rule, with their long names; iptables-save prints the short ones.
_BASE = {
    "-p": "-p",
    "--protocol": "-p",
    "-s": "-s",
    "--source": "-s",
    "--src": "-s",
    "-d": "-d",
    "--destination": "-d",
    "--dst": "-d",
    "-i": "-i",
    "--in-interface": "-i",
    "-o": "-o",
    "--out-interface": "-o",
    "-f": "-f",
    "--fragment": "-f",
}
_MATCH = {"-m", "--match"}
_JUMP = {"-j", "--jump"}
_GOTO = {"-g", "--goto"}
_OPENERS = _MATCH | _JUMP | _GOTO
# Free text of people: it is a value even where it looks like an option.
_FREE_TEXT = {
    "--comment",
    "--string",
    "--hex-string",
    "--name",
    "--hashlimit-name",
    "--helper",
    "--label",
    "--path",
    "--genre",
    "--nfacct-name",
    "--match-set",
    "--add-set",
    "--del-set",
    "--map-set",
    "--log-prefix",
    "--nflog-prefix",
    "--ulog-prefix",
    "--led-trigger-id",
    "--rateest-name",
    "--rateest",
    "--rateest1",
    "--rateest2",
    "--selctx",
}
_ALIASES = {
    "--source-port": "--sport",
    "--destination-port": "--dport",
    "--source-ports": "--sports",
    "--destination-ports": "--dports",
}
# Options of a protocol's own match, which people may write without ``-m`` or after another match.
_OF_PROTOCOL = {"--sport", "--dport", "--tcp-flags", "--syn", "--tcp-option", "--icmp-type", "--icmpv6-type"}
_PROTOCOL_MATCHES = {
    "tcp": "tcp",
    "6": "tcp",
    "udp": "udp",
    "17": "udp",
    "udplite": "udplite",
    "sctp": "sctp",
    "dccp": "dccp",
    "icmp": "icmp",
    "1": "icmp",
    "ipv6-icmp": "icmp6",
    "icmpv6": "icmp6",
    "icmp6": "icmp6",
    "58": "icmp6",
}
_PROTOCOL_MODULES = set(_PROTOCOL_MATCHES.values())


class Option(NamedTuple):
    """One option with its values; ``negated`` where an exclamation mark stood before it."""

    name: str
    values: tuple[str, ...] = ()
    negated: bool = False

    def __str__(self) -> str:
        return " ".join((*(("!",) if self.negated else ()), self.name, *self.values))

    @property
    def value(self) -> str:
        """The only value. Raises UnreadableError where there is none or another."""
        if len(self.values) != 1:
            raise UnreadableError(f"{shown(str(self))} has {len(self.values)} values instead of one")
        return self.values[0]


@dataclass
class Section:
    """A match or a target by name, with its options in their order."""

    name: str
    options: list[Option] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join((self.name, *map(str, self.options)))


@dataclass
class Arguments:
    """The arguments of a rule: the options of every rule, its matches in order, its target."""

    base: list[Option] = field(default_factory=list)
    matches: list[Section] = field(default_factory=list)
    target: Section | None = None
    goto: bool = False


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Sort the words of a rule, those after ``-A CHAIN``. Raises UnreadableError naming the word that has no place."""
    found = Arguments()
    section: Section | None = None
    position, end = 0, len(words)
    while position < end:
        word = words[position]
        negated = word == "!" and not isinstance(word, Quoted)
        position += negated
        if position == end:
            raise UnreadableError("the rule ends with an exclamation mark")
        word = words[position]
        last = _end_of_values(words, position)
        values = tuple(words[position + 1 : last])
        position = last
        if isinstance(word, Quoted) or word[:1] != "-":
            raise UnreadableError(f"{shown(word)} stands where an option is due")
        if word in _BASE:
            found.base.append(Option(_BASE[word], values, negated))
        elif word in _OPENERS or word[:2] != "--":
            section = _opened(found, Option(word, values, negated))
        else:
            name = _ALIASES.get(word, word)
            owner = _protocol_section(found, name, section) if name in _OF_PROTOCOL else section
            if owner is None:
                raise UnreadableError(f"{shown(name)} stands before any match or target")
            owner.options.append(Option(name, values, negated))
    return found


def _end_of_values(words: Sequence[str], position: int) -> int:
    """The position after the values of the option at ``position``."""
    end = len(words)
    last = position + 1
    if words[position] in _FREE_TEXT and last < end:
        last += 1
    while last < end:
        word = words[last]
        if ((word[:1] == "-" and len(word) > 1) or word == "!") and not isinstance(word, Quoted):
            break
        last += 1
    return last


def _opened(found: Arguments, option: Option) -> Section:
    """The section that ``-m``, ``-j`` or ``-g`` begins."""
    if option.negated or option.name not in _OPENERS:
        raise UnreadableError(f"{shown(str(option))} is no option of a rule")
    section = Section(option.value)
    if option.name in _MATCH:
        found.matches.append(section)
        return section
    if found.target is not None:
        raise UnreadableError("the rule has two targets")
    found.target = section
    found.goto = option.name in _GOTO
    return section


def _protocol_section(found: Arguments, name: str, section: Section | None) -> Section:
    """The section of an option that a protocol's match has: the one it stands in, or else the protocol's own."""
    if section is not None and section.name in _PROTOCOL_MODULES:
        return section
    protocol = next((option.value for option in found.base if option.name == "-p"), "")
    module = _PROTOCOL_MATCHES.get(protocol)
    if module is None:
        raise UnreadableError(f"{name} stands without a protocol that has ports or types")
    for candidate in found.matches:
        if candidate.name == module:
            return candidate
    found.matches.append(Section(module))
    return found.matches[-1]
