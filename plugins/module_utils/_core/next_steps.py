# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences of a diagnosis: what was found, and what to do next, by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from .causes import Finding, Joined, rejecting_stranger
from .records import Observation, Requirement, Verdict, Waiver
from .sanitize import safe_text
from .vocabulary import Cause, ObservationStatus, Protocol, RowStatus, ServiceStatus, System, VerdictStatus

_MOST_SHOWN = 3

NOTHING_TO_DO = "Nothing to do."
# {door} is "tcp/22 of web1 (192.0.2.5)", {sources} who must get in, {rules} what decides now, {tried} the failed probe.
NEXT_STEPS: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.READY: NOTHING_TO_DO,
        Cause.HOST_FIREWALL: (
            "Let {sources} in to {door}: run the playbook agentless.audit_ports.prepare,"
            " or change what decides now: {rules}."
        ),
        Cause.MANAGED_POLICY: (
            "Ask those who manage the policy of {host} to let {sources} in to {door};"
            " no local change helps against {rules}."
        ),
        Cause.NOTHING_LISTENS: (
            "On {host}, start the service that listens on {wire}{address}, or name its other port under 'ports';"
            " then probe again."
        ),
        Cause.SERVICE_ACL: "On {host}, add {sources} to the service's own list of who may connect: {rules}.",
        Cause.PATH_BLOCKED: (
            "Ask the network team to let {sources} pass to {door}{refused_by}: the host would let it in,"
            " the path does not. {tried}."
        ),
        Cause.SOURCE_MISMATCH: (
            "Probe {door} from a declared source ({sources}), or, if the audit does come from {seen},"
            " add that address to audit_ports_sources and run prepare. {tried}."
        ),
        Cause.WRONG_SERVICE: (
            "On {host}, find out what answers on {wire}: not the service that {requirement} needs. Move it away,"
            " or name the right port under 'ports'. {tried}."
        ),
        Cause.NAME_RESOLUTION: (
            "Make the name of {host} resolve on {vantage}, or give its address as audit_ports_address. {tried}."
        ),
        Cause.NOT_APPLICABLE: NOTHING_TO_DO,
        Cause.UNKNOWN: "Settle why {door} could not be judged ({why}), or probe it from the audit host.",
    }
)
UNVERIFIED_STEP = (
    "Probe {door} from the audit host with the playbook agentless.audit_ports.verify: no packet has confirmed it."
)
NOT_LASTING_STEP = "It is lost at the next reboot of {host}: run the playbook agentless.audit_ports.prepare."
# Nobody has read the firewall of the host: what its own administrator can do.
SCRIPT_STEP = (
    " As long as nobody can sign in to {host}, the lookup agentless.audit_ports.commands writes the script that opens"
    " it there."
)
_WITH_SCRIPTS = frozenset({System.WINDOWS.value, System.LINUX.value, System.ESXI.value})
WAIVED_STEP = "Waived {until}: {reason}."
# The cause is not known, or nothing is confirmed, although a probe was made: how to find out more.
OBSERVED_STEPS: Mapping[ObservationStatus, str] = MappingProxyType(
    {
        ObservationStatus.CLOSED: (
            "On {host}, look whether anything listens on {wire}: if not, start the service; if so, a firewall of {host}"
            " or on the path refuses {sources}. {tried}."
        ),
        ObservationStatus.REJECTED: (
            "Find the firewall that refuses {sources}: first on {host}, then on the path to it. {tried}."
        ),
        ObservationStatus.FILTERED: (
            "Find who drops the packets of {sources}: first the firewall of {host}, then the devices on the path."
            " {tried}."
        ),
        ObservationStatus.UNREACHABLE: ("See that {host} is running and that {vantage} has a route to it. {tried}."),
        ObservationStatus.NO_ANSWER: (
            "Silence tells nothing by itself: see on {host} that the service of {wire} runs, and that its own settings"
            " let {sources} ask. {tried}."
        ),
        ObservationStatus.UNVERIFIABLE_FROM_HERE: (
            "No packet from {vantage} can confirm {wire}: ask on the receiving side, {host}, what arrived. {tried}."
        ),
        ObservationStatus.LOCAL_ERROR: (
            "Set right what hinders the vantage {vantage}, then probe {door} again. {tried}."
        ),
    }
)

_SERVICE_WORDS = {
    ServiceStatus.CONFIRMED: "the service is confirmed",
    ServiceStatus.UNEXPECTED: "another service answers",
    ServiceStatus.SILENT: "the service says nothing",
    ServiceStatus.NOT_CHECKED: "",
}
_VERDICT_WORDS = {
    VerdictStatus.OPEN: "The host's firewall lets it in",
    VerdictStatus.BLOCKED: "The host's firewall blocks it",
    VerdictStatus.PARTIAL: "The host's firewall lets only some of the sources in",
    VerdictStatus.UNKNOWN: "The host's firewall could not be judged",
    VerdictStatus.NOT_APPLICABLE: "Not needed of this host",
}


def write_reason(
    verdict: Verdict | None, joined: Sequence[Joined], waiver: Waiver | None, expired: Waiver | None
) -> str:
    """What was found, as a few sentences: the verdict, the listener, each observation, the waiver."""
    parts = [_verdict_sentence(verdict)]
    if verdict is not None and verdict.protocol in (Protocol.TCP, Protocol.UDP):
        if verdict.listening is False:
            parts.append("Nothing listens there")
        elif verdict.listening:
            parts.append(f"Listening: {_clean(verdict.listener or 'yes')}")
    parts += [_observation_sentence(item) for item in joined[:_MOST_SHOWN]]
    if len(joined) > _MOST_SHOWN:
        parts.append(f"{len(joined) - _MOST_SHOWN} more observations")
    if waiver is not None:
        parts.append(f"Waived {_until(waiver)}: {_clean(waiver.reason)}")
    if expired is not None:
        parts.append(f"A waiver ({_clean(expired.reason)}) expired on {expired.expiry}")
    return ". ".join(part.rstrip(".") for part in parts if part) + "."


