# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ESXi host's firewall as rulesets, and what it does with packets to a port: pure, whoever read it.

The ESXi firewall covers the host's own (vmkernel) traffic. A ruleset has fixed rules; it is enabled or not, and admits
everyone or a list of addresses and networks. What no enabled ruleset admits meets the default action.
Source: vSphere Security, "ESXi Firewall Configuration"; vSphere Web Services API, HostFirewallInfo and
HostFirewallRuleset.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .._core.addressset import AddressSet
from .._core.errors import InputError
from .._core.portset import PortSet
from .._core.records import Decision, Requirement
from .._core.vocabulary import Protocol, VerdictStatus

_WITH_PORTS = (Protocol.TCP, Protocol.UDP)
_EVERYONE = AddressSet.any()
_SHOWN = 8


@dataclass(frozen=True)
class PortRule:
    """One rule of a ruleset. ``inbound`` and ``destination`` (the port is the host's own) as the host says them."""

    inbound: bool
    destination: bool
    protocol: str
    first: int
    last: int

    def admits(self, protocol: str, port: int) -> bool:
        """Whether the rule is about packets that come in to this port of the host."""
        return self.inbound and self.destination and self.protocol == protocol and self.first <= port <= self.last


@dataclass(frozen=True)
class Ruleset:
    """A ruleset as it was read; ``None`` is "not known" throughout.

    ``allowed`` are the entries of its list, as the host writes them, kept while ``allows_all`` is true. ``can_enable``
    and ``can_list`` say whether a user may switch it and change its list (told from 8.0 Update 2 on; before, and where
    the host does not say, ``None``). ``required`` rulesets cannot be switched off.
    """

    key: str
    enabled: bool | None
    allows_all: bool | None
    allowed: tuple[str, ...] = ()
    rules: tuple[PortRule, ...] | None = None
    can_enable: bool | None = None
    can_list: bool | None = None
    required: bool | None = None
    service: str | None = None

    def carries(self, protocol: str, port: int) -> bool | None:
        """Whether the ruleset is about packets that come in to the port."""
        return None if self.rules is None else any(rule.admits(protocol, port) for rule in self.rules)

    def ports(self) -> PortSet:
        """The host's own ports that the ruleset opens, of both transports together."""
        opened = [(rule.first, rule.last) for rule in self.rules or () if rule.inbound and rule.destination]
        return PortSet(opened)

    @property
    def changeable(self) -> bool | None:
        """Whether a user may make it let more in: its list, and the switch where it is off. ``None``: not known."""
        needed = (self.can_list,) if self.enabled else (self.can_list, self.can_enable)
        return False if False in needed else (None if None in needed else True)

    def admitted(self) -> AddressSet | None:
        """Who may come in while the ruleset is enabled. ``None``: not known, or an entry that cannot be read."""
        if self.allows_all is None:
            return None
        if self.allows_all:
            return _EVERYONE
        try:
            return AddressSet.parse(self.allowed)
        except InputError:
            return None


@dataclass(frozen=True)
class HostFirewall:
    """The firewall of one host. ``enabled`` and ``loaded`` are not known over the vSphere API.

    ``incoming_blocked``: whether the default action drops what no ruleset admits. ``gaps`` are sentences about what
    could not be read; while there are any, a port that no ruleset admits is not known to be blocked.
    """

    rulesets: tuple[Ruleset, ...]
    incoming_blocked: bool | None = None
    enabled: bool | None = None
    loaded: bool | None = None
    version: str = ""
    gaps: tuple[str, ...] = ()

    def ruleset(self, key: str) -> Ruleset | None:
        """The ruleset of this name, if the host has it."""
        return next((item for item in self.rulesets if item.key == key), None)


@dataclass(frozen=True)
class Judgement:
    """What happens to one part of a source; ``rulesets`` are all that carry the port, enabled or not."""

    source: AddressSet
    status: VerdictStatus
    reason: str
    persistent: bool | None = None
    decided_by: tuple[Decision, ...] = ()
    rulesets: tuple[Ruleset, ...] = field(default=(), compare=False)


