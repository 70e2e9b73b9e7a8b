# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen records that verdicts, observations and diagnoses are made of, and their one result form.

The shape is the same on every system. ``to_result`` is the only place that turns records into the dicts that users see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from .vocabulary import (
    Cause,
    Condition,
    Level,
    ListenerHome,
    ObservationStatus,
    Protocol,
    RowStatus,
    ServiceStatus,
    SourceRole,
    VerdictStatus,
)

_PLAIN = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True)
class Source:
    """Where a statement of the catalog comes from: the title of a page and the ISO date on which it was read."""

    page: str
    date: str


@dataclass(frozen=True)
class Requirement:
    """One thing the audit needs of one kind of system.

    ``port`` is a number for tcp and udp, else ``None``. ``service`` names the probe that proves it. ``purpose`` and
    ``without`` are for people: what it is for, and what is lost without it.
    """

    id: str
    system: str
    protocol: Protocol
    port: int | None
    level: Level
    condition: Condition
    source_role: SourceRole
    listener_home: ListenerHome
    service: str
    purpose: str
    without: str
    source: Source
    catalog_version: str

    @property
    def wire(self) -> str:
        """The requirement as people write it: ``tcp/22``, ``icmp echo``, ``rpc``."""
        if self.protocol is Protocol.ICMP:
            return "icmp echo"
        return self.protocol.value if self.port is None else f"{self.protocol.value}/{self.port}"


@dataclass(frozen=True)
class Decision:
    """One rule (or the lack of one) that decided: its kind, its stable id, and its words as the manager writes them.

    Kinds that tell a cause by themselves (managed policy, a service's own list) stand in ``causes.py``.
    """

    kind: str
    id: str
    text: str


@dataclass(frozen=True)
class Path:
    """What happens to packets from one source (an address or network) to one destination address.

    ``persistent`` says whether the same holds after a reboot; ``None`` is "not known".
    """

    source: str
    destination: str
    status: VerdictStatus
    reason: str
    persistent: bool | None
    decided_by: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the host's own firewall does with one requirement's packets, over all sources and destinations."""

    requirement: str
    host: str
    system: str
    protocol: Protocol
    port: int | None
    level: Level
    status: VerdictStatus
    reason: str
    persistent: bool | None
    listening: bool | None
    listener: str | None
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What a probe from a vantage saw on the wire. ``rtt_ms`` is ``None`` when nothing came back."""

    requirement: str
    host: str
    address: str | None
    protocol: Protocol
    port: int | None
    status: ObservationStatus
    service: ServiceStatus
    evidence: str
    rtt_ms: float | None
    attempts: int
    vantage: str
    source_address: str | None


@dataclass(frozen=True)
class Waiver:
    """A decision to live without a requirement. ``hosts`` are names or ``*``; ``expiry`` an ISO date or ``None``."""

    requirement: str
    hosts: tuple[str, ...]
    reason: str
    expiry: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Verdict, listener and observations of one requirement on one host, joined: one cause, one next step."""

    requirement: str
    host: str
    status: RowStatus
    cause: Cause
    reason: str
    next_step: str
    verdict: Verdict | None
    observations: tuple[Observation, ...] = ()
    waiver: Waiver | None = None


def verdict_of(
    requirement: Requirement,
    host: str,
    *,
    status: VerdictStatus,
    reason: str,
    persistent: bool | None = None,
    listening: bool | None = None,
    listener: str | None = None,
    paths: tuple[Path, ...] = (),
) -> Verdict:
    """A verdict that says of itself what it is about, from the requirement that it is about."""
    return Verdict(
        requirement=requirement.id,
        host=host,
        system=requirement.system,
        protocol=requirement.protocol,
        port=requirement.port,
        level=requirement.level,
        status=status,
        reason=reason,
        persistent=persistent,
        listening=listening,
        listener=listener,
        paths=paths,
    )


def to_result(value: Any) -> Any:
    """Turn records into what Ansible may return: dict, list, str, int, float, bool and ``None`` alone.

    Raises TypeError for anything else, so that no foreign object can slip into a result.
    """
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Enum):
        return value.value
    if kind is tuple or kind is list:
        return [to_result(item) for item in value]
    names = _field_names(kind)
    if names is not None:
        return {name: to_result(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): to_result(item) for key, item in value.items()}
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [to_result(item) for item in value]
    raise TypeError(f"{kind.__name__} cannot be part of a result")


@lru_cache(maxsize=None)
def _field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a record's class, ``None`` for a class that is no record."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None
