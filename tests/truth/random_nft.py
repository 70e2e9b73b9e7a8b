# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random tables of nft: families, hooks, sets and rules. What does not fit a place gives an empty text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .random_nft_statements import STATEMENTS, USUAL_STATEMENTS
from .random_nft_words import MATCHES, USUAL_MATCHES, Place
from .random_state import Chain, Draw, Part, Rule, Table

# No filter chain has the priority of translation: which of the two was there first, and so comes last, is not shown.
_HOOKS = {
    "prerouting": ("filter", (-450, -300, -250, -150, -110, -90, 0)),
    "input": ("filter", (-150, 0, 0, 0, 10, 50)),
    "forward": ("filter", (-150, 0, 0, 10)),
    "output": ("filter", (-300, -150, 0, 0, 10)),
    "postrouting": ("filter", (-150, 0, 90, 300)),
    "ingress": ("filter", (-100, 0, 10)),
    "egress": ("filter", (0, 10)),
    "nat prerouting": ("nat", (-100, -100, -90, -150)),
    "nat input": ("nat", (100, 50)),
    "nat output": ("nat", (-100, -90)),
    "nat postrouting": ("nat", (100, 90)),
    "route output": ("route", (-150, 0)),
}
_USUAL_HOOKS = ("input", "input", "input", "prerouting", "output", "nat prerouting", "forward")
_OF_FAMILY = {
    "ip": [hook for hook in _HOOKS if "gress" not in hook],
    "ip6": [hook for hook in _HOOKS if "gress" not in hook],
    "inet": [hook for hook in _HOOKS if hook not in ("egress", "route output")],
    "netdev": ["ingress", "egress"],
}
# Where a statement or a match that is wanted can stand.
_HOME = {
    **dict.fromkeys(("dnat", "dnat map", "redirect"), "nat prerouting"),
    **dict.fromkeys(("masquerade", "snat"), "nat postrouting"),
    **dict.fromkeys(("notrack", "tproxy", "ct zone set", "pkttype set"), "prerouting"),
    **dict.fromkeys(("synproxy", "reject"), "input"),
}

_PROTOCOLS = re.compile(r"\b(tcp|udp|icmp|icmpv6|sctp) (?:[sd]port|flags|option|type|code|length)")
_VERSIONS = re.compile(r"\b(ip6?|icmp|icmpv6) (?:[sd]addr|type|code|length|ttl|hoplimit|dscp|version|protocol|nexthdr)")


@dataclass
class _Builder:
    """One table while its chains are drawn."""

    draw: Draw
    number: int
    family: str
    declarations: list[Part] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    jumped: int = 0

    def place(self, hook: str) -> Place:
        return Place(self.draw, self.family, hook.split()[-1], hook.split()[0], self.declarations, self.called)

    def called(self, place: Place) -> str:
        """The name of a new chain to jump to, or of one that is there."""
        if self.jumped >= 3 or place.depth >= 2:
            return ""
        self.jumped += 1
        name = f"sub{self.jumped}"
        inner = Place(self.draw, place.family, place.hook, place.kind, self.declarations, self.called, place.depth + 1)
        rules = self.rules(inner, self.draw.one([1, 2, 2, 3]))
        self.chains.append(Chain(name, "", "nft chain regular", rules))
        return name

    def base(self, hook: str, wanted: tuple[Rule, ...] = ()) -> None:
        draw = self.draw
        kind, priorities = _HOOKS[hook]
        where = hook.split()[-1]
        device = ' device "lan0"' if "gress" in hook else ""
        policy = "drop" if kind != "nat" and draw.often(0.45 if where == "input" else 0.12) else "accept"
        head = f"type {kind} hook {where}{device} priority {draw.one(priorities)}; policy {policy};"
        rules = wanted or self.rules(self.place(hook), draw.one([1, 2, 3, 4, 5, 6]))
        name = f"base{len(self.chains)}"
        draw.done(f"nft chain {hook}")
        self.chains.append(Chain(name, head, f"nft chain {hook}", rules))

    def rules(self, place: Place, count: int) -> tuple[Rule, ...]:
        return tuple(rule for rule in (_rule(place) for _number in range(count)) if rule)


