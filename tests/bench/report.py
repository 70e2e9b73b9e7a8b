# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What a bench found: metrics as a table for people and as build/bench/NAME.json for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.environments import BUILD

FOLDER = BUILD / "bench"


@dataclass(frozen=True)
class Metric:
    """One number of ours, less is better, beside the peer's where there is one; both in `unit`.

    `goal` is the highest ratio ours/peer that will do, or without a peer the highest value; None for what is only told.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str | None = None
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.ours / self.peer

    @property
    def holds(self) -> bool | None:
        if self.goal is None:
            return None
        return (self.ours if self.ratio is None else self.ratio) <= self.goal

    def to_result(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ours": round(self.ours, 4),
            "peer": None if self.peer is None else round(self.peer, 4),
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "goal": self.goal,
            "holds": self.holds,
        }


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def publish(name: str, metrics: Sequence[Metric]) -> None:
    """Print the table of a bench and write its file."""
    write_json(name, {"machine": machine(), "metrics": [metric.to_result() for metric in metrics]})
    rows = [("", "ours", "peer", "ratio", "goal", "holds")] + [_row(metric) for metric in metrics]
    print_table(rows)


def write_json(name: str, content: Any) -> Path:
    """Write build/bench/NAME.json; returns its path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of as many cells each, the first of them the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(metric: Metric) -> tuple[str, ...]:
    peer = "-" if metric.peer is None else f"{metric.peer:.3f} {metric.unit}, {metric.peer_name}"
    ratio = "-" if metric.ratio is None else f"{metric.ratio:.2f}"
    goal = "-" if metric.goal is None else f"<= {metric.goal:g}{'' if metric.peer else ' ' + metric.unit}"
    holds = {True: "yes", False: "NO", None: "-"}[metric.holds]
    return metric.name, f"{metric.ours:.3f} {metric.unit}", peer, ratio, goal, holds
