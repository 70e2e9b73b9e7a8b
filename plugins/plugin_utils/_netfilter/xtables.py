# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of iptables and ip6tables, read from what iptables-save and ip6tables-save print."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from .ipset import IpSet
from .late_rules import LateRule
from .matches import Match
from .model import Chain, Hook, Rule, XtTable
from .statements import undecided
from .xtables_arguments import parse_arguments
from .xtables_lines import SavedTable, UnreadableError, shown, split_tables, split_words
from .xtables_matches import Context, read_matches, source_match
from .xtables_sets import KnownSets, known_sets
from .xtables_targets import read_target

_FAMILIES = {"ip": 4, "ip6": 6}
_HOOKS = {hook.name: hook for hook in Hook}
# The built-in chains of each table with their priorities (include/uapi/linux/netfilter_ipv4.h).
_BUILT_IN: dict[str, dict[str, int]] = {
    "raw": {"PREROUTING": -300, "OUTPUT": -300},
    "mangle": {"PREROUTING": -150, "INPUT": -150, "FORWARD": -150, "OUTPUT": -150, "POSTROUTING": -150},
    "nat": {"PREROUTING": -100, "INPUT": 100, "OUTPUT": -100, "POSTROUTING": 100},
    "filter": {"INPUT": 0, "FORWARD": 0, "OUTPUT": 0},
    "security": {"INPUT": 50, "FORWARD": 50, "OUTPUT": 50},
}


Shape = Mapping[str, tuple[str | None, int]]  # a table's chains: the policy of the built-in ones, how many rules


def parse_xtables(
    texts: Sequence[str], sets: Mapping[str, IpSet], shown_by_nft: Mapping[tuple[str, str], Shape] | None = None
) -> tuple[tuple[XtTable, ...], tuple[str, ...]]:
    """The tables of some texts, and sentences about what belongs to no table of the kernel.

    Each text may hold several runs of iptables-save and ip6tables-save, of both backends. ``sets`` are ipset's sets by
    name, none where they are not known. ``shown_by_nft`` are the tables that nft lists, by family and name: a table
    whose header does not tell its backend is of nf_tables if nft lists one like it. Never raises: a rule that cannot be
    read stays in its chain as one that nobody can decide, and what cannot be given a chain is the ``problem`` of its
    table, which then has its built-in chains without rules.
    """
    split = [split_tables(text) for text in texts]
    gaps = [sentence for _tables, outside in split for sentence in outside[:1]]
    tables = [table for saved, _outside in split for table in saved]
    known = known_sets(sets, (line for table in tables for _chain, line in table.rules))
    found: dict[tuple[str, str, bool], XtTable] = {}
    read: dict[tuple[str, str, bool], SavedTable] = {}
    for table in tables:
        if table.name not in _BUILT_IN:
            gaps.append(f"the kernel has no table {shown(table.name)}, and iptables-save shows one")
            continue
        for family in (table.family,) if table.family else _FAMILIES:
            in_nft = table.in_nft
            if in_nft is None:
                in_nft = _is_like(table, (shown_by_nft or {}).get((family, table.name)))
            key = (family, table.name, in_nft)
            if key not in found:
                found[key] = _table(family, table, known, in_nft=in_nft)
                read[key] = table
            elif not _same(read[key], table):
                sentence = f"the table {family} {table.name} of iptables is there twice, with different content"
                found[key] = _unreadable(family, table.name, in_nft, sentence)
    return tuple(found.values()), tuple(gaps)


def _is_like(table: SavedTable, shape: Shape | None) -> bool:
    """Whether nft lists this table: the same chains with as many rules; it lists no built-in chain without a use."""
    if shape is None:
        return False
    counts = Counter(chain for chain, _line in table.rules)
    own = {name: (policy, counts[name]) for name, policy in table.policies.items()}
    unused = {name for name, (policy, count) in own.items() if (policy, count) == ("accept", 0) and name not in shape}
    return {name: what for name, what in own.items() if name not in unused} == dict(shape)


def _table(family: str, table: SavedTable, sets: KnownSets, *, in_nft: bool) -> XtTable:
    problem = next(_problems(table), None)
    if problem:
        sentence = f"the table {family} {table.name} of iptables could not be read: {problem}"
        return _unreadable(family, table.name, in_nft, sentence)
    context = Context(_FAMILIES[family], sets)
    lines: dict[str, list[str]] = {name: [] for name in table.policies}
    for chain, line in table.rules:
        lines[chain].append(line)
    chains = tuple(
        _chain(family, table.name, name, policy, tuple(_rules(name, lines, context)))
        for name, policy in table.policies.items()
    )
    return XtTable(family, table.name, in_nft, chains)


def _unreadable(family: str, table: str, in_nft: bool, problem: str) -> XtTable:
    chains = tuple(_chain(family, table, name, "accept", ()) for name in _BUILT_IN[table])
    return XtTable(family, table, in_nft, chains, problem)


def _problems(table: SavedTable) -> Iterator[str]:
    yield from table.problems
    if table.family is None:
        yield "its header does not tell whether it is of iptables or of ip6tables"
    for chain, policy in table.policies.items():
        if (chain in _BUILT_IN[table.name]) != (policy is not None):
            yield f"the chain {shown(chain)} is no built-in chain, or has no policy"


def _chain(family: str, table: str, name: str, policy: str | None, rules: tuple[Rule, ...]) -> Chain:
    if policy is None:
        return Chain(family, table, name, rules)
    kind = "nat" if table == "nat" else "route" if (table, name) == ("mangle", "OUTPUT") else "filter"
    return Chain(family, table, name, rules, policy, _HOOKS[name], _BUILT_IN[table][name], kind)


def _rules(chain: str, lines: Mapping[str, list[str]], context: Context) -> Iterator[Rule]:
    for position, line in enumerate(lines[chain], 1):
        yield _SavedRule((chain, lines, context), line, position)


class _SavedRule(LateRule):
    """A rule by its line; its material is its chain, the lines of all the table's chains, and the context."""

    def read(self) -> Rule:
        """See LateRule."""
        chain, lines, context = self.material
        line, position = str(self.text), self.position
        try:
            arguments = parse_arguments(split_words(line)[2:])
            statements = read_target(arguments, context.version, partial(_entries, chain, lines), lines.keys())
        except UnreadableError as error:
            return Rule((undecided(f"the rule cannot be read: {error}"),), line, position)
        comments = [
            option.values[0]
            for section in arguments.matches
            for option in section.options
            if option.name == "--comment" and option.values
        ]
        matches = read_matches(arguments, context)
        return Rule((*matches, *statements), line, position, comment=" ".join(comments) or None)

    def read_first(self) -> Match | None:
        """See LateRule: the source, which both programs print first."""
        words = str(self.text).split(None, 5)
        if len(words) < 5 or words[2] != "-s" or words[4][0] != "-":
            return self.whole.first
        return source_match(words[3], self.material[2].version)


def _entries(chain: str, lines: Mapping[str, list[str]]) -> frozenset[str]:
    """The built-in chains by which packets may come to a chain of their table."""
    if chain in _HOOKS:
        return frozenset({chain})
    found = {chain}
    asked = [chain]
    while asked:
        leads = re.compile(rf" -[jg] {re.escape(asked.pop())}(?: |\Z)")
        more = {name for name, rules in lines.items() if name not in found and any(map(leads.search, rules))}
        found |= more
        asked += more
    return frozenset(found & _HOOKS.keys())


def _same(one: SavedTable, other: SavedTable) -> bool:
    return (one.policies, one.rules, one.problems) == (other.policies, other.rules, other.problems)
