# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions after the first: which, in what order, when no more, and what is told in the end."""

from __future__ import annotations

from typing import Callable

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    ObservationStatus,
    Protocol,
    ServiceStatus,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import (
    converse,
    why_unverifiable,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.followups import (
    Conclusion,
    FollowUp,
    advance,
    conclude,
    opening,
    origin_of,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import Evidence
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.pjl import Pjl
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.several import SeveralDatagrams
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Outcome,
    Probe,
    ProbeOptions,
    Question,
)

OPEN, CLOSED = ObservationStatus.OPEN, ObservationStatus.CLOSED
CONFIRMED, UNEXPECTED, SILENT = ServiceStatus.CONFIRMED, ServiceStatus.UNEXPECTED, ServiceStatus.SILENT
OPTIONS = ProbeOptions()


def _probe(service: str, port: int | None, protocol: Protocol = Protocol.TCP) -> Probe:
    return Probe(3, "host1", "some.requirement", "192.0.2.5", Question(protocol, port, service))


def _outcome(said: Evidence | None, status: ObservationStatus = OPEN) -> Outcome:
    if said is None:
        return Outcome(status, "as it was", attempts=1)
    return Outcome(status, said.text, said.status, 0.001, 1, None, said)


def _silent(*, hung_up: bool) -> Evidence:
    return Evidence(SILENT, "nothing", asked="SSH", hung_up=hung_up)


def _asked(probe: Probe, answer: Callable[[Probe], Outcome]) -> tuple[list[str], Conclusion]:
    """The services that are asked for one after the other, and the conclusion."""
    asked = []
    step: Probe | Conclusion = opening(probe, OPTIONS)
    while not isinstance(step, Conclusion):
        asked.append(f"{step.protocol.value}/{step.port}/{step.service}")
        assert origin_of(step) == probe
        assert (step.index, step.host, step.requirement, step.address) == (3, "host1", "some.requirement", "192.0.2.5")
        step = advance(step, answer(step), OPTIONS)
    return asked, step


@pytest.mark.parametrize(
    "said",
    [
        Evidence(CONFIRMED, "SSH 2.0"),
        Evidence(UNEXPECTED, "not SSH but HTTP", asked="SSH", instead="HTTP"),
        Evidence(UNEXPECTED, "SSH of protocol version 1.5 only"),
        Evidence(SILENT, "an SSH server that turns connections away for now"),
        None,
    ],
)
@pytest.mark.parametrize("status", [OPEN, CLOSED])
def test_what_is_told_is_told(said: Evidence | None, status: ObservationStatus) -> None:
    """One question is enough where the answer leaves none open."""
    outcome = _outcome(said, status)
    asked, conclusion = _asked(_probe("ssh", 22), lambda probe: outcome)
    assert (asked, conclusion) == (["tcp/22/ssh"], Conclusion(_probe("ssh", 22), outcome))


def test_a_stranger_is_asked_until_it_tells() -> None:
    """Whatever is confirmed on a further connection is what is there instead."""
    answers = {"ssh": _silent(hung_up=False), "http": _silent(hung_up=True), "tls": Evidence(CONFIRMED, "TLS 1.2")}
    asked, conclusion = _asked(_probe("ssh", 2022), lambda probe: _outcome(answers[probe.service]))
    assert asked == ["tcp/2022/ssh", "tcp/2022/http", "tcp/2022/tls"]
    outcome = conclusion.outcome
    assert (outcome.status, outcome.service) == (OPEN, UNEXPECTED)
    assert outcome.evidence == "not SSH but TLS 1.2 (told on a further connection)"


def test_an_answer_that_fits_another_question_tells_too() -> None:
    """A question for HTTP that is answered by a mail greeting: mail."""
    greeting = Evidence(UNEXPECTED, "not HTTP but SMTP", asked="HTTP", instead="SMTP")
    asked, conclusion = _asked(
        _probe("ssh", 22), lambda probe: _outcome(_silent(hung_up=False) if probe.service == "ssh" else greeting)
    )
    assert len(asked) == 2
    assert conclusion.outcome.evidence == "not SSH but SMTP (told on a further connection)"


@pytest.mark.parametrize(
    ("port", "usual"), [(443, "tls"), (88, "kerberos"), (445, "smb"), (50000, "rpc_service"), (4000, "http")]
)
def test_what_belongs_to_the_port_is_asked_first(port: int, usual: str) -> None:
    asked, _conclusion = _asked(_probe("ssh", port), lambda probe: _outcome(_silent(hung_up=True)))
    assert asked[1] == f"tcp/{port}/{usual}"


@pytest.mark.parametrize("hung_up", [True, False])
@pytest.mark.parametrize("service", ["ssh", "http", "winrm", "ldap", "smb", "netbios_session", "rpc", "dns", "tls"])
def test_it_ends(service: str, hung_up: bool) -> None:
    """Nothing is asked twice, and a peer that keeps silent is left alone: its silence is told as it was."""
    first = _outcome(_silent(hung_up=hung_up))
    asked, conclusion = _asked(_probe(service, 22), lambda probe: first)
    assert len(set(asked)) == len(asked)
    assert len(asked) <= (9 if hung_up else 1 + constants.SECOND_OPINIONS)
    assert conclusion.outcome == first
    same = {"winrm": "http", "rpc": "rpc_service", "netbios_session": "smb"}.get(service)
    assert f"tcp/22/{same}" not in asked


@pytest.mark.parametrize("port", [9100, 9101, 515])
def test_printers_are_asked_nothing_more(port: int) -> None:
    """They would print it."""
    asked, _conclusion = _asked(_probe("http", port), lambda probe: _outcome(_silent(hung_up=True)))
    assert asked == [f"tcp/{port}/http"]


def test_no_check_asks_nothing_more() -> None:
    options = ProbeOptions(service_check=False)
    for probe in (_probe("ssh", 22), _probe("raw_print", 9100)):
        outcome = _outcome(_silent(hung_up=True))
        assert advance(opening(probe, options), outcome, options) == Conclusion(probe, outcome)
    assert why_unverifiable(_probe("rpc_endpoint_map", None, Protocol.RPC), options)


def test_datagrams_are_asked_in_one_go() -> None:
    """One more question over UDP, which is another on each try and never the first one again."""
    silence = Outcome(
        ObservationStatus.NO_ANSWER, "no DNS answer", SILENT, said=Evidence(SILENT, "no DNS answer", asked="DNS")
    )
    step = advance(_probe("dns", 161, Protocol.UDP), silence, OPTIONS)
    assert isinstance(step, FollowUp)
    conversation = converse(step, OPTIONS)
    assert isinstance(conversation, SeveralDatagrams)
    questions = [conversation.first(attempt) for attempt in range(3)]
    assert questions[0][:1] == b"\x30"  # SNMP, whose port it is
    assert len(set(questions)) == 3
    assert not any(b"localhost" in question for question in questions)
    found = advance(step, _outcome(Evidence(CONFIRMED, "SNMPv3 agent")), OPTIONS)
    assert isinstance(found, Conclusion)
    assert (found.outcome.status, found.outcome.service) == (OPEN, UNEXPECTED)
    assert found.outcome.evidence.startswith("not DNS but SNMPv3 agent")
    assert advance(step, silence, OPTIONS) == Conclusion(_probe("dns", 161, Protocol.UDP), silence)


def test_endpoint_map_leads_on() -> None:
    """The mapper first, then the port that it names; the record is the requirement's."""
    answers = {
        "rpc_endpoint_map": Evidence(CONFIRMED, "RPC endpoint mapper; 49670 is WMI", port=49670),
        "rpc_service": Evidence(CONFIRMED, "RPC service"),
    }
    probe = _probe("rpc_endpoint_map", None, Protocol.RPC)
    asked, conclusion = _asked(probe, lambda step: _outcome(answers[step.service]))
    assert asked == ["tcp/135/rpc_endpoint_map", "tcp/49670/rpc_service"]
    assert conclusion.probe == probe
    assert conclusion.outcome.evidence == "port 49670: RPC service; RPC endpoint mapper; 49670 is WMI"
    assert (conclusion.outcome.status, conclusion.outcome.service) == (OPEN, CONFIRMED)


@pytest.mark.parametrize(
    "outcome",
    [
        _outcome(None, ObservationStatus.FILTERED),
        _outcome(Evidence(CONFIRMED, "RPC endpoint mapper, which does not show its map")),
        _outcome(Evidence(UNEXPECTED, "not RPC but SSH", asked="RPC", instead="SSH")),
    ],
)
def test_without_a_map_nothing_is_guessed(outcome: Outcome) -> None:
    _asked_for, conclusion = _asked(_probe("rpc_endpoint_map", None, Protocol.RPC), lambda probe: outcome)
    assert conclusion.outcome.status is ObservationStatus.UNVERIFIABLE_FROM_HERE
    assert conclusion.outcome.service is ServiceStatus.NOT_CHECKED
    assert outcome.evidence in conclusion.outcome.evidence


@pytest.mark.parametrize(
    ("ipp", "snmp", "service", "words"),
    [
        (CONFIRMED, SILENT, CONFIRMED, "a printer by another service of this host: IPP"),
        (UNEXPECTED, CONFIRMED, CONFIRMED, "a printer by another service of this host: SNMP"),
        (UNEXPECTED, SILENT, ServiceStatus.NOT_CHECKED, "no proof of a printer by IPP (open, unexpected) or SNMP"),
    ],
)
def test_a_printer_is_proved_elsewhere(
    ipp: ServiceStatus, snmp: ServiceStatus, service: ServiceStatus, words: str
) -> None:
    """The raw port gets no byte; IPP and SNMP of the host tell."""
    answers = {
        "raw_print": _outcome(None),
        "ipp": _outcome(Evidence(ipp, "IPP")),
        "printer_snmp": _outcome(Evidence(snmp, "SNMP")),
    }
    asked, conclusion = _asked(_probe("raw_print", 9100), lambda probe: answers[probe.service])
    assert asked[:2] == ["tcp/9100/raw_print", "tcp/631/ipp"]
    assert (conclusion.outcome.status, conclusion.outcome.service) == (OPEN, service)
    assert words in conclusion.outcome.evidence
    assert converse(_probe("raw_print", 9100), OPTIONS) is None
    assert isinstance(converse(_probe("raw_print", 9100), ProbeOptions(printer_pjl=True)), Pjl)


def test_a_closed_raw_port_is_no_printer() -> None:
    asked, conclusion = _asked(_probe("raw_print", 9100), lambda probe: _outcome(None, CLOSED))
    assert asked == ["tcp/9100/raw_print"]
    assert conclusion.outcome.status is CLOSED


def test_the_end_of_a_run_tells_what_is_known() -> None:
    """A further question that is not made any more leaves the first answer as it was."""
    known = _outcome(_silent(hung_up=True))
    unprobed = Outcome(ObservationStatus.LOCAL_ERROR, "not probed")
    second = advance(_probe("ssh", 22), known, OPTIONS)
    printer = advance(_probe("raw_print", 9100), _outcome(None), OPTIONS)
    mapper = opening(_probe("rpc_endpoint_map", None, Protocol.RPC), OPTIONS)
    assert isinstance(second, Probe)
    assert isinstance(printer, Probe)
    assert conclude(second, unprobed) == Conclusion(_probe("ssh", 22), known)
    assert conclude(printer, unprobed).outcome == _outcome(None)
    assert conclude(mapper, unprobed).outcome == unprobed
    assert conclude(_probe("ssh", 22), unprobed).outcome == unprobed


def test_a_further_question_waits_less() -> None:
    """A peer that did not answer has had its time."""
    step = advance(_probe("ssh", 443), _outcome(_silent(hung_up=True)), OPTIONS)
    assert isinstance(step, Probe)
    first, further = converse(_probe("tls", 443), OPTIONS), converse(step, OPTIONS)
    assert first is not None
    assert further is not None
    assert further.patience_s < first.patience_s
