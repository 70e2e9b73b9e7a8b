# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The filter diagnose, and that its documentation and its options are the same."""

from __future__ import annotations

import inspect
from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.agentless.audit_ports.plugins.filter import diagnose as plugin
from ansible_collections.agentless.audit_ports.plugins.module_utils._core import fleet

VERDICT = {
    "requirement": "linux.ssh",
    "host": "web1",
    "system": "linux",
    "protocol": "tcp",
    "port": 22,
    "level": "required",
    "status": "blocked",
    "reason": "policy drop",
    "persistent": None,
    "listening": None,
    "listener": None,
    "paths": [],
}
diagnose = plugin.FilterModule().filters()["diagnose"]


def test_verdicts_and_observations_become_diagnoses_and_hosts() -> None:
    found = diagnose([VERDICT])
    assert found["diagnoses"][0]["cause"] == "host_firewall"
    assert found["hosts"][0] == {
        "host": "web1",
        "systems": ["linux"],
        "readiness": "not_ready",
        "route": "ssh",
        "reasons": ["linux.ssh (required) is blocked"],
    }


@pytest.mark.parametrize(("days", "status"), [(0, "waived"), (-2, "blocked")])
def test_today_is_the_controllers_unless_told(days: int, status: str) -> None:
    day = (date.today() + timedelta(days)).isoformat()
    waivers = [{"requirement": "linux.ssh", "hosts": ["web1"], "reason": "agreed", "expiry": day}]
    assert diagnose([VERDICT], waivers=waivers)["diagnoses"][0]["status"] == status
    assert diagnose([VERDICT], waivers=waivers, today="2000-01-01")["diagnoses"][0]["status"] == "waived"


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        ("x", {}, "verdicts: a list of dictionaries is expected, not str"),
        ([{**VERDICT, "status": "ajar"}], {}, r"row 1 \(linux\.ssh on web1\): status: 'ajar' is not known"),
        ([VERDICT], {"wavers": []}, "there is no field 'wavers'; choose from .*waivers"),
        ([VERDICT], {"today": "tomorrow"}, "today: 'tomorrow' is no date"),
    ],
)
def test_wrong_input_is_a_filter_error(values: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(AnsibleFilterError, match=told):
        diagnose(values, **options)


def test_every_option_is_documented_and_none_is_invented() -> None:
    documented = set(yaml.safe_load(plugin.DOCUMENTATION)["options"])
    assert documented == {"_input", "observations", *fleet.OPTIONS}
    assert "observations" in inspect.signature(plugin.diagnose).parameters
