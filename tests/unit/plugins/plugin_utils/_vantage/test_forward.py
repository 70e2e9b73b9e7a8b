# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarded connections: what refusals mean, and what one session may bear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import sessions as module
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.flows import Event, Flow, Kind, Mailbox
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.forward import judge_refusal
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.interface import VantageError


@pytest.mark.parametrize(
    ("reason", "words", "status", "evidence"),
    [
        (2, "Connection refused", ObservationStatus.CLOSED, "'Connection refused'"),
        (2, "Error connecting: Connection refused", ObservationStatus.CLOSED, "can't tell which"),
        (2, "No route to host", ObservationStatus.UNREACHABLE, "or a firewall rejects it"),
        (2, "Host is unreachable", ObservationStatus.UNREACHABLE, "or a firewall rejects it"),
        (2, "Network is unreachable", ObservationStatus.UNREACHABLE, "or a firewall rejects it"),
        (2, "Connection timed out", ObservationStatus.FILTERED, "no answer"),
        (2, "Permission denied", ObservationStatus.LOCAL_ERROR, "could not even start"),
        (2, "Too many open files", ObservationStatus.LOCAL_ERROR, "could not even start"),
        (2, "open failed", ObservationStatus.LOCAL_ERROR, "could not even start"),
        (2, "", ObservationStatus.LOCAL_ERROR, "could not even start"),
        (1, "open failed", ObservationStatus.LOCAL_ERROR, "not allowed"),
        (1, "Connection refused", ObservationStatus.LOCAL_ERROR, "not allowed"),
        (4, "resource shortage", ObservationStatus.LOCAL_ERROR, "'resource shortage'"),
    ],
)
def test_refusals(reason: int, words: str, status: ObservationStatus, evidence: str) -> None:
    refusal = judge_refusal(reason, words, is_crowded=False)
    assert refusal.status is status
    assert evidence in refusal.evidence


def test_refused_by_a_fresh_session_too() -> None:
    assert "exhausted" in judge_refusal(2, "open failed", is_crowded=True).evidence


@dataclass(eq=False)
class FakeSession:
    """Keeps what was opened; ``flows`` is what the server has not closed."""

    flows: dict[int, Flow] = field(default_factory=dict)
    alive: bool = True

    def open_flow(self, _address: str, _port: int, owner: Any) -> Flow:
        flow: Flow = Flow(self, len(self.flows), owner)  # type: ignore[arg-type]
        flow.opened_at = CLOCK[0]
        self.flows[flow.number] = flow
        return flow

    def is_active(self) -> bool:
        return self.alive

    def say(self, _message: Any) -> None:
        pass


class FakeClient:
    """A client whose transport is the session."""

    def __init__(self) -> None:
        self.session = FakeSession()
        self.jump_clients: list[Any] = []
        self.is_closed = False

    def get_transport(self) -> FakeSession:
        return self.session

    def close(self) -> None:
        self.is_closed = True


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Kind] = []

    def told(self, event: Event, now: float) -> None:
        self.heard.append(event.kind)


CLOCK = [0.0]


@dataclass
class Rig:
    """Sessions over fakes."""

    sessions: module.Sessions
    clients: list[FakeClient]
    mailbox: Mailbox
    fails: list[VantageError] = field(default_factory=list)


@pytest.fixture
def rig() -> Iterator[Rig]:
    CLOCK[0] = 0.0
    mailbox, clients = Mailbox(), [FakeClient()]
    fails: list[VantageError] = []

    def reconnect(_mailbox: Mailbox) -> FakeClient:
        if fails:
            raise fails[0]
        clients.append(FakeClient())
        return clients[-1]

    yield Rig(module.Sessions(clients[0], mailbox, reconnect, lambda: CLOCK[0]), clients, mailbox, fails)
    mailbox.close()


def _open(rig: Rig, count: int) -> list[Flow]:
    found = []
    for number in range(count):
        assert rig.sessions.room() > 0, f"no room for number {number}"
        flow = rig.sessions.open("192.0.2.1", 22, Owner())
        assert flow is not None
        found.append(flow)
    return found


def test_the_window_is_kept_and_freed_by_answers(rig: Rig) -> None:
    flows = _open(rig, module.WINDOW)
    assert rig.sessions.room() == 0
    for flow in flows[:3]:
        rig.mailbox.put(Event(flow, Kind.REFUSED, b"Connection refused", 2))
    rig.sessions.hand_out(0.1)
    assert flows[0].owner.heard == [Kind.REFUSED]
    _open(rig, 3)
    assert rig.sessions.room() == 0


def test_silent_connects_leave_the_window_and_end_the_session_at_last(rig: Rig) -> None:
    first = _open(rig, module.WINDOW)
    CLOCK[0] = module.SLOW_S
    _open(rig, module.MOST_SLOW - module.WINDOW)
    assert len(rig.clients) == 1
    CLOCK[0] = 2 * module.SLOW_S
    (fresh,) = _open(rig, 1)
    assert len(rig.clients) == 2
    assert fresh.session is rig.clients[1].session
    assert not rig.clients[0].is_closed
    for flow in rig.clients[0].session.flows.values():
        rig.sessions.forget(flow)
    assert rig.clients[0].is_closed
    assert first[0].owner is None


def test_there_are_no_more_sessions_than_allowed(rig: Rig) -> None:
    for _session in range(module.MOST_SESSIONS):
        _open(rig, module.WINDOW)
        CLOCK[0] += module.SLOW_S
        _open(rig, module.MOST_SLOW - module.WINDOW)
        CLOCK[0] += module.SLOW_S
    assert rig.sessions.room() == 0
    assert len(rig.clients) == module.MOST_SESSIONS


def test_a_late_answer_is_closed_and_told_to_nobody(rig: Rig) -> None:
    (flow,) = _open(rig, 1)
    owner = flow.owner
    rig.sessions.forget(flow)
    flow.accepted(7)
    rig.mailbox.put(Event(flow, Kind.OPENED))
    rig.sessions.hand_out(9.0)
    assert owner.heard == []
    assert flow._remote is None


def test_want_of_descriptors_asks_for_a_fresh_session(rig: Rig) -> None:
    flows = _open(rig, 150)
    assert not rig.sessions.is_exhausted(flows[0], 2, "Connection refused")
    assert not rig.sessions.is_exhausted(flows[0], 1, "open failed")
    assert rig.sessions.is_exhausted(flows[0], 2, "open failed")
    (fresh,) = _open(rig, 1)
    assert fresh.session is rig.clients[1].session
    assert not rig.sessions.is_exhausted(fresh, 2, "open failed"), "a fresh one cannot be crowded"


def test_broken_sessions_are_replaced_but_not_for_ever(rig: Rig) -> None:
    for _loss in range(4):
        _open(rig, 1)
        rig.clients[-1].session.alive = False
    assert len(rig.clients) == 4
    assert rig.sessions.room() > 0
    assert rig.sessions.open("192.0.2.1", 22, Owner()) is None
    assert "again and again" in rig.sessions.trouble


def test_a_login_that_fails_later_is_told(rig: Rig) -> None:
    rig.clients[0].session.alive = False
    rig.fails.append(VantageError("not let in"))
    assert rig.sessions.room() > 0
    assert rig.sessions.open("192.0.2.1", 22, Owner()) is None
    assert "not let in" in rig.sessions.trouble
