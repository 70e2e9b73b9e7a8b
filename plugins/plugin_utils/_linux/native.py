# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nftables and iptables without a manager: marked rules of ours in the chain that decides, in the kernel alone.

Nobody owns such rule sets but their author, so nothing is written unless it is asked for by ``manager``; else these
are the commands that are shown. They do not last beyond a reboot: the file that is loaded then is the author's to edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...module_utils._core.records import Decision
from .._netfilter.model import Outcome, Packet, Rule, Ruleset, Step
from .manager import Action, BootPart, Opening

MARK = "agentless-audit"
STORED_IN = {
    "nftables": "/etc/nftables.conf",
    "iptables": "/etc/iptables/rules.v4 and rules.v6, or where your distribution keeps them",
}
_AT_THE_END = "end"
FIRST = "first"  # in the place of a handle: at the head of the chain
_PLAIN_NFT = re.compile(r"(?:counter |log )*(?:drop|reject)\b.*")
_PLAIN_XT = re.compile(r"-A \S+ -j (?:DROP|REJECT)\b.*")


def is_iptables(step: Step) -> bool:
    """Whether a step is iptables' (its rules are shown as ``-A`` lines, its built-in chains are in capitals)."""
    return step.text.startswith("-A ") or (step.kind == "policy" and step.chain.isupper())


@dataclass
class Native:
    """``nftables`` or ``iptables`` on one host.

    An opening's place is ``family table chain`` and the handle or number of the rule it goes before, ``first`` or
    ``end``.
    """

    name: str
    ruleset: Ruleset

    def boot(self, packet: Packet) -> tuple[BootPart, ...]:
        """See Manager: what is loaded at boot is judged elsewhere."""
        return ()

    def words(self, step: Step) -> Decision | None:
        """See Manager: only rules with our mark are ours."""
        if step.comment != MARK or is_iptables(step) is not (self.name == "iptables"):
            return None
        return Decision(self.name, f"{step.family} {step.table} {step.chain}", f"our rule {step.text}")

    def obstacle(self, outcome: Outcome) -> Decision | None:
        """See Manager: a rule that names what it blocks; what blocks everything that is left gives way."""
        if not outcome.decided_by or outcome.stage == "answer":
            return Decision("netfilter", "", outcome.reason)
        step = outcome.decided_by[-1]
        if is_iptables(step) is not (self.name == "iptables"):
            return Decision("netfilter", f"{step.family} {step.table} {step.chain}", step.text)
        if step.kind == "policy" or _PLAIN_NFT.fullmatch(step.text) or _PLAIN_XT.fullmatch(step.text):
            return None
        return Decision(self.name, f"{step.family} {step.table} {step.chain}", step.text)

    def place(self, outcome: Outcome, packet: Packet) -> str:
        """See Manager."""
        step = outcome.decided_by[-1]
        number = step.position if self.name == "iptables" else step.handle
        before = _AT_THE_END if step.kind == "policy" or number is None else str(number)
        return f"{step.family} {step.table} {step.chain} {before}"

    def place_again(self, opening: Opening, gone: Sequence[Opening]) -> str | None:
        """See Manager: before the next rule that is not ours."""
        family, table, chain = opening.place.split(" ")[:3]
        found = self.ruleset.chains.get((family, table, chain))
        rules = found.rules if found else ()
        ours = next((rule for rule in rules if _is_ours(rule, opening)), None)
        if ours is None:
            return None
        following = next((rule for rule in rules[ours.position :] if rule.comment != MARK), None)
        before = _AT_THE_END
        if following is not None and self.name == "nftables":
            before = str(following.handle)
        elif following is not None:
            earlier = rules[: following.position - 1]
            removed = sum(any(_is_ours(rule, item) for item in gone) for rule in earlier)
            before = str(following.position - removed)
        return f"{family} {table} {chain} {before}"

    def has(self, opening: Opening) -> bool:
        """See Manager: nothing of ours is stored."""
        return False

    def add(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """See Manager. One command a rule: these tools take one at a time, and there are few."""
        return tuple(self._command(opening) for opening in openings)

    def _command(self, opening: Opening) -> Action:
        family, table, chain, before = opening.place.split(" ")
        if self.name == "iptables":
            number = () if before == FIRST else (before,)
            where = ("-A", chain) if before == _AT_THE_END else ("-I", chain, *number)
            argv = (*_iptables(opening), "-t", table, *where, *_xt_rule(opening))
        else:
            verb = ("add", "rule") if before == _AT_THE_END else ("insert", "rule")
            at = () if before in (_AT_THE_END, FIRST) else ("handle", before)
            argv = ("nft", *verb, family, table, chain, *at, *_nft_rule(opening))
        return Action(argv, " ".join(argv), "runtime")

    def remove(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """See Manager: those of the rules with our mark that are there."""
        return tuple(action for opening in openings for action in self._removal(opening))

    def _removal(self, opening: Opening) -> Iterator[Action]:
        family, table, chain = opening.place.split(" ")[:3]
        found = self.ruleset.chains.get((family, table, chain))
        for rule in found.rules if found else ():
            if not _is_ours(rule, opening):
                continue
            argv: tuple[str, ...] = ("nft", "delete", "rule", family, table, chain, "handle", str(rule.handle))
            if self.name == "iptables":
                argv = (*_iptables(opening), "-t", table, "-D", chain, *_xt_rule(opening))
            yield Action(argv, " ".join(argv), "runtime")
            return

    def reread(self, openings: Sequence[Opening]) -> tuple[Action, ...]:
        """See Manager: nobody but us reads them before they are used."""
        return ()

    def touched(self, openings: Sequence[Opening]) -> tuple[str, ...]:
        """See Manager."""
        return ()


def _iptables(opening: Opening) -> tuple[str, ...]:
    return ("iptables" if opening.version == 4 else "ip6tables", "-w", "5")


def _xt_rule(opening: Opening) -> tuple[str, ...]:
    source = () if opening.source == "any" else ("-s", opening.source)
    if opening.protocol == "icmp":
        kinds = {4: ("-p", "icmp", "--icmp-type", "8"), 6: ("-p", "ipv6-icmp", "--icmpv6-type", "128")}
        what = kinds[opening.version]
    else:
        what = ("-p", opening.protocol, "--dport", str(opening.port))
    return (*source, *what, "-m", "comment", "--comment", MARK, "-j", "ACCEPT")


def _nft_rule(opening: Opening) -> tuple[str, ...]:
    source = () if opening.source == "any" else ("ip" if opening.version == 4 else "ip6", "saddr", opening.source)
    if opening.protocol == "icmp":
        what = ("icmp" if opening.version == 4 else "icmpv6", "type", "echo-request")
    else:
        what = (opening.protocol, "dport", str(opening.port))
    return (*source, *what, "accept", "comment", f'"{MARK}"')


def _is_ours(rule: Rule, opening: Opening) -> bool:
    """Whether a rule with our mark is this opening: it names the source and the port."""
    words = f" {rule.text} "
    named = opening.source == "any" or re.search(rf"(?:saddr|-s) {re.escape(opening.source)}(?:/32|/128)? ", words)
    port = "echo-request|-type " if opening.protocol == "icmp" else rf"dport {opening.port} "
    return rule.comment == MARK and bool(named) and re.search(port, words) is not None
