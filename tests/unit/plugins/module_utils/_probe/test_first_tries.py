# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The usual course and the job that goes on from it tell the same of whatever a service does."""

from __future__ import annotations

import socket
import struct
import sys
import time

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Observation
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol, ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import constants, engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question

from tests.unit.plugins.module_utils._probe.listening import listening
from tests.unit.plugins.module_utils._probe.protocols import captured

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the usual course is Linux's alone"),
]
_LATE_S = constants.FLOOR_S + 0.15  # behind the moment at which a job goes on
_RESET = "reset"
_END = "end"
_BANNER = captured.SSH[0]
_HTTP = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n"
_CONFIRMED, _UNEXPECTED, _SILENT = ServiceStatus.CONFIRMED, ServiceStatus.UNEXPECTED, ServiceStatus.SILENT
# What a service does once somebody has connected: seconds of waiting, bytes to say, and how it ends.
_COURSES: dict[str, tuple[str, list[float | bytes | str], ServiceStatus]] = {
    "tells at once": ("ssh", [_BANNER], _CONFIRMED),
    "tells after the question": ("http", [0.05, _HTTP, _END], _CONFIRMED),
    "tells late": ("ssh", [_LATE_S, _BANNER], _CONFIRMED),
    "in two pieces": ("ssh", [_BANNER[:5], 0.05, _BANNER[5:]], _CONFIRMED),
    "in two pieces, the second late": ("ssh", [_BANNER[:5], _LATE_S, _BANNER[5:]], _CONFIRMED),
    "another service": ("http", [_BANNER, _END], _UNEXPECTED),
    "a riddle": ("http", [0.05, b"\x01\x02\x03\x04\x05\x06\x07\x08", 0.4], _UNEXPECTED),
    "nothing to say": ("none", [0.05], ServiceStatus.NOT_CHECKED),
    "half a banner": ("ssh", [_BANNER[:5], _END], _UNEXPECTED),
    "half a banner, then a reset": ("ssh", [_BANNER[:5], 0.05, _RESET], _UNEXPECTED),
    "hangs up": ("vmware_authd", [_END], _SILENT),
    "resets": ("vmware_authd", [_RESET], _SILENT),
    "resets late": ("vmware_authd", [_LATE_S, _RESET], _SILENT),
    "drips": ("ldap", [b"0", _LATE_S, b"0", 0.6], _UNEXPECTED),
    "mute": ("vmware_authd", [1.0], _SILENT),
}


def _play(peer: socket.socket, acts: list[float | bytes | str]) -> None:
    for act in acts:
        if isinstance(act, float):
            time.sleep(act)
        elif isinstance(act, bytes):
            peer.sendall(act)
        elif act == _RESET:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif act == _END:
            peer.shutdown(socket.SHUT_WR)
    if _RESET not in acts:
        while peer.recv(4096):
            pass


def _told(course: str, service: str, acts: list[float | bytes | str]) -> Observation:
    with listening(lambda peer: _play(peer, acts)) as port:
        probe = Probe(0, course, "r", "127.0.0.1", Question(Protocol.TCP, port, service))
        run = Engine(ProbeOptions(retries=0))
        found = dict(run.run([probe]))
    assert run._means.descriptors.open == 0
    return found[0]


@pytest.mark.parametrize("course", _COURSES)
def test_a_job_would_tell_the_same(monkeypatch: pytest.MonkeyPatch, course: str) -> None:
    monkeypatch.setattr(constants, "SERVICE_S", 1.2)
    monkeypatch.setattr(constants, "SECOND_SERVICE_S", 0.3)
    monkeypatch.setattr(constants, "SECOND_OPINIONS", 1)
    service, acts, expected = _COURSES[course]
    usual = _told(course, service, acts)
    monkeypatch.setattr(engine, "IS_POSSIBLE", False)
    by_job = _told(course, service, acts)
    assert usual.service is expected
    told = [(o.status, o.service, o.evidence, o.attempts, o.source_address) for o in (usual, by_job)]
    assert told[0] == told[1]
    assert usual.rtt_ms is not None
    assert by_job.rtt_ms is not None
