# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No bytes of a peer make a dialogue raise, take it past its bounds, or bring anything but text into the evidence."""

from __future__ import annotations

import unicodedata
from typing import Callable

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import DATAGRAMS, STREAMS
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import Conversation, Evidence
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.mute import MuteDatagram
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.snmp import Snmp
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._probe.protocols import captured

COMMUNITY = "xGeheimx"
ALL: dict[str, Callable[[], Conversation]] = {
    **{f"{name}/tcp": make for name, make in STREAMS.items()},
    **{f"{name}/udp": make for name, make in DATAGRAMS.items()},
    "mute/udp": MuteDatagram,
    "snmp/udp": Snmp,
    "snmp-community/udp": lambda: Snmp(Secret(COMMUNITY)),
}
REAL = [part for name in dir(captured) if name.isupper() for part in getattr(captured, name)]
TEXTS = [
    b"HTTP/1.1 200 OK\r\nServer: x/1\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 401 \r\nServer: Microsoft-HTTPAPI/2.0\r\nContent-Length: \xb2\r\n\r\n",
    b"220 VMware Authentication Daemon Version 1.10: SSL Required\r\n",
    b"SSH-2.0-\x1b[31mred\x07\r\n",
    "SSH-2.0-\u202eevil\u2066\r\n".encode(),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Something real with bytes changed, cut out, or put in."""
    data = bytearray(draw(st.sampled_from(REAL + TEXTS)))
    for _change in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from("cdi"))
        if kind == "c" and at < len(data):
            data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0x84, 0xFF, draw(st.integers(0, 255))]))
        elif kind == "d":
            del data[at : at + draw(st.integers(1, 40))]
        else:
            data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


@pytest.mark.parametrize("name", ALL)
@given(pieces=st.lists(st.one_of(mutated(), st.binary(max_size=600)), max_size=6))
def test_never_raises(name: str, pieces: list[bytes]) -> None:
    """Any pieces in any number of exchanges: an answer of the right kind, within the bounds."""
    conversation = ALL[name]()
    conversation.first()
    exchanges = 1
    for piece in pieces:
        answer = conversation.receive(piece)
        if isinstance(answer, Evidence):
            _check(answer)
            return
        if isinstance(answer, bytes):
            exchanges += 1
            assert answer
    assert exchanges <= constants.EXCHANGES
    _check(conversation.ended())


def _check(evidence: Evidence) -> None:
    assert isinstance(evidence.status, ServiceStatus)
    assert len(evidence.text) < 1000
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in evidence.text)
    assert COMMUNITY not in evidence.text


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith("/tcp")])
def test_endless_answers_are_cut_off(name: str) -> None:
    """A peer that never stops is told apart within the cap, whatever it sends."""
    for filler in (b"A", b"\0", b"\r\n", b"\x30\x82\xff\xf0"):
        conversation = ALL[name]()
        conversation.first()
        taken = 0
        while taken <= 2 * conversation.cap:
            answer = conversation.receive(filler * 1000)
            taken += 1000 * len(filler)
            assert len(conversation._buffer) <= conversation.cap
            if isinstance(answer, Evidence):
                break
        assert isinstance(answer, Evidence)
        assert answer.status is ServiceStatus.UNEXPECTED


def test_words_of_a_stranger_never_show_the_community() -> None:
    """A text that repeats what it was asked is told as a stranger's, without its words."""
    conversation = Snmp(Secret(COMMUNITY))
    assert conversation.receive(f"HTTP/1.1 400 no {COMMUNITY} here".encode()) is None
    evidence = conversation.ended()
    assert evidence.text == "not SNMP but HTTP"


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_echoed_request_never_shows_the_community(attempt: int) -> None:
    """A service that sends back what it got is no agent, and our own words are not shown as its."""
    conversation = Snmp(Secret(COMMUNITY))
    assert conversation.receive(conversation.first(attempt)) is None
    evidence = conversation.ended()
    assert evidence.status is ServiceStatus.UNEXPECTED
    assert COMMUNITY not in evidence.text
    assert COMMUNITY not in repr(conversation)
