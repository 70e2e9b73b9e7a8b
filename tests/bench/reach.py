# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""`make bench-reach`: the engine beside a C program, nmap and asyncio, on the same 10,000 addresses in one run.

What is measured is who asks, so the ports of the first part are answered by the kernel alone, as cheaply as can be: who
is asked has processors of his own in the field. Services need a program here, which costs the same whether they are
checked or not; so the run that checks them is beside one that asks the same ports and does not.

Seconds are those of whole processes, from start to end. What is asked everything runs in turns, three times, because a
machine's own pace may change within minutes. Ours makes two SYNs to what stays silent, as nmap with one retry does; the
C program makes one and waits for one second; its window is as large as ours. What takes too long is run on a part of
the addresses and scaled, and its row says so. Politeness (the rate, the limit for each host) is off.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.reach_world import ADDRESSES, PORTS, SERVICES, BenchWorld, address_of, ensure, truth_of
from tests.bench.report import Metric, publish
from tests.tools.environments import ROOT
from tests.unit.plugins.module_utils._probe.protocols import captured

ROUNDS = 3
WINDOW = 4000
_SAMPLE = 1000  # addresses, of what takes too long for all of them
_MOST_S = 120  # of the stream; what was not made by then is not counted
_STREAM = 1_000_000
# Python keeps what it has compiled, as it does wherever nobody forbids it.
_ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_LETTERS = {"o": "open", "c": "closed", "r": "rejected", "f": "filtered", "e": "error"}
# An error number does not tell a rejection from a reset or from silence: those tools have a word for either.
_NMAP_WORDS = {"open": {"open"}, "closed": {"closed"}, "filtered": {"filtered"}, "rejected": {"filtered"}}
_NMAP = ["nmap", "-sT", "-n", "-Pn", "-p", f"{PORTS[0]}-{PORTS[-1]}"]
_TUNED = [
    "--min-hostgroup", "10000", "--max-hostgroup", "10000", "--min-parallelism", "1000", "--max-scan-delay", "0",
    "--min-rtt-timeout", "100ms", "--initial-rtt-timeout", "200ms", "--max-rtt-timeout", "1000ms",
]  # fmt: skip
_BANNERS = {
    "ssh": captured.SSH[0].hex(),
    "vmware_authd": b"220 VMware Authentication Daemon Version 1.10: SSL Required\r\n".hex(),
    "http": "?" + b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n".hex(),
    "kerberos": "?" + captured.KERBEROS[0].hex(),
}
_SERVICE_OF = dict(zip(SERVICES, ["ssh", "vmware_authd", "http", "http", "kerberos"] * 2, strict=True))
# The way to four places: seconds one way, and the share of packets that is lost one way.
_FAR = {f"10.81.{number}": (rtt_s / 2, 0.03) for number, rtt_s in enumerate((0.001, 0.023, 0.110, 0.275), 1)}


class Ran(NamedTuple):
    """One run: seconds by the wall and by the processors, wrong answers, highest memory in MiB where it tells that."""

    seconds: float
    processor_seconds: float
    wrong: int
    mebibytes: float = 0.0


