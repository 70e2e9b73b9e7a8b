# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each rule of a policy does to one kind of traffic: to which source addresses, and how certainly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.records import Decision
from ...module_utils._core.sanitize import safe_text
from .legacy import RPC_PORTS, LegacyException
from .network import Network
from .policy import STORE_WORDS, Policy, ProfileSettings, Store, StoredRule
from .traffic import Claim, Traffic
from .words import RESOLVABLE, Profile

KINDS = {Store.LOCAL: "local_rule", Store.GROUP_POLICY: "group_policy", Store.MDM: "mdm_policy"}
_NOTHING = AddressSet()


class Role(Enum):
    """What a rule does to the packets that it matches: for certain, if a limit is met, or perhaps."""

    BLOCKS = "blocks"
    ALLOWS = "allows"
    MAY_BLOCK = "may block"
    MAY_ALLOW = "may allow"
    MAY_BYPASS = "may bypass"
    PERHAPS_BLOCKS = "perhaps blocks"
    PERHAPS_ALLOWS = "perhaps allows"
    PERHAPS_MAY_BLOCK = "perhaps may block"
    PERHAPS_MAY_ALLOW = "perhaps may allow"
    PERHAPS_MAY_BYPASS = "perhaps may bypass"


# What an unread rule may turn out to be.
PERHAPS = {
    Role.PERHAPS_BLOCKS: Role.BLOCKS,
    Role.PERHAPS_ALLOWS: Role.ALLOWS,
    Role.PERHAPS_MAY_BLOCK: Role.MAY_BLOCK,
    Role.PERHAPS_MAY_ALLOW: Role.MAY_ALLOW,
    Role.PERHAPS_MAY_BYPASS: Role.MAY_BYPASS,
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one rule does to the packets of some addresses, and why not to all of them."""

    role: Role
    addresses: AddressSet
    cause: StoredRule | LegacyException
    why: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """The rule in the words of its store."""
        if isinstance(self.cause, StoredRule):
            return rule_decision(self.cause)
        return Decision("group_policy", self.cause.key, f"legacy policy, not evaluated: {self.cause.key}")

    @property
    def text(self) -> str:
        """The rule and what is special about it, for people."""
        words = self.decision.text
        return f"{words} ({safe_text('; '.join(self.why))})" if self.why else words


@dataclass(frozen=True)
class Scene:
    """One kind of traffic to one of the host's addresses; ``claims`` are those of all the policy's rules."""

    policy: Policy
    network: Network
    traffic: Traffic
    claims: Sequence[Claim]
    source: AddressSet
    destination: Address


def effects_of(scene: Scene, settings: ProfileSettings, profile: Profile) -> tuple[list[Effect], list[StoredRule]]:
    """The effects of the rules that hold in the profile, and the local rules that Group Policy makes void."""
    effects: list[Effect] = []
    void: list[StoredRule] = []
    for claim in scene.claims:
        item = claim.item
        if profile not in item.rule.profiles:
            continue
        found = list(_rule_effects(_doubted(claim, settings), scene))
        if item.store is Store.LOCAL and not settings.local_rules.value:
            if any(effect.role in (Role.ALLOWS, Role.MAY_ALLOW) for effect in found):
                void.append(item)
            continue
        effects.extend(found)
    for exception in scene.policy.legacy:
        if exception.profile is profile and _may_concern(exception, scene.traffic):
            addresses = _scope_of(exception, scene)
            if addresses:
                effects.append(Effect(Role.PERHAPS_ALLOWS, addresses, exception))
    return effects, void


def _doubted(claim: Claim, settings: ProfileSettings) -> Claim:
    """The claim, in doubt where a setting voids local rules of its kind: the specification does not say which they are.

    [MS-FASP] 2.2.38 speaks of rules for authorized applications and of those for global ports.
    """
    rule = claim.item.rule
    if claim.item.store is not Store.LOCAL or rule.action == "block":
        return claim
    kind = settings.local_programs if rule.app or rule.service else settings.local_ports
    if kind.value or not (rule.app or rule.service or rule.local_ports):
        return claim
    return replace(claim, unclear=(*claim.unclear, f"{kind.key} = 0: local rules of its kind may be void"))


def _scope_of(exception: LegacyException, scene: Scene) -> AddressSet:
    """The part of the source that the exception may let in; all of it, where a word of its scope is not known."""
    if exception.scope is None:
        return scene.source
    version = scene.destination.version
    terms = exception.scope.of(version)
    resolved = [scene.network.resolve(word, version) for word in terms.words]
    found = terms.addresses
    for addresses in resolved:
        if addresses is None:
            return scene.source
        found = found | addresses
    return found & scene.source


def _may_concern(exception: LegacyException, traffic: Traffic) -> bool:
    if exception.protocol != traffic.protocol:
        return False
    if exception.program and traffic.program is not None and traffic.program.path not in ("", exception.program):
        return False
    if exception.port is None or not traffic.ports:
        return True
    if exception.port == RPC_PORTS:
        return traffic.by_rpc
    return exception.port in traffic.ports


def _rule_effects(claim: Claim, scene: Scene) -> Iterator[Effect]:
    """The effects of one rule on the scene's source: of the addresses that it names, and of those that it may mean."""
    rule = claim.item.rule
    here = _meets_here(claim, scene)
    if here is None:
        return
    unread = claim.unclear
    version = scene.destination.version
    named, unresolved, categories = scene.source, [], []
    if rule.remote is not None:
        terms = rule.remote.of(version)
        named = terms.addresses
        for word in sorted(terms.words):
            found = scene.network.resolve(word, version) if word in RESOLVABLE else None
            if found is not None:
                named = named | found
            elif word in RESOLVABLE:
                unresolved.append(word)
            else:
                categories.append(word)
        named = named & scene.source
    limits = (*claim.limits, *here)
    unknown = [f"RA={word} is not known" for word in unresolved]
    for addresses, perhaps, more in (
        (named, unread, limits),
        (scene.source if unresolved else _NOTHING, (*unread, *unknown), limits),
        (scene.source if categories else _NOTHING, unread, (*limits, *(f"RA={word}" for word in categories))),
    ):
        if addresses:
            yield from _with_roles(claim, addresses, perhaps, more)


def _meets_here(claim: Claim, scene: Scene) -> tuple[str, ...] | None:
    """``None`` where the rule is for other local addresses or interfaces, else what of that nobody knows."""
    rule = claim.item.rule
    limits = []
    if rule.local is not None:
        terms = rule.local.of(scene.destination.version)
        if int(scene.destination) == 0 or terms.words:
            limits.append("LA")
        elif scene.destination not in terms.addresses:
            return None
    if rule.interfaces is not None:
        guid = scene.network.interface_of(scene.destination)
        if guid is None:
            limits.append("IF=" + ",".join(sorted(rule.interfaces)))
        elif guid not in rule.interfaces:
            return None
    return tuple(limits)


def _with_roles(
    claim: Claim, addresses: AddressSet, unclear: tuple[str, ...], limits: tuple[str, ...]
) -> Iterator[Effect]:
    rule = claim.item.rule
    why = (*unclear, *limits) or (("authenticated traffic alone",) if rule.action == "bypass" else ())
    for action in (rule.action,) if rule.action else ("block", "allow"):
        role = _ROLES[action, bool(unclear), bool(limits)]
        yield Effect(role, addresses, claim.item, why)


# By what a rule does, whether all of it could be read, and whether a limit narrows it; a bypass is limited by itself.
_ROLES = {
    ("block", False, False): Role.BLOCKS,
    ("block", False, True): Role.MAY_BLOCK,
    ("block", True, False): Role.PERHAPS_BLOCKS,
    ("block", True, True): Role.PERHAPS_MAY_BLOCK,
    ("allow", False, False): Role.ALLOWS,
    ("allow", False, True): Role.MAY_ALLOW,
    ("allow", True, False): Role.PERHAPS_ALLOWS,
    ("allow", True, True): Role.PERHAPS_MAY_ALLOW,
    ("bypass", False, False): Role.MAY_BYPASS,
    ("bypass", False, True): Role.MAY_BYPASS,
    ("bypass", True, False): Role.PERHAPS_MAY_BYPASS,
    ("bypass", True, True): Role.PERHAPS_MAY_BYPASS,
}


def rule_decision(item: StoredRule) -> Decision:
    """The rule in the words of its store: its id, and its display name where that is plain text."""
    name = f" \"{safe_text(item.rule.name, 120)}\"" if item.rule.name else ""
    rule_id = safe_text(item.rule.id, 300) or "(a part of the store that could not be read)"
    return Decision(KINDS[item.store], item.rule.id, f"{STORE_WORDS[item.store]}: rule {rule_id}{name}")
