# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vantage of a Windows machine, by a scripted machine that answers each question as it is told to."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Observation
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Question as Asked
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import winsock
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.asks import (
    BATCH,
    TCP,
    Ask,
    Step,
    read_answers,
    write_batch,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.interface import VantageError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.windows import WindowsVantage
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(60)

BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"


class Question:
    """A line of a batch, and the payloads that it sends."""

    def __init__(self, line: str, payloads: dict[str, bytes]) -> None:
        _q, number, self.kind, self.address, port, wait, patience, quiet, cap, steps, reset = line.split()
        self.number, self.port, self.reset, self.cap = int(number), int(port), reset == "1", int(cap)
        self.wait_ms, self.patience_ms, self.quiet_ms = int(wait), int(patience), int(quiet)
        pairs = [part.split(":") for part in steps.split(",")] if steps != "-" else []
        self.payloads = [payloads[number] for number, _need in pairs]
        self.needs = [int(need) for _number, need in pairs]


def row(question: Question, code: int, how: str, *data: bytes | str, own: str = "192.0.2.1", step: int = 0) -> str:
    """A line as the script tells it."""
    texts = [base64.b64encode(item).decode() if isinstance(item, bytes) else item for item in data]
    return json.dumps([question.number, code, 7, how, texts, own, step])


class FakeMachine:
    """Answers by a function; ``None`` leaves a question unanswered. A batch that ``breaks`` raises."""

    def __init__(self, answer: Callable[[Question], str | None], breaks: tuple[int, ...] = ()) -> None:
        self._answer = answer
        self._breaks = breaks
        self.batches: list[list[Question]] = []
        self.heads: list[list[str]] = []
        self.closed = False

    def run(self, command: Command) -> tuple[str, str]:
        text = re.search(r"'(s \d.*)'\n\Z", command.body, re.DOTALL)
        assert text is not None
        lines = text[1].split("\n")
        payloads = {line.split()[1]: base64.b64decode(line.split(" ")[2]) for line in lines if line.startswith("p ")}
        batch = [Question(line, payloads) for line in lines if line.startswith("q ")]
        self.heads.append(lines[0].split())
        self.batches.append(batch)
        if len(self.batches) in self._breaks:
            raise VantageError("the connection to it failed: gone")
        told = [line for question in batch if (line := self._answer(question)) is not None]
        begin, end = f"{command.mark} begin", f"{command.mark} end {len(told)} 12"
        return "\r\n".join(["a profile says hello", begin, *told, end, ""]), ""

    def close(self) -> None:
        self.closed = True


def probe(number: int, **changes: Any) -> Probe:
    address = changes.pop("address", f"198.51.100.{number % 250 + 1}")
    return Probe(number, "h", f"r.{number}", address, Asked(Protocol.TCP, 22, "ssh")._replace(**changes))


def look(machine: FakeMachine, probes: list[Probe], **options: Any) -> dict[int, Observation]:
    found = dict(WindowsVantage("audit1", machine).observe(probes, ProbeOptions(vantage="audit1", **options)))
    assert machine.closed
    return found


def test_a_service_proves_itself() -> None:
    machine = FakeMachine(lambda question: row(question, 0, "q", BANNER))
    (found,) = look(machine, [probe(0)]).values()
    assert (found.status.value, found.service.value, found.attempts) == ("open", "confirmed", 1)
    assert (found.source_address, found.rtt_ms, found.vantage) == ("192.0.2.1", None, "audit1")


def test_a_connect_is_waited_for_three_seconds_unless_told_otherwise() -> None:
    def silent(question: Question) -> str:
        return row(question, winsock.TIMED_OUT, "w")

    machine = FakeMachine(silent)
    (found,) = look(machine, [probe(0)]).values()
    assert [batch[0].wait_ms for batch in machine.batches] == [500, 3000, 3000]
    assert (found.status.value, found.attempts) == ("filtered", 3)
    assert "later" not in found.evidence
    machine = FakeMachine(silent)
    (found,) = look(machine, [probe(0)], timeout_s=1.0, retries=0).values()
    assert [batch[0].wait_ms for batch in machine.batches] == [1000]
    assert "Windows is told of a closed port later than that" in found.evidence
    machine = FakeMachine(silent)
    look(machine, [probe(0)], retries=0, confirm=True)
    assert [batch[0].wait_ms for batch in machine.batches] == [3000, 3200]


@pytest.mark.parametrize(
    ("code", "status"),
    [(10061, "closed"), (10065, "unreachable"), (10051, "unreachable"), (10013, "local_error"), (10055, "local_error"),
     (10049, "local_error"), (99999, "local_error"), (10054, "open")],
)  # fmt: skip
def test_what_winsock_says_of_a_connect(code: int, status: str) -> None:
    machine = FakeMachine(lambda question: row(question, code, "e", own=""))
    (found,) = look(machine, [probe(0, port=9100, service="none")]).values()
    assert found.status.value == status
    assert len(machine.batches) == 1
    if code == 10013:
        assert "policy forbids it" in found.evidence
        assert "outbound" in found.evidence


@pytest.mark.parametrize(
    ("code", "status"), [(10054, "closed"), (10061, "closed"), (10052, "unreachable"), (10013, "local_error")]
)
def test_what_winsock_says_of_a_datagram(code: int, status: str) -> None:
    machine = FakeMachine(lambda question: row(question, code, "e"))
    (found,) = look(machine, [probe(0, protocol=Protocol.UDP, port=161, service="snmp")]).values()
    assert found.status.value == status


@pytest.mark.parametrize(
    ("code", "sender", "status"),
    [(0, "198.51.100.1", "open"), (11010, "0.0.0.0", "filtered"), (11003, "192.0.2.254", "unreachable"),
     (11003, "198.51.100.1", "rejected"), (11005, "192.0.2.254", "rejected"), (11050, "", "local_error")],
)  # fmt: skip
def test_what_the_ping_of_windows_says(code: int, sender: str, status: str) -> None:
    machine = FakeMachine(lambda question: row(question, code, "d", sender, step=2))
    (found,) = look(machine, [probe(0, protocol=Protocol.ICMP, port=None, service="icmp_echo")]).values()
    assert found.status.value == status
    assert found.rtt_ms == (7 if status == "open" else None)


def test_a_further_exchange_repeats_the_first_on_a_new_connection() -> None:
    accepted = b"\x82\0\0\0"  # a positive session response (RFC 1002, 4.3.3), after which SMB is negotiated

    def answer(question: Question) -> str:
        if len(question.payloads) == 1:
            return row(question, 0, "q", accepted)
        return row(question, 0, "c", step=1)

    machine = FakeMachine(answer)
    found = look(machine, [probe(0, port=139, service="netbios_session")])
    first, second = machine.batches[0][0], machine.batches[1][0]
    assert second.payloads[0] == first.payloads[0]
    assert second.needs == [4, 0]
    assert found[0].status.value == "open"


def test_what_comes_after_a_pause_is_waited_for() -> None:
    def answer(question: Question) -> str:
        return row(question, 0, "q", BANNER if question.quiet_ms > 1000 else BANNER[:7])

    machine = FakeMachine(answer)
    assert look(machine, [probe(0)])[0].service.value == "confirmed"
    assert [batch[0].quiet_ms for batch in machine.batches] == [200, 5000]


def test_batches_are_full_and_the_silent_ones_wait_together() -> None:
    def answer(question: Question) -> str:
        silent = question.port % 10 == 0
        return row(question, winsock.TIMED_OUT, "w") if silent else row(question, 10061, "e")

    machine = FakeMachine(answer)
    found = look(machine, [probe(number, port=1 + number, service="none") for number in range(10_000)])
    assert len(found) == 10_000
    sizes = [len(batch) for batch in machine.batches]
    assert max(sizes) == BATCH
    assert len(sizes) <= 3 * (10_000 / BATCH + 1)
    assert sum(any(question.wait_ms > 500 for question in batch) for batch in machine.batches) <= 10


def test_who_asks_the_same_shares_the_answer() -> None:
    machine = FakeMachine(lambda question: row(question, 0, "q", BANNER))
    found = look(machine, [probe(0, address="198.51.100.7"), probe(1, address="198.51.100.7")])
    assert [len(batch) for batch in machine.batches] == [1]
    assert {row.service.value for row in found.values()} == {"confirmed"}


def test_a_broken_batch_is_asked_again_and_two_in_a_row_are_the_end() -> None:
    probes = [probe(number, port=number + 1, service="none") for number in range(600)]
    machine = FakeMachine(lambda question: row(question, 10061, "e"), breaks=(2,))
    assert {found.status.value for found in look(machine, probes).values()} == {"closed"}
    assert len(machine.batches) == 4
    machine = FakeMachine(lambda question: row(question, 10061, "e"), breaks=(2, 3))
    found = look(machine, probes)
    statuses = [item.status.value for item in found.values()]
    assert (statuses.count("closed"), statuses.count("local_error")) == (250, 350)
    assert "gone" in next(item.evidence for item in found.values() if item.status.value == "local_error")


def test_a_machine_that_never_answers_is_no_vantage() -> None:
    machine = FakeMachine(lambda question: None, breaks=(1,))
    with pytest.raises(VantageError, match="audit1: the connection to it failed"):
        look(machine, [probe(0)])
    assert len(machine.batches) == 1  # a refused password is not tried twice


def test_a_script_that_tells_nothing_is_not_asked_for_ever() -> None:
    machine = FakeMachine(lambda question: None)
    assert look(machine, [probe(0)])[0].status.value == "local_error"
    assert len(machine.batches) == 2


def test_names_are_asked_for_there_in_one_batch() -> None:
    def answer(question: Question) -> str:
        if question.kind != "n":
            return row(question, 10061, "e")
        known = {"web1": ("192.0.2.10", "2001:db8::10"), "late": ()}
        if question.address == "late":
            return row(question, winsock.TIMED_OUT, "w")
        if question.address not in known:
            return row(question, 11001, "e")
        return row(question, 0, "d", *known[question.address])

    names = ["web1", "late", "nobody", "two words", "fe80::1%7"]
    machine = FakeMachine(answer)
    found = list(
        WindowsVantage("audit1", machine).observe([probe(n, address=name) for n, name in enumerate(names)],
                                                  ProbeOptions())
    )  # fmt: skip
    told = sorted((index, item.address or "", item.status.value) for index, item in found)
    assert told == [
        (0, "192.0.2.10", "closed"), (0, "2001:db8::10", "closed"), (1, "", "name_error"), (2, "", "name_error"),
        (3, "", "name_error"), (4, "fe80::1%7", "closed"),
    ]  # fmt: skip
    assert [{question.kind for question in batch} for batch in machine.batches] == [{"n"}, {"t"}]
    assert "no such host" in next(item.evidence for index, item in found if index == 2)


def test_rate_source_and_limits_are_handed_on() -> None:
    machine = FakeMachine(lambda question: row(question, 10061, "e"))
    look(machine, [probe(0)], rate_per_s=0.5, per_host=2, source_address="192.0.2.1", deadline_s=30.0)
    _s, rate, per_host, at_once, limit, source = machine.heads[0]
    assert (rate, per_host, at_once, source) == ("500", "2", "500", "192.0.2.1")
    assert 0 < int(limit) <= 30_000


def test_a_community_is_in_no_message() -> None:
    command = write_batch([Ask(TCP, "192.0.2.1", steps=(Step(b"secret"),))], ProbeOptions(), 1.0)
    with pytest.raises(VantageError) as caught:
        read_answers(command.body.partition("param")[0], "", command.mark, 1)
    assert base64.b64encode(b"secret").decode() not in str(caught.value)


@given(st.binary(max_size=300), st.booleans())
def test_no_output_raises_anything_else(noise: bytes, has_begun: bool) -> None:
    output = ("@@m begin\n" if has_begun else "") + noise.decode("latin-1")
    try:
        answers = read_answers(output, "", "@@m", 3)
    except VantageError:
        return
    assert answers.trouble is not None
    assert all(0 <= told.number < 3 for told in answers.told)


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=3))), max_size=8))
def test_a_hostile_line_is_no_answer_or_a_sound_one(values: list[Any]) -> None:
    output = f"@@m begin\n{json.dumps(values)}\n@@m end 1 1\n"
    for told in read_answers(output, "", "@@m", 1).told:
        assert told.number == 0
        assert told.how == "d" or told.payloads() is not None
