# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the engine as JSON lines, without making a record of each: what a million of them go to a file by."""

from __future__ import annotations

from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quote
from typing import Optional, Tuple

from .._core.vocabulary import ObservationStatus, Protocol, ServiceStatus
from .records import Outcome, Probe

Answer = Tuple[Probe, Optional[str], Outcome]  # a probe, the address that was probed for it, and what came of that
Lines = Tuple[int, str]  # how many lines, and those, each with its end


# What of these few texts is told of every probe.
_QUOTED = {str(word.value): quote(word.value) for word in (*Protocol, *ObservationStatus, *ServiceStatus)}
_QUOTED["connected"] = quote("connected")


def lines_of(answers: Iterable[Answer], vantage: str) -> str:
    """The same lines as those of the records: each the observation's fields, and ``index``, the number of its probe."""
    named = quote(vantage)
    known = _QUOTED
    return "".join(
        [
            f'{{"index":{probe.index},"requirement":{quote(probe.requirement)},"host":{quote(probe.host)},'
            f'"address":{"null" if address is None else quote(address)},"protocol":{known[probe.protocol]},'
            f'"port":{"null" if probe.port is None else probe.port},"status":{known[status]},'
            f'"service":{known[service]},"evidence":{known.get(evidence) or quote(evidence)},'
            f'"rtt_ms":{"null" if rtt_s is None else round(rtt_s * 1e6) / 1000},"attempts":{attempts},'
            f'"vantage":{named},"source_address":{"null" if source is None else quote(source)}}}\n'
            for probe, address, (status, evidence, service, rtt_s, attempts, source, _said) in answers
        ]
    )
