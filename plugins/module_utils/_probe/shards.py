# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many probes on several processors: processes that each probe their share of the addresses and tell through a pipe.

All probes of an address are made by one process, so that what a host bears, and what is asked of it only once, holds as
in one process. What the machine and the network bear is divided among them.
"""

from __future__ import annotations

import gc
import marshal
import os
import select
import signal
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Callable, Iterable, Optional, Tuple

from .._core.vocabulary import ObservationStatus, ServiceStatus
from . import constants
from .names import parse_endpoint
from .records import Outcome, Probe, ProbeOptions

Answer = Tuple[Probe, Optional[str], Outcome]  # a probe, the address that was probed for it, and what came of that
# Makes the probes with these options, in this process alone.
Run = Callable[[Iterable[Probe], ProbeOptions], Iterable[Answer]]

_LENGTH = struct.Struct("=I")
_STATUS = {status.value: status for status in ObservationStatus}
_SERVICE = {service.value: service for service in ServiceStatus}


def shards_for(probes: Sequence[Probe]) -> int:
    """How many processes these probes are worth: 1 unless they are many, all of addresses, and numbered in order."""
    if len(probes) < constants.SHARD_FROM or not hasattr(os, "sched_getaffinity"):
        return 1
    if threading.active_count() > 1:  # a thread may hold a lock that a forked process would wait for
        return 1
    if any(probe.index != number for number, probe in enumerate(probes)):
        return 1
    if not all(map(parse_endpoint, {probe.address for probe in probes})):
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), constants.SHARDS))


class Shards:
    """The processes of one run. Use as a context manager: none of them is left behind."""

    def __init__(self, probes: Sequence[Probe], options: ProbeOptions, *, count: int, run: Run) -> None:
        self._probes = probes
        self._untold = bytearray(b"\1") * len(probes)
        self._children: dict[int, int] = {}  # the processes, by the pipe that they tell through
        share = replace(
            options,
            rate_per_s=options.rate_per_s / count,
            concurrency=max(constants.LEAST_WINDOW, options.concurrency // count),
        )
        for number in range(count):
            mine = (probe for probe in probes if hash(probe.address) % count == number)
            self._start(lambda mine=mine: run(mine, share))  # type: ignore[misc]

    def answers(self) -> Iterator[Answer]:
        """What all of them found, in the order in which it comes."""
        poller = select.poll()
        pending = dict.fromkeys(self._children, b"")
        for pipe in pending:
            poller.register(pipe, select.POLLIN)
        while pending:
            for pipe, _mask in poller.poll():
                data = os.read(pipe, 1 << 20)
                if not data:
                    poller.unregister(pipe)
                    del pending[pipe]
                    continue
                rows, pending[pipe] = _unpack(pending[pipe] + data)
                yield from map(self._told, rows)
        yield from self._lost()

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for pipe, child in self._children.items():
            os.close(pipe)
            os.kill(child, signal.SIGKILL)  # it owns nothing but sockets, which the kernel closes
            os.waitpid(child, 0)
        self._children.clear()

    def _start(self, run: Callable[[], Iterable[Answer]]) -> None:
        pipe, end = os.pipe()
        child = os.fork()
        if child:
            os.close(end)
            self._children[pipe] = child
            return
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # who interrupts the run interrupts its parent, which ends us
            gc.freeze()
            gc.disable()  # the engine leaves no cycles; looking for some costs a tenth of its time
            _send_all(end, run())
        finally:
            os._exit(0)

    def _told(self, row: tuple[Any, ...]) -> Answer:
        index, address, status, evidence, service, *others = row
        self._untold[index] = 0
        return self._probes[index], address, Outcome(_STATUS[status], evidence, _SERVICE[service], *others)

    def _lost(self) -> Iterator[Answer]:
        """What nobody has told of, since its process was killed by somebody."""
        for index, probe in enumerate(self._probes):
            if self._untold[index]:
                words = "not probed: a process of the vantage that made probes has ended too early"
                yield probe, None, Outcome(ObservationStatus.LOCAL_ERROR, words)


def _send_all(pipe: int, answers: Iterable[Answer]) -> None:
    rows = []
    for probe, address, outcome in answers:
        status, evidence, service, rtt_s, attempts, source, _said = outcome
        rows.append((probe.index, address, status.value, evidence, service.value, rtt_s, attempts, source))
        if len(rows) >= constants.SHARD_ROWS:
            _send(pipe, rows)
            rows = []
    _send(pipe, rows)


def _send(pipe: int, rows: list[tuple[Any, ...]]) -> None:
    data = marshal.dumps(rows)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(pipe, left) :]


def _unpack(data: bytes) -> tuple[list[tuple[Any, ...]], bytes]:
    """The rows of all messages that are complete, and the rest."""
    rows: list[tuple[Any, ...]] = []
    start = 0
    while len(data) >= start + _LENGTH.size:
        (length,) = _LENGTH.unpack_from(data, start)
        end = start + _LENGTH.size + length
        if len(data) < end:
            break
        rows += marshal.loads(data[start + _LENGTH.size : end])
        start = end
    return rows, data[start:]
