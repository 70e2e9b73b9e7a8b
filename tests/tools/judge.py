# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A verdict without Ansible, from files that a host's own commands printed.

    build/venv/bin/python -m tests.tools.judge linux --nft FILE --address FILE --source 192.0.2.10 \\
        --destination 192.0.2.5 --port tcp/22

What is not given is not known: without --address the interface of arrival is any, without --route the way of the
answer. Prints a list of verdicts as JSON, one for each --port.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from pathlib import Path

# `make setup` links the checkout there under the name that its modules import each other by.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build" / "collections"))

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import (
    Address,
    AddressSet,
    parse_address,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG_SOURCE, CATALOG_VERSION
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import AuditPortsError, InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.portset import PortSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import (
    Requirement,
    Verdict,
    to_result,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Condition,
    Level,
    ListenerHome,
    Protocol,
    SourceRole,
    VerdictStatus,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.network import (
    forwarding,
    parse_interfaces,
    parse_routes,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView, Interface, Route
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request

ELSEWHERE = "another interface"  # stands for all that no rule names


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        request = _request(options)
        answers = [evaluate(snapshot, request) for snapshot in _snapshots(options)]
    except AuditPortsError as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    print(json.dumps(to_result([_agreed(verdicts) for verdicts in zip(*answers, strict=True)]), indent=1))
    return 0


def _agreed(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of all possible hosts; unknown where they differ."""
    if len({verdict.status for verdict in verdicts}) == 1:
        return verdicts[0]
    told = "; ".join(dict.fromkeys(f"{verdict.status.value}: {verdict.reason}" for verdict in verdicts))
    reason = f"it depends on the interface, give --address and --route: {told}"
    return replace(verdicts[0], status=VerdictStatus.UNKNOWN, reason=reason, paths=())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="judge", description="A verdict from files that commands printed.")
    systems = parser.add_subparsers(dest="system", required=True)
    linux = systems.add_parser("linux", help="a host whose packets netfilter judges")
    linux.add_argument("--nft", type=Path, help="nft -j list ruleset")
    linux.add_argument("--iptables", type=Path, action="append", default=[], help="iptables-save")
    linux.add_argument("--ip6tables", type=Path, action="append", default=[], help="ip6tables-save")
    linux.add_argument("--ipset", type=Path, help="ipset save")
    linux.add_argument("--address", type=Path, help="ip -j address")
    linux.add_argument("--route", type=Path, action="append", default=[], help="ip -j route (and ip -j -6 route)")
    linux.add_argument("--sysctl", type=Path, help="sysctl -a")
    linux.add_argument("--source", action="append", required=True, help="address or network; may be repeated")
    linux.add_argument("--destination", action="append", required=True, help="address of the host; may be repeated")
    linux.add_argument("--port", action="append", required=True, help="tcp/22, udp/161 or icmp; may be repeated")
    return parser


def _snapshots(options: argparse.Namespace) -> Iterator[Snapshot]:
    """The host; where its interfaces or routes are not given, one for each interface that it could be about."""
    texts = [path.read_text(errors="replace") for path in (*options.iptables, *options.ip6tables)]
    nft = _text(options.nft)
    ruleset = read_ruleset(nft=nft, xtables=texts, ipset=_text(options.ipset))
    sysctls = _sysctls(_text(options.sysctl) or "")
    given = parse_interfaces(options.address.read_text(errors="replace")) if options.address else ()
    routes = _routes(options)
    names = [item.name for item in given] if given else [ELSEWHERE, *_named_interfaces(nft or "", texts)]
    addresses = tuple(ip_interface(str(item)) for item in _destinations(options))
    for name in [""] if given and routes else names:
        view = HostView(
            interfaces=given or (Interface(name, 1, addresses),),
            routes_to=routes or tuple(Route(ip_network(everything), name) for everything in ("0.0.0.0/0", "::/0")),
            forwards=forwarding(sysctls),
        )
        yield Snapshot(ruleset=ruleset, view=view, sysctls=sysctls)


def _named_interfaces(nft: str, tables: Sequence[str]) -> list[str]:
    """The interfaces that rules name, those of patterns (``eth*``, ``eth+``) by one that fits."""
    found = re.findall(r"(?:^| )-[io] (\S+)", "\n".join(tables), re.MULTILINE)
    for compared in re.findall(r'"key": ?"(?:iif|oif)(?:name)?"\}\}?, ?"right": ?(\{[^}]*\}|"[^"]*")', nft):
        found += [name for name in re.findall(r'"([^"]+)"', compared) if name != "set"]
    return list(dict.fromkeys(name.rstrip("*+") + ("0" if name[-1] in "*+" else "") for name in found if name != "lo"))


def _text(path: Path | None) -> str | None:
    return None if path is None else path.read_text(errors="replace")


def _routes(options: argparse.Namespace) -> tuple[Route, ...]:
    texts = [path.read_text(errors="replace") for path in options.route]
    return tuple(route for text in texts for version in (4, 6) for route in parse_routes(text, version))


def _sysctls(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _request(options: argparse.Namespace) -> Request:
    requirements = tuple(_requirement(text) for text in options.port)
    sources = tuple(NamedSource(text, AddressSet.parse(text)) for text in options.source)
    return Request(
        host="host",
        systems=("linux",),
        requirements=requirements,
        openable=frozenset(),
        sources={SourceRole.AUDIT_HOST: sources},
        destinations=_destinations(options),
    )


def _destinations(options: argparse.Namespace) -> tuple[Address, ...]:
    return tuple(parse_address(text) for text in options.destination)


def _requirement(text: str) -> Requirement:
    word, _slash, number = text.partition("/")
    if word not in ("tcp", "udp", "icmp") or (word == "icmp") == bool(number):
        raise InputError(f"--port {text!r}: write tcp/22, udp/161 or icmp")
    port = PortSet.parse(number).ranges[0][0] if number else None
    return Requirement(
        id=text,
        system="linux",
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


if __name__ == "__main__":
    sys.exit(main())
