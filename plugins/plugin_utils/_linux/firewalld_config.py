# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's permanent configuration, from the text of its files; one in /etc/firewalld hides its shipped namesake.

Zones and policies are read at once (any of them can claim a packet), services and ipsets when somebody asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeVar

from ...module_utils._core.errors import InputError
from ...module_utils._core.portset import PortSet
from .firewalld_records import DirectRule, IpSet, Policy, Ports, Service, Zone
from .firewalld_xml import UnreadableError, parse_direct, parse_ipset, parse_policy, parse_service, parse_zone
from .manager import Files

ROOTS = ("/usr/lib/firewalld/", "/etc/firewalld/")
CONF = "/etc/firewalld/firewalld.conf"
DIRECT = "/etc/firewalld/direct.xml"
_SETTING = re.compile(r"^\s*(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
# Settings that a release brought; firewalld.conf as shipped names every setting of its release.
_SINCE_2 = ("NftablesFlowtable", "NftablesCounters", "NftablesTableOwner", "StrictForwardPorts", "ReloadPolicy")
_Record = TypeVar("_Record")


class FirewalldConfig:
    """The permanent configuration of one host.

    ``gaps`` are sentences about what could not be read and can concern any packet; where there is one, nothing is sure.
    """

    def __init__(self, files: Files, *, version: str = "") -> None:
        """``files`` maps absolute paths to text; ``version`` is firewalld's, as far as somebody knows it."""
        self._paths = _effective(files)
        self._files = files
        self._services: dict[str, Service | str] = {}
        self._ipsets: dict[str, IpSet | str] = {}
        self.settings: Mapping[str, str] = dict(_SETTING.findall(files.get(CONF, "")))
        gaps = [f"{path} lies in a folder of its own, which is not read" for path in _nested(files)]
        self.zones = dict(self._read_all("zones", parse_zone, gaps))
        self.policies = dict(self._read_all("policies", parse_policy, gaps))
        self.direct: tuple[DirectRule, ...] = ()
        try:
            self.direct = parse_direct(files[DIRECT]) if DIRECT in files else ()
        except UnreadableError as error:
            gaps.append(f"{DIRECT} cannot be read: {error}")
        if self.default_zone not in self.zones:
            gaps.append(f"the default zone {self.default_zone} has no file that could be read")
        # Zones have priorities since release 2.
        prioritised = any(zone.ingress_priority for zone in self.zones.values())
        self.generation = 2 if prioritised else _generation(version, self.settings)
        if self.generation in (0, None):
            gaps += _overlaps([*self.zones.values(), *self.policies.values()])
        self.gaps: tuple[str, ...] = tuple(gaps)

    @property
    def default_zone(self) -> str:
        """The zone of everything that no zone claims."""
        return self.settings.get("DefaultZone") or "public"

    @property
    def iptables_backend(self) -> bool:
        """Whether firewalld writes its rules with iptables rather than nftables."""
        return self.settings.get("FirewallBackend", "nftables").lower() == "iptables"

    @property
    def drifting(self) -> bool:
        """Whether packets that a zone by source has no rule for go on to a zone by interface (release 0 alone)."""
        return self.generation == 0 and self.enabled("AllowZoneDrifting")

    def enabled(self, setting: str, default: bool = False) -> bool:
        """A setting of firewalld.conf that is yes or no."""
        value = self.settings.get(setting, "").lower()
        return value in ("yes", "true") if value else default

    def service(self, name: str) -> Service | str:
        """A service by name, or the sentence that says why it cannot be known."""
        return self._lazy(self._services, "services", name, parse_service)

    def ipset(self, name: str) -> IpSet | str:
        """An ipset by name, or the sentence that says why it cannot be known."""
        return self._lazy(self._ipsets, "ipsets", name, lambda text: parse_ipset(name, text))

    def _lazy(
        self, known: dict[str, _Record | str], kind: str, name: str, parse: Callable[[str], _Record]
    ) -> _Record | str:
        if name not in known:
            path = self._paths.get((kind, name))
            if path is None:
                known[name] = f"{kind[:-1]} {name} has no file in {kind}/ of /etc/firewalld or /usr/lib/firewalld"
            else:
                try:
                    known[name] = parse(self._files[path])
                except UnreadableError as error:
                    known[name] = f"{path} cannot be read: {error}"
        return known[name]

    def _read_all(
        self, kind: str, parse: Callable[[str, str], _Record], gaps: list[str]
    ) -> Iterator[tuple[str, _Record]]:
        for (found, name), path in sorted(self._paths.items()):
            if found != kind:
                continue
            try:
                yield name, parse(name, self._files[path])
            except UnreadableError as error:
                gaps.append(f"{path} cannot be read: {error}")

    def zone_of_interface(self, interface: str) -> Zone | None:
        """The zone whose permanent file names the interface."""
        return next((zone for zone in self.zones.values() if interface in zone.interfaces), None)

    def policy(self, name: str) -> Policy | None:
        """A policy by name."""
        return self.policies.get(name)


def _effective(files: Files) -> dict[tuple[str, str], str]:
    """(kind, name) -> path of the file that counts: the one below /etc hides the shipped one as a whole."""
    found: dict[tuple[str, str], str] = {}
    for root in ROOTS:
        for path in files:
            kind, _slash, name = path[len(root) :].partition("/") if path.startswith(root) else ("", "", "")
            if name.endswith(".xml") and "/" not in name:
                found[kind, name[: -len(".xml")]] = path
    return found


def _overlaps(owners: Sequence[Zone | Policy]) -> Iterator[str]:
    """Files that release 0 refuses to load, and starts without any rules then: they name a port twice."""
    for owner in owners:
        for ports in (owner.contents.ports, owner.contents.source_ports):
            if any(one.protocol == other.protocol and _share(one, other) for one, other in combinations(ports, 2)):
                yield f"{owner.name}.xml names a port twice, which firewalld 0.9 does not load"


def _share(one: Ports, other: Ports) -> bool:
    try:
        return bool(PortSet.parse(one.ports) & PortSet.parse(other.ports))
    except InputError:
        return True


def _nested(files: Files) -> list[str]:
    """Files of combined zones (firewalld merges the files of a folder below zones/ into one zone)."""
    return [path for path in files if path.startswith("/etc/firewalld/zones/") and path.count("/") > 4]


def _generation(version: str, settings: Mapping[str, str]) -> int | None:
    """0, 1 or 2 for the releases 0.x, 1.x and 2.x; None when nothing tells."""
    major = version.partition(".")[0]
    if major.isdigit():
        return min(int(major), 2)
    if any(name in settings for name in _SINCE_2):
        return 2
    return 0 if "AllowZoneDrifting" in settings else None
