# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy that a registry holds: the rules of all stores, and the settings of each profile as Windows merges them.

Merge laws and defaults: [MS-FASP] 2.2.38 and its note <32>; the legacy profile: [MS-GPFAS] 2.2.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, partial

from .consec import SecurityRule, parse_security_rule
from .legacy import LegacyException, legacy_exceptions
from .opening import MARK
from .parts import FIREWALL_POLICY, POLICIES
from .registry import Registry, Value, Values, canonical
from .rule import Hint, Rule, damaged_rule, hint_of, is_idle, parse_rule
from .words import Profile

POLICY = rf"{POLICIES}\WindowsFirewall"
MDM = rf"{FIREWALL_POLICY}\Mdm"
_IPSEC = rf"{POLICIES}\Windows\IPSec"
# Where the settings stand that tell whether local rules for programs, and those for ports alone, count.
_PROGRAMS, _PORTS = r"\AuthorizedApplications", r"\GloballyOpenPorts"
_GUID = re.compile(r"\{[0-9A-Fa-f-]{30,40}\}")


class Store(Enum):
    """Where a rule or a setting is kept, and who may change it."""

    LOCAL = "local"
    GROUP_POLICY = "group_policy"
    MDM = "mdm"


ROOTS = {Store.LOCAL: FIREWALL_POLICY, Store.GROUP_POLICY: POLICY, Store.MDM: MDM}
STORE_WORDS = {Store.LOCAL: "local policy", Store.GROUP_POLICY: "Group Policy", Store.MDM: "MDM policy"}
_CENTRAL = (Store.GROUP_POLICY, Store.MDM)
_ALL = (*_CENTRAL, Store.LOCAL)  # in the order in which a setting counts


@dataclass(frozen=True)
class StoredRule:
    """A rule and the store that it is in. Its string is read when somebody asks for the rule: most are about a port or
    a program that nobody asks for, which its ``hint`` tells.
    """

    store: Store
    read: Callable[[], Rule]
    hint: Hint

    @cached_property
    def rule(self) -> Rule:
        """The rule."""
        return self.read()


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that counts for a profile, and where it is set; ``None`` where nowhere, so that the default counts."""

    value: int
    store: Store | None
    key: str


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What counts for one profile. ``gaps`` names settings that could not be read: then nobody knows what counts.

    ``local_programs`` and ``local_ports`` say whether the local store's rules for programs and for ports alone count.
    """

    enabled: Setting
    shields_up: Setting
    default_inbound: Setting
    local_rules: Setting
    local_programs: Setting
    local_ports: Setting
    local_security_rules: Setting
    disabled_interfaces: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """Everything that decides about inbound traffic. ``version`` is the machine's policy version (2.10: Windows 7).

    ``rules`` holds those that may say something about inbound traffic; ``marked`` those of the local store that bear
    our mark, on or off.
    """

    rules: tuple[StoredRule, ...]
    settings: Mapping[Profile, ProfileSettings]
    marked: tuple[Rule, ...] = ()
    security_rules: tuple[tuple[Store, SecurityRule], ...] = ()
    legacy: tuple[LegacyException, ...] = ()
    ipsec: str | None = None
    version: tuple[int, int] | None = None

    def rules_for(self, protocol: int, keys: Iterable[int | str]) -> Iterator[StoredRule]:
        """The rules that may be for traffic of this protocol and these keys (see ``Hint``), in their order."""
        places = {place for key in keys for place in self._places.get(key, ())}
        found = (self.rules[place] for place in sorted(places))
        return (item for item in found if item.hint.protocol in (None, protocol))

    @cached_property
    def ports(self) -> tuple[int, ...]:
        """The ports that rules are found by."""
        return tuple(key for key in self._places if isinstance(key, int))

    @cached_property
    def _places(self) -> Mapping[int | str, Sequence[int]]:
        """Where in ``rules`` those of a key are."""
        found: dict[int | str, list[int]] = {}
        for place, item in enumerate(self.rules):
            for key in item.hint.keys:
                found.setdefault(key, []).append(place)
        return found


def read_policy(registry: Registry) -> Policy:
    """The policy of a registry. What could not be read is a rule or setting of which nothing is known."""
    rules = tuple(item for store in _ALL for item in _rules(registry, store))
    policy_version = registry.number(FIREWALL_POLICY, "PolicyVersion")
    return Policy(
        rules=rules,
        settings={profile: _settings(registry, profile) for profile in Profile},
        marked=tuple(_marked(registry)),
        security_rules=tuple(_security_rules(registry)),
        legacy=tuple(_legacy(registry)),
        ipsec=_assigned_ipsec(registry),
        version=None if policy_version is None else (policy_version >> 8, policy_version & 0xFF),
    )


def _rules(registry: Registry, store: Store) -> Iterator[StoredRule]:
    path = rf"{ROOTS[store]}\FirewallRules"
    if store is Store.LOCAL and not registry.has(path):
        yield _damaged(store, "", "the local store's rules are not there")
    for value in registry.values(path).values():
        if value.kind in ("REG_SZ", "REG_EXPAND_SZ") and isinstance(value.data, str):
            if value.data and not is_idle(value.data) and not _is_unset_default(value):
                yield StoredRule(store, partial(parse_rule, value.name, value.data), hint_of(value.data))
        else:
            yield _damaged(store, value.name, f"its value is a {value.kind}")
    for why in registry.gaps_of(path):
        yield _damaged(store, "", why)


