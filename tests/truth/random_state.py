# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A random firewall state as a record: what it is made of, how it is written down, and every way to make it smaller."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Part:
    """A piece of text, and the feature that it stands for in the table of what was covered."""

    text: str
    feature: str


Rule = tuple[Part, ...]


@dataclass(frozen=True)
class Chain:
    """A chain: ``head`` is what makes it a base chain (of iptables: its policy), empty in a chain that is jumped to."""

    name: str
    head: str
    feature: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Table:
    """A table: of nft ``head`` is ``inet one``, of iptables ``filter``; ``declarations`` are sets, maps and objects."""

    head: str
    feature: str
    declarations: tuple[Part, ...]
    chains: tuple[Chain, ...]


@dataclass(frozen=True)
class State:
    """All tables of a host; ``legacy`` tells which kernel interface those of iptables are loaded by."""

    ipsets: tuple[Part, ...] = ()
    nft: tuple[Table, ...] = ()
    iptables: tuple[Table, ...] = ()
    ip6tables: tuple[Table, ...] = ()
    legacy: bool = False

    def features(self) -> set[str]:
        """What this state holds of all that there is to cover."""
        found = {part.feature for part in self.ipsets}
        for table in (*self.nft, *self.iptables, *self.ip6tables):
            found |= {table.feature, *(part.feature for part in table.declarations)}
            for chain in table.chains:
                found |= {chain.feature, *(part.feature for rule in chain.rules for part in rule)}
        if self.iptables or self.ip6tables:
            found.add("xt backend legacy" if self.legacy else "xt backend nft")
        return found - {""}


@dataclass(frozen=True)
class Line:
    """A line of a script, and where its text comes from: positions of the table, the chain and the rule.

    A declaration has the chain -1.
    """

    text: str
    table: int = -1
    chain: int = -1
    rule: int = -1


def nft_lines(tables: Sequence[Table]) -> list[Line]:
    """The script for ``nft -f -``, one rule a line."""
    lines = [Line("flush ruleset")]
    for place, table in enumerate(tables):
        lines.append(Line(f"table {table.head} {{", place))
        lines += [Line(f"  {part.text}", place, -1, number) for number, part in enumerate(table.declarations)]
        for position, chain in enumerate(table.chains):
            lines.append(Line(f"  chain {chain.name} {{ {chain.head}", place, position))
            for number, rule in enumerate(chain.rules):
                lines.append(Line("    " + " ".join(part.text for part in rule), place, position, number))
            lines.append(Line("  }", place, position))
        lines.append(Line("}", place))
    return lines


def xtables_lines(tables: Sequence[Table]) -> list[Line]:
    """The text for ``iptables-restore``."""
    lines = []
    for place, table in enumerate(tables):
        lines.append(Line(f"*{table.head}", place))
        lines += [
            Line(f":{chain.name} {chain.head or '-'} [0:0]", place, position)
            for position, chain in enumerate(table.chains)
        ]
        for position, chain in enumerate(table.chains):
            for number, rule in enumerate(chain.rules):
                text = " ".join(part.text for part in rule)
                lines.append(Line(f"-A {chain.name} {text}", place, position, number))
        lines.append(Line("COMMIT", place))
    return lines


def text_of(lines: Sequence[Line]) -> str:
    """The lines as the text that a command reads."""
    return "".join(f"{line.text}\n" for line in lines)


def without_line(tables: tuple[Table, ...], line: Line) -> tuple[Table, ...]:
    """The tables without what a line stands for: a rule, a declaration, a chain or a table."""
    table = tables[line.table]
    if line.rule >= 0 and line.chain < 0:
        smaller = replace(table, declarations=_without(table.declarations, line.rule))
    elif line.rule >= 0:
        chain = table.chains[line.chain]
        chains = _with(table.chains, line.chain, replace(chain, rules=_without(chain.rules, line.rule)))
        smaller = replace(table, chains=chains)
    elif line.chain >= 0:
        smaller = replace(table, chains=_without(table.chains, line.chain))
    else:
        return _without(tables, line.table)
    return _with(tables, line.table, smaller)


