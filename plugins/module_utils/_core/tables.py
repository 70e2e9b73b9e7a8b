# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnoses and readiness as aligned plain text: a line per host, a row per requirement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .sanitize import fit_width, safe_text, text_width
from .vocabulary import Protocol, RowStatus

DEFAULT_WIDTH = 160
NARROWEST = 80
_GAP = "  "
_INDENT = "  "
_NOTHING = "-"
# Heading and the most columns that a cell may take; the last column gets what is left, and wraps like the others.
_COLUMNS = (
    ("REQUIREMENT", 30),
    ("PORT", 9),
    ("STATUS", 14),
    ("VERDICT", 14),
    ("OBSERVATION", 22),
    ("CAUSE", 15),
    ("NEXT STEP", 0),
)
_NARROWEST_LAST = 20
_MOST_REASONS = 4


def render_table(
    diagnoses: Iterable[Mapping[str, Any]], hosts: Iterable[Mapping[str, Any]], width: int = DEFAULT_WIDTH
) -> list[str]:
    """The table from result dicts of diagnoses and hosts; no line is wider than ``width`` columns (at least 80).

    What does not concern a host has no row. Text that came from targets is made safe to show. A host without
    readiness, and a host without rows, is shown, too.
    """
    rows: dict[str, list[tuple[str, ...]]] = {}
    states: dict[str, Mapping[str, Any]] = {}
    for host in hosts:
        states[_text(host.get("host"))] = host
        rows.setdefault(_text(host.get("host")), [])
    for diagnosis in diagnoses:
        found = rows.setdefault(_text(diagnosis.get("host")), [])
        if diagnosis.get("status") != RowStatus.NOT_APPLICABLE.value:
            found.append(_cells(diagnosis))
    width = max(width, NARROWEST)
    widths = _widths([row for found in rows.values() for row in found], width - len(_INDENT))
    lines: list[str] = []
    for name, found in rows.items():
        lines += [""] if lines else []
        lines += _wrap(_headline(name, states.get(name, {})), width)
        if found:
            lines += _render([heading for heading, _most in _COLUMNS], widths)
        for row in found:
            lines += _render(row, widths)
    return lines


def _headline(name: str, state: Mapping[str, Any]) -> str:
    readiness = _text(state.get("readiness"))
    route = _text(state.get("route"))
    by = "" if route in (_NOTHING, "none") else f" by {route}"
    reasons = [_text(reason) for reason in state.get("reasons") or ()]
    more = f"; {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return f"{name}: {readiness}{by}" + (f" - {'; '.join(reasons[:_MOST_REASONS])}{more}" if reasons else "")


def _cells(diagnosis: Mapping[str, Any]) -> tuple[str, ...]:
    verdict = diagnosis.get("verdict") or {}
    observations = diagnosis.get("observations") or []
    seen = dict.fromkeys(_observed(observation) for observation in observations)
    return (
        _text(diagnosis.get("requirement")),
        _wire(verdict or (observations[0] if observations else {})),
        _text(diagnosis.get("status")),
        _text(verdict.get("status")),
        "; ".join(seen) or _NOTHING,
        _text(diagnosis.get("cause")),
        _NOTHING if diagnosis.get("status") == RowStatus.FINE.value else _text(diagnosis.get("next_step")),
    )


def _observed(observation: Mapping[str, Any]) -> str:
    status, service = _text(observation.get("status")), _text(observation.get("service"))
    return status if service in (_NOTHING, "not_checked") else f"{status}, {service}"


def _wire(row: Mapping[str, Any]) -> str:
    protocol, port = _text(row.get("protocol")), row.get("port")
    if protocol == Protocol.ICMP.value:
        return "icmp echo"
    return protocol if port is None else f"{protocol}/{_text(port)}"


def _text(value: object) -> str:
    return (safe_text(str(value)) if value is not None else "") or _NOTHING


def _widths(rows: Sequence[tuple[str, ...]], width: int) -> list[int]:
    found = []
    for place, (heading, most) in enumerate(_COLUMNS[:-1]):
        widest = max([len(heading)] + [text_width(row[place]) for row in rows])
        found.append(min(widest, most))
    spare = width - sum(found) - len(_GAP) * len(found)
    while spare < _NARROWEST_LAST:
        widest_column = found.index(max(found))
        found[widest_column] -= 1
        spare += 1
    return [*found, spare]


def _render(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    wrapped = [_wrap(cell, width) for cell, width in zip(cells, widths)]
    for number in range(max(map(len, wrapped))):
        parts = [lines[number] if number < len(lines) else "" for lines in wrapped]
        padded = [part + " " * (width - text_width(part)) for part, width in zip(parts, widths)]
        yield (_INDENT + _GAP.join(padded)).rstrip()


def _wrap(text: str, width: int) -> list[str]:
    """Break at spaces where there are any, within words that are wider than the column where not."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] if lines[-1] else []
        while text_width(word) > width:
            part = fit_width(word, width)
            lines[-1:] = [part, ""]
            word = word[len(part) :]
        lines[-1] = word
    return [line for line in lines if line]