def _damaged(store: Store, rule_id: str, why: str) -> StoredRule:
    return StoredRule(store, partial(damaged_rule, rule_id, why), Hint())


def _marked(registry: Registry) -> Iterator[Rule]:
    for value in registry.values(rf"{FIREWALL_POLICY}\FirewallRules").values():
        if isinstance(value.data, str) and MARK in value.data:
            yield parse_rule(value.name, value.data)


def _is_unset_default(value: Value) -> bool:
    """The default value of a key, which ``reg query`` shows in words of the machine's language where it is not set."""
    return (not value.name or value.name.startswith("(")) and "|" not in value.text


def profile_path(registry: Registry, store: Store, profile: Profile) -> str:
    """The key of a profile in a store. Group Policy's StandardProfile counts where neither newer one is there; device
    management's is the private profile, as in the local store, where no PrivateProfile is there.
    """
    root = ROOTS[store]
    name = f"{profile.value.capitalize()}Profile"
    if profile is Profile.DOMAIN:
        return rf"{root}\{name}"
    if store is Store.LOCAL:
        return rf"{root}\{'StandardProfile' if profile is Profile.PRIVATE else name}"
    if store is Store.MDM:
        old = profile is Profile.PRIVATE and not registry.has(rf"{root}\{name}")
        return rf"{root}\{'StandardProfile' if old else name}"
    newer = any(registry.has(rf"{root}\{word}Profile") for word in ("Private", "Public"))
    return rf"{root}\{name if newer else 'StandardProfile'}"


def _settings(registry: Registry, profile: Profile) -> ProfileSettings:
    paths = {store: profile_path(registry, store, profile) for store in _ALL}
    gaps = [f"{STORE_WORDS[store]}: {why}" for store, path in paths.items() for why in _own_gaps(registry, path)]

    held = {below: _held(registry, paths, below) for below in ("", _PROGRAMS, _PORTS)}

    def setting(name: str, stores: Sequence[Store], default: int, below: str = "") -> Setting:
        for store, path, values in held[below]:
            value = values.get(name.lower()) if store in stores else None
            if value is None:
                continue
            if value.number is None:
                gaps.append(f"{STORE_WORDS[store]}: {name} is no number")
                continue
            return Setting(value.number, store, rf"{path}\{name}")
        return Setting(default, None, name)

    def any_on(name: str) -> Setting:
        found = [setting(name, (store,), 0) for store in _ALL]
        return next((item for item in found if item.value), found[0])

    return ProfileSettings(
        enabled=setting("EnableFirewall", _ALL, 1),
        shields_up=any_on("DoNotAllowExceptions"),
        default_inbound=setting("DefaultInboundAction", _ALL, 1),
        local_rules=setting("AllowLocalPolicyMerge", _CENTRAL, 1),
        local_programs=setting("AllowUserPrefMerge", _ALL, 1, _PROGRAMS),
        local_ports=setting("AllowUserPrefMerge", _ALL, 1, _PORTS),
        local_security_rules=setting("AllowLocalIPsecPolicyMerge", _CENTRAL, 1),
        disabled_interfaces=_disabled_interfaces(registry, paths),
        gaps=tuple(gaps),
    )


def _held(registry: Registry, paths: Mapping[Store, str], below: str) -> Sequence[tuple[Store, str, Values]]:
    """The values below each store's path, of those that hold some, in the order in which they count."""
    found = ((store, path + below, registry.values(path + below)) for store, path in paths.items())
    return [item for item in found if item[2]]


def _own_gaps(registry: Registry, path: str) -> tuple[str, ...]:
    """Gaps of the key itself; below it there is nothing but logging and lists that are read on their own."""
    return tuple(why for where, why in registry.gaps if where and where == canonical(path))


def _disabled_interfaces(registry: Registry, paths: Mapping[Store, str]) -> frozenset[str]:
    for store in _ALL:
        text = registry.text(paths[store], "DisabledInterfaces")
        if text is not None:
            return frozenset(guid.lower() for guid in _GUID.findall(text))
    return frozenset()


def _security_rules(registry: Registry) -> Iterator[tuple[Store, SecurityRule]]:
    for store in _ALL:
        path = rf"{ROOTS[store]}\ConSecRules"
        for value in registry.values(path).values():
            if not _is_unset_default(value):
                yield store, parse_security_rule(value.name, value.text)
        for why in registry.gaps_of(path):
            yield store, SecurityRule(why)


def _legacy(registry: Registry) -> Iterator[LegacyException]:
    for profile in Profile if registry.has(POLICY) else ():
        yield from legacy_exceptions(registry, profile_path(registry, Store.GROUP_POLICY, profile), profile)


def _assigned_ipsec(registry: Registry) -> str | None:
    """The IPsec policy that is assigned to the machine in the way of Windows 2000, where one is."""
    for path, name in ((rf"{_IPSEC}\Policy\Local", "ActivePolicy"), (rf"{_IPSEC}\GPTIPSECPolicy", "DSIPSECPolicyPath")):
        text = registry.text(path, name)
        if text:
            return rf"{path}\{name} = {text}"
    gaps = [why for where, why in registry.gaps if where == canonical(_IPSEC)]
    return gaps[0] if gaps else None
