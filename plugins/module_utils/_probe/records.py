# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain records between whoever wants to know and the engine: probes, options, outcomes."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import NamedTuple, Tuple, Union

from .._core.records import Observation
from .._core.vocabulary import ObservationStatus, Protocol, ServiceStatus
from . import constants
from .protocols.base import Evidence
from .secret import Secret

SocketAddress = Union[Tuple[str, int], Tuple[str, int, int, int]]


class Question(NamedTuple):
    """What a probe asks of an address; ``port`` is ``None`` for an echo."""

    protocol: Protocol
    port: int | None
    service: str


@dataclass(unsafe_hash=True)
class Probe:
    """One question to the wire. ``address`` may be a name; ``index`` is the place of the answer in the result.

    Nobody changes one once it is made. It is not frozen only since that would cost more than all the rest of it.
    """

    __slots__ = ("address", "host", "index", "question", "requirement")

    index: int
    host: str
    requirement: str
    address: str
    question: Question

    @property
    def protocol(self) -> Protocol:
        """Of the question."""
        return self.question.protocol

    @property
    def port(self) -> int | None:
        """Of the question."""
        return self.question.port

    @property
    def service(self) -> str:
        """Of the question."""
        return self.question.service


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe. ``timeout_s`` bounds the wait for the answer to each try, ``deadline_s`` the whole run."""

    timeout_s: float = constants.TIMEOUT_S
    retries: int = constants.RETRIES
    rate_per_s: float = constants.RATE_PER_S
    concurrency: int = constants.CONCURRENCY
    per_host: int = constants.PER_HOST
    deadline_s: float | None = None
    source_address: str | None = None
    confirm: bool = False  # ask those that stay silent over TCP once more, for CONFIRM_S
    service_check: bool = True
    snmp_community: Secret | None = None
    printer_pjl: bool = False
    vantage: str = "controller"


class Endpoint(NamedTuple):
    """A numeric address that packets can be sent to; ``scope`` is the interface of a link-local IPv6 address."""

    family: socket.AddressFamily
    address: str
    scope: int = 0

    def at(self, port: int) -> SocketAddress:
        """The form that sockets take."""
        if self.family == socket.AF_INET:
            return (self.address, port)
        return (self.address, port, 0, self.scope)


class Outcome(NamedTuple):
    """What came of a probe of one address."""

    status: ObservationStatus
    evidence: str
    service: ServiceStatus = ServiceStatus.NOT_CHECKED
    rtt_s: float | None = None
    attempts: int = 0
    source: str | None = None
    said: Evidence | None = None  # what the service let us know, where it was asked


def observe(probe: Probe, address: str | None, outcome: Outcome, vantage: str) -> Observation:
    """The record that users see."""
    return Observation(
        requirement=probe.requirement,
        host=probe.host,
        address=address,
        protocol=probe.protocol,
        port=probe.port,
        status=outcome.status,
        service=outcome.service,
        evidence=outcome.evidence,
        rtt_ms=None if outcome.rtt_s is None else round(outcome.rtt_s * 1e6) / 1000,
        attempts=outcome.attempts,
        vantage=vantage,
        source_address=outcome.source,
    )
