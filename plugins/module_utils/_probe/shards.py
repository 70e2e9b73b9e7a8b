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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Callable, List, Protocol, Tuple, runtime_checkable

from .._core.vocabulary import ObservationStatus, ServiceStatus
from . import constants
from .lines import Answer, Lines, lines_of
from .names import parse_endpoint
from .records import Outcome, Probe, ProbeOptions

# Makes the probes with these options, in this process alone, and gives the answers of each turn.
Run = Callable[["Iterable[Probe]", ProbeOptions], "Iterable[List[Answer]]"]
_Message = Tuple[List[int], Any]  # the numbers of some probes, and what is told of them
_Form = Callable[["List[Answer]"], Any]  # of answers, as marshal takes it

_LENGTH = struct.Struct("=I")
_STATUS = {status.value: status for status in ObservationStatus}
_SERVICE = {service.value: service for service in ServiceStatus}
_WORD: dict[str, str] = {word: word.value for word in (*ObservationStatus, *ServiceStatus)}


@runtime_checkable
class Source(Protocol):
    """Probes that everybody can go through by himself, and how many they are."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Probe]: ...

    def share(self, number: int, count: int) -> Iterator[Probe]:
        """Of ``count`` shares the one with this ``number``, as ``share_of`` deals them out."""


class Listed:
    """A sequence of probes as a source."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = probes

    def __len__(self) -> int:
        return len(self._probes)

    def __iter__(self) -> Iterator[Probe]:
        return iter(self._probes)

    def share(self, number: int, count: int) -> Iterator[Probe]:
        """Of ``count`` shares the one with this ``number``."""
        return (probe for probe in self._probes if share_of(probe.address, count) == number)


def share_of(address: str, count: int) -> int:
    """Which of ``count`` processes of this run makes the probes of an address."""
    return hash(address) % count


def shards_for(probes: Sequence[Probe]) -> int:
    """How many processes these probes are worth: 1 unless they are many, all of addresses, and numbered in order."""
    if processes_for(len(probes)) == 1:
        return 1
    if any(probe.index != number for number, probe in enumerate(probes)):
        return 1
    if not all(map(parse_endpoint, {probe.address for probe in probes})):
        return 1
    return processes_for(len(probes))


def processes_for(count: int) -> int:
    """How many processes so many probes are worth on this machine."""
    if count < constants.SHARD_FROM or not hasattr(os, "sched_getaffinity"):
        return 1
    if threading.active_count() > 1:  # a thread may hold a lock that a forked process would wait for
        return 1
    return min(len(os.sched_getaffinity(0)), constants.SHARDS)


class Shards:
    """The processes of one run. Use as a context manager: none of them is left behind.

    ``probes`` are numbered in order; each process goes through them by itself, and so does this one for what is lost.
    ``lines`` says which of the two forms is wanted: JSON lines, which the processes make, or answers.
    """

    def __init__(
        self, probes: Source, options: ProbeOptions, *, count: int, run: Run, lines: bool = False
    ) -> None:
        self._probes = probes
        self._vantage = options.vantage
        self._untold = bytearray(b"\1") * len(probes)
        self._children: dict[int, int] = {}  # the processes, by the pipe that they tell through
        share = replace(
            options,
            rate_per_s=options.rate_per_s / count,
            concurrency=max(constants.LEAST_WINDOW, options.concurrency // count),
        )
        form: _Form = self._as_lines if lines else _rows
        for number in range(count):
            mine = probes.share(number, count)
            self._start(lambda mine=mine: run(mine, share), form)  # type: ignore[misc]

    def answers(self, probes: Sequence[Probe]) -> Iterator[Answer]:
        """What all of them found of these ``probes``, in the order in which it comes."""
        for indices, rows in self._told():
            for index, (address, status, evidence, service, rtt_s, attempts, source) in zip(indices, rows):
                outcome = Outcome(_STATUS[status], evidence, _SERVICE[service], rtt_s, attempts, source)
                yield probes[index], address, outcome
        yield from self._lost()

    def lines(self) -> Iterator[Lines]:
        """The same as JSON lines."""
        for indices, text in self._told():
            yield len(indices), text
        for answer in self._lost():
            yield 1, lines_of([answer], self._vantage)

    def _told(self) -> Iterator[_Message]:
        untold = self._untold
        poller = select.poll()
        pending = dict.fromkeys(self._children, b"")
        for pipe in pending:
            poller.register(pipe, select.POLLIN)
        while pending:
            for pipe, _mask in poller.poll():
                data = os.read(pipe, constants.PIPE_BYTES)
                if not data:
                    poller.unregister(pipe)
                    del pending[pipe]
                    continue
                messages, pending[pipe] = _unpack(pending[pipe] + data)
                for indices, _said in messages:
                    for index in indices:
                        untold[index] = 0
                yield from messages

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for pipe, child in self._children.items():
            os.close(pipe)
            os.kill(child, signal.SIGKILL)  # it owns nothing but sockets, which the kernel closes
            os.waitpid(child, 0)
        self._children.clear()

    def _start(self, run: Callable[[], Iterable[List[Answer]]], form: _Form) -> None:  # noqa: UP006
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
            for answers in run():
                _send(end, ([probe.index for probe, _address, _outcome in answers], form(answers)))
        finally:
            os._exit(0)

    def _as_lines(self, answers: list[Answer]) -> str:
        return lines_of(answers, self._vantage)

    def _lost(self) -> Iterator[Answer]:
        """What nobody has told of, since its process was killed by somebody."""
        if 1 not in self._untold:
            return
        for index, probe in enumerate(self._probes):
            if self._untold[index]:
                words = "not probed: a process of the vantage that made probes has ended too early"
                yield probe, None, Outcome(ObservationStatus.LOCAL_ERROR, words)


def _rows(answers: list[Answer]) -> list[tuple[Any, ...]]:
    return [
        (address, _WORD[status], evidence, _WORD[service], rtt_s, attempts, source)
        for _probe, address, (status, evidence, service, rtt_s, attempts, source, _said) in answers
    ]


def _send(pipe: int, message: _Message) -> None:
    data = marshal.dumps(message)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(pipe, left) :]


def _unpack(data: bytes) -> tuple[list[_Message], bytes]:
    """All messages that are complete, and the rest."""
    messages: list[_Message] = []
    start = 0
    while len(data) >= start + _LENGTH.size:
        (length,) = _LENGTH.unpack_from(data, start)
        end = start + _LENGTH.size + length
        if len(data) < end:
            break
        messages.append(marshal.loads(data[start + _LENGTH.size : end]))
        start = end
    return messages, data[start:]