class Bench:
    """The tools, in a world that is up."""

    def __init__(self, world: BenchWorld) -> None:
        self._world = world
        self._client = world.compile("reach_client")
        self._near = [(number, port) for number in range(ADDRESSES) for port in PORTS]
        self._services = [(number, port) for number in range(ADDRESSES) for port in SERVICES]
        self._truth = [truth_of(*place) for place in self._near]
        self._plain = self._targets("plain", [(address_of(n), port, "none") for n, port in self._near])
        services = [(address_of(n), port, _SERVICE_OF[port]) for n, port in self._services]
        self._checked = self._targets("checked", services)
        self._unchecked = self._targets("unchecked", [(address, port, "none") for address, port, _name in services])
        far = [(f"{net}.{last}", port, "none") for net in _FAR for last in range(1, 211) for port in PORTS]
        self._far = self._targets("far", far)

    def ours(self, *, retries: int = 1) -> Ran:
        return self._judged(self._plain, self._near, "not_checked", retries=retries)

    def services(self, *, checked: bool) -> Ran:
        """The ports with a service behind them: whether it is the right one, or only whether they are open."""
        if checked:
            return self._judged(self._checked, self._services, "confirmed")
        return self._judged(self._unchecked, self._services, "not_checked")

    def _judged(self, targets: Path, places: Sequence[tuple[int, int]], service: str, *, retries: int = 1) -> Ran:
        found, ran = self._ours(targets, {"retries": retries})
        wrong = 0
        for row, place in zip(found, places, strict=True):
            truth = truth_of(*place)
            wrong += row["status"] != truth or (truth == "open" and row["service"] != service)
        return ran._replace(wrong=wrong)

    def c_services(self) -> Ran:
        """The C program on the same ports as ``services``; it only connects."""
        return self.c_program(self._unchecked, [truth_of(*place) for place in self._services])

    def c_program(self, targets: Path | None = None, truth: Sequence[str] | None = None) -> Ran:
        rows = (line.rpartition(" ")[0] for line in (targets or self._plain).open(encoding="ascii"))
        text = "".join(f"{row}\n".replace("tcp/", "") for row in rows)
        output, ran = self._timed([str(self._client), str(WINDOW)], text)
        return ran._replace(wrong=_wrong((_LETTERS[letter] for letter in output.strip()), truth or self._truth))

    def asyncio(self) -> Ran:
        places = self._near[: _SAMPLE * len(PORTS)]
        path = self._targets("sample", [(address_of(n), port, "none") for n, port in places])
        output, ran = self._timed([sys.executable, "-m", "tests.bench.reach_asyncio", str(WINDOW), str(path)])
        return ran._replace(wrong=_wrong((_LETTERS[letter] for letter in output.strip()), self._truth[: len(places)]))

    def nmap(self, *options: str, addresses: int = ADDRESSES) -> Ran:
        hosts = [address_of(number) for number in range(addresses)]
        found, ran = self._nmap(hosts, options)
        wrong = 0
        for (number, port), truth in zip(self._near[: addresses * len(PORTS)], self._truth, strict=False):
            wrong += found.get((address_of(number), port)) not in _NMAP_WORDS[truth]
        return ran._replace(wrong=wrong)

    def far(self, tool: str) -> int:
        """How many of the 8,400 open ports at mixed distances, with loss, the tool calls filtered."""
        if tool == "ours":
            found, _ran = self._ours(self._far, {})
            return sum(row["status"] != "open" for row in found)
        if tool == "C":
            return self.c_program(self._far, ["open"] * (len(_FAR) * 210 * len(PORTS))).wrong
        hosts = [f"{net}.{last}" for net in _FAR for last in range(1, 211)]
        answers, _ran = self._nmap(hosts, ("--max-retries", "1", *_TUNED))
        return sum(answers.get((host, port)) != "open" for host in hosts for port in PORTS)

    def stream(self) -> tuple[int, Ran]:
        """A million probes, as far as they get in time; how many that were."""
        found, ran = self._ours(f"stream:{_STREAM}", {"deadline_s": _MOST_S})
        return sum(row["status"] == "closed" for row in found), ran

    def _ours(self, targets: Path | str, options: dict[str, object]) -> tuple[Iterable[dict[str, str]], Ran]:
        output = self._world.folder / "ours.jsonl"
        command = [sys.executable, "-m", "tests.bench.reach_ours", str(targets), str(output), json.dumps(options)]
        told, ran = self._timed(command)
        rows = _rows(output)
        if isinstance(targets, Path):
            rows = iter(sorted(rows, key=lambda row: int(row["index"])))
        return rows, ran._replace(mebibytes=float(told))

    def _nmap(self, hosts: Sequence[str], options: Sequence[str]) -> tuple[dict[tuple[str, int], str], Ran]:
        listed, output = self._world.folder / "hosts", self._world.folder / "nmap"
        listed.write_text("\n".join(hosts) + "\n", encoding="ascii")
        _told, ran = self._timed([*_NMAP, *options, "-iL", str(listed), "-oG", str(output)])
        found = {}
        for line in output.read_text(encoding="ascii").splitlines():
            host = re.match(r"Host: (\S+) ", line)
            for port, state in re.findall(r"(\d+)/(\w+)/tcp", line):
                found[host[1] if host else "", int(port)] = state
        return found, ran

    def _targets(self, name: str, rows: Sequence[tuple[str, int, str]]) -> Path:
        path = self._world.folder / name
        text = "".join(f"{address} tcp/{port} {service}\n" for address, port, service in rows)
        path.write_text(text, encoding="ascii")
        return path

    def _timed(self, command: Sequence[str], text: str = "") -> tuple[str, Ran]:
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            self._world.inside(command), input=text, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False,
            env=_ENVIRON,
        )  # fmt: skip
        seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:4])}: {done.stderr[-2000:]}")
        return done.stdout, Ran(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0)


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="ascii") as file:
        yield from map(json.loads, file)


def _wrong(answers: Iterable[str], truth: Sequence[str]) -> int:
    return sum(answer != right for answer, right in zip(answers, truth, strict=True))


