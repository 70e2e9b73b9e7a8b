# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes, options and observations as plain values, and the engine behind a pipe."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Observation
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus, Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import serve as serving
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Outcome,
    Probe,
    ProbeOptions,
    Question,
    observe,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.serve import serve
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.wire import (
    JsonLines,
    count_statuses,
    in_input_order,
    pack_options,
    pack_probe,
    unpack_options,
    unpack_probe,
)

PROBE = Probe(3, "web1", "linux.ssh", "192.0.2.1", Question(Protocol.TCP, 22, "ssh"))
ECHO = Probe(4, "web1", "network_scan.icmp_echo", "2001:db8::1", Question(Protocol.ICMP, None, "icmp_echo"))


def _seen(probe: Probe, address: str | None = "192.0.2.1") -> Observation:
    return observe(probe, address, Outcome(ObservationStatus.OPEN, "fine"), "audit1")


@pytest.mark.parametrize("probe", [PROBE, ECHO])
def test_probes_travel_as_json(probe: Probe) -> None:
    assert unpack_probe(json.loads(json.dumps(pack_probe(probe)))) == probe


@pytest.mark.parametrize("values", [[], [1, 2], [0, "a", "b", "c", "ipx", 1, "d"], [0, "a", "b", "c", "tcp", "x", "d"]])
def test_what_is_no_probe_is_refused(values: list[Any]) -> None:
    with pytest.raises(InputError, match="is no probe"):
        unpack_probe(values)


def test_options_travel_as_json() -> None:
    options = ProbeOptions(timeout_s=1.5, deadline_s=9, snmp_community=Secret("geheim"), vantage="audit1")
    back = unpack_options(json.loads(json.dumps(pack_options(options))))
    assert back.snmp_community is not None
    assert back.snmp_community.reveal() == b"geheim"
    assert pack_options(back) == pack_options(options)
    assert unpack_options(pack_options(ProbeOptions())).snmp_community is None


def test_rows_are_in_input_order() -> None:
    second = Probe(5, "web2", "linux.ssh", "web2", Question(Protocol.TCP, 22, "ssh"))
    observed = [(5, _seen(second, "192.0.2.9")), (3, _seen(PROBE)), (5, _seen(second, "192.0.2.2"))]
    rows = in_input_order(observed)
    assert [row["address"] for row in rows] == ["192.0.2.1", "192.0.2.2", "192.0.2.9"]
    assert count_statuses(rows) == {"open": 3}


def test_lines_stay_when_a_run_is_cut_off(tmp_path: Path) -> None:
    """A file that was there is replaced, and nobody else may read the new one."""
    path = tmp_path / "seen.jsonl"

    def run() -> None:
        with JsonLines(str(path)) as lines:
            lines.write(3, _seen(PROBE))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    (line,) = path.read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert (row["index"], row["requirement"], row["status"]) == (3, "linux.ssh", "open")
    assert path.stat().st_mode & 0o777 == 0o600


def no_ping(command: list[str]) -> tuple[int, str]:
    """A machine without the program."""
    raise FileNotFoundError(command[0])


def _serve(probes: list[Probe], **options: Any) -> list[dict[str, Any]]:
    packed = [pack_options(ProbeOptions(**options)), *map(pack_probe, probes)]
    source, sink = io.StringIO("".join(json.dumps(item) + "\n" for item in packed)), io.StringIO()
    serve(source, sink, no_ping)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_engine_behind_a_pipe_ends_with_a_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        question = Question(Protocol.TCP, port, "none")
        found = _serve([Probe(7, "me", "linux.ssh", "127.0.0.1", question)], vantage="audit1")
    assert [(row.get("index"), row.get("status"), row.get("vantage")) for row in found[:1]] == [(7, "open", "audit1")]
    assert found[1:] == [{"end": 1}]


def test_engine_behind_a_pipe_says_when_it_has_no_means(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(serving, "Engine", refuse)
    assert _serve([PROBE]) == [{"error": "[Errno 24] Too many open files"}]


def test_nobody_reading_ends_the_engine() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    source = io.StringIO(json.dumps(pack_options(ProbeOptions())) + "\n" + json.dumps(pack_probe(PROBE)) + "\n")
    serve(source, Gone(), no_ping)
