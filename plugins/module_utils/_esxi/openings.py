# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is changed of an ESXi host's rulesets so that sources get in, and how exactly that is taken back: pure.

Never narrows what was enabled, never creates, never uses a ruleset that opens a span of ports or carries the user's own
SSH. A disabled ruleset gets the sources as its list and is enabled then: enabled as it is, it might admit everyone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .._core.addressset import AddressSet
from .rulesets import HostFirewall, Ruleset, canonical
from .state import Record, Recorded, State

_PREFERRED = ("webAccess", "vSphereClient")
_LAST = "NFC"  # moves files between hosts; vSphereClient carries its port, too
_UNTOUCHED = frozenset({"sshServer"})
_WIDE = 16  # ports; a ruleset that opens more is made for something else
_EVERYONE = (AddressSet.any(4), AddressSet.any(6))


@dataclass(frozen=True)
class Want:
    """A requirement that is not open for ``needed``, a part of its ``sources``."""

    requirement: str
    protocol: str
    port: int
    needed: AddressSet


@dataclass(frozen=True)
class RulesetChange:
    """One ruleset as it is and as it is to be, and for which requirements."""

    before: Ruleset
    after: Ruleset
    requirements: tuple[str, ...] = ()

    @property
    def added(self) -> tuple[str, ...]:
        """The entries of the list that are new."""
        return _besides(self.after.allowed, self.before.allowed)

    @property
    def removed(self) -> tuple[str, ...]:
        """The entries of the list that go."""
        return _besides(self.before.allowed, self.after.allowed)


@dataclass(frozen=True)
class Openings:
    """The changes in the order in which they are written, the record that must be kept before the first of them, why
    requirements stay blocked, or open although they are withdrawn, and what was asked for and is refused."""

    changes: tuple[RulesetChange, ...] = ()
    record: Record = field(default_factory=Record)
    advice: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()


def open_for(
    firewall: HostFirewall, record: Record, wants: Sequence[Want], sources: AddressSet, whole: Collection[str]
) -> Openings:
    """The changes that let every want in, and that take back what was added for sources that are none any more.

    ``sources`` are all of today's sources together. Only from the rulesets in ``whole``, of which every port is asked
    about, is anything taken: on the others an entry may be another task's.
    """
    planned: dict[str, RulesetChange] = {}
    advice: dict[str, str] = {}
    for want in wants:
        ruleset, reason = _chosen(firewall, want)
        if ruleset is None:
            advice[want.requirement] = reason
            continue
        change = planned.get(ruleset.key, RulesetChange(ruleset, ruleset))
        after = _admitting(change, want.needed)
        planned[ruleset.key] = RulesetChange(ruleset, after, (*change.requirements, want.requirement))
    for kept in record.rulesets:
        current = firewall.ruleset(kept.key)
        if current is not None and kept.key in whole and not (current.enabled and current.allows_all):
            change = planned.get(kept.key, RulesetChange(current, current))
            planned[kept.key] = replace(change, after=_without(change.after, _left(kept, sources)))
    changes = tuple(change for change in planned.values() if change.before != change.after)
    kept_before = {item.key: item for item in record.rulesets}
    kept_before.update({change.before.key: _recorded(change, record.of(change.before.key)) for change in changes})
    return Openings(changes, Record(tuple(item for item in kept_before.values() if item.ours)), advice)


def _chosen(firewall: HostFirewall, want: Want) -> tuple[Ruleset | None, str]:
    """The ruleset to open, or why there is none."""
    carrying = [item for item in firewall.rulesets if item.carries(want.protocol, want.port)]
    usable = [item for item in carrying if item.key not in _UNTOUCHED and item.ports().size <= _WIDE]
    if not usable:
        if not carrying:
            return None, "the host has no ruleset for it, and rulesets of one's own are not supported by ESXi"
        return None, f"only {_keys(carrying)} would open it, which is left alone: it is SSH's, or opens far more"
    others = [item for item in usable if item.key != _LAST] or usable
    free = [item for item in others if item.changeable is not False]
    if not free:
        return None, (
            f"{_keys(others)} is owned by the system: ESXi lets no user change it "
            "(from 8.0 Update 2 on); what manages the host (vCenter, a configuration profile) has to"
        )
    return min(free, key=_rank), ""


def _rank(item: Ruleset) -> tuple[int, int, str]:
    return (0 if item.key in _PREFERRED else 1, item.ports().size, item.key)


def _keys(items: Iterable[Ruleset]) -> str:
    return ", ".join(f"ruleset {item.key}" for item in items)


