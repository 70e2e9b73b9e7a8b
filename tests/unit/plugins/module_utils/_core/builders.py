# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Records with everything that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import (
    Decision,
    Observation,
    Path,
    Verdict,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Level,
    ObservationStatus,
    Protocol,
    ServiceStatus,
    VerdictStatus,
)

SOURCE = "192.0.2.10"
TARGET = "198.51.100.12"
ROUTER = "198.51.100.1"


def make_path(status: VerdictStatus = VerdictStatus.OPEN, source: str = SOURCE, **values: Any) -> Path:
    fields = {"destination": TARGET, "reason": "said so", "persistent": True, **values}
    return Path(source=source, status=status, **fields)


def make_verdict(status: VerdictStatus = VerdictStatus.OPEN, **values: Any) -> Verdict:
    """A verdict on ssh of web1; its one path has the same status unless ``paths`` are given."""
    fields = {
        "requirement": "linux.ssh",
        "host": "web1",
        "system": "linux",
        "protocol": Protocol.TCP,
        "port": 22,
        "level": Level.REQUIRED,
        "reason": "zone public",
        "persistent": True,
        "listening": None,
        "listener": None,
        "paths": (make_path(status),),
        **values,
    }
    return Verdict(status=status, **fields)


def make_observation(status: ObservationStatus = ObservationStatus.OPEN, **values: Any) -> Observation:
    """An observation of ssh of web1 by audit1, from the declared source."""
    fields = {
        "requirement": "linux.ssh",
        "host": "web1",
        "address": TARGET,
        "protocol": Protocol.TCP,
        "port": 22,
        "service": ServiceStatus.NOT_CHECKED,
        "evidence": "",
        "rtt_ms": None,
        "attempts": 3,
        "vantage": "audit1",
        "source_address": SOURCE,
        **values,
    }
    return Observation(status=status, **fields)


def make_rule(kind: str, text: str = "deny 22/tcp") -> Decision:
    return Decision(kind=kind, id="1", text=text)
