# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts an audit host audits, and what the action says of a module that failed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.action.reachability import _arguments, _explain
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.arguments import PROBING_SPEC
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet.inventory import Fleet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.options import audited_from, make_plan

_FLEET = Fleet(
    {
        "audit1": {"audit_ports_site": "north"},
        "audit2": {"audit_ports_site": "south"},
        "web1": {"audit_ports_site": "north", "audit_ports_systems": ["linux"]},
        "web2": {"audit_ports_site": "south", "audit_ports_systems": ["linux"]},
        "web3": {"audit_ports_systems": ["linux"]},
    },
    {"audit_hosts": ["audit1", "audit2"], "audit_targets": ["web1", "web2", "web3"]},
)


@pytest.mark.parametrize(
    ("vantage", "hosts"),
    [("audit1", ("web1", "web3")), ("audit2", ("web2", "web3")), ("localhost", ("web1", "web2", "web3"))],
)
def test_each_audit_host_has_its_site(vantage: str, hosts: tuple[str, ...]) -> None:
    """A host without a site belongs to all of them."""
    assert audited_from(_FLEET, vantage) == hosts


def _given(**changes: Any) -> dict[str, Any]:
    return {**{name: option.get("default") for name, option in PROBING_SPEC.items()}, "dest": None, **changes}


def test_the_module_gets_plain_probes_and_nothing_of_the_inventory() -> None:
    given = _given(snmp_community="geheim", deadline=9.0, select="[?id=='linux.ssh']", extra=[])
    arguments = _arguments(make_plan(given, _FLEET, ["web1"], "audit1"), given)
    assert arguments.pop("probes") == [[0, "web1", "linux.ssh", "web1", "tcp", 22, "ssh"]]
    assert arguments.pop("snmp_community") == "geheim"
    assert arguments == {
        "vantage": "audit1",
        "timeout": 2.0,
        "retries": 2,
        "rate": 1000.0,
        "per_host": 4,
        "concurrency": 4000,
        "deadline": 9.0,
        "confirm": False,
        "service_check": True,
        "printer_pjl": False,
    }


def test_polite_by_default() -> None:
    options = make_plan(_given(), _FLEET, ["web1"]).options
    assert (options.rate_per_s, options.per_host, options.retries, options.printer_pjl) == (1000, 4, 2, False)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"module_stderr": "SyntaxError: future feature annotations is not defined"}, "3.8 is needed"),
        ({"msg": "MODULE FAILURE", "module_stdout": "  File x\nSyntaxError: invalid syntax"}, "use the lookup"),
        ({"msg": "this host cannot probe"}, "audit1: this host cannot probe"),
        ({}, "audit1: the module failed"),
    ],
)
def test_a_failure_names_the_host_and_the_next_step(found: dict[str, Any], words: str) -> None:
    assert words in _explain("audit1", found)
