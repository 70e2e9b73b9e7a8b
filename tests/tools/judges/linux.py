# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Verdicts of a Linux host, from what nft, iptables-save, ipset, ip and sysctl print.

Without --address the interface of arrival is any, without --route the way of the answer.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from pathlib import Path

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole, VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.network import (
    forwarding,
    parse_interfaces,
    parse_routes,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import HostView, Interface, Route
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.readers import read_ruleset
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Request

from tests.tools.judges.common import add_addresses_and_ports, destinations, requirements, sources

HELP = "a host whose packets netfilter judges"
ELSEWHERE = "another interface"  # stands for all that no rule names
LOOPBACK = "lo"
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
_MARKS = {4: "[.]", 6: ":"}  # what addresses of a family have


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the host's commands printed, each in a file; and the question."""
    parser.add_argument("--nft", type=Path, help="nft -j list ruleset")
    parser.add_argument("--iptables", type=Path, action="append", default=[], help="iptables-save")
    parser.add_argument("--ip6tables", type=Path, action="append", default=[], help="ip6tables-save")
    parser.add_argument("--ipset", type=Path, help="ipset save")
    parser.add_argument("--address", type=Path, help="ip -j address")
    parser.add_argument("--route", type=Path, action="append", default=[], help="ip -j route (and ip -j -6 route)")
    parser.add_argument("--sysctl", type=Path, help="sysctl -a")
    add_addresses_and_ports(parser)


def verdicts(options: argparse.Namespace) -> list[Verdict]:
    """A verdict for each port. Raises AuditPortsError for options that are not understood, OSError for files."""
    request = Request(
        host="host",
        systems=("linux",),
        requirements=requirements(options),
        openable=frozenset(),
        sources={SourceRole.AUDIT_HOST: sources(options)},
        destinations=destinations(options),
    )
    answers = [evaluate(snapshot, request) for snapshot in _snapshots(options)]
    note = "" if options.nft else "; as far as iptables tells, the list of nft is not given"
    agreed = [_agreed(verdicts) for verdicts in zip(*answers, strict=True)]
    return [replace(verdict, reason=verdict.reason + note) for verdict in agreed]


def _agreed(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of all possible hosts; unknown where they differ."""
    if len({verdict.status for verdict in verdicts}) == 1:
        return verdicts[0]
    told = "; ".join(dict.fromkeys(f"{verdict.status.value}: {verdict.reason}" for verdict in verdicts))
    reason = f"it depends on the interface, give --address and --route: {told}"
    return replace(verdicts[0], status=VerdictStatus.UNKNOWN, reason=reason, paths=())


def _snapshots(options: argparse.Namespace) -> Iterator[Snapshot]:
    """The host; where its interfaces or routes are not given, one for each interface that it could be about."""
    texts = [
        *(_saved(path, "iptables") for path in options.iptables),
        *(_saved(path, "ip6tables") for path in options.ip6tables),
    ]
    nft = _json(_text(options.nft))
    ruleset = read_ruleset(nft=nft, xtables=texts, ipset=_text(options.ipset))
    sysctls = _sysctls(_text(options.sysctl) or "")
    asked = destinations(options)
    try:
        given = parse_interfaces(_json(_text(options.address)) or "")
        routes = _routes([_json(path.read_text(errors="replace")) or "" for path in options.route])
    except (ReadError, ValueError) as error:
        yield Snapshot(ruleset=ruleset, view=HostView(()), problem=f"what --address or --route names: {error}")
        return
    # A family without a single route is one that nobody asked for: `ip route` prints IPv4 alone.
    missing = {_EVERYTHING[item.version] for item in asked} - {_EVERYTHING[item.network.version] for item in routes}
    names = [item.name for item in given if item.name != LOOPBACK] or [ELSEWHERE, *_named_interfaces(nft or "", texts)]
    for name in names if missing or not given else [""]:
        view = HostView(
            interfaces=given or (Interface(name, 1, tuple(ip_interface(str(item)) for item in asked)),),
            routes_to=(*routes, *(Route(ip_network(network), name) for network in sorted(missing))),
            forwards=forwarding(sysctls),
            addresses_known=bool(given),
        )
        yield Snapshot(ruleset=ruleset, view=view, sysctls=sysctls)


def _saved(path: Path, program: str) -> str:
    """What iptables-save or ip6tables-save printed, with a header that tells which of them it was."""
    text = path.read_text(errors="replace")
    text = text.replace("# Generated by xtables-save v", f"# Generated by {program}-nft-save v")
    return text if "# Generated by " in text else f"# Generated by {program}-save v1.8\n{text}"


def _json(text: str | None) -> str | None:
    """The JSON of what a command printed, without the warnings that it may have printed before."""
    if text is None:
        return None
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.lstrip()[:1] in ("{", "[")), 0)
    return "\n".join(lines[first:])


def _named_interfaces(nft: str, tables: Sequence[str]) -> list[str]:
    """The interfaces that rules name, those of patterns (``eth*``, ``eth+``) by one that fits."""
    found = re.findall(r"(?:^| )-[io] (\S+)", "\n".join(tables), re.MULTILINE)
    for compared in re.findall(r'"key": ?"(?:iif|oif)(?:name)?"\}\}?, ?"right": ?(\{[^}]*\}|"[^"]*")', nft):
        found += [name for name in re.findall(r'"([^"]+)"', compared) if name != "set"]
    names = (name.rstrip("*+") + ("0" if name[-1] in "*+" else "") for name in found)
    return list(dict.fromkeys(name for name in names if name != LOOPBACK))


def _text(path: Path | None) -> str | None:
    return None if path is None else path.read_text(errors="replace")


def _routes(texts: Sequence[str]) -> tuple[Route, ...]:
    """The routes of all texts; a default route is of the family of the others beside it."""
    found: list[Route] = []
    for text in texts:
        kinds = {version for version, mark in _MARKS.items() if re.search(rf'"(?:dst|gateway)": ?"[^"]*{mark}', text)}
        for version in kinds or _MARKS:
            found += parse_routes(text, version)
    return tuple(found)


def _sysctls(text: str) -> dict[str, str]:
    """The settings; within an interface's name, sysctl writes a slash for a dot."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip().replace("/", "."): value.strip() for name, value in pairs}
