# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions after the first: what is there instead, where an RPC service listens, whether a printer is one.

A probe is one question to the wire, and mostly its answer is the end of it. Where it is not, ``advance`` gives the next
probe, a plain one of the same host over a new connection, until it gives a conclusion. Whoever runs probes, one by one
or in batches, starts with ``opening`` and hands each outcome to ``advance``: nothing here waits, sends or remembers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Tuple, Union

from .._core.vocabulary import ObservationStatus, Protocol, ServiceStatus
from . import constants
from .records import Outcome, Probe, ProbeOptions, Question

ENDPOINT_MAP = "rpc_endpoint_map"
RAW_PRINT = "raw_print"
ANY_DATAGRAM = "any_datagram"
_RPC_SERVICE = "rpc_service"
_MAPPER_PORT = 135  # [MS-RPCE] 2.1.1.1
_IPP_PORT, _SNMP_PORT = 631, 161

# Ports on which a service most probably speaks this, whatever was asked for.
_USUAL = {
    53: "dns", 80: "http", 88: "kerberos", 135: "rpc_service", 139: "netbios_session", 389: "ldap", 443: "tls",
    445: "smb", 464: "kerberos", 593: "rpc_service", 631: "http", 636: "tls", 3268: "ldap", 3269: "tls", 3389: "rdp",
    5985: "http", 5986: "tls", 8080: "http", 8443: "tls", 9443: "tls",
}  # fmt: skip
_FIRST_EPHEMERAL = 49152  # RFC 6335, 6: what listens there was given its port, as RPC services are
# What else to ask for, the most probable first. Servers that speak first (SSH, mail, FTP, authd) have done so by then.
_TURNED_AWAY = ("http", "tls", "smb", "ldap", "rpc_service", "rdp", "kerberos", "dns")
# One that goes on listening after a line of text takes its beginning for the length of a longer message.
_STILL_LISTENING = ("http", "rdp", "smb", "rpc_service", "dns", "kerberos", "tls", "ldap")
# Services that are asked in the same words, or answer to them.
_SAME = {
    "winrm": "http", "ipp": "http", "rpc": "rpc_service", "rpc_endpoint_map": "rpc_service", "netbios_session": "smb",
}  # fmt: skip
# Ports of printers print what they are sent (LPD prints only what it is told to, but cannot be told from the others).
_PRINTS = frozenset((515, *range(9100, 9108)))


class Conclusion(NamedTuple):
    """The end: the probe as it was given, and all that came of it."""

    probe: Probe
    outcome: Outcome


@dataclass
class FollowUp(Probe):
    """A further question for the sake of ``origin``; ``chain`` is what is known and still to be asked."""

    origin: Probe
    chain: _Chain

    @property
    def is_guess(self) -> bool:
        """Whether it asks what may be there, and not what should be."""
        return isinstance(self.chain, _SecondOpinion)


def origin_of(probe: Probe) -> Probe:
    """The probe as it was given, for whose sake this one is made."""
    return probe.origin if isinstance(probe, FollowUp) else probe


def opening(probe: Probe, options: ProbeOptions) -> Probe:
    """The question that a probe begins with: itself, unless its port must be found first."""
    if probe.service != ENDPOINT_MAP or not options.service_check:
        return probe
    return _ask(probe, Question(Protocol.TCP, probe.port or _MAPPER_PORT, ENDPOINT_MAP), _Map())


def advance(probe: Probe, outcome: Outcome, options: ProbeOptions) -> Probe | Conclusion:
    """What follows from the outcome of a probe: the next one, or the conclusion."""
    if isinstance(probe, FollowUp):
        origin, step = probe.origin, probe.chain.after(outcome)
    else:
        origin, step = probe, _begin(probe, outcome, options)
    return Conclusion(origin, step) if isinstance(step, Outcome) else _ask(origin, *step)


def conclude(probe: Probe, outcome: Outcome) -> Conclusion:
    """The conclusion where nothing more can be asked, with the outcome of a probe that may not have been made."""
    if isinstance(probe, FollowUp):
        return Conclusion(probe.origin, probe.chain.at_last(outcome))
    return Conclusion(probe, outcome)


def _ask(origin: Probe, question: Question, chain: _Chain) -> FollowUp:
    return FollowUp(
        index=origin.index,
        host=origin.host,
        requirement=origin.requirement,
        address=origin.address,
        question=question,
        origin=origin,
        chain=chain,
    )


def _begin(probe: Probe, outcome: Outcome, options: ProbeOptions) -> _Step:
    """Whether a probe's own outcome leaves a question open."""
    if not options.service_check:
        return outcome
    if probe.service == RAW_PRINT and outcome.status is ObservationStatus.OPEN:
        return outcome if outcome.service is ServiceStatus.CONFIRMED else _Printer(outcome).after(None)
    said = outcome.said
    if said is None or not said.is_riddle or probe.port in _PRINTS:
        return outcome
    if probe.protocol is Protocol.UDP:
        return Question(Protocol.UDP, probe.port or 0, ANY_DATAGRAM), _SecondOpinion(outcome)
    return _SecondOpinion(outcome, asked=(_SAME.get(probe.service, probe.service),), port=probe.port or 0).next()


