# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Verdicts of an ESXi host, from what esxcli prints (in any of its forms), or from the API's HostFirewallInfo."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.info import parse_info
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.rulesets import HostFirewall
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.snapshot import Snapshot, parse_firewall
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Request

from tests.tools.judges.common import add_addresses_and_ports, destinations, requirements, sources

HELP = "an ESXi host"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the host printed, each in a file; and the question."""
    parser.add_argument("--rulesets", type=Path, help="esxcli network firewall ruleset list")
    parser.add_argument("--rules", type=Path, help="esxcli network firewall ruleset rule list")
    parser.add_argument("--allowed", type=Path, help="esxcli network firewall ruleset allowedip list")
    parser.add_argument("--firewall", type=Path, help="esxcli network firewall get")
    parser.add_argument(
        "--info", type=Path, help="HostFirewallInfo of the vSphere API as JSON, or a host that has it, instead of these"
    )
    add_addresses_and_ports(parser)


def verdicts(options: argparse.Namespace) -> tuple[Verdict, ...]:
    """A verdict for each port. Raises AuditPortsError for options that are not understood, OSError for files."""
    request = Request(
        host="host",
        systems=("esxi",),
        requirements=requirements(options),
        openable=frozenset(),
        sources={SourceRole.AUDIT_HOST: sources(options)},
        destinations=destinations(options),
    )
    return evaluate(Snapshot(_firewall(options)), request)


def _firewall(options: argparse.Namespace) -> HostFirewall:
    if options.info:
        try:
            return parse_info(_info(json.loads(options.info.read_text(errors="replace"))))
        except ValueError as error:
            raise ReadError(f"{options.info} is no JSON: {error}") from error
    names = ("rulesets", "rules", "allowed", "firewall")
    given = {name: getattr(options, name) for name in names}
    return parse_firewall({name: path.read_text(errors="replace") for name, path in given.items() if path})


def _info(item: Any) -> Any:
    """The HostFirewallInfo within what a tool printed, with the API's own names: some begin them with a capital."""
    if isinstance(item, list):
        return [_info(part) for part in item]
    if not isinstance(item, dict):
        return item
    named = {name[:1].lower() + name[1:]: _info(value) for name, value in item.items()}
    if "ruleset" in named:
        return named
    inner = (named[name] for name in ("config", "firewall", "firewallInfo") if isinstance(named.get(name), dict))
    return next((value for value in inner if "ruleset" in value), named)
