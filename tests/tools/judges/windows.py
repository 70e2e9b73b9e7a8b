# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A Windows host, from texts of its registry: `reg query /s` in any language, `.reg` exports, UTF-8 or UTF-16.

The files together are the machine: its own firewall policy, the policy keys of Group Policy, and whatever else is known
of it (ProductType, interfaces). Without --port the whole catalog is judged, without --profile each profile on its own;
each verdict says of which profile it is. Without --local the addresses in the registry's own interfaces count; without
those, nobody knows what the local subnet is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import Address, parse_address
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError, ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Requirement, to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ListenerHome, SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import ANY_DESTINATION, evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.network import network_of, read_network
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import FIREWALL_POLICY
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.policy import POLICY
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry import Registry, merged
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry_text import parse_registry
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import Snapshot, read_snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import Profile

from tests.tools.judges import common

HELP = "a host whose packets Windows' own firewall judges"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this judge reads."""
    parser.add_argument(
        "--registry", type=Path, action="append", nargs="+", required=True, metavar="FILE",
        help="reg query /s, .reg export, rendering of netsh advfirewall export; may be repeated",
    )  # fmt: skip
    parser.add_argument("--source", action="append", required=True, help="address or network; may be repeated")
    parser.add_argument("--port", action="append", help="tcp/5985, udp/137, icmp, rpc, pipes; default: the catalog")
    parser.add_argument(
        "--profile", action="append", type=str.lower, choices=[profile.value for profile in Profile],
        help="the active profile; may be repeated; default: each",
    )  # fmt: skip
    parser.add_argument("--local", action="append", help="an interface of the host, as 192.0.2.5/24; may be repeated")
    parser.add_argument("--destination", action="append", help="address of the host; default: those of --local")
    parser.add_argument("--literal", action="store_true", help="judge 88 and 389 on every host")


def verdicts(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The verdicts of each profile, in the order of the catalog or of --port. Raises InputError, ReadError, OSError."""
    snapshot = _snapshot(options)
    sources = common.sources(options)
    rows = tuple(_requirements(options))
    request = Request(
        host="host",
        systems=("windows",),
        requirements=rows,
        openable=frozenset(),
        sources=dict.fromkeys(SourceRole, sources),
        destinations=tuple(_destinations(options, snapshot, sources)),
        undetermined={row.id: _NOT_TOLD for row in rows if row.listener_home is ListenerHome.DOMAIN_CONTROLLER},
    )
    return [
        {"profile": profile.value, **to_result(verdict)}
        for profile in Profile
        if not options.profile or profile.value in options.profile
        for verdict in evaluate(snapshot, request, [profile])
    ]


_NOT_TOLD = "needed of a domain controller, and no ProductType says whether the host is one; --literal judges it anyway"


def _snapshot(options: argparse.Namespace) -> Snapshot:
    registry = merged(_read(path) for paths in options.registry for path in paths)
    if not registry.has(FIREWALL_POLICY) and not registry.has(POLICY):
        raise InputError("--registry: none of the files holds a key of the Windows firewall")
    network = network_of(options.local) if options.local else read_network(registry)
    return read_snapshot(registry, network=network)


def _read(path: Path) -> Registry:
    try:
        return parse_registry(path.read_bytes())
    except ReadError as error:
        raise InputError(f"--registry {path}: {error}") from error


def _requirements(options: argparse.Namespace) -> Iterator[Requirement]:
    by_word = {row.protocol.value: row for row in CATALOG if row.id in ("windows.rpc_dynamic", "windows.named_pipes")}
    by_word["pipes"] = by_word["service"]
    for text in options.port or ():
        named = by_word.get(text) or next((row for row in CATALOG if row.id == text), None)
        if named is not None:
            yield replace(named, listener_home=ListenerHome.TARGET)
        else:
            yield from common.requirements(argparse.Namespace(system=options.system, port=[text.lower()]))
    for row in () if options.port else CATALOG:
        yield replace(row, listener_home=ListenerHome.TARGET) if options.literal else row


def _destinations(
    options: argparse.Namespace, snapshot: Snapshot, sources: Sequence[NamedSource]
) -> Iterator[Address]:
    """The addresses of the host that are judged: for each family of the sources one that is told, else any."""
    told = [parse_address(text) for text in options.destination or ()]
    local = [parse_address(text.partition("/")[0]) for text in options.local or ()]
    for version in (4, 6):
        if not any(source.addresses.family(version) for source in sources):
            continue
        own = [address for address in told or local or snapshot.network.interfaces if address.version == version]
        yield from own if told else own[:1] or [ANY_DESTINATION[version]]
