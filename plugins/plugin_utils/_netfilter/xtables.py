# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of iptables and ip6tables, read from what iptables-save and ip6tables-save print."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from .ipset import IpSet
from .model import Chain, Hook, Rule, XtTable
from .statements import undecided
from .xtables_arguments import parse_arguments
from .xtables_lines import SavedTable, UnreadableError, shown, split_tables, split_words
from .xtables_matches import Context, read_matches
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


def parse_xtables(texts: Sequence[str], sets: Mapping[str, IpSet]) -> tuple[tuple[XtTable, ...], tuple[str, ...]]:
    """The tables of some texts, and sentences about what belongs to no table of the kernel.

    Each text may hold several runs of iptables-save and ip6tables-save, of both backends. ``sets`` are ipset's sets by
    name, none where they are not known. Never raises: a rule that cannot be read stays in its chain as one that nobody
    can decide, and what cannot be given a chain is the ``problem`` of its table, which then has its built-in chains
    without rules.
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
            key = (family, table.name, table.in_nft)
            if key not in found:
                found[key] = _table(family, table, known)
                read[key] = table
            elif not _same(read[key], table):
                sentence = f"the table {family} {table.name} of iptables is there twice, with different content"
                found[key] = _unreadable(family, table.name, table.in_nft, sentence)
    return tuple(found.values()), tuple(gaps)


def _table(family: str, table: SavedTable, sets: KnownSets) -> XtTable:
    problem = next(_problems(table), None)
    if problem:
        sentence = f"the table {family} {table.name} of iptables could not be read: {problem}"
        return _unreadable(family, table.name, table.in_nft, sentence)
    context = Context(_FAMILIES[family], sets)
    lines: dict[str, list[str]] = {name: [] for name in table.policies}
    for chain, line in table.rules:
        lines[chain].append(line)
    chains = tuple(
        _chain(family, table.name, name, policy, tuple(_rules(name, lines, context)))
        for name, policy in table.policies.items()
    )
    return XtTable(family, table.name, table.in_nft, chains)


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
        yield _rule(chain, line, position, lines.keys(), context)


def _rule(chain: str, line: str, position: int, chains: Collection[str], context: Context) -> Rule:
    try:
        arguments = parse_arguments(split_words(line)[2:])
        statements = read_target(arguments, context.version, chain, chains)
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


def _same(one: SavedTable, other: SavedTable) -> bool:
    return (one.policies, one.rules, one.problems) == (other.policies, other.rules, other.problems)