# Has the kernel follow connections, as what was taken away may have done.
_FOLLOWING = Table(
    "inet following",
    "",
    (),
    (Chain("follow", "type filter hook prerouting priority 0;", "", ((Part("ct state new counter", ""),),)),),
)


def without_way_out(state: State) -> State:
    """The state without what filters on the way out."""
    return replace(
        state,
        nft=(*_inward(state.nft), _FOLLOWING),
        iptables=_inward(state.iptables),
        ip6tables=_inward(state.ip6tables),
    )


def _inward(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    found = []
    for table in tables:
        chains = tuple(
            replace(chain, head="ACCEPT", rules=()) if chain.name in ("OUTPUT", "POSTROUTING") else chain
            for chain in table.chains
            if not any(f"hook {hook} " in chain.head for hook in ("output", "postrouting", "egress"))
        )
        found.append(replace(table, chains=chains))
    return tuple(found)


def smaller_states(state: State) -> Iterator[State]:
    """Every state with one thing less: tables first, then chains, rules, declarations, parts of rules."""
    for field in ("nft", "iptables", "ip6tables"):
        tables: tuple[Table, ...] = getattr(state, field)
        lines = [Line("", number) for number in range(len(tables))]
        for number, table in enumerate(tables):
            lines += [Line("", number, place) for place in range(len(table.chains))]
        for number, table in enumerate(tables):
            lines += [Line("", number, -1, place) for place in range(len(table.declarations))]
            for place, chain in enumerate(table.chains):
                lines += [Line("", number, place, rule) for rule in range(len(chain.rules))]
        for line in lines:
            yield replace(state, **{field: without_line(tables, line)})
        for smaller in _smaller_rules(tables):
            yield replace(state, **{field: smaller})
    for number in range(len(state.ipsets)):
        yield replace(state, ipsets=_without(state.ipsets, number))


def _smaller_rules(tables: tuple[Table, ...]) -> Iterator[tuple[Table, ...]]:
    for number, table in enumerate(tables):
        for place, chain in enumerate(table.chains):
            for position, rule in enumerate(chain.rules):
                if len(rule) == 1:
                    continue
                for part in range(len(rule)):
                    rules = _with(chain.rules, position, _without(rule, part))
                    chains = _with(table.chains, place, replace(chain, rules=rules))
                    yield _with(tables, number, replace(table, chains=chains))


def _without(things: tuple[Thing, ...], place: int) -> tuple[Thing, ...]:
    return things[:place] + things[place + 1 :]


def _with(things: tuple[Thing, ...], place: int, thing: Thing) -> tuple[Thing, ...]:
    return (*things[:place], thing, *things[place + 1 :])


class Draw:
    """A source of chance that takes what is wanted when it is on offer. A seed gives the same draws every time."""

    def __init__(self, seed: int, wanted: Sequence[str]) -> None:
        self.chance = random.Random(seed)
        self.wanted = list(wanted)

    def one(self, things: Sequence[Thing]) -> Thing:
        """One of the things."""
        return self.chance.choice(things)

    def often(self, share: float) -> bool:
        """Whether something of this share happens."""
        return self.chance.random() < share

    def name(self, prefix: str, options: Mapping[str, object], *, common: Sequence[str] = ()) -> str:
        """The name of an option; ``prefix`` and name are a feature. Wanted ones come first, then ``common`` ones."""
        wanted = [feature for feature in self.wanted if feature.removeprefix(prefix) in options]
        wanted = [feature for feature in wanted if feature.startswith(prefix)]
        if wanted and self.often(0.6):
            return self.one(wanted).removeprefix(prefix)
        return self.one(common if common and self.often(0.7) else list(options))

    def done(self, feature: str) -> None:
        """What is wanted has been had."""
        if feature in self.wanted:
            self.wanted.remove(feature)
