# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of a Linux host: judgements of all sources and destinations, and the listener, as one record a
requirement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from ...module_utils._core.addressset import Address
from ...module_utils._core.records import Path, Requirement, Verdict
from ...module_utils._core.vocabulary import Protocol
from .._netfilter.model import Fate
from .._platform.interface import Request
from .._platform.verdicts import judged_paths as platform_paths
from .._platform.verdicts import verdicts_of
from .judge import Judgement, judge
from .snapshot import Snapshot

_SERVERS = {"ssh": ("sshd", "dropbear"), "snmp": ("snmpd",)}


def evaluate(snapshot: Snapshot, request: Request) -> tuple[Verdict, ...]:
    """A verdict for each requirement of the request, in its order."""

    def listener(requirement: Requirement, judged: Sequence[Judgement]) -> tuple[bool | None, str | None]:
        elsewhere = _sent_elsewhere(judged)
        return (None, elsewhere) if elsewhere else _listener(snapshot, requirement, request.destinations)

    return verdicts_of(request, partial(judge, snapshot), listener)


def judged_paths(snapshot: Snapshot, request: Request, requirement: Requirement) -> Iterator[tuple[Judgement, Path]]:
    """Each judgement of a requirement with the path that tells of it."""
    return platform_paths(request, requirement, partial(judge, snapshot))


def _sent_elsewhere(judgements: Iterable[Judgement]) -> str | None:
    """Where packets that are let in end, if that is not where they were sent; what listens there is not looked for."""
    for judgement in judgements:
        packet, outcome = judgement.packet, judgement.outcome
        if packet is None or outcome is None or outcome.fate is not Fate.PASSES:
            continue
        if outcome.delivered == "forwarded" or outcome.final_port != packet.port:
            port = "" if outcome.final_port is None else f", {packet.protocol}/{outcome.final_port}"
            return f"packets are sent on to {outcome.final_destination}{port}; what listens there is not known"
    return None


def _listener(
    snapshot: Snapshot, requirement: Requirement, destinations: Sequence[Address]
) -> tuple[bool | None, str | None]:
    """Whether something accepts at every destination, and what; ``None`` where the host could not tell."""
    if requirement.protocol is Protocol.ICMP:
        return True, "the kernel"
    if requirement.port is None or snapshot.listeners is None:
        return None, None
    wire, port = requirement.protocol.value, requirement.port
    found = [
        next((item for item in snapshot.listeners if item.accepts(wire, destination, port)), None)
        for destination in destinations
    ]
    if found and all(found):
        return True, "; ".join(dict.fromkeys(str(item) for item in found))
    elsewhere = [
        item
        for item in snapshot.listeners
        if item.protocol == wire and (item.port == port or item.program in _SERVERS.get(requirement.service, ()))
    ]
    if not elsewhere:
        return False, None
    hint = f" (set ports: {{{requirement.id}: {elsewhere[0].port}}})" if elsewhere[0].port != port else ""
    return False, f"nothing at {', '.join(map(str, destinations))} {wire}/{port}, but {elsewhere[0]}{hint}"
