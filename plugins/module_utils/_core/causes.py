# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who stands in the way of one requirement on one host: verdict, listener and observations joined into one cause."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .addressset import Address, AddressSet, parse_address
from .errors import InputError
from .readiness import SHUT, speaks_against
from .records import Decision, Observation, Path, Verdict
from .vocabulary import Cause, ObservationStatus, Protocol, RowStatus, VerdictStatus

# Kinds of deciding rules that are not the host's own firewall configuration. Every other kind is.
MANAGED_KINDS = frozenset({"group_policy", "mdm_policy", "mdm_profile", "managed_policy"})
SERVICE_ACL_KINDS = frozenset({"service_acl", "hosts_deny", "ip_address_deny", "sysctl"})

# What a failed observation means: (seen, verdict is open, something listens) -> cause. None: whichever it is.
# A door that is shut without a witness on the host has no cause that could be told.
_SHUT_CAUSES: tuple[tuple[ObservationStatus, bool | None, bool | None, Cause], ...] = (
    (ObservationStatus.CLOSED, None, False, Cause.NOTHING_LISTENS),
    (ObservationStatus.CLOSED, True, True, Cause.PATH_BLOCKED),
    (ObservationStatus.REJECTED, True, None, Cause.PATH_BLOCKED),
    (ObservationStatus.FILTERED, True, None, Cause.PATH_BLOCKED),
    (ObservationStatus.UNREACHABLE, True, None, Cause.PATH_BLOCKED),
)
# Of several observations that speak against a row, the one with the most telling cause speaks for all.
_TELLING = (
    Cause.PATH_BLOCKED,
    Cause.NOTHING_LISTENS,
    Cause.WRONG_SERVICE,
    Cause.SOURCE_MISMATCH,
    Cause.UNKNOWN,
)
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{3,45}")


@dataclass(frozen=True)
class Joined:
    """An observation and the path that it is evidence for.

    ``source`` is the address that the packet came from as far as anybody knows. ``assumed``: the vantage could not tell
    it, so the declared source stands in. ``foreign``: it came from an address that is none of the declared sources.
    """

    observation: Observation
    path: Path | None
    source: str | None
    assumed: bool = False
    foreign: bool = False


@dataclass(frozen=True)
class Finding:
    """The cause, and the observation or the rules that show it."""

    cause: Cause
    shown_by: Joined | None = None
    rules: tuple[Decision, ...] = ()


def join_observation(verdict: Verdict | None, observation: Observation, seen_source: str | None = None) -> Joined:
    """Find the path whose source contains the address that the packet came from.

    ``seen_source`` is the address that the target itself saw; it goes before what the vantage believes.
    """
    source = seen_source or observation.source_address
    paths = verdict.paths if verdict else ()
    if not paths:
        return Joined(observation, None, source)
    if source is None:
        return Joined(observation, _best_path(paths, observation), None, assumed=True)
    address = parse_address(source)
    matching = [path for path in paths if address in _parse_source(path.source)]
    return Joined(observation, _best_path(matching, observation), source, foreign=not matching)


def _best_path(paths: Sequence[Path], observation: Observation) -> Path | None:
    """The path to the probed address, else the first one that is open: it is what the observation can contradict."""
    same = [path for path in paths if observation.address and _same(path.destination, observation.address)] or paths
    open_first = [path for path in same if path.status is VerdictStatus.OPEN] or list(same)
    return open_first[0] if open_first else None


def counting(joined: Iterable[Joined]) -> tuple[Joined, ...]:
    """The observations that count for a row: those from declared sources; where there is none, those against it.

    What got in from elsewhere proves nothing for the sources, and what did not is no finding beside one of theirs.
    """
    found = tuple(joined)
    own = tuple(item for item in found if not item.foreign)
    return own or tuple(item for item in found if not _only_got_in(item.observation))


def _only_got_in(observation: Observation) -> bool:
    return observation.status is ObservationStatus.OPEN and not speaks_against(observation)