class _SecondOpinion(NamedTuple):
    """What is there instead of the service that was asked for: further connections with other questions find out.

    One that hangs up costs a round trip and is asked everything; one that listens on is left alone after
    SECOND_OPINIONS more of silence.
    """

    known: Outcome
    asked: Tuple[str, ...] = ()  # noqa: UP006
    port: int = 0
    listens_on: bool = False  # to a line of text
    silences: int = 0

    def after(self, outcome: Outcome) -> _Step:
        """Done if that one told; else the next guess."""
        said, known = outcome.said, self.known.said
        if said is not None and known is not None:
            instead = said.text if said.status is ServiceStatus.CONFIRMED else said.instead
            if instead is not None:
                return self._told(outcome, f"not {known.asked} but {instead}")
        if not self.asked:
            return self.known
        has_hung_up = said is not None and said.hung_up
        listens_on = not has_hung_up if self.asked[-1] == "http" else self.listens_on
        return self._replace(listens_on=listens_on, silences=self.silences + (not has_hung_up)).next()

    def at_last(self, outcome: Outcome) -> Outcome:
        """What is known without it."""
        return self.known

    def next(self) -> _Step:
        """The next guess; what is known, after the last."""
        known = self.known.said
        text_was_first = self.asked[0] == "http" and known is not None and not known.hung_up
        likely = _STILL_LISTENING if self.listens_on or text_was_first else _TURNED_AWAY
        usual = _USUAL.get(self.port, "rpc_service" if self.port >= _FIRST_EPHEMERAL else likely[0])
        guesses = [name for name in (usual, *likely) if name not in self.asked]
        if self.silences >= constants.SECOND_OPINIONS or not guesses:
            return self.known
        asked = (*self.asked, guesses[0])
        return Question(Protocol.TCP, self.port, guesses[0]), self._replace(asked=asked)

    def _told(self, outcome: Outcome, evidence: str) -> Outcome:
        return self.known._replace(
            status=ObservationStatus.OPEN,
            evidence=f"{evidence} (told on a further connection)",
            service=ServiceStatus.UNEXPECTED,
            rtt_s=self.known.rtt_s or outcome.rtt_s,
        )


class _Map(NamedTuple):
    """The endpoint mapper is being asked for the port of a service."""

    def after(self, outcome: Outcome) -> _Step:
        """The port that it names; without one there is nothing to probe."""
        said = outcome.said
        if outcome.service is not ServiceStatus.CONFIRMED or said is None or said.port is None:
            return self.at_last(outcome)
        return Question(Protocol.TCP, said.port, _RPC_SERVICE), _Mapped(said.text, said.port)

    def at_last(self, outcome: Outcome) -> Outcome:
        """That it does not tell, whatever the reason."""
        if outcome.status is ObservationStatus.LOCAL_ERROR:
            return outcome
        return outcome._replace(
            status=ObservationStatus.UNVERIFIABLE_FROM_HERE,
            evidence=f"the endpoint mapper names no port to probe: {outcome.status.value}, {outcome.evidence}",
            service=ServiceStatus.NOT_CHECKED,
        )


class _Mapped(NamedTuple):
    """The port that the endpoint mapper named is being probed."""

    map_text: str
    port: int

    def after(self, outcome: Outcome) -> _Step:
        """What came of it: the end."""
        return self.at_last(outcome)

    def at_last(self, outcome: Outcome) -> Outcome:
        """What came of it, with where the port comes from."""
        return outcome._replace(evidence=f"port {self.port}: {outcome.evidence}; {self.map_text}")


class _Printer(NamedTuple):
    """A raw printing port is open; other services of the host tell whether it is a printer's."""

    known: Outcome
    tried: Tuple[str, ...] = ()  # noqa: UP006

    def after(self, outcome: Outcome | None) -> _Step:
        """A printer by IPP, else by SNMP, else an open port of which no more is known."""
        if outcome is not None and outcome.service is ServiceStatus.CONFIRMED:
            evidence = f"{self.known.evidence}; a printer by another service of this host: {outcome.evidence}"
            return self.known._replace(evidence=evidence, service=ServiceStatus.CONFIRMED)
        tried = self.tried
        if outcome is not None:
            said = outcome.status.value
            if outcome.service is not ServiceStatus.NOT_CHECKED:
                said += f", {outcome.service.value}"
            tried = (*tried, f"{'SNMP' if tried else 'IPP'} ({said})")
        if len(tried) == 2:
            evidence = f"{self.known.evidence}; no proof of a printer by {' or '.join(tried)}"
            return self.known._replace(evidence=evidence)
        question = (
            Question(Protocol.UDP, _SNMP_PORT, "printer_snmp") if tried else Question(Protocol.TCP, _IPP_PORT, "ipp")
        )
        return question, self._replace(tried=tried)

    def at_last(self, outcome: Outcome) -> Outcome:
        """What is known without it."""
        return self.known


_Chain = Union[_SecondOpinion, _Map, _Mapped, _Printer]
_Step = Union[Outcome, Tuple[Question, _Chain]]
