# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of lookup, action and module C(reachability), and how they become options of a run.

Those of PROBING_SPEC are documented in doc_fragments/probing.py; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.addressset import parse_address
from .._core.errors import InputError
from . import constants
from .records import ProbeOptions
from .secret import Secret

PROBING_SPEC: dict[str, dict[str, Any]] = {
    "systems": {"type": "list", "elements": "str"},
    "requirements": {"type": "list", "elements": "str", "aliases": ["ids"]},
    "levels": {"type": "list", "elements": "str"},
    "exclude": {"type": "list", "elements": "str"},
    "select": {"type": "str"},
    "psremoting": {"type": "str"},
    "literal": {"type": "bool"},
    "extra": {"type": "list", "elements": "dict"},
    "ports": {"type": "dict"},
    "timeout": {"type": "float", "default": constants.TIMEOUT_S},
    "retries": {"type": "int", "default": constants.RETRIES},
    "rate": {"type": "float", "default": constants.RATE_PER_S},
    "per_host": {"type": "int", "default": constants.PER_HOST},
    "concurrency": {"type": "int", "default": constants.CONCURRENCY},
    "deadline": {"type": "float"},
    "source_address": {"type": "str"},
    "confirm": {"type": "bool", "default": False},
    "service_check": {"type": "bool", "default": True},
    "snmp_community": {"type": "str", "no_log": True},
    "printer_pjl": {"type": "bool", "default": False},
}
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "hosts": {"type": "list", "elements": "str"},
    "dest": {"type": "path"},
    "vantage": {"type": "str"},
    "probes": {"type": "list", "elements": "list"},
    "mark": {"type": "str"},
    **PROBING_SPEC,
}


def make_options(given: Mapping[str, Any], vantage: str) -> ProbeOptions:
    """How to probe, by the options of PROBING_SPEC. Raises InputError that names the option."""
    community = given["snmp_community"]
    source = given["source_address"]
    return ProbeOptions(
        timeout_s=_number(given, "timeout", least=0.01),
        retries=int(_number(given, "retries", least=0)),
        rate_per_s=_number(given, "rate", least=0.1),
        concurrency=int(_number(given, "concurrency", least=1)),
        per_host=int(_number(given, "per_host", least=1)),
        deadline_s=None if given["deadline"] is None else _number(given, "deadline", least=0.01),
        source_address=None if source is None else str(parse_address(source)),
        confirm=bool(given["confirm"]),
        service_check=bool(given["service_check"]),
        snmp_community=Secret(str(community)) if community else None,
        printer_pjl=bool(given["printer_pjl"]),
        vantage=vantage,
    )


def _number(given: Mapping[str, Any], name: str, *, least: float) -> float:
    value = given[name]
    if value < least:
        raise InputError(f"{name}: {value} is too small; {least:g} is the least")
    return float(value)
