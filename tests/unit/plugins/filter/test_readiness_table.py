# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The filter readiness_table."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.agentless.audit_ports.plugins.filter.diagnose import diagnose
from ansible_collections.agentless.audit_ports.plugins.filter.readiness_table import FilterModule

readiness_table = FilterModule().filters()["readiness_table"]


def test_the_result_of_diagnose_becomes_lines() -> None:
    lines = readiness_table(diagnose([], systems={"web1": ["linux"]}, reasons={"web1": "unreachable"}), width="120")
    assert lines[0] == "web1: unknown by ssh - linux.ssh (required) is unknown"
    assert "tcp/22" in lines[2]
    assert "(unreachable)" in " ".join(lines[2:])
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("value", "options", "told"),
    [
        ([], {}, "with diagnoses and hosts, not list"),
        ({"diagnoses": []}, {}, "with diagnoses and hosts, not dict"),
        ({"diagnoses": ["x"], "hosts": []}, {}, "diagnoses, row 1: a dictionary is expected"),
        ({"diagnoses": [], "hosts": []}, {"width": "wide"}, "width: 'wide' is no number"),
    ],
)
def test_anything_else_is_refused(value: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(AnsibleFilterError, match=told):
        readiness_table(value, **options)
