# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of a Linux host in one go, as one frozen record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils._core.addressset import Address, parse_address
from ...module_utils._core.errors import InputError, ReadError
from .._netfilter.model import HostView, Ruleset
from .._netfilter.readers import read_ruleset
from .._platform.interface import Part
from .firewalld import parse_firewalld
from .firewalld_runtime import runtime_interface_zones, runtime_release
from .journal import Journal, parse_hashes, parse_journal
from .listeners import Listener, parse_proc_net, parse_ss
from .manager import Manager
from .network import forwarding, has_policy_routing, parse_interfaces, parse_routes, split_answers
from .read import STATE_DIRECTORY
from .ufw import parse_ufw

_NEEDED = ("user", "fingerprint", "nft", "xtables", "network", "route6", "sockets", "files", "units")
_NOT_FOUND = 127
_UNIT_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "IPAddressAllow", "IPAddressDeny")
_NO_NFT_RULES = '{"nftables": []}'
_FILE = re.compile(r"^@@[0-9a-f]+:file (/\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Unit:
    """A systemd unit: LoadState, ActiveState, UnitFileState, IPAddressAllow, IPAddressDeny in systemd's own words."""

    load: str
    active: str
    enabled: str
    allow: str = ""
    deny: str = ""

    @property
    def running(self) -> bool:
        """Whether the unit runs now."""
        return self.active in ("active", "reloading")


@dataclass(frozen=True)
class Snapshot:
    """A Linux host as it was read. ``files`` are the managers' own; ``problem`` is set where nothing can be judged,
    and says why. ``firewalld_state`` is what firewalld says of itself (RUNNING, FAILED), ``silent`` where it runs and
    does not answer, empty where nobody knows.
    """

    ruleset: Ruleset
    view: HostView
    sysctls: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    managers: Mapping[str, Manager] = field(default_factory=dict)
    listeners: tuple[Listener, ...] | None = None
    journal: Journal = field(default_factory=Journal)
    hashes: Mapping[str, str] = field(default_factory=dict)
    firewalld_state: str = ""
    fingerprint: str = ""
    wrapped: frozenset[str] = frozenset()
    peer: tuple[Address, int] | None = None
    problem: str | None = None
    judged: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # see judge

    def active(self, unit: str) -> bool:
        """Whether a unit runs now."""
        return unit in self.units and self.units[unit].running

    def enabled(self, unit: str) -> bool:
        """Whether a unit is started at boot."""
        return unit in self.units and self.units[unit].enabled.startswith("enabled")


def parse_snapshot(parts: Mapping[str, Part]) -> Snapshot:
    """The snapshot of the output of the read command. Raises ReadError when it is not such an output."""
    for name in _NEEDED:
        if name not in parts:
            raise ReadError(f"the host's answer has no part '{name}'; nothing was judged")
    every = split_files(parts["files"].out)
    kernel = {path: text for path, text in every.items() if path.startswith("/proc/")}
    files = {path: text for path, text in every.items() if path not in kernel}
    sysctls = _sysctls(kernel)
    addresses, rules, routes = split_answers(parts["network"].out)
    state = f"{STATE_DIRECTORY}/journal.json", f"{STATE_DIRECTORY}/left"
    view = HostView(
        interfaces=parse_interfaces(addresses),
        routes_to=parse_routes(routes, 4) + parse_routes(parts["route6"].out, 6),
        forwards=forwarding(sysctls),
        other_tables=has_policy_routing(rules),
    )
    units = _units(parts["units"].out)
    ruleset = _ruleset(parts, kernel)
    return Snapshot(
        ruleset=ruleset,
        view=view,
        sysctls=sysctls,
        files=files,
        units=units,
        managers=_managers(files, view, units, ruleset),
        listeners=_listeners(parts["sockets"]),
        journal=parse_journal(files.get(state[0]), files.get(state[1])),
        hashes=parse_hashes(parts["fingerprint"].out),
        firewalld_state=firewalld_state(parts.get("firewalld")),
        fingerprint=parts["fingerprint"].out.strip(),
        wrapped=frozenset(_out(parts, "wrapped").split()),
        peer=_peer(_out(parts, "connection")),
        problem=_problem(parts),
    )


def split_files(text: str) -> dict[str, str]:
    """Path to content, of the output of ``audit_ports_files``."""
    _before, *rest = _FILE.split(text)
    return {
        path: content.removeprefix("\n").removesuffix("\n") + "\n"
        for path, content in zip(rest[::2], rest[1::2], strict=True)
    }


def _out(parts: Mapping[str, Part], name: str) -> str:
    return parts[name].out if name in parts else ""


def _problem(parts: Mapping[str, Part]) -> str | None:
    if parts["user"].out.strip() != "0":
        return "reading the firewall needs root on the host: run with become: true"
    return None


def _ruleset(parts: Mapping[str, Part], kernel: Mapping[str, str]) -> Ruleset:
    """The kernel's rules; what could not be read is a gap that says what to install or look at."""
    nft, tables = parts["nft"], parts["xtables"]
    nft_gap = _nft_gap(nft, parts.get("builtin"), kernel)
    ruleset = read_ruleset(
        nft=nft.out if nft.rc == 0 else None if nft_gap else _NO_NFT_RULES,
        xtables=[tables.out] if tables.out.strip() else [],
        ipset=parts["ipset"].out if "ipset" in parts and parts["ipset"].rc == 0 else None,
    )
    gaps = [gap for gap in (nft_gap, *_legacy_gaps(tables, kernel)) if gap]
    return replace(ruleset, gaps=(*ruleset.gaps, *gaps))


def _nft_gap(nft: Part, builtin: Part | None, kernel: Mapping[str, str]) -> str | None:
    if nft.rc == 0:
        return None
    if nft.rc != _NOT_FOUND:
        return f"'nft -j list ruleset' failed on the host with return code {nft.rc}: {nft.err or 'no message'}"
    loaded = any(line.startswith("nf_tables ") for line in kernel.get("/proc/modules", "").splitlines())
    if (
        not loaded and builtin is not None and builtin.rc == 1
    ):  # neither a module that is loaded nor a part of the kernel
        return None
    return (
        "the kernel may hold rules of nf_tables, and the program nft is not there to read them: "
        "install the package nftables"
    )


def _legacy_gaps(tables: Part, kernel: Mapping[str, str]) -> list[str]:
    gaps = []
    for family, tool in (("ip", "iptables-legacy-save"), ("ip6", "ip6tables-legacy-save")):
        names = kernel.get(f"/proc/net/{family}_tables_names", "").split()
        if names and tables.rc != 0:
            gaps.append(
                f"the legacy {family} tables {', '.join(names)} are loaded and '{tool}' did not print them"
                f" (return code {tables.rc}): {tables.err or 'install the package iptables'}"
            )
    return gaps


def _sysctls(kernel: Mapping[str, str]) -> dict[str, str]:
    """``net.ipv4.ip_forward`` and the like, by sysctl's own names."""
    prefix = "/proc/sys/"
    settings = {path: text.strip() for path, text in kernel.items() if path.startswith(prefix)}
    return {path[len(prefix) :].replace("/", "."): value for path, value in settings.items()}


def _units(text: str) -> dict[str, Unit]:
    units = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            units[values["Id"].removesuffix(".service")] = Unit(*(values.get(name, "") for name in _UNIT_PROPERTIES))
    return units


def _managers(
    files: Mapping[str, str], view: HostView, units: Mapping[str, Unit], ruleset: Ruleset
) -> dict[str, Manager]:
    managers: dict[str, Manager] = {}
    if any(path.startswith("/usr/lib/firewalld/") for path in files):
        running = "firewalld" in units and units["firewalld"].running
        chains = ruleset.chains.values()
        # Connections of NetworkManager name their zones at boot as they did for what runs now.
        named = running and "NetworkManager" in units and units["NetworkManager"].running
        zones = runtime_interface_zones(chains) if named else {}
        managers["firewalld"] = parse_firewalld(
            files, view, version=runtime_release(chains), interface_zones=zones, running=running
        )
    if "/etc/ufw/ufw.conf" in files:
        managers["ufw"] = parse_ufw(files, view)
    return managers


def firewalld_state(part: Part | None) -> str:
    """What firewalld said of itself; see Snapshot."""
    if part is None:
        return ""
    told = re.fullmatch(r'v s "(\w+)"', part.out.strip())
    return told[1] if told else "silent" if "timed out" in part.err else ""


def _listeners(part: Part) -> tuple[Listener, ...] | None:
    if part.rc != 0:
        return None
    tables = split_files(part.out)
    if not tables:
        return parse_ss(part.out)
    return tuple(item for path, text in tables.items() for item in parse_proc_net(path.rpartition("/")[2], text))


def _peer(connection: str) -> tuple[Address, int] | None:
    """Who Ansible's own connection comes from and to which port, of ``SSH_CONNECTION`` (ssh(1))."""
    words = connection.split()
    try:
        return (parse_address(words[0]), int(words[3])) if len(words) == 4 else None
    except (InputError, ValueError):
        return None
