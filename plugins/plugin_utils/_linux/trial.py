# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an allow rule would be enough: the rules walked once more, with one more before the rule that blocks."""

from __future__ import annotations

from dataclasses import replace

from .._netfilter.model import Chain, Fate, Outcome, Packet, Rule, Ruleset, Step
from .._netfilter.simulator import walk
from .._netfilter.statements import ACCEPT
from .snapshot import Snapshot


def met_next(snapshot: Snapshot, outcome: Outcome, packet: Packet) -> Outcome | None:
    """What still keeps the packet out once the rule that decides lets it pass; None where nothing does."""
    if not outcome.decided_by:
        return outcome
    ruleset = _allowing(snapshot.ruleset, outcome.decided_by[-1])
    found = walk(ruleset, replace(packet, source=outcome.source), snapshot.view)
    return next((other for other in found if other.fate is not Fate.PASSES), None)


def _allowing(ruleset: Ruleset, step: Step) -> Ruleset:
    """The rule set with an accept before the rule or the policy of a step."""
    key = (step.family, step.table, step.chain)
    chain = ruleset.chains.get(key)
    if chain is None:
        return ruleset
    before = len(chain.rules) if step.kind == "policy" else step.position - 1
    rules = (*chain.rules[:before], Rule((ACCEPT,), "accept", step.position), *chain.rules[before:])
    opened = replace(chain, rules=rules)

    def current(other: Chain) -> Chain:
        return opened if other.key == key else other

    hooks = {where: tuple(map(current, chains)) for where, chains in ruleset.hooks.items()}
    return replace(ruleset, hooks=hooks, chains={**ruleset.chains, key: opened})
