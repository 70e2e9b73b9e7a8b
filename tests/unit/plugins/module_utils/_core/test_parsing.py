# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Result dicts into records and back."""

from __future__ import annotations

import datetime
from enum import Enum
from ipaddress import IPv4Address
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.parsing import (
    parse_observation,
    parse_requirement,
    parse_verdict,
    parse_waiver,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus

from .builders import make_observation, make_path, make_rule, make_verdict

WAIVER = {"requirement": "snmp.agent", "hosts": ["web1"], "reason": "no agent there", "expiry": "2027-03-31"}


class Tagged(str):
    """A text as Ansible hands it over: a subclass of str."""

    __slots__ = ()


def tag(value: Any) -> Any:
    """The same data as Ansible would hand it over."""
    if isinstance(value, dict):
        return {Tagged(key): tag(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tag(item) for item in value]
    return Tagged(value) if isinstance(value, str) else value


def test_records_survive_the_way_through_ansible() -> None:
    path = make_path(VerdictStatus.BLOCKED, persistent=None, decided_by=(make_rule("ufw"),))
    for verdict in (make_verdict(), make_verdict(VerdictStatus.PARTIAL, paths=(path,), listening=False, port=None)):
        assert parse_verdict(tag(to_result(verdict))) == verdict
    for observation in (make_observation(), make_observation(rtt_ms=1.5, source_address=None, address=None, port=None)):
        assert parse_observation(tag(to_result(observation))) == observation
    for requirement in CATALOG:
        assert parse_requirement(tag(to_result(requirement))) == requirement


def test_results_are_plain_data() -> None:
    def kinds(value: Any) -> set[type]:
        if isinstance(value, dict):
            return {kind for item in value.values() for kind in kinds(item)} | {type(key) for key in value}
        if isinstance(value, list):
            return {kind for item in value for kind in kinds(item)}
        return {type(value)}

    found = kinds(to_result([make_verdict(), make_observation(), CATALOG[0]]))
    assert found <= {str, int, float, bool, type(None)}
    assert not any(issubclass(kind, Enum) for kind in found)


@pytest.mark.parametrize("foreign", [IPv4Address("192.0.2.1"), b"x", {1, 2}, object()])
def test_nothing_foreign_slips_into_a_result(foreign: object) -> None:
    with pytest.raises(TypeError, match="part of a result"):
        to_result({"value": foreign})


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("status", "ajar", ["status", "'ajar'", "blocked, not_applicable, open, partial, unknown"]),
        ("status", None, ["'status' is missing"]),
        ("host", None, ["'host' is missing"]),
        ("protocol", "tpc", ["protocol", "'tpc'", "icmp, rpc"]),
        ("port", "ssh", ["port", "'ssh'"]),
        ("persistent", "yes", ["persistent", "'yes'", "true, false nor null"]),
        ("paths", {"source": "x"}, ["paths", "list of dictionaries"]),
        ("paths", [{"source": "any"}], ["paths", "'destination' is missing"]),
        ("reason", ["x"], ["reason", "text is expected"]),
    ],
)
def test_a_broken_verdict_is_named(field: str, value: object, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_verdict({**to_result(make_verdict()), field: value}, "verdicts, row 7")
    for text in ["verdicts, row 7", *told]:
        assert text in str(caught.value)


def test_errors_name_the_row() -> None:
    with pytest.raises(InputError, match=r"row 2 \(linux\.ssh on web1\): status: 'x'"):
        parse_observation({**to_result(make_observation()), "status": "x"}, "row 2")
    with pytest.raises(InputError, match="rtt_ms: 'x' is no number"):
        parse_observation({**to_result(make_observation()), "rtt_ms": "x"})


def test_later_fields_of_results_are_passed_over() -> None:
    assert parse_verdict({**to_result(make_verdict()), "novelty": 1}) == make_verdict()


def test_waivers_are_read_strictly() -> None:
    assert parse_waiver(WAIVER).expiry == "2027-03-31"
    assert parse_waiver({**WAIVER, "expiry": datetime.date(2027, 3, 31)}) == parse_waiver(WAIVER)
    assert parse_waiver({**WAIVER, "expiry": None, "hosts": "*"}).hosts == ("*",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hosts": []}, "at least one host"),
        ({"hosts": [None]}, "hosts"),
        ({"hosts": {"web1": 1}}, "a list is expected"),
        ({"reason": None}, "'reason' is missing"),
        ({"requirement": None}, "'requirement' is missing"),
        ({"until": "2027"}, "'until'.*expiry"),
        ({"expiry": "2027-02-30"}, "expiry.*no date"),
        ({"expiry": "2027-W05-1"}, "no date"),
        ({"expiry": "31.3.2027"}, "YYYY-MM-DD"),
    ],
)
def test_a_broken_waiver_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_waiver({**WAIVER, **change}, "waivers, row 1")
