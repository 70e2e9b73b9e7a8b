# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's direct interface (firewalld.direct(5)) as the iptables rules that it becomes.

Rules go into ``INPUT_direct`` and its kin, which the built-in chains jump to first; passthroughs are iptables commands.
With the nftables backend these tables stand on their own, before firewalld's: what they accept must still pass
firewalld. With the iptables backend they are a part of firewalld's own chains: what they accept is let in for good.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from .._netfilter.model import ChainKey, Hook, Ruleset
from .firewalld_config import FirewalldConfig
from .firewalld_records import DirectRule
from .iptables_restore import BUILT_IN, Tables, joined

_PROGRAMS = {4: "iptables", 6: "ip6tables"}
_JUMPS = ("-j", "--jump", "-g", "--goto")
_HARMLESS = ("DROP", "REJECT", "LOG", "NFLOG", "RETURN")
_INPUT, _INPUT_DIRECT = "INPUT", "INPUT_direct"
_OWN_JUMP = f"-A {_INPUT} -j {_INPUT_DIRECT}"
_APPEND, _INSERT = ("-A", "--append"), ("-I", "--insert")
_NEW_CHAIN = ("-N", "--new-chain")
_POLICY = ("-P", "--policy")


def direct_tables(config: FirewalldConfig) -> tuple[str, ...]:
    """The tables that the direct interface fills, one text per family that has any."""
    filled = ((version, _tables(config, version)) for version in _PROGRAMS if _rules(config, version))
    return tuple(tables.text(_PROGRAMS[version]) for version, tables in filled)


def direct_problems(config: FirewalldConfig) -> tuple[str, ...]:
    """Sentences about what the direct interface does and its tables cannot say; each can concern any packet."""
    found = [problem for version in _PROGRAMS for problem in _tables(config, version).problems]
    if config.iptables_backend:
        found += [
            f"the direct rule {rule.arguments!r} stands among firewalld's own rules of iptables, which is not judged"
            for rule in config.direct
            if not (_is_of_input(rule) or _is_harmless(rule))
        ]
    return tuple(found)


def within_input(ruleset: Ruleset, *, own: ChainKey, head: int, version: int) -> Ruleset:
    """With the iptables backend: the rules with the direct ones of one family where they stand in the input chain.

    ``own`` is the chain of firewalld's own rules, of which the first ``head`` come before the direct ones. What is
    inserted stands before all, what is appended behind the end of the chain, where nothing gets to.
    """
    family = "ip" if version == 4 else "ip6"
    direct = ruleset.chains.get((family, "filter", _INPUT))
    if direct is None:
        return ruleset
    jump = next(at for at, rule in enumerate(direct.rules) if f"-j {_INPUT_DIRECT}" in str(rule.text))
    chain = ruleset.chains[own]
    rules = (*direct.rules[:jump], *chain.rules[:head], direct.rules[jump], *chain.rules[head:])
    merged = replace(chain, rules=rules)
    # A jump finds its chain by the table of the rule that jumps.
    found = {(*own[:2], key[2]): item for key, item in ruleset.chains.items() if key[:2] == (family, "filter")}
    hook = (family, Hook.INPUT)
    stations = [merged if item.key == own else item for item in ruleset.hooks[hook] if item.key != direct.key]
    return replace(ruleset, chains={**found, **ruleset.chains, own: merged}, hooks={**ruleset.hooks, hook: stations})


def _is_of_input(rule: DirectRule) -> bool:
    """Whether it is followed wherever it leads to: it stands in the filter table, and is met on the way in alone."""
    if not rule.passthrough:
        return rule.table == "filter" and rule.chain != "OUTPUT"
    words = [*rule.arguments.split(), "", "", ""]
    if words[0] in _APPEND:
        return words[1] == _INPUT
    return words[0] in _INSERT and words[1] == _INPUT and not words[2].isdigit()


def _is_harmless(rule: DirectRule) -> bool:
    words = rule.arguments.split()
    if rule.passthrough and set(_APPEND) & set(words):  # comes behind firewalld's own rules in the same chain
        return False
    targets = [target for option, target in pairwise(words) if option in _JUMPS]
    return all(target in _HARMLESS for target in targets)


def _rules(config: FirewalldConfig, version: int) -> list[DirectRule]:
    return [rule for rule in config.direct if rule.version == version]


def _tables(config: FirewalldConfig, version: int) -> Tables:
    tables = Tables()
    rules = _rules(config, version)
    if config.iptables_backend:
        tables.restore(_text("filter", (f":{_INPUT_DIRECT} - [0:0]", _OWN_JUMP)), "firewalld's own rules")
    for table in dict.fromkeys(rule.table for rule in rules if not rule.passthrough):
        lines = [line for line in _direct_lines(table, rules) if not (config.iptables_backend and line == _OWN_JUMP)]
        tables.restore(_text(table, lines), "/etc/firewalld/direct.xml")
    for rule in rules:
        if rule.passthrough:
            tables.restore(_passthrough(rule.arguments), "a passthrough of /etc/firewalld/direct.xml")
    return tables


def _direct_lines(table: str, rules: Iterable[DirectRule]) -> Iterator[str]:
    mine = [rule for rule in rules if rule.table == table and not rule.passthrough]
    own = {rule.chain: f"{rule.chain}_direct" for rule in mine if rule.chain in BUILT_IN.get(table, ())}
    chains = {rule.chain: own.get(rule.chain, rule.chain) for rule in mine}
    yield from (f":{name} - [0:0]" for name in chains.values())
    yield from (f"-A {chain} -j {name}" for chain, name in chains.items() if chain != name)
    yield from (f"-A {chains[rule.chain]} {rule.arguments}" for rule in mine)


def _passthrough(arguments: str) -> str:
    """An iptables command as a line of the text that iptables-restore reads."""
    try:
        words = shlex.split(arguments)
    except ValueError:
        words = []
    table = "filter"
    if len(words) > 1 and words[0] in ("-t", "--table"):
        table, words = words[1], words[2:]
    if len(words) == 2 and words[0] in _NEW_CHAIN:
        return _text(table, [f":{words[1]} - [0:0]"])
    if len(words) == 3 and words[0] in _POLICY:
        return _text(table, [f":{words[1]} {words[2]} [0:0]"])
    return _text(table, [joined(words) or arguments])


def _text(table: str, lines: Iterable[str]) -> str:
    return "\n".join((f"*{table}", *lines, "COMMIT"))
