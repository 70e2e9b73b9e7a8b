# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld as a manager: what its permanent configuration will do, its own words for the kernel's rules, its commands.

An allow rule of ours is a rich rule in the zone that judges the packet. It stands before the zone's target, its rules
with a positive priority and the end of the input chain, and behind everything that blocks by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.errors import InputError
from ...module_utils._core.records import Decision
from ...module_utils._core.vocabulary import VerdictStatus
from .._netfilter.model import Fate, HostView, Outcome, Packet, Ruleset, Step
from .._netfilter.readers import read_ruleset
from .._netfilter.simulator import walk
from .firewalld_compile import INPUT_CHAIN, TABLE, Program, Words, bindings
from .firewalld_config import FirewalldConfig
from .firewalld_direct import direct_problems, direct_tables, within_input
from .firewalld_entries import ECHO
from .firewalld_records import Endpoint, Ports, RichRule
from .firewalld_words import Place, bound_in_text, entry_words, place_of_chain, runtime_words
from .manager import COPY, Action, BootPart, Files, Opening

AHEAD_PRIORITY = -32768
PANIC_TABLE = "firewalld_policy_drop"
_COMMAND = "firewall-cmd"
_OFFLINE_COMMAND = "firewall-offline-cmd"
REREAD = "audit_ports_reread"  # of the script that writes: a zone, and rules that are to be gone from its stored form
_ZONE_FILES = "/etc/firewalld/zones"
_STATUS = {Fate.PASSES: VerdictStatus.OPEN, Fate.UNDECIDED: VerdictStatus.UNKNOWN}


def parse_firewalld(
    files: Files,
    host: HostView,
    *,
    version: str = "",
    interface_zones: Mapping[str, str] | None = None,
    running: bool = True,
) -> Firewalld:
    """firewalld on one host, from the text of its files by absolute path; see Firewalld for the rest."""
    return Firewalld(FirewalldConfig(files, version=version), host, interface_zones=interface_zones, running=running)