def write_next_step(
    requirement: Requirement,
    host: str,
    status: RowStatus,
    finding: Finding,
    verdict: Verdict | None,
    joined: Sequence[Joined],
    waiver: Waiver | None,
) -> str:
    """What to do, naming host, port, protocol, sources, what was tried, and who is to do it."""
    if status is RowStatus.WAIVED and waiver is not None:
        return WAIVED_STEP.format(until=_until(waiver), reason=_clean(waiver.reason).rstrip("."))
    template = _template(status, finding, verdict)
    if verdict is None and finding.cause is Cause.UNKNOWN and requirement.system in _WITH_SCRIPTS:
        template += SCRIPT_STEP
    shown = finding.shown_by.observation if finding.shown_by else None
    address = _address(verdict, joined, finding)
    stranger = rejecting_stranger(shown) if shown else None
    return template.format(
        requirement=requirement.id,
        host=host,
        wire=requirement.wire,
        door=_door(requirement, host, address),
        address=f" (at {address})" if address else "",
        sources=_sources(verdict, finding),
        seen=(finding.shown_by.source if finding.shown_by else None) or "elsewhere",
        rules=_list(_clean(rule.text or rule.id or rule.kind) for rule in finding.rules) or _clean_reason(verdict),
        refused_by=f" (refused by {stranger})" if stranger else "",
        vantage=_clean(shown.vantage) if shown else "the audit host",
        tried=_tried(shown) if shown else "",
        why=_clean_reason(verdict) or "nothing judged it",
    )


def _door(requirement: Requirement, host: str, address: str) -> str:
    what = requirement.id if requirement.protocol in (Protocol.SERVICE, Protocol.RPC) else requirement.wire
    return f"{what} of {host}" + (f" ({address})" if address and address != host else "")


def _template(status: RowStatus, finding: Finding, verdict: Verdict | None) -> str:
    if finding.shown_by is not None and finding.cause in (Cause.READY, Cause.UNKNOWN):
        return OBSERVED_STEPS[finding.shown_by.observation.status]
    if finding.cause is Cause.READY and verdict is not None and verdict.persistent is False:
        return NOT_LASTING_STEP
    return (
        UNVERIFIED_STEP
        if status is RowStatus.UNVERIFIED and finding.cause is Cause.READY
        else NEXT_STEPS[finding.cause]
    )


def _verdict_sentence(verdict: Verdict | None) -> str:
    if verdict is None:
        return "No verdict of the host's own firewall"
    words = _VERDICT_WORDS[verdict.status]
    reason = _clean_reason(verdict)
    lost = "; not after a reboot" if verdict.status is VerdictStatus.OPEN and verdict.persistent is False else ""
    return f"{words}{lost}: {reason}" if reason else f"{words}{lost}"


def _observation_sentence(item: Joined) -> str:
    source = item.source or ("source address not told, a declared source assumed" if item.assumed else "")
    origin = f" ({source})" if source else ""
    foreign = ", which is none of the declared sources" if item.foreign else ""
    observation = item.observation
    words = [observation.status.value, _SERVICE_WORDS[observation.service], _clean(observation.evidence)]
    return f"Seen from {_clean(observation.vantage)}{origin}{foreign}: {', '.join(word for word in words if word)}"


def _tried(observation: Observation) -> str:
    address = observation.address or "no address"
    origin = f" ({observation.source_address})" if observation.source_address else ""
    tries = f"{observation.attempts} attempt{'' if observation.attempts == 1 else 's'}"
    port = (
        observation.protocol.value if observation.port is None else f"{observation.protocol.value}/{observation.port}"
    )
    evidence = _clean(observation.evidence)
    seen = f"{observation.status.value}, {evidence}" if evidence else observation.status.value
    return f"Tried {port} at {address} from {_clean(observation.vantage)}{origin}, {tries}: {seen}".rstrip(".")


def _sources(verdict: Verdict | None, finding: Finding) -> str:
    """Who must get in: of a blocked verdict those that do not, else those that the verdict is about."""
    paths = verdict.paths if verdict else ()
    shut = [path for path in paths if path.status is not VerdictStatus.OPEN]
    shown = finding.shown_by
    if shown is not None and shown.path is not None:
        return _clean(shown.path.source)
    return (
        _list(_clean(path.source) for path in (shut or paths)) or (shown.source if shown else None) or "the audit host"
    )


def _address(verdict: Verdict | None, joined: Sequence[Joined], finding: Finding) -> str:
    if finding.shown_by is not None and finding.shown_by.observation.address:
        return finding.shown_by.observation.address
    paths = verdict.paths if verdict else ()
    known = [path.destination for path in paths] + [item.observation.address or "" for item in joined]
    return _list(_clean(text) for text in known if text)


def _list(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(text for text in texts if text))
    more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    return ", ".join(found[:_MOST_SHOWN]) + more


def _until(waiver: Waiver) -> str:
    return f"until {waiver.expiry}" if waiver.expiry else "without an expiry date"


def _clean_reason(verdict: Verdict | None) -> str:
    return _clean(verdict.reason).rstrip(".") if verdict else ""


def _clean(text: str) -> str:
    return safe_text(text)
