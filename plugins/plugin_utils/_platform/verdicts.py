# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts from judgements, the same on every platform: one judgement a part of a source, one path a judgement, one
verdict a requirement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol as Shape
from typing import TypeVar

from ...module_utils._core.addressset import MOST_COUNTED, Address, AddressSet
from ...module_utils._core.records import Decision, Path, Requirement, Verdict, verdict_of
from ...module_utils._core.vocabulary import Protocol, VerdictStatus
from .interface import Request

_PARTS_SHOWN = 16


class Judged(Shape):
    """What a platform says of one part of a source; its own judgements may hold more."""

    @property
    def source(self) -> AddressSet: ...
    @property
    def status(self) -> VerdictStatus: ...
    @property
    def reason(self) -> str: ...
    @property
    def persistent(self) -> bool | None: ...
    @property
    def decided_by(self) -> tuple[Decision, ...]: ...


J = TypeVar("J", bound=Judged)
Judge = Callable[[Requirement, AddressSet, Address], Iterable[J]]
Listener = Callable[[Requirement, "Sequence[J]"], "tuple[bool | None, str | None]"]


def verdicts_of(request: Request, judge: Judge[J], listener: Listener[J]) -> tuple[Verdict, ...]:
    """A verdict for each requirement of the request, in its order.

    ``judge`` gives the judgements of the parts of a source (addresses of the destination's family) that are treated
    alike; ``listener``, given all of them, whether something accepts the requirement's packets (``None``: not known),
    and what.
    """
    return tuple(_verdict(request, requirement, judge, listener) for requirement in request.requirements)


def _verdict(request: Request, requirement: Requirement, judge: Judge[J], listener: Listener[J]) -> Verdict:
    host = request.host
    if requirement.id in request.not_applicable:
        reason = request.not_applicable[requirement.id]
        return verdict_of(requirement, host, status=VerdictStatus.NOT_APPLICABLE, reason=reason)
    if requirement.id in request.undetermined:
        reason = request.undetermined[requirement.id]
        return verdict_of(requirement, host, status=VerdictStatus.UNKNOWN, reason=reason)
    judged = tuple(judged_paths(request, requirement, judge))
    paths = tuple(path for _judgement, path in judged)
    if not paths:
        return verdict_of(requirement, host, status=VerdictStatus.UNKNOWN, reason=_no_pair(request, requirement))
    listening, named = listener(requirement, [judgement for judgement, _path in judged])
    return verdict_of(
        requirement,
        host,
        status=_overall({path.status for path in paths}),
        reason=_summary(paths),
        persistent=_all_of(path.persistent for path in paths),
        listening=listening,
        listener=named,
        paths=paths,
    )


def judged_paths(request: Request, requirement: Requirement, judge: Judge[J]) -> Iterator[tuple[J, Path]]:
    """Each judgement of a requirement with the path that tells of it, over all sources and destinations of one family
    each.
    """
    for source in request.sources[requirement.source_role]:
        for destination in request.destinations:
            addresses = source.addresses.family(destination.version)
            if not addresses or (requirement.protocol is Protocol.ICMP and destination.version != 4):
                continue
            for judgement in judge(requirement, addresses, destination):
                yield judgement, _path(judgement, addresses, source.text, destination)


def _path(judgement: Judged, whole: AddressSet, text: str, destination: Address) -> Path:
    return Path(
        source=text if judgement.source == whole else _shown(judgement.source),
        destination=str(destination),
        status=judgement.status,
        reason=judgement.reason,
        persistent=judgement.persistent,
        decided_by=judgement.decided_by,
    )


def _shown(source: AddressSet) -> str:
    """A set of addresses for people: its first parts, and how many more there are."""
    texts, rest = source.listed(_PARTS_SHOWN)
    more = f"more than {MOST_COUNTED}" if rest > MOST_COUNTED else rest
    return ", ".join(texts) + (f" and {more} more" if rest else "")


def _overall(statuses: set[VerdictStatus]) -> VerdictStatus:
    if len(statuses) == 1:
        return next(iter(statuses))
    mixed = VerdictStatus.PARTIAL in statuses or {VerdictStatus.OPEN, VerdictStatus.BLOCKED} <= statuses
    return VerdictStatus.PARTIAL if mixed else VerdictStatus.UNKNOWN


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
