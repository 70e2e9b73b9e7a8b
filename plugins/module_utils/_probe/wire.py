# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes, options and observations as plain values, for the way to another machine and for files of JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Tuple

from .._core.errors import InputError
from .._core.records import Observation, to_result
from .._core.vocabulary import Protocol
from .records import Probe, ProbeOptions, Question
from .secret import Secret

Numbered = Tuple[int, Observation]

_SECRET = "snmp_community"
_ONLY_OWNER = 0o600


def pack_probe(probe: Probe) -> list[Any]:
    """A probe as a list: its fields in the order of the record."""
    return [
        probe.index,
        probe.host,
        probe.requirement,
        probe.address,
        probe.protocol.value,
        probe.port,
        probe.service,
    ]


def unpack_probe(values: Sequence[Any]) -> Probe:
    """The probe that ``pack_probe`` made a list of. Raises InputError for anything else."""
    try:
        index, host, requirement, address, protocol, port, service = values
        return Probe(
            index=int(index),
            host=str(host),
            requirement=str(requirement),
            address=str(address),
            question=Question(Protocol(protocol), None if port is None else int(port), str(service)),
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"probes: {values!r} is no probe: index, host, requirement, address, protocol, port, service"
        ) from error


def pack_options(options: ProbeOptions) -> dict[str, Any]:
    """Options as a dict; the community in clear: for a standard input or the arguments of a module, never for show."""
    plain = {field.name: getattr(options, field.name) for field in fields(options)}
    if options.snmp_community is not None:
        plain[_SECRET] = options.snmp_community.reveal().decode("utf-8")
    return plain


def unpack_options(values: Mapping[str, Any]) -> ProbeOptions:
    """The options that ``pack_options`` made a dict of."""
    community = values.get(_SECRET)
    return ProbeOptions(**{**values, _SECRET: None if community is None else Secret(str(community))})


def pack_observation(index: int, observation: Observation) -> str:
    """One line of JSON: the result dict of the observation, and ``index``, the number of its probe."""
    return json.dumps({"index": index, **to_result(observation)}, separators=(",", ":"))


def in_input_order(observed: list[Numbered]) -> list[dict[str, Any]]:
    """Result dicts in the order of the probes; of a name with several addresses in the order of those."""
    observed.sort(key=lambda item: (item[0], item[1].address or ""))
    return [to_result(observation) for _index, observation in observed]


def count_statuses(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows there are of each status."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return counts


class JsonLines:
    """A file that takes observations as they are made, one a line; only its owner may read it.

    Raises OSError where it cannot be written. What has been written stays, whatever ends the run.
    """

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _ONLY_OWNER)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def write(self, index: int, observation: Observation) -> None:
        """Add one observation."""
        self._file.write(pack_observation(index, observation) + "\n")

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._file.close()
