# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the engine as JSON lines, without making a record of each: what a million of them go to a file by."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quote

from .records import Outcome, Probe


def line_of(probe: Probe, address: str | None, outcome: Outcome, vantage: str) -> str:
    """The same line as that of the record: the observation's fields, and ``index``, the number of its probe."""
    status, evidence, service, rtt_s, attempts, source, _said = outcome
    return (
        f'{{"index":{probe.index},"requirement":{quote(probe.requirement)},"host":{quote(probe.host)},'
        f'"address":{_text(address)},"protocol":{quote(probe.protocol)},'
        f'"port":{"null" if probe.port is None else probe.port},"status":{quote(status)},'
        f'"service":{quote(service)},"evidence":{quote(evidence)},'
        f'"rtt_ms":{"null" if rtt_s is None else round(rtt_s * 1000, 3)},"attempts":{attempts},'
        f'"vantage":{quote(vantage)},"source_address":{_text(source)}}}'
    )


def _text(value: str | None) -> str:
    return "null" if value is None else quote(value)
