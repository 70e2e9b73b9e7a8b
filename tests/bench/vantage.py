# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""`make bench-vantage`: the script of a Windows audit host in a real PowerShell engine, beside connects one by one.

The ground is that of bench-reach: two namespaces, a tenth of all probes filtered. Every exchange is a fresh engine, as
on Windows. "In the script" is what its own clock says, without the engine's start; the wait for a connect is 1 s, with
one SYN. Through the vantage the rest is in it, too: engine starts, batches, a second pass over the silent ones.
"""

from __future__ import annotations

import base64
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import converse
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform import powershell
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.asks import (
    BATCH,
    TCP,
    Ask,
    Step,
    read_answers,
    write_batch,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.windows import WindowsVantage

from tests.bench.reach import _BANNERS as ANSWERS
from tests.bench.reach import _SERVICE_OF as SERVICE_OF
from tests.bench.reach_world import PORTS, SERVICES, BenchWorld, address_of, truth_of
from tests.bench.report import Metric, publish
from tests.standins.engine import MISSING, find_engine

TIMEOUT_S = 1.0
ROUNDS = 3
_HASTE = ProbeOptions(timeout_s=TIMEOUT_S, retries=0, rate_per_s=1e6, per_host=1000)
_SAMPLE = 100  # probes, of what takes too long for a thousand
_PASSES = 2  # over all, and over the silent ones
# What the vantage says where a rejection cannot be told.
_SAYS = {"rejected": {"unreachable", "closed"}}
_ONE_BY_ONE = """
$clock = [System.Diagnostics.Stopwatch]::StartNew()
foreach ($place in 'PLACES'.Split([char]32)) {
    $pair = $place.Split([char]58)
    $client = [System.Net.Sockets.TcpClient]::new()
    try { if ($client.ConnectAsync($pair[0], [int]$pair[1]).Wait(WAIT)) { "open $place" } else { "silent $place" } }
    catch { "refused $place" }
    $client.Close()
}
"took $($clock.ElapsedMilliseconds)"
"""


class Engine:
    """A machine whose every command is an engine of its own, at the vantage. ``peak_mib`` is the largest of them."""

    def __init__(self, world: BenchWorld) -> None:
        encoded = base64.b64encode(powershell.BOOTSTRAP.encode("utf-16-le")).decode()
        self._command = world.inside([str(find_engine()), "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded])
        self.runs = 0
        self.peak_mib = 0.0

    def run(self, command: Command) -> tuple[str, str]:
        """Run a script; its output."""
        return self.run_text(command.body), ""

    def run_text(self, body: str) -> str:
        """The output of a script. Raises RuntimeError where it fails."""
        self.runs += 1
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out:
            given.write(body.encode())
            given.seek(0)
            process = subprocess.Popen(self._command, stdin=given, stdout=out, stderr=subprocess.STDOUT)
            _pid, status, used = os.wait4(process.pid, 0)
            process.returncode = status
            out.seek(0)
            text = out.read().decode()
        self.peak_mib = max(self.peak_mib, used.ru_maxrss / 1024)
        if status:
            raise RuntimeError(f"the engine failed: {text[-2000:]}")
        return text

    def close(self) -> None:
        """Nothing is left open."""


class Looked(NamedTuple):
    """A run through the vantage: seconds, scripts, answers that are not those of the ground, and memory in MiB."""

    seconds: float
    runs: int
    wrong: int
    engine_mib: float
    own_mib: float


def main() -> int:
    """Measure, print, write."""
    if find_engine() is None:
        print(f"not measured: {MISSING}")
        return 0
    with BenchWorld({port: ANSWERS[SERVICE_OF[port]] for port in SERVICES}) as world:
        connects = median(_in_script(world, _asks(1000, SERVICES, proof=False)) for _round in range(ROUNDS))
        proofs = median(_in_script(world, _asks(1000, SERVICES, proof=True)) for _round in range(ROUNDS))
        one_by_one = median(_one_by_one(world) for _round in range(ROUNDS)) * 1000 / _SAMPLE
        probes = _probes(10_000)  # both runs hold them, so that memory is compared without the input
        thousand, more = _through(world, probes[:1000]), _through(world, probes)
    publish("vantage", _metrics(connects, proofs, one_by_one, thousand, more))
    return 0


def _metrics(connects: float, proofs: float, one_by_one: float, thousand: Looked, more: Looked) -> list[Metric]:
    timeout, ours = "the time-out itself", "1,000 of ours"
    alone = "connects one by one in the same engine (a hundred, scaled)"
    few, many = (_PASSES * (count / BATCH + 1) for count in (1000, 10_000))
    return [
        Metric("1,000 connects in the script", connects, "s", TIMEOUT_S, timeout, goal=1.8),
        Metric("1,000 with service proof in the script", proofs, "s", TIMEOUT_S, timeout, goal=2.5),
        Metric("1,000 connects", connects, "s", one_by_one, alone),
        Metric("1,000 with proof through the vantage", thousand.seconds, "s"),
        Metric("its round trips", thousand.runs, "scripts", goal=few),
        Metric("10,000 beside 1,000", more.seconds, "s", thousand.seconds, ours, goal=10.0),
        Metric("its round trips", more.runs, "scripts", goal=many),
        Metric("engine's memory, 10,000 beside 1,000", more.engine_mib, "MiB", thousand.engine_mib, ours, goal=1.2),
        Metric("memory here, 10,000 beside 1,000", more.own_mib, "MiB", thousand.own_mib, ours, goal=1.2),
        Metric("wrong answers", thousand.wrong + more.wrong, "probes", goal=0),
    ]  # fmt: skip


def _places(count: int, ports: Sequence[int]) -> Iterator[tuple[int, int]]:
    for number in range(count // len(ports)):
        for port in ports:
            yield number, port


def _probes(count: int) -> list[Probe]:
    return [
        Probe(index, f"host{number}", f"{port}", address_of(number), Question(Protocol.TCP, port, SERVICE_OF[port]))
        for index, (number, port) in enumerate(_places(count, SERVICES))
    ]


def _asks(count: int, ports: Sequence[int], *, proof: bool) -> list[Ask]:
    def steps(port: int) -> tuple[Step, ...]:
        said = converse(Probe(0, "", "", "", Question(Protocol.TCP, port, SERVICE_OF[port])), _HASTE)
        return (Step(said.first()),) if proof and said is not None else ()

    by_port = {port: steps(port) for port in ports}
    return [
        Ask(TCP, address_of(number), port, TIMEOUT_S, 5.0, 0.2, 8192, by_port[port], not proof)
        for number, port in _places(count, ports)
    ]


def _in_script(world: BenchWorld, asks: list[Ask]) -> float:
    """The seconds that the script's own clock shows at its end."""
    command = write_batch(asks, _HASTE, float("inf"))
    output = Engine(world).run_text(command.body)
    answers = read_answers(output, "", command.mark, len(asks))
    codes = Counter(told.code for told in answers.told)
    silent = sum(truth_of(number, port) == "filtered" for number, port in _places(len(asks), SERVICES))
    if len(answers.told) != len(asks) or codes[10060] != silent:
        raise RuntimeError(f"wrong answers: {codes}, {silent} should be silent; {answers.trouble}")
    return float(output.rstrip().rpartition(" ")[2]) / 1000