class Firewalld:
    """firewalld on one host.

    ``interface_zones`` maps interfaces to the zones that somebody else (a connection's profile) gives them at boot; the
    zones' own files win. Where firewalld is not ``running``, only its files can be changed.
    """

    name = "firewalld"

    def __init__(
        self,
        config: FirewalldConfig,
        host: HostView,
        *,
        interface_zones: Mapping[str, str] | None = None,
        running: bool = True,
    ) -> None:
        self._config = config
        self._running = running
        self._host = host
        self._interface_zones = dict(interface_zones or {})

    @cached_property
    def _gap(self) -> str:
        return "; ".join((*self._config.gaps, *direct_problems(self._config)))

    @cached_property
    def _program(self) -> Program:
        return Program(self._config, self._interface_zones)

    @cached_property
    def _rulesets(self) -> Mapping[int, Ruleset]:
        """The rules by the version of IP."""
        both = read_ruleset(nft=self._program.text, xtables=direct_tables(self._config), ipset=None)
        if not self._config.iptables_backend:
            return {4: both, 6: both}
        own, head = ("inet", TABLE, INPUT_CHAIN), self._program.head
        return {version: within_input(both, own=own, head=head, version=version) for version in (4, 6)}

    def boot(self, packet: Packet) -> tuple[BootPart, ...]:
        """See Manager."""
        if self._gap:
            decision = Decision("firewalld", "configuration", self._gap)
            return (BootPart(packet.source, VerdictStatus.UNKNOWN, decision),)
        parts: list[BootPart] = []
        for outcome in walk(self._rulesets[packet.destination.version], packet, self._host):
            for zone, sources in self._zones_of(outcome.source, packet):
                status = _STATUS.get(outcome.fate, VerdictStatus.BLOCKED)
                parts.append(BootPart(sources, status, self._boot_decision(outcome), zone))
        return tuple(parts)

    def _boot_decision(self, outcome: Outcome) -> Decision:
        known = [self._program.words.get(step.handle or 0) for step in outcome.decided_by if step.table == TABLE]
        words = [item for item in known if item is not None]
        if outcome.fate is Fate.UNDECIDED:
            words = [item for item in words if item.problem] or words
        last = outcome.decided_by[-1] if outcome.decided_by else None
        if words and last and ((last.table == TABLE and last.handle) or outcome.fate is Fate.UNDECIDED):
            return _decision(words[-1])
        if last:
            return Decision("firewalld", f"direct {last.chain} {last.text}", f"direct rule: {last.text}")
        return Decision("firewalld", "configuration", outcome.reason)

    def _zones_of(self, sources: AddressSet, packet: Packet) -> list[tuple[str, AddressSet]]:
        """The zones that get packets from these sources, each with its part of them."""
        found: list[tuple[str, AddressSet]] = []
        version = packet.destination.version
        for binding in bindings(self._config, self._interface_zones):
            if binding.interface and not _covers(binding.interface, packet.iif):
                continue
            part = sources & self._source_set(binding.source).family(version) if binding.source else sources
            if part:
                found.append((binding.zone, part))
                sources = sources - part
        return found

    def _source_set(self, source: str) -> AddressSet:
        entries: Sequence[str] = (source,)
        if source.startswith("ipset:"):
            ipset = self._config.ipset(source[len("ipset:") :])
            entries = () if isinstance(ipset, str) else ipset.entries
        try:
            return AddressSet.parse(entries)
        except InputError:  # a MAC address: who has it is not known
            return AddressSet()

    def place(self, outcome: Outcome, packet: Packet) -> str:
        """See Manager: the zone by the chain that decided, else by what the zones' files bind."""
        for step in reversed(outcome.decided_by):
            place = place_of_chain(step, self._config)
            if place is not None and place.kind == "zone":
                return place.name
        return self._zones_of(outcome.source, packet)[0][0]

    def words(self, step: Step) -> Decision | None:
        """See Manager."""
        if step.table == PANIC_TABLE:
            text = "panic mode" if step.chain.startswith("raw_") else "a reload under way"
            return Decision("firewalld", text, f"firewalld: {text} drops every packet")
        place = place_of_chain(step, self._config)
        if place is None:
            return None
        if place.kind == "base":
            return self._base_words(step, place)
        owner = f"{place.kind} {place.name}"
        if place.part:
            words = entry_words(self._config, place, step.text)
            told = words or runtime_words(place, step.text)
            return Decision("firewalld", f"{owner} {words or step.text}", f"{owner}, {told}")
        return self._own_words(step, owner)

    def _own_words(self, step: Step, owner: str) -> Decision:
        """A rule of a zone's or policy's own chain: its target, or what it does to ICMP."""
        verb = _verb(step.text)
        if not verb:
            text = f"rule {step.text}"
        elif re.search(r"l4proto .*icmp| -p (?:ipv6-)?icmp", step.text):
            text = "target default lets ICMP in" if verb == "accept" else "icmp-block-inversion (reject)"
        else:
            zone = self._config.zones.get(owner.removeprefix("zone "))
            text = "target default (reject)" if zone and zone.target == "default" else f"target {verb}"
        return Decision("firewalld", f"{owner} {text}", f"{owner}: {text}")

    def _base_words(self, step: Step, place: Place) -> Decision:
        if place.part == "POLICIES":
            return self._own_words(step, f"zone {self._zone_of_text(step.text)}")
        if place.part == "" and place.name == "INPUT" and _is_end(step.text):
            return Decision("firewalld", "filter_INPUT", "firewalld: the end of its input chain (reject)")
        return Decision("firewalld", f"{step.chain} {step.text}", f"firewalld's chain {step.chain}: {step.text}")

    def _zone_of_text(self, text: str) -> str:
        """The zone whose target this rule of release 2's dispatch is: by interface or source, else the default zone."""
        interface, source = bound_in_text(text)
        for binding in bindings(self._config, self._interface_zones):
            if interface and binding.interface == interface:
                return binding.zone
            if source and binding.source == source:
                return binding.zone
        return f"of {interface or source}" if interface or source else self._config.default_zone

    def obstacle(self, outcome: Outcome) -> Decision | None:
        """See Manager. Of kind ``firewalld`` when a rich rule with the lowest priority would come first."""
        if outcome.fate is Fate.PASSES:
            return None
        if not outcome.decided_by:
            return Decision("kernel", "", outcome.reason)
        step = outcome.decided_by[-1]
        if outcome.fate is not Fate.UNDECIDED and outcome.stage == "arrival" and self._yields(step):
            return None
        words = self.words(step)
        if words is None:
            where = f"{step.family} {step.table} {step.chain} {step.handle or step.position}"
            return Decision("policy" if step.kind == "policy" else "rule", where, step.text)
        return (
            words
            if outcome.stage == "arrival" and self._can_be_preceded(step)
            else replace(words, kind="firewalld.ahead")
        )

    def _can_be_preceded(self, step: Step) -> bool:
        """Whether a rich rule with the lowest priority stands before this one."""
        place = place_of_chain(step, self._config)
        if place is None or (place.kind, place.direction) != ("zone", "IN"):
            return False
        words = entry_words(self._config, place, step.text)
        return place.part in ("log", "deny") or (place.part == "pre" and f'priority="{AHEAD_PRIORITY}"' not in words)

    def _yields(self, step: Step) -> bool:
        """Whether a rule stands behind the allow rules of zones."""
        place = place_of_chain(step, self._config)
        if place is None or step.kind == "policy":
            return False
        if place.kind == "zone":
            return place.direction == "IN" and place.part in ("", "allow", "post")
        if place.kind == "policy":
            policy = self._config.policy(place.name)
            return place.direction == "IN" and policy is not None and policy.priority > 0
        return place.name == "INPUT" and (place.part == "POLICIES" or (place.part == "" and _is_end(step.text)))

    def place_again(self, opening: Opening, gone: Sequence[Opening]) -> str | None:
        """See Manager."""
        return opening.place

    def has(self, opening: Opening) -> bool:
        """See Manager."""
        zone = self._config.zones.get(opening.place)
        wanted = rich_rule(opening)
        return zone is not None and any(_normal(rule) == wanted for rule in zone.contents.rich_rules)

    def add(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """See Manager."""
        stored = [opening for opening in openings if not self.has(opening)] if permanent else []
        return self._commands("add", openings if runtime else [], stored)

    def remove(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """See Manager."""
        stored = [opening for opening in openings if self.has(opening)] if permanent else []
        return self._commands("remove", openings if runtime else [], stored)

    def reread(self, openings: Sequence[Opening]) -> tuple[Action, ...]:
        """See Manager: it watches its files, and reads a changed one some seconds later. Until then it takes the rules
        for stored: it would not store them again for us, and would store them with whatever else anybody adds.
        """
        zones: dict[str, list[str]] = {}
        for opening in openings if self._running else ():
            zones.setdefault(opening.place, []).append(str(rich_rule(opening)))
        return tuple(
            Action((REREAD, zone, *dict.fromkeys(rules)), f"wait until zone {zone} is read again", "permanent")
            for zone, rules in zones.items()
        )

    def _commands(self, verb: str, now: Sequence[Opening], stored: Sequence[Opening]) -> tuple[Action, ...]:
        now = now if self._running else []
        store = (_COMMAND, "--permanent") if self._running else (_OFFLINE_COMMAND,)
        actions: list[Action] = []
        for scope, command, openings in (("runtime", (_COMMAND,), now), ("permanent", store, stored)):
            for zone in dict.fromkeys(opening.place for opening in openings):
                rules = [str(rich_rule(opening)) for opening in openings if opening.place == zone]
                options = tuple(f"--{verb}-rich-rule={rule}" for rule in dict.fromkeys(rules))
                text = f"{verb} in zone {zone}: {'; '.join(dict.fromkeys(rules))}"
                actions.append(Action((*command, f"--zone={zone}", *options), text, scope))
        return tuple(actions)

    def touched(self, openings: Sequence[Opening]) -> tuple[str, ...]:
        """See Manager."""
        zones = dict.fromkeys(opening.place for opening in openings)
        return tuple(f"{_ZONE_FILES}/{zone}.xml{suffix}" for zone in zones for suffix in ("", COPY))


def rich_rule(opening: Opening) -> RichRule:
    """The rich rule that is an opening. Raises InputError for a source that is no address."""
    source = None if opening.source == "any" else Endpoint(_address(opening.source))
    icmp = opening.protocol == "icmp"
    return RichRule(
        family=f"ipv{opening.version}",
        priority=AHEAD_PRIORITY if opening.ahead else 0,
        source=source,
        element="icmp-type" if icmp else "port",
        value=ECHO if icmp else Ports(opening.protocol, str(opening.port)),
        action="accept",
    )


def _normal(rule: RichRule) -> RichRule | None:
    """The rule with its source spelled as ours are; None for rules that do more than open."""
    if rule.logs or rule.source is None:
        return None if rule.logs else rule
    try:
        return replace(rule, source=replace(rule.source, address=_address(rule.source.address)))
    except InputError:
        return rule


def _address(text: str) -> str:
    texts = list(AddressSet.parse(text).texts())
    return texts[0] if len(texts) == 1 else text


def _decision(words: Words) -> Decision:
    return Decision("firewalld", words.id, words.problem or words.text)


def _covers(pattern: str, interface: str) -> bool:
    return interface.startswith(pattern[:-1]) if pattern.endswith("+") else interface == pattern


def _verb(text: str) -> str:
    """The verdict that a rule ends with, whatever the backend; empty for a jump."""
    verbs = re.findall(r"(?:^|\s)(accept|drop|reject)\b", text, re.IGNORECASE)
    return str(verbs[-1]).lower() if verbs else ""


def _is_end(text: str) -> bool:
    """Whether this is the reject without a condition that ends firewalld's input chain."""
    return re.fullmatch(r"(?:-A INPUT -j REJECT(?: .*)?|reject(?: with .*)?)", text.strip()) is not None