def _admitting(change: RulesetChange, needed: AddressSet) -> Ruleset:
    """The ruleset with these sources let in: what an enabled one admits stays, a disabled one gets them alone."""
    after = change.after
    if any(needed.covers(everyone) for everyone in _EVERYONE):
        return replace(after, enabled=True, allows_all=True)
    fresh = not change.before.enabled and not after.enabled
    listed = () if fresh else after.allowed
    missing = needed if fresh else needed - AddressSet.parse(listed)
    return replace(after, enabled=True, allows_all=False, allowed=(*listed, *missing.texts()))


def _left(kept: Recorded, sources: AddressSet) -> Sequence[str]:
    """The entries of ours whose source is none any more."""
    return [text for text in kept.added if not sources.covers(AddressSet.parse(text))]


def _besides(entries: Sequence[str], others: Iterable[str]) -> tuple[str, ...]:
    """The entries that mean none of the others: hosts write an address in their own way."""
    meant = {canonical(text) for text in others}
    return tuple(text for text in entries if canonical(text) not in meant)


def _without(ruleset: Ruleset, entries: Iterable[str]) -> Ruleset:
    return replace(ruleset, allowed=_besides(ruleset.allowed, entries))


def _recorded(change: RulesetChange, earlier: Recorded | None) -> Recorded:
    """What to keep of a change: the ruleset as it was before the first of ours, and what is ours since."""
    before, after = State.of(change.before), State.of(change.after)
    if earlier is None:
        return Recorded(change.before.key, before, after, change.added, change.requirements)
    gone = {canonical(text) for text in change.removed}
    kept = [text for text in earlier.added if canonical(text) not in gone]
    untouched = earlier.left is not None and before.is_between(earlier.before, earlier.left)
    met = tuple(dict.fromkeys((*earlier.requirements, *change.requirements)))
    return Recorded(earlier.key, earlier.before, after if untouched else None, (*kept, *change.added), met)


def withdraw(firewall: HostFirewall, record: Record, told: AddressSet, peers: AddressSet, port: int) -> Openings:
    """The changes that take ours back: by the record, or without one exactly the entries that ``told`` names.

    A change that would shut out ``peers``, the addresses by which the host is managed at ``port``, is refused
    (``peers`` empty: forced).
    """
    if record.rulesets:
        pairs = [(kept, firewall.ruleset(kept.key)) for kept in record.rulesets]
        wanted = [_restored(current, kept) for kept, current in pairs if current is not None]
    else:
        wanted = [RulesetChange(item, _without(item, _equal(item, told))) for item in firewall.rulesets]
    changes, refusals, kept = [], [], []
    for change in wanted:
        if change.before == change.after:
            continue
        if _in_use_for_everyone(change):
            refusals.append(
                f"ruleset {change.before.key} was opened to everyone by somebody else since: our entries have "
                f"no effect now, and cannot be taken off without closing it meanwhile ({', '.join(change.removed)})"
            )
            kept += [item for item in record.rulesets if item.key == change.before.key]
        elif peers and _shuts_out(firewall, change, peers, port):
            refusals.append(
                f"ruleset {change.before.key} lets in {peers}, by which this host is managed at tcp/{port}: "
                "it is not taken back without force"
            )
            kept += [item for item in record.rulesets if item.key == change.before.key]
        else:
            changes.append(change)
    return Openings(tuple(changes), Record(tuple(kept)), refusals=tuple(refusals))


def _restored(current: Ruleset, kept: Recorded) -> RulesetChange:
    """What was there before us; where somebody else edited since, theirs stays and ours alone goes."""
    before = kept.before
    if kept.left is not None and State.of(current).is_between(before, kept.left):
        restored = replace(current, enabled=before.enabled, allows_all=before.allows_all, allowed=before.allowed)
        return RulesetChange(current, restored)
    return RulesetChange(current, _without(current, kept.added))


def _in_use_for_everyone(change: RulesetChange) -> bool:
    before, after = change.before, change.after
    return bool(before.enabled and after.enabled and before.allows_all and after.allows_all)


def _equal(item: Ruleset, told: AddressSet) -> Sequence[str]:
    """The entries of a list that are exactly one of the told addresses or networks."""
    named = set(told.texts())
    return [text for text in item.allowed if canonical(text) in named]


def _shuts_out(firewall: HostFirewall, change: RulesetChange, peers: AddressSet, port: int) -> bool:
    rest = tuple(change.after if item.key == change.before.key else item for item in firewall.rulesets)
    return _open(firewall, peers, port) and not _open(replace(firewall, rulesets=rest), peers, port)


def _open(firewall: HostFirewall, peers: AddressSet, port: int) -> bool:
    rulesets = [item for item in firewall.rulesets if item.enabled and item.carries("tcp", port)]
    admitted = AddressSet()
    for item in rulesets:
        admitted = admitted | (item.admitted() or AddressSet())
    return admitted.covers(peers)
