# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading ``nft -j list ruleset`` (libnftables-json(5)) into chains of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .late_rules import LateRule
from .matches import Match, is_match
from .model import Chain, Hook, Rule
from .nft_matches import TableContext
from .nft_sets import NamedSet
from .nft_statements import read_statements
from .nft_text import RuleText

_HOOKS = {hook.value: hook for hook in Hook}
_CHANGES = ("add", "update", "delete")  # what a rule does to a set; looked for in the text, for few have such rules


@dataclass
class NftTables:
    """What an nft listing holds: its chains in the order of the listing, and what could not be read."""

    chains: list[Chain] = field(default_factory=list)
    gaps: tuple[str, ...] = ()


def parse_nft(text: str) -> NftTables:
    """The tables of an ``nft -j list ruleset``. Never raises: text that is no such listing gives a gap."""
    try:
        objects = json.loads(text)["nftables"]
        kinds = [next(iter(item.items())) for item in objects]
    except (ValueError, KeyError, TypeError, StopIteration, AttributeError, RecursionError):
        return NftTables(gaps=("the kernel's rules could not be read: the list of nft is not the JSON it should be",))
    try:
        return _read_objects(kinds, some_change=any(f'"{name}"' in text for name in _CHANGES))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        return NftTables(gaps=(f"the kernel's rules could not be read: nft's list is not as expected ({error!r})",))


def _read_objects(objects: list[tuple[str, Any]], *, some_change: bool) -> NftTables:
    dormant: dict[tuple[str, str], str] = {}
    rules: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    sets: dict[tuple[str, str], dict[str, NamedSet]] = {}
    chains: list[Mapping[str, Any]] = []
    for kind, body in objects:
        if kind == "table" and body.get("flags"):
            dormant[(body["family"], body["name"])] = _dormancy(body)
        elif kind in ("set", "map"):
            named = NamedSet(body["name"], body.get("elem") or [], body.get("size"))
            sets.setdefault((body["family"], body["table"]), {})[body["name"]] = named
        elif kind == "chain":
            chains.append(body)
        elif kind == "rule":
            rules.setdefault((body["family"], body["table"], body["chain"]), []).append(body)
    if some_change:
        _note_changes(rules, sets)
    found = NftTables()
    for body in chains:
        where = (body["family"], body["table"])
        if dormant.get(where) == "dormant":
            continue
        context = TableContext(*where, sets.get(where, {}))
        of_chain = rules.get((*where, body["name"]), [])
        found.chains.append(_read_chain(body, of_chain, context, dormant.get(where, "")))
    return found


def _dormancy(table: Mapping[str, Any]) -> str:
    """``dormant``, nothing for flags that change nothing, or a sentence: nft 1.0.6 writes noise for their names."""
    flags = table["flags"] if isinstance(table["flags"], list) else [table["flags"]]
    if "dormant" in flags:
        return "dormant"
    if set(flags) <= {"owner", "persist"}:
        return ""
    return f"this version of nft does not tell whether the table {table['family']} {table['name']} is dormant"


def _note_changes(
    rules: Mapping[tuple[str, str, str], list[Mapping[str, Any]]], sets: dict[tuple[str, str], dict[str, NamedSet]]
) -> None:
    """Mark the sets that packets themselves change."""
    for (family, table, _chain), of_chain in rules.items():
        for rule in of_chain:
            for item in rule.get("expr") or ():
                update = item.get("set") or item.get("map") if isinstance(item, dict) else None
                if not isinstance(update, dict):
                    continue
                name = update.get("set") or update.get("map") or ""
                named = sets.get((family, table), {}).get(str(name).lstrip("@"))
                if named is not None:
                    named.loses = named.loses or update.get("op") == "delete"
                    named.gains = named.gains or update.get("op") != "delete"


def _read_chain(body: Mapping[str, Any], rules: list[Mapping[str, Any]], context: TableContext, doubt: str) -> Chain:
    hook = _HOOKS.get(body.get("hook", ""))
    devices: tuple[str, ...] = ()
    if hook in (Hook.INGRESS, Hook.EGRESS):
        devices = tuple(_devices(body))
        if not devices and not doubt:
            where = f"chain {body['name']} of table {context.family} {context.table}"
            doubt = f"this version of nft does not tell on which interfaces {where} works"
    return Chain(
        context.family,
        context.table,
        body["name"],
        tuple(_read_rule(rule, number, context) for number, rule in enumerate(rules, start=1)),
        body.get("policy", "accept") if hook else None,
        hook,
        int(body.get("prio", 0)),
        body.get("type", "filter"),
        devices,
        doubt,
    )


def _devices(body: Mapping[str, Any]) -> Iterator[str]:
    names = body.get("dev", body.get("devs", []))
    yield from (names if isinstance(names, list) else [names])


class _ListedRule(LateRule):
    """A rule of the listing; its material is the rule's body and the context of its table."""

    def read(self) -> Rule:
        """See LateRule."""
        body, context = self.material
        statements = read_statements(body.get("expr") or [], context)
        return Rule(statements, self.text, self.position, body.get("handle"), body.get("comment"))

    def read_first(self) -> Match | None:
        """See LateRule."""
        body, context = self.material
        first = read_statements((body.get("expr") or [])[:1], context)
        return first[0] if first and is_match(first[0]) else None


def _read_rule(body: Mapping[str, Any], position: int, context: TableContext) -> Rule:
    expressions = body.get("expr") or []
    if not isinstance(expressions, list):
        raise TypeError("a rule whose statements are no list")
    return _ListedRule((body, context), RuleText(expressions), position)
