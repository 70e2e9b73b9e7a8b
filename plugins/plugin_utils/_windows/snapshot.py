# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of a Windows host in one go, as one frozen record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ...module_utils._core.errors import InputError, ReadError
from ...module_utils._core.portset import PortSet
from .._platform.interface import Part
from .listeners import Connection, Listener, Service, parse_netstat, parse_services
from .network import Network, read_network
from .parts import (
    LISTINGS,
    NEEDED,
    PARTS,
    PRODUCT_OPTIONS,
    RPC_INTERNET,
    SERVICES,
    TOKEN_POLICY,
    is_registry,
)
from .policy import Policy, read_policy
from .registry import Registry, canonical, merged
from .registry_text import parse_registry
from .remoting import Remoting, read_remoting
from .traffic import DYNAMIC_PORTS, Claim, Traffic
from .words import Profile

LANMAN = rf"{SERVICES}\LanmanServer\Parameters"
_RULE = re.compile(r"\A-{20,}\s*\Z")
_ORDER = (Profile.DOMAIN, Profile.PRIVATE, Profile.PUBLIC)
_START_AUTOMATIC, _START_DISABLED = 2, 4
_PROFILE_KEYS = ("Domain", "Private", "Public", "Standard")
_CATEGORY = re.compile(r"\A(\w+Category)\s{2,}(\S.*?)\s*\Z")
_LAST_NUMBER = re.compile(r":\s*(\d{1,5})\s*$", re.MULTILINE)
_OURS = "windows"
_PIPE_VALUES = ("RestrictNullSessAccess", "NullSessionPipes", "NullSessionShares", "RequireSecuritySignature")


