# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result dicts back into records: the reverse of ``to_result``, for filters and for what users write themselves.

Every function raises InputError that names the row, the field and the choices. Fields that results may gain in later
versions are passed over in verdicts and observations; in what people write by hand an unknown field is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .catalog import CATALOG_VERSION, NO_PROBE, SERVICES
from .errors import InputError, choices
from .fields import Fields, parse_date, parse_texts
from .records import Decision, Observation, Path, Requirement, Source, Verdict, Waiver
from .vocabulary import (
    Condition,
    Level,
    ListenerHome,
    ObservationStatus,
    Protocol,
    ServiceStatus,
    SourceRole,
    System,
    VerdictStatus,
)

_ID = re.compile(r"\A[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+\Z")
_REQUIREMENT_FIELDS = tuple(field.name for field in fields(Requirement))
_WAIVER_FIELDS = tuple(field.name for field in fields(Waiver))
_WITH_PORT = (Protocol.TCP, Protocol.UDP)


def parse_requirement(values: Mapping[str, Any], where: str = "requirement") -> Requirement:
    """A requirement that a user wrote, or one from an earlier result.

    ``id``, ``system`` and ``protocol`` are needed, ``port`` for tcp and udp; the rest has defaults.
    """
    reader = Fields(values, f"{where} ({values['id']})" if values.get("id") else where)
    reader.refuse_unknown(_REQUIREMENT_FIELDS)
    requirement_id = reader.text("id")
    if not _ID.match(requirement_id):
        raise InputError(f"{reader.where}: id: write it as system.name in small letters, digits and underscores")
    protocol = reader.choice("protocol", Protocol)
    port = reader.port("port")
    if (port is None) == (protocol in _WITH_PORT):
        rule = "needs a port" if port is None else "has no port"
        raise InputError(f"{reader.where}: port: protocol {protocol.value} {rule}")
    service = reader.text("service", NO_PROBE)
    if service not in SERVICES:
        raise InputError(f"{reader.where}: service: {service!r} is not known; choose from {choices(SERVICES)}")
    return Requirement(
        id=requirement_id,
        system=reader.choice("system", System).value,
        protocol=protocol,
        port=port,
        level=reader.choice("level", Level, Level.REQUIRED),
        condition=reader.choice("condition", Condition, Condition.ALWAYS),
        source_role=reader.choice("source_role", SourceRole, SourceRole.AUDIT_HOST),
        listener_home=reader.choice("listener_home", ListenerHome, ListenerHome.TARGET),
        service=service,
        purpose=reader.text("purpose", ""),
        without=reader.text("without", ""),
        source=_parse_source(reader),
        catalog_version=reader.text("catalog_version", CATALOG_VERSION),
    )


def _parse_source(reader: Fields) -> Source:
    value = reader.values.get("source")
    if value is None:
        return Source(page="added by the user", date="")
    if not isinstance(value, Mapping):
        raise InputError(f"{reader.where}: source: a dictionary with page and date is expected, not {value!r}")
    inner = Fields(value, f"{reader.where}: source")
    return Source(page=inner.text("page"), date=inner.text("date", ""))


def parse_verdict(values: Mapping[str, Any], where: str = "verdict") -> Verdict:
    """A verdict from its result dict."""
    reader = Fields(values, _place(values, where))
    return Verdict(
        requirement=reader.text("requirement"),
        host=reader.text("host"),
        system=reader.text("system"),
        protocol=reader.choice("protocol", Protocol),
        port=reader.port("port"),
        level=reader.choice("level", Level),
        status=reader.choice("status", VerdictStatus),
        reason=reader.text("reason", ""),
        persistent=reader.flag("persistent"),
        listening=reader.flag("listening"),
        listener=reader.optional_text("listener"),
        paths=tuple(_parse_path(Fields(row, f"{reader.where}: paths")) for row in reader.rows("paths")),
    )


def _parse_path(reader: Fields) -> Path:
    return Path(
        source=reader.text("source"),
        destination=reader.text("destination"),
        status=reader.choice("status", VerdictStatus),
        reason=reader.text("reason", ""),
        persistent=reader.flag("persistent"),
        decided_by=tuple(
            Decision(kind=inner.text("kind"), id=inner.text("id", ""), text=inner.text("text", ""))
            for inner in (Fields(row, f"{reader.where}: decided_by") for row in reader.rows("decided_by"))
        ),
    )


def parse_observation(values: Mapping[str, Any], where: str = "observation") -> Observation:
    """An observation from its result dict."""
    reader = Fields(values, _place(values, where))
    return Observation(
        requirement=reader.text("requirement"),
        host=reader.text("host"),
        address=reader.optional_text("address"),
        protocol=reader.choice("protocol", Protocol),
        port=reader.port("port"),
        status=reader.choice("status", ObservationStatus),
        service=reader.choice("service", ServiceStatus, ServiceStatus.NOT_CHECKED),
        evidence=reader.text("evidence", ""),
        rtt_ms=reader.number("rtt_ms"),
        attempts=int(reader.number("attempts") or 0),
        vantage=reader.text("vantage", "controller"),
        source_address=reader.optional_text("source_address"),
    )


def parse_waiver(values: Mapping[str, Any], where: str = "waiver") -> Waiver:
    """A waiver that a user wrote: requirement, hosts (names or ``*``), reason, and an expiry date or none."""
    reader = Fields(values, where)
    reader.refuse_unknown(_WAIVER_FIELDS)
    expiry = reader.values.get("expiry")
    hosts = parse_texts(reader.values.get("hosts") or [], f"{where}: hosts")
    if not hosts:
        raise InputError(f"{where}: hosts: name at least one host, or '*' for all")
    return Waiver(
        requirement=reader.text("requirement"),
        hosts=hosts,
        reason=reader.text("reason"),
        expiry=None if expiry is None else parse_date(expiry, f"{where}: expiry"),
    )


def _place(values: Mapping[str, Any], where: str) -> str:
    if values.get("requirement") and values.get("host"):
        return f"{where} ({values['requirement']} on {values['host']})"
    return where
