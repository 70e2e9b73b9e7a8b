# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the engine as JSON lines, without making a record of each: what a million of them go to a file by."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quote
from typing import Optional, Tuple

from .._core.vocabulary import ObservationStatus, ServiceStatus
from .records import Outcome, Probe, Question

Answer = Tuple[Probe, Optional[str], Outcome]  # a probe, the address that was probed for it, and what came of that
Lines = Tuple[int, str]  # how many lines, and those, each with its end

_REMEMBERED = 1024  # texts of each kind: mostly the same few are told of many probes


def lines_of(answers: Iterable[Answer], vantage: str) -> str:
    """The same lines as those of the records: each the observation's fields, and ``index``, the number of its probe."""
    return "".join(
        [
            f'{{"index":{probe.index},"requirement":{quote(probe.requirement)},"host":{quote(probe.host)},'
            f'"address":{"null" if address is None else quote(address)},{_asked(probe.question)},'
            f'{_told(status, service, evidence)},"rtt_ms":{"null" if rtt_s is None else round(rtt_s * 1e6) / 1000},'
            f'"attempts":{attempts},{_seen_from(vantage, source)}}}\n'
            for probe, address, (status, evidence, service, rtt_s, attempts, source, _said) in answers
        ]
    )


@lru_cache(_REMEMBERED)
def _asked(question: Question) -> str:
    port = "null" if question.port is None else question.port
    return f'"protocol":{quote(question.protocol.value)},"port":{port}'


@lru_cache(_REMEMBERED)
def _told(status: ObservationStatus, service: ServiceStatus, evidence: str) -> str:
    return f'"status":{quote(status.value)},"service":{quote(service.value)},"evidence":{quote(evidence)}'


@lru_cache(_REMEMBERED)
def _seen_from(vantage: str, source: str | None) -> str:
    return f'"vantage":{quote(vantage)},"source_address":{"null" if source is None else quote(source)}'
