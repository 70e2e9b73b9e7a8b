# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What a peer's module and ours said of one port of one host, beside what became of real packets; and who was right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.bench.site import Timed

TRUE, WRONG, NONE = WORDS = ("true", "wrong", "no answer")
# A wrong answer after which the port is closed: the others say that they opened what was open.
CLOSED = "wrong and closed"


@dataclass(frozen=True)
class Row:
    """One question: whether its packet got in before, and after the peer and ours; what they said.

    `name` is that of the scenario's file, `state` its sentence; `module` the peer's, by its whole name. `peer_said` is
    changed, ok or failed, `peer_message` what it said of a failure; `ours_said` are the statuses of the verdicts before
    the opening and after it.
    """

    name: str
    state: str
    port: str
    module: str
    before: bool
    peer_said: str
    peer_after: bool
    ours_said: tuple[str, str]
    ours_after: bool
    reason: str
    peer_message: str

    @property
    def peer_truth(self) -> str:
        if self.peer_said == "failed":
            return NONE
        return TRUE if self.peer_after and self.before == (self.peer_said == "ok") else WRONG

    @property
    def ours_truth(self) -> str:
        if "unknown" in self.ours_said:
            return NONE
        said_open = tuple(status == "open" for status in self.ours_said)
        return TRUE if said_open == (self.before, self.ours_after) else WRONG

    def to_result(self) -> dict[str, Any]:
        return {
            "scenario": self.name,
            "state": self.state,
            "port": self.port,
            "packet_before": self.before,
            "peer": {
                "name": self.module,
                "said": self.peer_said,
                "packet_after": self.peer_after,
                "truth": self.peer_truth,
                "message": self.peer_message,
            },
            "ours": {
                "said": self.ours_said,
                "packet_after": self.ours_after,
                "truth": self.ours_truth,
                "reason": self.reason,
            },
        }


def said_by(result: Timed) -> str:
    """What a module answered: changed, ok or failed."""
    return "changed" if result.status == "ok" and result.data["changed"] else result.status


def failure_of(result: Timed) -> str:
    """What a module said of its failure; empty where it did not fail."""
    return "" if result.status == "ok" else str(result.data.get("msg", ""))


def way(got_in: bool) -> str:
    """The word for what became of a packet."""
    return "in" if got_in else "out"


def counts_of(rows: Iterable[Row]) -> dict[str, dict[str, Counter[str]]]:
    """By module: how often each of WORDS, and CLOSED, is true of the peer, and of ours over the same questions."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for row in sorted(rows, key=lambda row: row.module):
        both = counts.setdefault(row.module, {"peer": Counter(), "ours": Counter()})
        for side, truth, got_in in (
            ("peer", row.peer_truth, row.peer_after),
            ("ours", row.ours_truth, row.ours_after),
        ):
            both[side][truth] += 1
            both[side][CLOSED] += truth == WRONG and not got_in
    return counts