def _one_by_one(world: BenchWorld) -> float:
    """The seconds of connects one after the other, as Test-NetConnection in a loop makes them; with 1 s, not 21 s."""
    places = " ".join(f"{address_of(number)}:{port}" for number, port in _spread(_places(1000, PORTS)))
    output = Engine(world).run_text(_ONE_BY_ONE.replace("PLACES", places).replace("WAIT", str(int(TIMEOUT_S * 1000))))
    return float(output.rstrip().rpartition(" ")[2]) / 1000


def _spread(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """A sample in which a tenth is filtered, as in all."""
    silent, other = [], []
    for number, port in places:
        (silent if truth_of(number, port) == "filtered" else other).append((number, port))
    return [*silent[: _SAMPLE // 10], *other[: _SAMPLE - _SAMPLE // 10]]


def _through(world: BenchWorld, probes: list[Probe]) -> Looked:
    engine = Engine(world)
    options = ProbeOptions(timeout_s=TIMEOUT_S, retries=1, rate_per_s=1e6, per_host=1000)
    places = list(_places(len(probes), SERVICES))
    wrong, begun = 0, time.monotonic()
    for index, found in WindowsVantage("audit1", engine).observe(probes, options):
        truth = truth_of(*places[index])
        wrong += found.status.value not in _SAYS.get(truth, {truth})
        wrong += truth == "open" and found.service.value != "confirmed"
    seconds = time.monotonic() - begun
    own_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Looked(seconds, engine.runs, wrong, engine.peak_mib, own_mib)


if __name__ == "__main__":
    sys.exit(main())