def judge(firewall: HostFirewall, requirement: Requirement, source: AddressSet) -> tuple[Judgement, ...]:
    """The judgements of the parts of ``source`` that are treated alike."""
    if requirement.port is None or requirement.protocol not in _WITH_PORTS:
        reason = f"no ruleset of ESXi is about {requirement.wire}; a probe can tell"
        return (Judgement(source, VerdictStatus.UNKNOWN, reason),)
    wire, port = requirement.protocol.value, requirement.port
    candidates = tuple(item for item in firewall.rulesets if item.carries(wire, port) is not False)
    found = _by_rulesets(firewall, requirement, source, candidates)
    switched_off = _switched_off(firewall)
    if switched_off is None:
        return found
    lasting = all(part.status is VerdictStatus.OPEN for part in found) or None
    return (Judgement(source, VerdictStatus.OPEN, switched_off.text, lasting, (switched_off,), candidates),)


def _switched_off(firewall: HostFirewall) -> Decision | None:
    """Why nothing is filtered at all, if so."""
    if firewall.loaded is False:
        return Decision("firewall", "loaded", "the ESXi firewall is not loaded: nothing is filtered")
    if firewall.enabled is False:
        return Decision("firewall", "enabled", "the ESXi firewall is switched off: nothing is filtered")
    if firewall.incoming_blocked is False:
        return Decision("default_action", "incoming", "the default action lets in what no ruleset is about")
    return None


def _by_rulesets(
    firewall: HostFirewall, requirement: Requirement, source: AddressSet, candidates: tuple[Ruleset, ...]
) -> tuple[Judgement, ...]:
    """What the rulesets alone do: the parts that each of them lets in, and the rest."""
    wire, port = requirement.protocol.value, requirement.port or 0
    found, rest, doubts = [], source, list(firewall.gaps)
    if firewall.rulesets and all(item.rules is None for item in firewall.rulesets):
        return (Judgement(source, VerdictStatus.UNKNOWN, "which ports its rulesets are about could not be read"),)
    for item in candidates:
        admitted = item.admitted()
        if item.carries(wire, port) is None or item.enabled is None or (item.enabled and admitted is None):
            doubts.append(f"ruleset {item.key}: {_missing(item)} could not be read")
        elif item.enabled and admitted is not None and rest & admitted:
            decision = Decision("ruleset", item.key, _words(item))
            reason = f"let in by {decision.text}"
            found.append(Judgement(rest & admitted, VerdictStatus.OPEN, reason, True, (decision,), candidates))
            rest = rest - admitted
    if rest:
        found.append(_kept_out(firewall, requirement, rest, candidates, doubts))
    return tuple(found)


def _kept_out(
    firewall: HostFirewall,
    requirement: Requirement,
    source: AddressSet,
    candidates: tuple[Ruleset, ...],
    doubts: list[str],
) -> Judgement:
    if doubts:
        return Judgement(source, VerdictStatus.UNKNOWN, "; ".join(doubts[:_SHOWN]), None, (), candidates)
    if firewall.incoming_blocked is None:
        reason = "no ruleset lets it in, and the default action is not known"
        return Judgement(source, VerdictStatus.UNKNOWN, reason, None, (), candidates)
    if not candidates:
        decision = Decision("default_action", "incoming", f"no ruleset of this host is about {requirement.wire}")
        return Judgement(source, VerdictStatus.BLOCKED, decision.text, True, (decision,))
    kind = "ruleset" if any(item.changeable is not False for item in candidates) else "managed_policy"
    decisions = tuple(Decision(kind, item.key, _words(item)) for item in candidates)
    reason = "not let in by " + ", nor by ".join(decision.text for decision in decisions[:_SHOWN])
    return Judgement(source, VerdictStatus.BLOCKED, reason, True, decisions, candidates)


def canonical(entry: str) -> str:
    """An entry of a list in the one form that means the same network: ``10.0.0.5/32`` is ``10.0.0.5``."""
    try:
        return str(AddressSet.parse(entry))
    except InputError:
        return entry


def _missing(item: Ruleset) -> str:
    if item.rules is None:
        return "its ports"
    if item.enabled is None:
        return "whether it is enabled"
    return "who is on its list"


def _words(item: Ruleset) -> str:
    owned = ", owned by the system" if item.changeable is False else ""
    if not item.enabled:
        return f"ruleset {item.key} (disabled{owned})"
    if item.allows_all:
        return f"ruleset {item.key} (enabled, for everyone)"
    more = ", ..." if len(item.allowed) > _SHOWN else ""
    return f"ruleset {item.key} (enabled, for {', '.join(item.allowed[:_SHOWN]) or 'nobody'}{more}{owned})"
