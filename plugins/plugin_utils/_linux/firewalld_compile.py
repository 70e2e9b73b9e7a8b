# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that firewalld will make of its permanent configuration, as ``nft -j list ruleset`` would print them.

One shape serves every release and both backends: a dispatch by source, interface and default zone, and per zone
the chains pre, deny, allow and post with the policies to the host around them. The simulator then judges them as it
judges the rules of now. Each rule has a handle that leads back to firewalld's own words.
What cannot be known is a match that nobody can decide, or a verdict that is nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from .firewalld_config import FirewalldConfig
from .firewalld_entries import Entry, filter_entries, forward_entries
from .firewalld_nft import (
    NOBODY_KNOWS,
    REJECT,
    UNKNOWN,
    Expression,
    UntranslatableError,
    ct,
    endpoint,
    equal,
    interface,
    matches,
    meta,
    ports,
    set_definition,
    translation,
)
from .firewalld_records import Endpoint, IpSet, Policy, Zone, is_mac

TABLE, INPUT_CHAIN = "firewalld", "filter_INPUT"
_BASE_CHAINS = (
    ("filter_PREROUTING", "filter", "prerouting", 10),
    ("nat_PREROUTING", "nat", "prerouting", -90),
    (INPUT_CHAIN, "filter", "input", 10),
    ("filter_FORWARD", "filter", "forward", 10),
    ("filter_OUTPUT", "filter", "output", 10),
)
_VERBS: Mapping[str, Expression] = {"ACCEPT": {"accept": None}, "DROP": {"drop": None}}


@dataclass(frozen=True)
class Words:
    """A compiled rule in firewalld's terms. ``problem`` is the sentence that says why nobody knows what it does."""

    id: str
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Binding:
    """One way into a zone: packets from ``source``, by ``interface``, or (neither) all that are left."""

    zone: str
    source: str = ""
    interface: str = ""


def bindings(config: FirewalldConfig, interface_zones: Mapping[str, str]) -> Iterator[Binding]:
    """The ways into zones in the order in which they are tried: sources, then interfaces, then the default zone.

    Release 2 sorts them by the zone's ingress priority first, and those of one kind by the zone's name. Before, what a
    zone's file says last comes first. ``interface_zones`` counts for interfaces that no zone's file names.
    """
    zones = list(config.zones.values())
    found = [(1, Binding(zone.name, source=source)) for zone in zones for source in zone.sources]
    named = [(name, zone.name) for zone in zones for name in zone.interfaces]
    if config.generation in (0, 1):
        named.reverse()
    others = sorted(interface_zones.items())
    named = [item for item in others if item[1] in config.zones and config.zone_of_interface(item[0]) is None] + named
    found += [(2, Binding(zone, interface=name)) for name, zone in named]
    if config.generation == 2:
        found.sort(key=lambda item: (config.zones[item[1].zone].ingress_priority, item[0], item[1].zone))
    yield from (binding for _kind, binding in found)
    yield Binding(config.default_zone)


