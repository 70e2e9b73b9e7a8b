# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one profile does with one kind of traffic: authenticated bypass, block, allow, default ([MS-FASP] 2.2.34).

There is no order of rules: one that blocks wins over all that allow. In three-valued logic: a rule with a limit that a
packet may or may not meet makes the answer partial where it matters, one that cannot be read makes it unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.ranges import RangeSet
from ...module_utils._core.records import Decision
from ...module_utils._core.vocabulary import VerdictStatus
from .effects import KINDS, PERHAPS, Effect, Role, Scene, effects_of
from .policy import STORE_WORDS, ProfileSettings, Setting, Store, StoredRule
from .words import Profile

_RULES_SHOWN = 8
_SPLIT_AT_MOST = 16
_SURE = (VerdictStatus.OPEN, VerdictStatus.BLOCKED)


@dataclass(frozen=True, slots=True)
class Piece:
    """What happens to one part of a source in one profile. ``obstacles`` are what would win over an allow rule of
    ours."""

    source: AddressSet
    status: VerdictStatus
    reason: str
    decided_by: tuple[Decision, ...] = ()
    obstacles: tuple[Decision, ...] = ()


def judge_profile(scene: Scene, profile: Profile) -> tuple[Piece, ...]:
    """The pieces of the scene's source as one profile treats them; together they are the source."""
    settings = scene.policy.settings[profile]
    settled = _settled(scene, settings, profile)
    if settled is not None:
        return (settled,)
    effects, void = effects_of(scene, settings, profile)
    pieces = tuple(_pieces(scene, settings, profile, effects, void))
    if settings.disabled_interfaces and scene.network.interface_of(scene.destination) is None:
        pieces = tuple(_perhaps_off(piece, profile) for piece in pieces)
    return pieces


def _settled(scene: Scene, settings: ProfileSettings, profile: Profile) -> Piece | None:
    """What the settings alone decide, before any rule is looked at."""
    source = scene.source
    if settings.gaps:
        return Piece(source, VerdictStatus.UNKNOWN, f"settings of the {profile.value} profile: {settings.gaps[0]}")
    if not settings.enabled.value:
        decision = _setting_decision(settings.enabled, profile, "EnableFirewall = 0")
        return Piece(source, VerdictStatus.OPEN, f"the firewall is off: {decision.text}", (decision,))
    guid = scene.network.interface_of(scene.destination)
    if guid is not None and guid in settings.disabled_interfaces:
        decision = Decision("setting", "DisabledInterfaces", f"DisabledInterfaces holds {guid}")
        return Piece(source, VerdictStatus.OPEN, f"the firewall is off on the interface: {decision.text}", (decision,))
    if settings.shields_up.value:
        decision = _setting_decision(settings.shields_up, profile, "DoNotAllowExceptions = 1")
        reason = f"all that comes in is blocked, whatever the rules say: {decision.text}"
        return Piece(source, VerdictStatus.BLOCKED, reason, (decision,), (decision,))
    return None


def _setting_decision(setting: Setting, profile: Profile, text: str) -> Decision:
    kind = "setting" if setting.store in (None, Store.LOCAL) else KINDS[setting.store]
    where = STORE_WORDS[setting.store] if setting.store else "set nowhere"
    return Decision(kind, setting.key, f"{text} for the {profile.value} profile ({where})")


def _perhaps_off(piece: Piece, profile: Profile) -> Piece:
    if piece.status is VerdictStatus.OPEN:
        return piece
    reason = (
        f"the firewall is off on some interfaces (DisabledInterfaces of the {profile.value} profile), and which one"
        f" holds the address is not known; on the others: {piece.reason}"
    )
    return replace(piece, status=VerdictStatus.UNKNOWN, reason=reason)


def outcome(roles: frozenset[Role], *, allowed_by_default: bool) -> VerdictStatus:
    """The status of packets that rules of these roles match, certain ones and not."""
    perhaps = roles & PERHAPS.keys()
    if not perhaps:
        return _certain_outcome(roles, allowed_by_default)
    certain = roles - perhaps
    found = set()
    for taken in product((False, True), repeat=len(perhaps)):
        turned = {PERHAPS[role] for role, is_taken in zip(perhaps, taken, strict=True) if is_taken}
        found.add(_certain_outcome(certain | turned, allowed_by_default))
    return found.pop() if len(found) == 1 else VerdictStatus.UNKNOWN


def _certain_outcome(roles: frozenset[Role], allowed_by_default: bool) -> VerdictStatus:
    if Role.BLOCKS in roles:
        return VerdictStatus.PARTIAL if Role.MAY_BYPASS in roles else VerdictStatus.BLOCKED
    if Role.ALLOWS in roles or allowed_by_default:
        return VerdictStatus.PARTIAL if Role.MAY_BLOCK in roles else VerdictStatus.OPEN
    limited = roles & {Role.MAY_ALLOW, Role.MAY_BYPASS}
    return VerdictStatus.PARTIAL if limited else VerdictStatus.BLOCKED