def _rule(place: Place) -> Rule:
    parts: list[Part] = []
    for _number in range(place.draw.one([0, 1, 1, 1, 2, 2, 3])):
        usual = USUAL_MATCHES if place.hook != "output" else (*USUAL_MATCHES, "ct state")
        _append(parts, place, "nft match ", MATCHES, usual)
    _append(parts, place, "nft statement ", STATEMENTS, USUAL_STATEMENTS)
    return tuple(parts)


def _append(
    parts: list[Part], place: Place, prefix: str, options: dict[str, Callable[[Place], str]], usual: tuple[str, ...]
) -> None:
    for _try in range(5):
        name = place.draw.name(prefix, options, common=usual)
        text = options[name](place)
        if text and _agree(" ".join([*(part.text for part in parts), text])):
            place.draw.done(prefix + name)
            parts.append(Part(text, prefix + name))
            return


def _agree(rule: str) -> bool:
    """Whether a rule asks for one protocol and one version only: others the kernel's tools refuse."""
    return len(set(_PROTOCOLS.findall(rule))) < 2 and len(set(_VERSIONS.findall(rule))) < 2


def nft_tables(draw: Draw) -> tuple[Table, ...]:
    """One to three tables. What is wanted of matches and statements finds a chain that can hold it."""
    tables = []
    for number in range(draw.one([1, 1, 2, 2, 3])):
        family = draw.name("nft family ", _OF_FAMILY, common=("inet", "inet", "ip", "ip6"))
        draw.done(f"nft family {family}")
        builder = _Builder(draw, number, family)
        for _chain in range(draw.one([1, 1, 2, 3])):
            builder.base(_hook(draw, family))
        table = Table(f"{family} t{number}", f"nft family {family}", tuple(builder.declarations), tuple(builder.chains))
        tables.append(table)
    return (*tables, *_rest(draw, len(tables)))


def _rest(draw: Draw, number: int) -> tuple[Table, ...]:
    """A table for what is still wanted."""
    family = draw.one(["inet", "inet", "ip", "ip6"])
    builder = _Builder(draw, number, family)
    rules: dict[str, list[Rule]] = {}
    for feature in list(draw.wanted):
        kind, _space, name = feature.removeprefix("nft ").partition(" ")
        if kind == "chain" and name in _OF_FAMILY[family]:
            builder.base(name)
        options = {"match": MATCHES, "statement": STATEMENTS}.get(kind, {})
        hook = _HOME.get(name) or draw.one(["input", "input", "prerouting", "output"])
        text = options[name](builder.place(hook)) if name in options else ""
        if text:
            draw.done(feature)
            closing = (Part("accept", "nft statement accept"),) if kind == "match" and draw.often(0.6) else ()
            rules.setdefault(hook, []).append((Part(text, feature), *closing))
    for hook, wanted in rules.items():
        builder.base(hook, tuple(wanted))
    if not builder.chains:
        return ()
    return (Table(f"{family} t{number}", f"nft family {family}", tuple(builder.declarations), tuple(builder.chains)),)


def _hook(draw: Draw, family: str) -> str:
    hooks = dict.fromkeys(_OF_FAMILY[family])
    for feature in draw.wanted:
        home = _HOME.get(feature.removeprefix("nft statement "))
        if home in hooks and draw.often(0.7):
            return str(home)
    usual = tuple(hook for hook in _USUAL_HOOKS if hook in hooks)
    return draw.name("nft chain ", hooks, common=usual)


FEATURES = (
    *(f"nft family {family}" for family in _OF_FAMILY),
    *(f"nft chain {hook}" for hook in _HOOKS),
    *(f"nft match {name}" for name in MATCHES),
    *(f"nft statement {name}" for name in STATEMENTS),
)