class Program:
    """The compiled configuration: ``text`` for the reader of nft's JSON, ``words`` by the rule's handle.

    The first ``head`` rules of the input chain are those that firewalld puts before everything else.
    """

    def __init__(self, config: FirewalldConfig, interface_zones: Mapping[str, str]) -> None:
        """``config`` has no gaps."""
        self._config = config
        self._chains: set[str] = set()
        self._sets: list[Expression] = []
        self._rules: list[Mapping[str, Any]] = []
        self._ipsets: dict[str, IpSet | str] = {}
        self.words: dict[int, Words] = {}
        self.head = 0
        self.bindings = tuple(bindings(config, interface_zones))
        self._reverse_path()
        self._input()
        self._forward()
        self._output()
        self._dispatch()
        base = [_base(*item) for item in _BASE_CHAINS]
        plain = [{"chain": {"family": "inet", "table": TABLE, "name": name}} for name in sorted(self._chains)]
        table = {"table": {"family": "inet", "name": TABLE}}
        items = [{"metainfo": {"json_schema_version": 1}}, table, *base, *plain, *self._sets, *self._rules]
        self.text = json.dumps({"nftables": items})

    def _reverse_path(self) -> None:
        mode = self._config.settings.get("IPv6_rpfilter", "yes").lower()
        if mode in ("no", "false") or mode.endswith("-forward"):
            return
        flags = ["saddr", "mark"] if mode == "loose" else ["saddr", "mark", "iif"]
        lookup = equal({"fib": {"result": "oif", "flags": flags}}, False)
        words = Words("IPv6_rpfilter", "IPv6_rpfilter: the way back to the source leaves elsewhere")
        self._add("filter_PREROUTING", [meta("nfproto", "ipv6"), lookup, {"drop": None}], words)

    def _input(self) -> None:
        chain = INPUT_CHAIN
        self._usual(chain)
        self.head = len([item for item in self._rules if item["rule"]["chain"] == chain])
        clash = self._clash()
        if clash:
            self._unknown(chain, [], Words("policies", "policies", clash))
        for suffix in ("ZONES_SOURCE", "ZONES") if self._config.drifting else ("ZONES",):
            self._add(chain, [{"jump": {"target": f"filter_INPUT_{suffix}"}}], Words("zones", "zones"))
        if self._config.generation == 0:
            for policy in self._policies(after=True):
                self._jump_policy(chain, policy, None)
        self._add(chain, [REJECT], Words("filter_INPUT", "the end of the input chain (reject)"))

    def _clash(self) -> str:
        """Two policies of one priority: release 2 then puts rules in an order that depends on what was added when."""
        policies = (*self._policies(after=False), *self._policies(after=True))
        if self._config.generation in (0, 1):
            return ""
        for one, other in combinations(policies, 2):
            both = {*one.ingress, *other.ingress}
            if one.priority == other.priority and ("ANY" in both or set(one.ingress) & set(other.ingress)):
                names = f"policies {one.name} and {other.name}"
                return f"the {names} share the priority {one.priority}, and firewalld promises no order of rules then"
        return ""

    def _forward(self) -> None:
        self._usual("filter_FORWARD")
        problem = "firewalld's rules for packets through the host are not judged"
        self._unknown("filter_FORWARD", [], Words("filter_FORWARD", "forwarding", problem))

    def _output(self) -> None:
        """Release 0 asks policies from the host about answers, too; what names a port is about new connections."""
        if self._config.generation not in (0, None):
            return
        from_host = (item for item in self._config.policies.values() if "HOST" in item.ingress and item.egress)
        for policy in sorted(from_host, key=lambda item: (item.priority, item.name)):
            chain, owner = f"filter_OUT_policy_{policy.name}", f"policy {policy.name}"
            self._chains.add(chain)
            entries = filter_entries(self._config, policy.contents)
            self._entries(chain, owner, [entry for entry in entries if not entry.protocol])
            self._target(chain, owner, policy)
            sure = "ANY" in policy.egress and self._config.generation == 0
            problem = "" if sure else f"whether {owner} is asked about answers depends on release and way out"
            conditions = [] if sure else [UNKNOWN]
            self._add("filter_OUTPUT", [*conditions, {"jump": {"target": chain}}], Words(owner, owner, problem))

    def _target(self, chain: str, owner: str, policy: Policy) -> None:
        if policy.target != "CONTINUE":
            words = Words(f"{owner} target", f"{owner}: target {policy.target}")
            self._add(chain, [_VERBS.get(policy.target, REJECT)], words)

    def _usual(self, chain: str) -> None:
        """What firewalld puts at the head of its base chains."""
        of_firewalld = Words(chain, f"firewalld's chain {chain}")
        self._add(chain, [ct("state", {"set": ["established", "related"]}), {"accept": None}], of_firewalld)
        self._translated(chain)
        self._add(chain, [interface("lo"), {"accept": None}], of_firewalld)
        self._add(chain, [ct("state", "invalid"), {"drop": None}], of_firewalld)

    def _translated(self, chain: str) -> None:
        """What becomes of packets that some rule sent elsewhere: strictly, those of firewalld's forward-ports alone
        pass, by their number, whatever their protocol.
        """
        if not self._config.enabled("StrictForwardPorts"):
            self._add(chain, [ct("status", "dnat"), {"accept": None}], Words("forward-ports", "forward-ports"))
            return
        strict = Words("StrictForwardPorts", "StrictForwardPorts: it was sent elsewhere, and not by firewalld")
        inner = f"{chain}_dnat"
        self._chains.add(inner)
        self._add(chain, [ct("status", "dnat"), {"jump": {"target": inner}}], strict)
        for entry in self._forwards():
            if entry.forward and bool(entry.forward.address) == (chain != INPUT_CHAIN):
                words = Words(entry.words, entry.words)
                try:
                    number = equal({"ct": {"key": "proto-dst", "dir": "original"}}, ports(entry.ports))
                    self._add(inner, [number, {"accept": None}], words)
                except UntranslatableError as error:
                    self._unknown(inner, [], Words(words.id, words.text, f"{words.text}: {error}"))
        self._add(inner, [REJECT], strict)

    def _forwards(self) -> Iterator[Entry]:
        """The forward-ports of the policies and zones that packets to this host can meet."""
        for policy in (*self._policies(after=False), *self._policies(after=True)):
            yield from forward_entries(policy.contents)
        for name in dict.fromkeys(binding.zone for binding in self.bindings):
            yield from forward_entries(self._config.zones[name].contents)

    def _dispatch(self) -> None:
        self._chains |= {"filter_INPUT_ZONES"}
        if self._config.drifting:
            self._chains |= {"filter_INPUT_ZONES_SOURCE", "nat_PREROUTING_ZONES_SOURCE"}
            self._add("nat_PREROUTING", [{"jump": {"target": "nat_PREROUTING_ZONES_SOURCE"}}], Words("zones", "zones"))
        for name in dict.fromkeys(binding.zone for binding in self.bindings):
            self._zone(self._config.zones[name])
        for binding in self.bindings:
            problem = f"zone {binding.zone} is by hardware address ({binding.source}): whose that is nobody knows"
            known = not self._is_by_hardware(binding.source)
            words = Words(f"zone {binding.zone}", f"zone {binding.zone}", "" if known else problem)
            apart = "_ZONES_SOURCE" if binding.source and self._config.drifting else ""
            for chain, target in (
                (f"filter_INPUT{apart or '_ZONES'}", f"filter_IN_{binding.zone}"),
                (f"nat_PREROUTING{apart}", f"nat_PRE_{binding.zone}"),
            ):
                self._guarded(chain, binding, [{"goto": {"target": target}}], words)

    def _is_by_hardware(self, source: str) -> bool:
        ipset = self._ipset(source[len("ipset:") :]) if source.startswith("ipset:") else None
        return is_mac(source) or (isinstance(ipset, IpSet) and ipset.type.endswith("mac"))

    def _guarded(self, chain: str, binding: Binding, what: Sequence[Expression], words: Words) -> None:
        try:
            guard = [interface(binding.interface)] if binding.interface else []
            if binding.source:
                guard = [endpoint(Endpoint(binding.source), "saddr", self._ipset)]
        except UntranslatableError as error:
            self._unknown(chain, [], Words(words.id, words.text, f"{words.text}: {error}"))
            return
        self._add(chain, [*guard, *what], words)

    def _zone(self, zone: Zone) -> None:
        chain, nat, generation = f"filter_IN_{zone.name}", f"nat_PRE_{zone.name}", self._config.generation
        self._chains |= {chain, nat}
        early, late = self._policies(after=False), self._policies(after=True)
        for policy in early:
            self._jump_policy(chain, policy, zone)
            self._entries(nat, f"policy {policy.name}", forward_entries(policy.contents))
        owner = f"zone {zone.name}"
        self._entries(chain, owner, filter_entries(self._config, zone.contents))
        self._entries(nat, owner, forward_entries(zone.contents))
        if late and generation is None:
            problem = "releases of firewalld differ in when they ask policies with a priority above 0"
            self._unknown(chain, [], Words(f"policy {late[0].name}", f"policy {late[0].name}", problem))
        if generation == 2:
            self._icmp_default(chain, zone)
        for policy in late if generation else ():
            self._jump_policy(chain, policy, zone)
        if generation != 2:
            self._icmp_default(chain, zone)
        if generation != 0 or zone.target != "default":
            shown = "default (reject)" if zone.target == "default" else zone.target
            words = Words(f"{owner} target", f"{owner}: target {shown}")
            self._add(chain, [_VERBS.get(zone.target, REJECT)], words)

    def _icmp_default(self, chain: str, zone: Zone) -> None:
        """firewalld lets ICMP into zones with the target default, and shuts it out where icmp-blocks are inverted."""
        inverted = zone.contents.icmp_inverted
        if zone.target != "default" and not (zone.target == "ACCEPT" and inverted):
            return
        text = "icmp-block-inversion (reject)" if inverted else "target default lets ICMP in"
        words = Words(f"zone {zone.name} icmp", f"zone {zone.name}: {text}")
        either = meta("l4proto", {"set": ["icmp", "ipv6-icmp"]})
        self._add(chain, [either, REJECT if inverted else {"accept": None}], words)

    def _policies(self, *, after: bool) -> tuple[Policy, ...]:
        """The policies that can meet a packet to this host, in the order in which they are asked."""
        found = [item for item in self._config.policies.values() if (item.priority > 0) == after]
        found = [item for item in found if item.ingress and "HOST" not in item.ingress and "HOST" in item.egress]
        return tuple(sorted(found, key=lambda item: (item.priority, item.name)))

    def _jump_policy(self, chain: str, policy: Policy, zone: Zone | None) -> None:
        """Release 2 asks a zone's policies for all its packets, those before compare sources and interfaces again."""
        name, owner = f"filter_IN_policy_{policy.name}", f"policy {policy.name}"
        if name not in self._chains:
            self._chains.add(name)
            self._entries(name, owner, filter_entries(self._config, policy.contents))
            self._target(name, owner, policy)
        words, jump = Words(owner, owner), {"jump": {"target": name}}
        if "ANY" in policy.ingress:
            self._add(chain, [jump], words)
            return
        member = zone is not None and zone.name in policy.ingress
        if self._config.generation == 2:
            if member:
                self._add(chain, [jump], words)
            return
        # Before release 2, what came in by the default zone's "all that is left" is not told apart.
        unsure = self._config.generation is None
        for binding in self.bindings:
            if binding.zone in policy.ingress and (binding.source or binding.interface):
                # Release 0.9.3 compares with the wildcard as it is written, later ones with what it stands for.
                spelled = self._config.generation == 0 and not self._config.iptables_backend
                if spelled and binding.interface.endswith("+"):
                    problem = f"releases differ in whether {owner} is asked about {binding.interface}"
                    self._guarded(chain, binding, [UNKNOWN, jump], Words(owner, owner, problem))
                    continue
                doubt = f"{owner} is asked by hardware address ({binding.source}): whose that is nobody knows"
                told = Words(owner, owner, doubt) if self._is_by_hardware(binding.source) else words
                self._guarded(chain, binding, [UNKNOWN, jump] if unsure and not member else [jump], told)
        if unsure and member:
            self._add(chain, [UNKNOWN, jump], words)

    def _entries(self, chain: str, owner: str, entries: Sequence[Entry]) -> None:
        for entry in entries:
            words = Words(f"{owner} {entry.words}", f"{owner}, {entry.words}")
            try:
                verb = REJECT if entry.verb == "reject" else {entry.verb: None}
                conditions, verb = matches(entry, self._ipset), translation(entry) if entry.forward else verb
                unknown = [UNKNOWN] if entry.problem else []
                hardware = entry.source is not None and self._is_by_hardware(entry.source.address)
                doubt = f"{words.text}: whose hardware address that is nobody knows" if hardware else ""
                self._add(chain, [*conditions, *unknown, verb], Words(words.id, words.text, entry.problem or doubt))
            except UntranslatableError as error:
                self._unknown(chain, [], Words(words.id, words.text, f"{words.text}: {error}"))

    def _ipset(self, name: str) -> IpSet | str:
        """An ipset by name; its set is defined the first time that somebody asks."""
        if name not in self._ipsets:
            ipset = self._config.ipset(name)
            if isinstance(ipset, IpSet):
                try:
                    self._sets.append(set_definition(ipset, TABLE))
                except UntranslatableError as error:
                    ipset = str(error)
            self._ipsets[name] = ipset
        return self._ipsets[name]

    def _unknown(self, chain: str, conditions: Sequence[Expression], words: Words) -> None:
        self._add(chain, [*conditions, NOBODY_KNOWS], words)

    def _add(self, chain: str, expressions: Sequence[Expression], words: Words) -> None:
        handle = len(self._rules) + 1
        self.words[handle] = words
        rule = {"family": "inet", "table": TABLE, "chain": chain, "handle": handle, "expr": list(expressions)}
        self._rules.append({"rule": rule})


def _base(name: str, kind: str, hook: str, priority: int) -> Mapping[str, Any]:
    chain = {"family": "inet", "table": TABLE, "name": name, "type": kind, "hook": hook, "prio": priority}
    return {"chain": {**chain, "policy": "accept"}}