def find_cause(status: RowStatus, verdict: Verdict | None, joined: Sequence[Joined]) -> Finding:
    """The one cause of a row with this status (as it is without a waiver), from all its observations."""
    if status is RowStatus.NOT_APPLICABLE:
        return Finding(Cause.NOT_APPLICABLE)
    if verdict is not None and verdict.status in (VerdictStatus.BLOCKED, VerdictStatus.PARTIAL):
        return _rule_finding(verdict)
    counted = counting(joined)
    against = [item for item in counted if speaks_against(item.observation)]
    if against:
        findings = [Finding(_cause_of_failure(verdict, item), item) for item in against]
        return min(findings, key=lambda finding: _TELLING.index(finding.cause))
    return _other_finding(status, verdict, joined)


def _other_finding(status: RowStatus, verdict: Verdict | None, joined: Sequence[Joined]) -> Finding:
    """The cause where nothing is blocked: the row is fine, unverified or unknown."""
    if status is RowStatus.FINE:
        return Finding(Cause.READY)
    for item in joined:
        if item.observation.status is ObservationStatus.NAME_ERROR:
            return Finding(Cause.NAME_RESOLUTION, item)
    if all(item.foreign for item in joined):
        for item in joined:
            if item.observation.status in (ObservationStatus.OPEN, ObservationStatus.NO_ANSWER):
                return Finding(Cause.SOURCE_MISMATCH, item)
    if verdict is not None and verdict.listening is False and verdict.protocol in (Protocol.TCP, Protocol.UDP):
        return Finding(Cause.NOTHING_LISTENS)
    silent = next(iter(counting(joined)), None)
    return Finding(Cause.READY if status is RowStatus.UNVERIFIED else Cause.UNKNOWN, silent)


def _rule_finding(verdict: Verdict) -> Finding:
    shut = [path for path in verdict.paths if path.status in (VerdictStatus.BLOCKED, VerdictStatus.PARTIAL)]
    rules = tuple(dict.fromkeys(rule for path in shut for rule in path.decided_by))
    kinds = {rule.kind for rule in rules}
    if kinds & MANAGED_KINDS:
        return Finding(Cause.MANAGED_POLICY, rules=tuple(rule for rule in rules if rule.kind in MANAGED_KINDS))
    if kinds and kinds <= SERVICE_ACL_KINDS:
        return Finding(Cause.SERVICE_ACL, rules=rules)
    return Finding(Cause.HOST_FIREWALL, rules=rules)


def _cause_of_failure(verdict: Verdict | None, joined: Joined) -> Cause:
    observation = joined.observation
    if observation.status not in SHUT:
        return Cause.WRONG_SERVICE
    judged = joined.path or verdict
    lets_in = judged is not None and judged.status is VerdictStatus.OPEN
    listening = verdict.listening if verdict else None
    if not joined.foreign or (observation.status is ObservationStatus.CLOSED and listening is False):
        for seen, open_needed, listener_needed, cause in _SHUT_CAUSES:
            if seen is observation.status and open_needed in (None, lets_in) and listener_needed in (None, listening):
                return cause
    if joined.foreign:
        return Cause.SOURCE_MISMATCH
    if observation.status is ObservationStatus.REJECTED and rejecting_stranger(observation) is not None:
        return Cause.PATH_BLOCKED
    return Cause.UNKNOWN


def rejecting_stranger(observation: Observation) -> str | None:
    """The address in the evidence of a rejection that is neither the target's nor the vantage's: who refused."""
    if observation.status is not ObservationStatus.REJECTED or observation.address is None:
        return None
    known = {str(parse_address(text)) for text in (observation.address, observation.source_address) if text}
    for word in _ADDRESS.findall(observation.evidence):
        try:
            address = str(parse_address(word.strip(".:") if "::" not in word else word.rstrip(".")))
        except InputError:
            continue
        if address not in known:
            return address
    return None


@lru_cache(maxsize=4096)
def _parse_source(text: str) -> AddressSet:
    return AddressSet.parse([item for item in re.split(r"[,\s]+", text) if item])


def _same(left: str, right: str) -> bool:
    address = _try_address(left)
    return left == right or (address is not None and address == _try_address(right))


def _try_address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except InputError:
        return None