@dataclass(frozen=True)
class Snapshot:
    """A Windows host as it was read. Where nobody asked or nobody could tell, a field is ``None``.

    ``policy``: rules and settings of all stores. ``network``: own addresses and subnets. ``active``: the profiles of
    the networks that the host is connected to now. ``services``: by name in small letters. ``listeners`` and
    ``connections``: of TCP and UDP. ``product``: WinNT (client), ServerNT, LanmanNT (domain controller). ``starts``:
    start types by service (2 automatic, 3 manual, 4 disabled). ``third_party``: the product that the firewall's
    category is registered for, where it is not Windows'. ``remoting``: WinRM's listeners and policy. ``dynamic``: the
    ports that RPC hands out. ``pipes``: restrictions of named pipes in the registry's words. ``elevated``: whether the
    account may write. ``token_filter``: LocalAccountTokenFilterPolicy.
    """

    policy: Policy
    network: Network = field(default_factory=Network)
    active: tuple[Profile, ...] | None = None
    services: Mapping[str, Service] | None = None
    listeners: tuple[Listener, ...] | None = None
    connections: tuple[Connection, ...] = ()
    product: str | None = None
    starts: Mapping[str, int] = field(default_factory=dict)
    third_party: str | None = None
    remoting: Remoting = field(default_factory=Remoting)
    dynamic: PortSet = DYNAMIC_PORTS
    pipes: Mapping[str, str] = field(default_factory=dict)
    elevated: bool | None = None
    token_filter: int | None = None
    # What rules say about a protocol number and a port, and what comes of it, as far as somebody asked.
    claims: dict[tuple[int, int | None], tuple[Traffic, tuple[Claim, ...]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    judged: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def is_domain_controller(self) -> bool | None:
        """Whether the product is a domain controller's."""
        return None if self.product is None else self.product.lower() == "lanmannt"

    @property
    def is_domain_member(self) -> bool | None:
        """Whether the host belongs to a domain: an active domain profile proves it, else Netlogon's start tells."""
        if Profile.DOMAIN in (self.active or ()) or self.is_domain_controller:
            return True
        start = self.starts.get("netlogon")
        return None if start is None else start == _START_AUTOMATIC

    def runs(self, name: str) -> bool | None:
        """Whether a service (in small letters) runs; ``None`` where it is not known.

        Where nobody asked the services, one that is not disabled is taken to run: a registry alone tells no more.
        """
        if self.services is None:
            return self.starts.get(name) != _START_DISABLED
        found = self.services.get(name)
        return None if found is None else found.running

    @property
    def filters_at_boot(self) -> bool:
        """Whether the firewall's service is started at boot, as far as that is known."""
        return self.starts.get("mpssvc", _START_AUTOMATIC) == _START_AUTOMATIC


def parse_snapshot(parts: Mapping[str, Part]) -> Snapshot:
    """The snapshot of the output of the read command. Raises ReadError when it is not such an output."""
    for name in NEEDED:
        if name not in parts:
            raise ReadError(f"the host's answer has no part '{name}'; nothing was judged")
        if parts[name].rc != 0:
            said = " ".join(parts[name].err.split())[:200] or "no message"
            raise ReadError(
                f"the firewall's rules could not be read on the host (part '{name}', return code {parts[name].rc}):"
                f" {said}. Sign in with an account that may read HKEY_LOCAL_MACHINE"
            )
    registry = _registry(parts)
    services = _text(parts, "services")
    listeners, connections = parse_netstat(_text(parts, "netstat") or "")
    return read_snapshot(
        registry,
        network=read_network(registry, _text(parts, "routes")),
        active=active_profiles(_text(parts, "allprofiles"), _text(parts, "currentprofile")),
        services=parse_services(services or ""),
        listeners=None if _text(parts, "netstat") is None else listeners,
        connections=connections,
        third_party=third_party(_text(parts, "global")),
        dynamic=_dynamic_ports(_text(parts, "dynamic_ports"), registry),
        elevated=parts["elevated"].rc == 0 if "elevated" in parts else None,
    )


def read_snapshot(
    registry: Registry,
    *,
    network: Network,
    active: tuple[Profile, ...] | None = None,
    services: Mapping[str, Service] | None = None,
    listeners: tuple[Listener, ...] | None = None,
    connections: tuple[Connection, ...] = (),
    third_party: str | None = None,
    dynamic: PortSet = DYNAMIC_PORTS,
    elevated: bool | None = None,
) -> Snapshot:
    """The snapshot of a registry and of what is not in it."""
    return Snapshot(
        policy=read_policy(registry),
        network=network,
        active=active,
        services=services,
        listeners=listeners,
        connections=connections,
        product=registry.text(PRODUCT_OPTIONS, "ProductType"),
        starts=dict(_starts(registry)),
        third_party=third_party,
        remoting=read_remoting(registry),
        dynamic=dynamic,
        pipes=_pipes(registry),
        elevated=elevated,
        token_filter=registry.number(TOKEN_POLICY, "LocalAccountTokenFilterPolicy"),
    )


def _text(parts: Mapping[str, Part], name: str) -> str | None:
    """The output of a part that succeeded."""
    return parts[name].out if name in parts and parts[name].rc == 0 else None


def _registry(parts: Mapping[str, Part]) -> Registry:
    """All keys that were printed. A key that its parent lists and that was not printed is a gap: it was denied."""
    found, gaps = [], []
    for name, argv in PARTS:
        if not is_registry(argv) or name not in parts:
            continue
        if parts[name].rc == 0:
            try:
                # Of a key that is there and holds nothing, nothing is printed.
                empty = Registry({canonical(argv[2]): {}})
                found.append(parse_registry(parts[name].out) if parts[name].out.strip() else empty)
            except ReadError as error:
                gaps.append((canonical(argv[2]), str(error)))
    listed = merged(found)
    for name, argv in PARTS:
        asked = is_registry(argv) and "/v" not in argv and not argv[2].startswith("HKU")
        if asked and (name not in parts or parts[name].rc != 0) and _may_exist(parts, listed, argv[2]):
            gaps += [(canonical(argv[2] + below), f"{argv[2]} could not be read") for below in _BELOW]
    return merged([listed, Registry(gaps=tuple(gaps))]) if gaps else listed


# Keys below one that could not be read, each of which may hold something that decides.
_BELOW = ("", r"\FirewallRules", r"\ConSecRules", *(rf"\{name}Profile" for name in _PROFILE_KEYS))


def _may_exist(parts: Mapping[str, Part], listed: Registry, key: str) -> bool:
    """Whether the key is there as far as its parent tells; of keys whose parent nobody asked for, no."""
    parent, _backslash, _name = key.rpartition("\\")
    part = parts.get(LISTINGS.get(parent, ""))
    if parent not in LISTINGS:
        return False
    if part is None or part.rc != 0:
        return True
    return listed.has(key)


def active_profiles(every: str | None, current: str | None) -> tuple[Profile, ...] | None:
    """The active profiles, by the headings of ``netsh advfirewall show`` with ``allprofiles`` and ``currentprofile``.

    The first prints the headings of Domain, Private and Public in this order, the second those of the active ones, both
    in the same words of whatever language. ``None`` where they do not fit together.
    """
    names, active = _headings(every or ""), _headings(current or "")
    if len(names) != len(_ORDER) or len(set(names)) != len(_ORDER) or not active or not set(active) <= set(names):
        return None
    return tuple(profile for name, profile in zip(names, _ORDER, strict=True) if name in active)


def _headings(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [above for above, line in pairwise(lines) if _RULE.match(line) and above]


def third_party(text: str | None) -> str | None:
    """The product in charge of the firewall's rules where it is not Windows, by ``netsh advfirewall show global``.

    The names of the categories are English everywhere, Windows' own name in them is translated but for its first word.
    """
    matches = (match for match in map(_CATEGORY.match, (text or "").splitlines()) if match)
    found = {str(match.group(1)): str(match.group(2)) for match in matches}
    owner = found.get("FirewallRuleCategory")
    if owner is None or (_OURS in owner.lower() and owner == found.get("ConSecRuleCategory", owner)):
        return None
    return owner


def _dynamic_ports(text: str | None, registry: Registry) -> PortSet:
    """The ports that RPC hands out: those of Rpc\\Internet where they are fixed, else the dynamic ones of TCP."""
    fixed = registry.text(RPC_INTERNET, "Ports")
    try:
        if fixed:
            return PortSet.parse(fixed.split())
        start, count = (int(word) for word in _LAST_NUMBER.findall(text or "")[:2])
        return PortSet.parse(f"{start}-{start + count - 1}")
    except (InputError, ValueError):
        return DYNAMIC_PORTS


def _starts(registry: Registry) -> Iterator[tuple[str, int]]:
    for path, values in registry.below(SERVICES):
        start = values["start"].number if "start" in values else None
        if "\\" not in path and start is not None:
            yield path, start


def _pipes(registry: Registry) -> dict[str, str]:
    values = registry.values(LANMAN)
    return {name: values[name.lower()].text for name in _PIPE_VALUES if name.lower() in values}