def _pieces(
    scene: Scene, settings: ProfileSettings, profile: Profile, effects: Sequence[Effect], void: Sequence[StoredRule]
) -> Iterator[Piece]:
    """Split the source by the roles that rules play for its parts, and by the rule that decides first."""
    by_default = settings.default_inbound.value == 0
    for part, first in _by_first(scene.source, effects):
        for piece, roles in _by_roles(part, effects):
            present = [effect for effect in effects if effect.addresses & piece] if roles else []
            status = outcome(roles, allowed_by_default=by_default)
            reason, decided = _words(status, roles, first, present, settings, profile, piece)
            undecided = not roles & {Role.BLOCKS, Role.ALLOWS} and not by_default
            if undecided and not settings.local_rules.value:
                decision = _setting_decision(settings.local_rules, profile, "AllowLocalPolicyMerge = 0")
                voided = ", ".join(item.rule.id for item in void[:_RULES_SHOWN])
                reason += f"; local rules are void{f' ({voided})' if voided else ''}: {decision.text}"
                decided = (*decided, decision)
            yield Piece(piece, status, reason, decided, _obstacles(present, settings, profile))


def _by_first(source: AddressSet, effects: Sequence[Effect]) -> Iterator[tuple[AddressSet, Effect | None]]:
    """The parts of the source by the certain rule that decides, blocking ones before allowing ones.

    Where many rules share the source between them, it stays in one part: its pieces are those of the roles alone.
    """
    left = source
    if sum(effect.role in (Role.BLOCKS, Role.ALLOWS) for effect in effects) > _SPLIT_AT_MOST:
        yield source, None
        return
    for role in (Role.BLOCKS, Role.ALLOWS):
        for effect in effects:
            if effect.role is role and left:
                part = left & effect.addresses
                if part:
                    yield part, effect
                    left = left - part
    if left:
        yield left, None


def _by_roles(part: AddressSet, effects: Sequence[Effect]) -> Iterator[tuple[AddressSet, frozenset[Role]]]:
    """The parts of a set by the roles of all rules that match there."""
    found: list[tuple[AddressSet, frozenset[Role]]] = [(part, frozenset())]
    for role in dict.fromkeys(effect.role for effect in effects):
        union = _union(effect.addresses for effect in effects if effect.role is role)
        split = []
        for piece, roles in found:
            inside = piece & union
            if inside:
                split.append((inside, roles | {role}))
            outside = piece - inside
            if outside:
                split.append((outside, roles))
        found = split
    yield from found


def _union(sets: Iterable[AddressSet]) -> AddressSet:
    """All of the sets in one step, whatever their number."""
    found = list(sets)
    if len(found) == 1:
        return found[0]
    v4, v6 = (RangeSet(bounds for item in found for bounds in item.ranges(version)) for version in (4, 6))
    return AddressSet(v4, v6)


_DECIDING = {
    VerdictStatus.OPEN: (Role.ALLOWS,),
    VerdictStatus.BLOCKED: (Role.BLOCKS,),
    VerdictStatus.PARTIAL: (Role.BLOCKS, Role.MAY_BLOCK, Role.ALLOWS, Role.MAY_ALLOW, Role.MAY_BYPASS),
    VerdictStatus.UNKNOWN: tuple(PERHAPS),
}
_VERBS = {
    VerdictStatus.OPEN: "let in by",
    VerdictStatus.BLOCKED: "blocked by",
    VerdictStatus.PARTIAL: "it depends on limits of",
    VerdictStatus.UNKNOWN: "it cannot be told because of",
}


def _words(
    status: VerdictStatus,
    roles: frozenset[Role],
    first: Effect | None,
    present: Sequence[Effect],
    settings: ProfileSettings,
    profile: Profile,
    piece: AddressSet,
) -> tuple[str, tuple[Decision, ...]]:
    """The reason, and the rules that decide: the first one and all others that would decide alike."""
    deciding = [effect for effect in present if effect.role in _DECIDING[status]]
    if status in _SURE:
        if first is not None:
            deciding = [effect for effect in deciding if effect is first or effect.addresses.covers(piece)]
        deciding.sort(key=lambda effect: effect is not first)
    if status is VerdictStatus.PARTIAL:
        deciding.sort(key=lambda effect: effect.role in (Role.BLOCKS, Role.ALLOWS))
    if not deciding or (status is VerdictStatus.OPEN and Role.ALLOWS not in roles):
        return _default_words(status, settings, profile)
    decisions = tuple(dict.fromkeys(effect.decision for effect in deciding[:_RULES_SHOWN]))
    shown = "; ".join(dict.fromkeys(effect.text for effect in deciding[:_RULES_SHOWN]))
    told = deciding[0].text if first is not None and status in _SURE else shown
    return f"{_VERBS[status]} {told}", decisions


def _default_words(
    status: VerdictStatus, settings: ProfileSettings, profile: Profile
) -> tuple[str, tuple[Decision, ...]]:
    setting = settings.default_inbound
    where = STORE_WORDS[setting.store] if setting.store else "Windows' own default"
    does = "lets in" if status is VerdictStatus.OPEN else "blocks"
    text = f"the {profile.value} profile {does} what no rule names (DefaultInboundAction, {where})"
    rules = "no rule blocks it, and" if status is VerdictStatus.OPEN else "no rule lets it in, and"
    return f"{rules} {text}", (Decision("default_action", setting.key, text),)


def _obstacles(present: Sequence[Effect], settings: ProfileSettings, profile: Profile) -> tuple[Decision, ...]:
    """What would win over an allow rule of ours in the local store."""
    if not settings.local_rules.value:
        return (_setting_decision(settings.local_rules, profile, "AllowLocalPolicyMerge = 0"),)
    blocking = (Role.BLOCKS, Role.MAY_BLOCK, Role.PERHAPS_BLOCKS, Role.PERHAPS_MAY_BLOCK)
    found = [effect for effect in present if effect.role in blocking][:_RULES_SHOWN]
    return tuple(dict.fromkeys(effect.decision for effect in found))