def _middle(runs: Sequence[Ran]) -> Ran:
    return Ran(*(median(values) for values in zip(*runs, strict=True)))


def main() -> int:
    ensure("nmap", "nmap")
    answers = dict.fromkeys(PORTS, "") | {port: _BANNERS[name] for port, name in _SERVICE_OF.items()}
    with BenchWorld(answers) as world:
        publish("reach", _metrics(Bench(world), world))
    return 0


def _metrics(bench: Bench, world: BenchWorld) -> list[Metric]:
    tools: dict[str, Callable[[], Ran]] = {
        "C": bench.c_program,
        "ours": bench.ours,
        "unchecked": lambda: bench.services(checked=False),
        "checked": lambda: bench.services(checked=True),
        "C, services": bench.c_services,
        "nmap": lambda: bench.nmap("--max-retries", "1", *_TUNED),
    }
    runs: dict[str, list[Ran]] = {name: [] for name in tools}
    for _round in range(ROUNDS):
        for name, tool in tools.items():
            runs[name].append(tool())
    c_program, ours, unchecked, checked, c_services, nmap = (_middle(runs[name]) for name in tools)
    found = _beside("100,000 probes", ours, "C, one SYN", c_program, 1.2)
    found.append(Metric("100,000 probes: wrong answers", ours.wrong, "", goal=0))
    found.append(Metric("100,000 probes: wrong answers of the C program", c_program.wrong, ""))
    three = bench.ours(retries=2)
    found += _beside("100,000 probes, three SYNs", three, "C, one SYN", c_program, None)
    for label, peer, scale, goal in (("nmap -sT tuned, one retry", nmap, 1, 1 / 2.8), *_peers(bench)):
        scaled = Ran(peer.seconds * scale, peer.processor_seconds * scale, peer.wrong * scale)
        found += _beside("100,000 probes", ours, label, scaled, goal)
        if scaled.wrong:
            found.append(Metric("100,000 probes: wrong answers", ours.wrong, "", scaled.wrong, label, 0.999))
    found += _beside("100,000 probes of services, checked", checked, "ours, not checked", unchecked, 1.25)
    found += _beside("100,000 probes of services, checked", checked, "C, which only connects", c_services, 1.2 * 1.25)
    found += _beside("100,000 probes of services, not checked", unchecked, "C", c_services, 1.2)
    found.append(Metric("100,000 probes of services, checked: wrong answers", checked.wrong, "", goal=0))
    found += _far(bench, world)
    made, streamed = bench.stream()
    found.append(Metric(f"{made:,} probes from a stream to a file: memory", streamed.mebibytes, "MiB", goal=64))
    found.append(Metric(f"{made:,} probes from a stream to a file, one process", streamed.seconds, "s"))
    return found


def _peers(bench: Bench) -> Iterable[tuple[str, Ran, int, float | None]]:
    """The others, each with its scale and the ratio that is the goal."""
    scale = ADDRESSES // _SAMPLE
    part = f"{_SAMPLE:,} addresses, x{scale}"
    yield "nmap -sT tuned, no retry", bench.nmap("--max-retries", "0", *_TUNED), 1, None
    yield f"nmap -sT -T4 ({part})", bench.nmap("-T4", addresses=_SAMPLE), scale, 1 / 25
    yield f"asyncio ({part})", bench.asyncio(), scale, None


def _beside(name: str, ours: Ran, label: str, peer: Ran, goal: float | None) -> list[Metric]:
    return [
        Metric(name, ours.seconds, "s", peer.seconds, label, goal),
        Metric(f"{name}: processors", ours.processor_seconds, "s", peer.processor_seconds, label),
    ]


def _far(bench: Bench, world: BenchWorld) -> list[Metric]:
    ways = json.dumps(_FAR)
    relay = [sys.executable, "-m", "tests.reach.relay", world.vantage, world.target, "1", ways]
    name = "8,400 probes over 1-275 ms with 3% loss each way: falsely filtered"
    with subprocess.Popen(relay, stdout=subprocess.PIPE, text=True, cwd=ROOT) as wire:
        try:
            assert wire.stdout is not None
            if wire.stdout.readline() != "ready\n":
                raise RuntimeError("the long wire was not laid")
            found = [Metric(name, bench.far("ours"), "", goal=5)]
            found += [Metric(f"{name} by {label}", bench.far(tool), "") for tool, label in _FAR_PEERS]
        finally:
            wire.kill()
    return found


_FAR_PEERS = (("C", "the C program"), ("nmap", "nmap -sT tuned, one retry"))

if __name__ == "__main__":
    sys.exit(main())
