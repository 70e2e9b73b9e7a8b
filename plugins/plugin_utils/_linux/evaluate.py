# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of a Linux host: judgements of all sources and destinations, and the listener, as one record a
requirement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.records import Path, Requirement, Verdict, verdict_of
from ...module_utils._core.vocabulary import Protocol, VerdictStatus
from .._platform.interface import Request
from .judge import Judgement, judge
from .snapshot import Snapshot

_PARTS_SHOWN = 16
_SERVERS = {"ssh": ("sshd", "dropbear"), "snmp": ("snmpd",)}


def evaluate(snapshot: Snapshot, request: Request) -> tuple[Verdict, ...]:
    """A verdict for each requirement of the request, in its order."""
    return tuple(_evaluate_one(snapshot, request, requirement) for requirement in request.requirements)


def _evaluate_one(snapshot: Snapshot, request: Request, requirement: Requirement) -> Verdict:
    host = request.host
    if requirement.id in request.not_applicable:
        reason = request.not_applicable[requirement.id]
        return verdict_of(requirement, host, status=VerdictStatus.NOT_APPLICABLE, reason=reason)
    if requirement.id in request.undetermined:
        reason = request.undetermined[requirement.id]
        return verdict_of(requirement, host, status=VerdictStatus.UNKNOWN, reason=reason)
    paths = tuple(path for _judgement, path in judged_paths(snapshot, request, requirement))
    if not paths:
        return verdict_of(requirement, host, status=VerdictStatus.UNKNOWN, reason=_no_pair(request, requirement))
    listening, listener = _listener(snapshot, requirement, request.destinations)
    return verdict_of(
        requirement,
        host,
        status=_overall({path.status for path in paths}),
        reason=_summary(paths),
        persistent=_all_of(path.persistent for path in paths),
        listening=listening,
        listener=listener,
        paths=paths,
    )


def judged_paths(snapshot: Snapshot, request: Request, requirement: Requirement) -> Iterator[tuple[Judgement, Path]]:
    """Each judgement of a requirement with the path that tells of it, over all sources and destinations of one family
    each.
    """
    for source in request.sources[requirement.source_role]:
        for destination in request.destinations:
            addresses = source.addresses.family(destination.version)
            if not addresses or (requirement.protocol is Protocol.ICMP and destination.version != 4):
                continue
            for judgement in judge(snapshot, requirement, addresses, destination):
                yield judgement, _path(judgement, addresses, source.text, destination)


def _path(judgement: Judgement, whole: AddressSet, text: str, destination: Address) -> Path:
    return Path(
        source=text if judgement.source == whole else _shown(judgement.source),
        destination=str(destination),
        status=judgement.status,
        reason=judgement.reason,
        persistent=judgement.persistent,
        decided_by=judgement.decided_by,
    )


def _shown(source: AddressSet) -> str:
    texts = list(source.texts())
    rest = len(texts) - _PARTS_SHOWN
    return ", ".join(texts[:_PARTS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _overall(statuses: set[VerdictStatus]) -> VerdictStatus:
    if len(statuses) == 1:
        return next(iter(statuses))
    return VerdictStatus.PARTIAL if {VerdictStatus.OPEN, VerdictStatus.BLOCKED} <= statuses else VerdictStatus.UNKNOWN


def _all_of(values: Iterable[bool | None]) -> bool | None:
    found = set(values)
    return None if None in found and False not in found else False not in found


def _summary(paths: Sequence[Path]) -> str:
    """The one reason of all paths, else each reason with whom it concerns."""
    reasons: dict[tuple[VerdictStatus, str], list[str]] = {}
    for path in paths:
        reasons.setdefault((path.status, path.reason), []).append(path.source)
    if len(reasons) == 1:
        return paths[0].reason
    told = [
        f"{status.value} for {', '.join(dict.fromkeys(sources))}: {reason}"
        for (status, reason), sources in reasons.items()
    ]
    return "; ".join(told[:_PARTS_SHOWN])


def _no_pair(request: Request, requirement: Requirement) -> str:
    sources = ", ".join(source.text for source in request.sources[requirement.source_role])
    destinations = ", ".join(str(address) for address in request.destinations)
    if requirement.protocol is Protocol.ICMP:
        return f"an IPv4 echo is needed, and source ({sources}) and destination ({destinations}) are not both IPv4"
    return f"no source ({sources}) is of the same address family as a destination ({destinations})"


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
