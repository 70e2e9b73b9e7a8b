# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What the judges of all systems read alike: ports, sources and destinations."""

from __future__ import annotations

import argparse

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import (
    Address,
    AddressSet,
    parse_address,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG_SOURCE, CATALOG_VERSION
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.portset import PortSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Condition,
    Level,
    ListenerHome,
    Protocol,
    SourceRole,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource


def add_addresses_and_ports(parser: argparse.ArgumentParser) -> None:
    """The options that every system needs: who asks, whom, and for which port."""
    parser.add_argument("--source", action="append", required=True, help="address or network; may be repeated")
    parser.add_argument("--destination", action="append", required=True, help="address of the host; may be repeated")
    parser.add_argument("--port", action="append", required=True, help="tcp/22, udp/161 or icmp; may be repeated")


def sources(options: argparse.Namespace) -> tuple[NamedSource, ...]:
    """The sources. Raises InputError for what is no address and no network."""
    return tuple(NamedSource(text, AddressSet.parse(text)) for text in options.source)


def destinations(options: argparse.Namespace) -> tuple[Address, ...]:
    """The destinations. Raises InputError for what is no address."""
    return tuple(parse_address(text) for text in options.destination)


def requirements(options: argparse.Namespace) -> tuple[Requirement, ...]:
    """One requirement for each port. Raises InputError for a port that is written in another way."""
    return tuple(_requirement(options.system, text) for text in options.port)


def _requirement(system: str, text: str) -> Requirement:
    word, _slash, number = text.partition("/")
    if word not in ("tcp", "udp", "icmp") or (word == "icmp") == bool(number):
        raise InputError(f"--port {text!r}: write tcp/22, udp/161 or icmp")
    port = PortSet.parse(number).ranges[0][0] if number else None
    return Requirement(
        id=text,
        system=system,
        protocol=Protocol(word),
        port=port,
        level=Level.REQUIRED,
        condition=Condition.ALWAYS,
        source_role=SourceRole.AUDIT_HOST,
        listener_home=ListenerHome.TARGET,
        service="",
        purpose="",
        without="",
        source=CATALOG_SOURCE,
        catalog_version=CATALOG_VERSION,
    )
