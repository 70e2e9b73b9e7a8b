# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions for the script on a Windows machine, and the lines that it tells; see ``windows_script`` for both."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ...module_utils._core.sanitize import safe_text
from ...module_utils._probe.records import ProbeOptions
from .._platform import powershell
from .._platform.interface import Command
from .interface import VantageError
from .windows_script import SCRIPT

BATCH = 250  # questions in one exchange, so that no limit of envelopes, scripts or output is met
TCP, UDP, ECHO, NAME = "t", "u", "i", "n"
# How a wait ended.
NOT_CONNECTED, QUIET, CLOSED, BROKEN, PATIENCE_OVER, CAPPED, FAILED, ANSWERED = "w", "q", "c", "r", "t", "m", "e", "d"
_AT_ONCE = 500
_GRACE_S = 5.0  # that a script may work on after the last of its waits is over
_LONGEST_MS = 2**31 - 1


class Step(NamedTuple):
    """What to send, and of how many bytes an answer to it was long enough to send the next."""

    payload: bytes
    need: int = 0


@dataclass(frozen=True)
class Ask:
    """One question: a connection, a datagram, an echo or a name, with how long to wait for what (in seconds)."""

    kind: str
    address: str
    port: int = 0
    wait_s: float = 0.0
    patience_s: float = 0.0
    quiet_s: float = 0.0
    cap: int = 0
    steps: tuple[Step, ...] = ()
    reset: bool = False

    @property
    def longest_s(self) -> float:
        """After how long it has ended at the latest."""
        if self.kind in (TCP, NAME):
            return self.wait_s + self.patience_s
        return self.wait_s * (len(self.steps) - 1) + self.patience_s + self.quiet_s


class Told(NamedTuple):
    """A line of the script: the number of its question, and what became of it."""

    number: int
    code: int
    ms: int
    how: str
    data: tuple[str, ...]
    own: str | None
    step: int

    def payloads(self) -> list[bytes]:
        """The bytes that came. Raises ValueError for what is no base64."""
        return [base64.b64decode(text, validate=True) for text in self.data]


class Answers(NamedTuple):
    """What came of an exchange: the lines, and where it broke off, ``None`` if it came to its end."""

    told: list[Told]
    trouble: str | None


def write_batch(asks: Sequence[Ask], options: ProbeOptions, longest_s: float) -> Command:
    """The command that asks all of this within ``longest_s``, by the rate and the source address of the options."""
    limit_s = min(longest_s, limit_of(asks, options))
    rate = max(1, min(_LONGEST_MS, int(options.rate_per_s * 1000)))
    at_once = min(options.concurrency, _AT_ONCE)
    source = options.source_address or "-"
    lines = [f"s {rate} {options.per_host} {at_once} {min(_LONGEST_MS, int(limit_s * 1000))} {source}"]
    numbers: dict[bytes, int] = {}
    for ask in asks:
        for step in ask.steps:
            if step.payload not in numbers:
                numbers[step.payload] = len(numbers)
                lines.append(f"p {numbers[step.payload]} {base64.b64encode(step.payload).decode()}")
    lines += [_line(number, ask, numbers) for number, ask in enumerate(asks)]
    mark = f"@@{secrets.token_hex(12)}"
    body = f"& {{\n{_script()}}} {powershell.quote(mark)} {powershell.quote(chr(10).join(lines))}\n"
    return Command(program=powershell.program(powershell.BOOTSTRAP), body=body, mark=mark)


def limit_of(asks: Sequence[Ask], options: ProbeOptions) -> float:
    """After how many seconds all of this has ended at the latest."""
    return sum(ask.longest_s for ask in asks) + len(asks) / options.rate_per_s + _GRACE_S


def read_answers(output: str, errors: str, mark: str, count: int) -> Answers:
    """The lines of an output. What a profile or a banner printed before is passed over.

    Raises VantageError where it is not the script's at all: nothing of it ran, or it may not run there.
    """
    text = "\n" + output.replace("\r\n", "\n")
    noise, *pieces = text.split(f"\n{mark} ")
    if not pieces:
        said = safe_text(errors) or safe_text(noise) or "nothing"
        raise VantageError(f"PowerShell did not run the script that probes; it said: {said}")
    if pieces[0].startswith("refused "):
        raise VantageError(_refused(safe_text(pieces[0].partition(" ")[2])))
    told = []
    for line in pieces[0].split("\n")[1:]:
        row = _read(line, count)
        if row is not None:
            told.append(row)
    if len(pieces) > 1 and pieces[1].startswith("end "):
        return Answers(told, None)
    return Answers(told, f"the script's output broke off{': ' + safe_text(errors) if errors.strip() else ''}")


def _refused(mode: str) -> str:
    return (
        f"PowerShell runs in {mode} there (AppLocker, Windows Defender Application Control or a restricted endpoint), "
        "which has no sockets: let this account run in FullLanguage, or probe from another audit host"
    )


def _read(line: str, count: int) -> Told | None:
    """One line, or ``None`` for what is not one of the script's: cut off, or spoilt on the way."""
    try:
        number, code, ms, how, data, own, step = json.loads(line)
        told = Told(int(number), int(code), int(ms), str(how), tuple(map(str, data)), str(own) or None, int(step))
        if told.how != ANSWERED:
            told.payloads()
    except (ValueError, TypeError):
        return None
    return told if 0 <= told.number < count else None


def _line(number: int, ask: Ask, numbers: Mapping[bytes, int]) -> str:
    steps = ",".join(f"{numbers[step.payload]}:{step.need}" for step in ask.steps) or "-"
    waits = " ".join(str(int(seconds * 1000)) for seconds in (ask.wait_s, ask.patience_s, ask.quiet_s))
    return f"q {number} {ask.kind} {ask.address} {ask.port} {waits} {ask.cap} {steps} {int(ask.reset)}"


@lru_cache(maxsize=1)
def _script() -> str:
    """Without comments and white space in front of its lines, which are for readers."""
    lines = map(str.strip, SCRIPT.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))
