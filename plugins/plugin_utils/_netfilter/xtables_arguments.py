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
}
_FRAGMENT = {"-f", "--fragment"}
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


@dataclass(frozen=True)
class Option:
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
    return _Sorter(words).sorted()


class _Sorter:
    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._position = 0
        self._found = Arguments()
        self._section: Section | None = None

    def sorted(self) -> Arguments:
        while self._position < len(self._words):
            negated = self._at("!")
            if negated:
                self._position += 1
            word = self._next("an option")
            self._take(word, negated)
        return self._found

    def _at(self, text: str) -> bool:
        word = self._words[self._position]
        return word == text and not isinstance(word, Quoted)

    def _next(self, what: str) -> str:
        if self._position == len(self._words):
            raise UnreadableError(f"the rule ends where {what} is due")
        self._position += 1
        return self._words[self._position - 1]

    def _take(self, word: str, negated: bool) -> None:
        if isinstance(word, Quoted) or not word.startswith("-"):
            raise UnreadableError(f"{shown(word)} stands where an option is due")
        if word in _BASE:
            self._found.base.append(Option(_BASE[word], (self._next(f"the value of {word}"),), negated))
        elif word in _FRAGMENT:
            self._found.base.append(Option("-f", (), negated))
        elif word in _OPENERS or not word.startswith("--"):
            self._open(word, negated)
        else:
            name = _ALIASES.get(word, word)
            self._owner(name).options.append(Option(name, self._values(name), negated))

    def _open(self, word: str, negated: bool) -> None:
        if negated or word not in _OPENERS:
            raise UnreadableError(f"{'! ' if negated else ''}{shown(word)} is no option of a rule")
        self._section = Section(self._next(f"the name after {word}"))
        if word in _MATCH:
            self._found.matches.append(self._section)
            return
        if self._found.target is not None:
            raise UnreadableError("the rule has two targets")
        self._found.target = self._section
        self._found.goto = word in _GOTO

    def _values(self, name: str) -> tuple[str, ...]:
        values = [self._next(f"the value of {name}")] if name in _FREE_TEXT else []
        while self._position < len(self._words):
            word = self._words[self._position]
            if not isinstance(word, Quoted) and (word == "!" or (word.startswith("-") and len(word) > 1)):
                break
            values.append(word)
            self._position += 1
        return tuple(values)

    def _owner(self, name: str) -> Section:
        if name not in _OF_PROTOCOL or (self._section and self._section.name in _PROTOCOL_MODULES):
            if self._section is None:
                raise UnreadableError(f"{shown(name)} stands before any match or target")
            return self._section
        protocol = next((option.values[0] for option in self._found.base if option.name == "-p"), "")
        module = _PROTOCOL_MATCHES.get(protocol)
        if module is None:
            raise UnreadableError(f"{name} stands without a protocol that has ports or types")
        section = next((item for item in self._found.matches if item.name == module), None)
        if section is None:
            section = Section(module)
            self._found.matches.append(section)
        return section
