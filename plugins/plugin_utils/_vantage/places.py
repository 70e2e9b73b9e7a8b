# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines such as ``192.0.2.10 tcp/22 ssh`` as probes.

Lists are long, and mostly name an address with all its ports before the next one, the same ports of each. So lines of
one address are read together, and what stands behind the addresses only once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count as numbers
from itertools import islice, repeat

from ...module_utils._core.errors import InputError
from ...module_utils._core.vocabulary import Protocol
from ...module_utils._probe.names import parse_endpoint
from ...module_utils._probe.records import Probe, Question
from ...module_utils._probe.shards import processes_for, share_of

_BLOCK = 1024  # lines that are looked at together
_KNOWN = 4096  # lines whose meaning is remembered
_WIRES = {protocol.value: protocol for protocol in (Protocol.TCP, Protocol.UDP, Protocol.ICMP)}
# Lines that begin with the same address and a blank; or one of any other form.
_RUN = re.compile(r"([^\s#]\S*) .*\n(?:\1 .*\n)*|.*\n")


def parse_place(line: str, index: int) -> Probe:
    """The probe that a line asks for. Raises InputError that quotes the line."""
    address, wire, *service = line.split() if len(line.split()) in (2, 3) else ("", "")
    name, _slash, port = wire.partition("/")
    protocol = _WIRES.get(name)
    has_port = port.isdecimal() and 0 < int(port) < 65536
    if protocol is None or has_port == (protocol is Protocol.ICMP) or (port and not has_port):
        raise InputError(f"line {index + 1}: {line.strip()[:80]!r} is no address with tcp/PORT, udp/PORT or icmp")
    if not service:
        service = ["icmp_echo" if protocol is Protocol.ICMP else "none"]
    return Probe(index, address, wire, address, Question(protocol, int(port) if has_port else None, service[0]))


def parse_places(source: Iterable[str], number: int = 0, count: int = 1) -> Iterator[Probe]:
    """The probes that the lines ask for; empty ones and comments ask for none.

    Of ``count`` shares only the one with this ``number``: all probes of an address belong to the same.
    """
    known: dict[tuple[str, ...], tuple[list[str], list[Question]]] = {}
    room = _KNOWN
    index = 0
    for address, lines in _runs(source):
        first, index = index, index + lines.count("\n")
        if share_of(address, count) != number:
            continue
        questions = _behind(address, lines)
        wanted = known.get(questions)
        if wanted is None:
            wanted = _wanted(address, questions, first)
            if len(questions) <= room:
                room -= len(questions)
                known[questions] = wanted
        requirements, asked = wanted
        yield from map(Probe, numbers(first), repeat(address), requirements, repeat(address), asked)


def _runs(source: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Lines of the same address that follow one another, many at most: the address, and all of them, each with its end.

    It costs little for each line, since every process goes through all of them.
    """
    lines = iter(source)
    while block := "".join(islice(lines, _BLOCK)):
        for run in _RUN.finditer(block if block.endswith("\n") else f"{block}\n"):
            address, text = run[1], run[0]
            if address is None:
                address, text = _by_words(text)
            if address:
                yield address, text


def _by_words(line: str) -> tuple[str, str]:
    """The address of a line, none in an empty one and in a comment; and the line without blanks before it."""
    line = line.lstrip()
    return "" if line.startswith("#") else "".join(line.split(None, 1)[:1]), line


def _behind(address: str, lines: str) -> tuple[str, ...]:
    """What stands behind the address in each of some lines that begin with it."""
    return tuple(lines[len(address) + 1 : -1].split(f"\n{address} "))


def _wanted(address: str, questions: Iterable[str], first: int) -> tuple[list[str], list[Question]]:
    """The requirement of each line, and its question."""
    probes = [parse_place(f"{address} {question}", index) for index, question in enumerate(questions, first)]
    return [probe.requirement for probe in probes], [probe.question for probe in probes]


class Places:
    """The probes that the lines of a file ask for, read anew by everybody who goes through them.

    ``processes``: how many of them the probes are worth. Raises OSError where the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        are_addresses = True
        with open(path, encoding="utf-8") as file:
            for address, lines in _runs(file):
                self._count += lines.count("\n")
                are_addresses = are_addresses and parse_endpoint(address) is not None
        self.processes = processes_for(self._count) if are_addresses else 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Probe]:
        return self.share(0, 1)

    def share(self, number: int, count: int) -> Iterator[Probe]:
        """Of ``count`` shares the one with this ``number``."""
        with open(self._path, encoding="utf-8") as file:
            yield from parse_places(file, number, count)
