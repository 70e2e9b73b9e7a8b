# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw as a manager: what it will load at boot, its own words for the kernel's rules, its commands.

An allow rule of ours is a numbered rule with a comment, behind those that are there: ufw takes the first that matches.
ufw replaces the action or comment of a rule that is otherwise the same, so a command of ours never names the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.records import Decision
from ...module_utils._core.vocabulary import VerdictStatus
from .._netfilter.model import Fate, HostView, Outcome, Packet, Ruleset, Step
from .._netfilter.readers import read_ruleset
from .._netfilter.simulator import walk
from .manager import Action, BootPart, Files, Opening
from .ufw_compose import Composed, compose
from .ufw_config import USER_RULES, Tuple, UfwConfig, parse_ufw_files
from .ufw_words import position_words

MARK = "agentless-audit"
MOST_PORTS = 15  # what iptables takes in one multiport match
_ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_STATUS = {Fate.PASSES: VerdictStatus.OPEN, Fate.UNDECIDED: VerdictStatus.UNKNOWN}


def parse_ufw(files: Files, host: HostView) -> Ufw:
    """ufw on one host, from the text of its files by absolute path."""
    return Ufw(parse_ufw_files(files), host)


class Ufw:
    """ufw on one host."""

    name = "ufw"

    def __init__(self, config: UfwConfig, host: HostView) -> None:
        self._config = config
        self._host = host

    @cached_property
    def _composed(self) -> Composed:
        return compose(self._config)

    @cached_property
    def _ruleset(self) -> Ruleset:
        return read_ruleset(nft=None, xtables=self._composed.texts, ipset=None)

    def boot(self, packet: Packet) -> tuple[BootPart, ...]:
        """See Manager."""
        if not self._config.enabled:
            decision = Decision("ufw", "ENABLED", "ufw is not enabled (ENABLED=no) and loads nothing")
            return (BootPart(packet.source, VerdictStatus.OPEN, decision),)
        if self._composed.problems:
            decision = Decision("ufw", "files", "; ".join(self._composed.problems))
            return (BootPart(packet.source, VerdictStatus.UNKNOWN, decision),)
        return tuple(
            BootPart(outcome.source, _STATUS.get(outcome.fate, VerdictStatus.BLOCKED), self._boot_decision(outcome))
            for outcome in walk(self._ruleset, packet, self._host)
        )

    def _boot_decision(self, outcome: Outcome) -> Decision:
        words = self.words(outcome.decided_by[-1]) if outcome.decided_by else None
        return words or Decision("ufw", "default", outcome.reason)

    def words(self, step: Step) -> Decision | None:
        """See Manager."""
        return position_words(self._config, step)

    def place(self, outcome: Outcome, packet: Packet) -> str:
        """See Manager: ufw has one list."""
        return ""

    def obstacle(self, outcome: Outcome) -> Decision | None:
        """See Manager. Of kind ``ufw`` when a rule ahead of ufw's list would win."""
        if outcome.fate is Fate.PASSES:
            return None
        if not self._config.enabled:
            text = "ufw is switched off (ENABLED=no) while its rules are still loaded: its commands load nothing then"
            return Decision("ufw.settings", "ENABLED", text)
        version = outcome.final_destination.version
        if outcome.final_port is None:
            text = f"no command of ufw opens ICMP; {_before_file(version)} decides about it"
            return Decision("ufw.before", "icmp", text)
        if version == 6 and not self._config.ipv6:
            return Decision("ufw.settings", "IPV6", "ufw drops all of IPv6 (IPV6=no in /etc/default/ufw)")
        if not outcome.decided_by:
            return Decision("kernel", "", outcome.reason)
        step = outcome.decided_by[-1]
        if outcome.fate is not Fate.UNDECIDED and outcome.stage == "arrival" and _is_behind_rules(step):
            return None
        words = self.words(step)
        if words is None:
            return Decision("rule", f"{step.family} {step.table} {step.chain} {step.position}", step.text)
        in_list = outcome.stage == "arrival" and "-user-" in step.chain
        return words if in_list else Decision("ufw.before", words.id, words.text)

    def place_again(self, opening: Opening, gone: Sequence[Opening]) -> str | None:
        """See Manager."""
        return opening.place

    def has(self, opening: Opening) -> bool:
        """See Manager: an allow rule with our comment that holds the port (``ahead``: before all rules of others)."""
        rules = self._config.of_version(opening.version)
        if opening.ahead:
            foreign = next((index for index, rule in enumerate(rules) if rule.comment != MARK), len(rules))
            rules = rules[:foreign]
        return any(_holds(rule, opening) for rule in rules)

    def add(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """See Manager: one command per protocol, source and fifteen ports, which stores and loads the rule at once."""
        wanted = [opening for opening in openings if opening.port is not None and not self.has(opening)]
        return tuple(self._allow(wanted))

    def _allow(self, openings: Iterable[Opening]) -> Iterator[Action]:
        groups: dict[tuple[int, bool, str, str], list[int]] = {}
        for opening in openings:
            key = (opening.version, opening.ahead, opening.protocol, _source(opening))
            groups.setdefault(key, []).append(opening.port or 0)
        for (version, ahead, protocol, source), numbers in groups.items():
            ports = sorted(set(numbers))
            for start in range(0, len(ports), MOST_PORTS):
                for text in self._unlike_others(version, protocol, source, ports[start : start + MOST_PORTS]):
                    yield _action(("prepend", "allow") if ahead else ("allow",), protocol, source, text)

    def _unlike_others(self, version: int, protocol: str, source: str, ports: Sequence[int]) -> list[str]:
        """The ports as lists that make no rule which ufw would take for one that is there.

        Where all of them together would, each port goes for itself, repeated until the rule is a new one.
        """
        taken = {
            rule.ports
            for rule in self._config.of_version(version)
            if rule.protocol == protocol and _is_plain(rule) and _same_source(rule.source, source)
        }
        together = ",".join(map(str, ports))
        if together not in taken:
            return [together]
        lists: list[str] = []
        for port in ports:
            repeats = (",".join([str(port)] * count) for count in range(1, MOST_PORTS + 1))
            lists += [next(text for text in repeats if text not in taken)]
        return lists

    def remove(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """See Manager: a rule of several ports goes as a whole; those that stay take its place in the list before."""
        actions: list[Action] = []
        for rule in self._config.rules:
            going = {str(opening.port) for opening in openings if _holds(rule, opening)}
            if not going:
                continue
            staying = [int(port) for port in dict.fromkeys(rule.ports.split(",")) if port not in going]
            if staying:
                verb = ("insert", str(self._place_in_list(rule)), "allow")
                for ports in self._unlike_others(rule.version, rule.protocol, rule.source, staying):
                    actions.append(_action(verb, rule.protocol, rule.source, ports))
            actions.append(_action(("delete", "allow"), rule.protocol, rule.source, rule.ports))
        return tuple(actions)

    def _place_in_list(self, rule: Tuple) -> int:
        """The position by which ``ufw insert`` puts a rule in the place of this one.

        ufw counts tuples for it, behind the numbered rules of IPv4 for those of IPv6, and takes no more than it has
        numbered rules (ufw/frontend.py, set_rule).
        """
        family = self._config.of_version(rule.version)
        before = max((item.number for item in self._config.of_version(4)), default=0) if rule.version == 6 else 0
        index = next(index for index, item in enumerate(family, 1) if item is rule)
        return before + min(index, family[-1].number - before)

    def reread(self, openings: Sequence[Opening]) -> tuple[Action, ...]:
        """See Manager: nobody but us reads them before they are used."""
        return ()

    def touched(self, openings: Sequence[Opening]) -> tuple[str, ...]:
        """See Manager."""
        return tuple(dict.fromkeys(USER_RULES[opening.version] for opening in openings))


def _action(verb: tuple[str, ...], protocol: str, source: str, ports: str) -> Action:
    rule = ("proto", protocol, "from", source, "to", "any", "port", ports, "comment", MARK)
    return Action(("ufw", *verb, *rule), f"{' '.join(verb)} {protocol}/{ports} from {source}", "both")


def _source(opening: Opening) -> str:
    """The source as ufw stores it. Raises InputError for one that is no address."""
    if opening.source == "any":
        return _ANYWHERE[opening.version]
    texts = list(AddressSet.parse(opening.source).texts())
    return texts[0] if len(texts) == 1 else opening.source


def _same_source(stored: str, source: str) -> bool:
    return stored == source or AddressSet.parse(stored) == AddressSet.parse(source)


def _is_plain(rule: Tuple) -> bool:
    """Whether a rule is about packets to any address of this host, by any interface, by port."""
    anywhere = rule.destination == _ANYWHERE[rule.version] and rule.source_ports == "any"
    return anywhere and rule.direction == "in" and not (rule.interface_in or rule.application)


def _holds(rule: Tuple, opening: Opening) -> bool:
    """Whether a rule is ours and holds the opening."""
    ours = (rule.comment, rule.action, rule.log) == (MARK, "allow", "")
    same = (rule.version, rule.protocol) == (opening.version, opening.protocol)
    if not (ours and same and _is_plain(rule) and str(opening.port) in rule.ports.split(",")):
        return False
    return _same_source(rule.source, _source(opening))


def _before_file(version: int) -> str:
    return "/etc/ufw/before.rules" if version == 4 else "/etc/ufw/before6.rules"


def _is_behind_rules(step: Step) -> bool:
    """Whether a step comes after ufw's list: its after-rules, its reject and its default."""
    if step.table != "filter":
        return False
    if step.kind == "policy":
        return step.chain == "INPUT"
    chain = step.chain.replace("ufw6-", "ufw-", 1)
    return chain in ("ufw-after-input", "ufw-after-logging-input", "ufw-reject-input", "ufw-skip-to-policy-input")
