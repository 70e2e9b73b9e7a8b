# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The shared options: documented as they are, and turned into a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.agentless.audit_ports.plugins.action import readiness_report as report_action
from ansible_collections.agentless.audit_ports.plugins.doc_fragments.firewall import ModuleDocFragment
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.modules import readiness_report as report_module
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet.inventory import Fleet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.arguments import (
    ARGUMENT_SPEC,
    build_request,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Request

_COMPARED = ("type", "elements", "choices", "default")


def _specs(documented: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: option[key] for key in _COMPARED if key in option} for name, option in documented.items()}


def test_the_documentation_and_the_argument_specs_are_the_same() -> None:
    assert _specs(yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]) == _specs(ARGUMENT_SPEC)
    documented = yaml.safe_load(report_module.DOCUMENTATION)["options"]
    assert _specs(documented) == _specs(report_action.ARGUMENT_SPEC)


def options(**given: Any) -> dict[str, Any]:
    return {**{name: option.get("default") for name, option in ARGUMENT_SPEC.items()}, **given}


def fleet(**hostvars: Any) -> Fleet:
    groups = {"audit_hosts": ["audit1"], "audit_domain_controllers": ["dc"]}
    hosts = {"audit1": {"audit_ports_source": "192.0.2.10"}, **hostvars}
    return Fleet(hosts, groups, lambda name: ["198.51.100.5", "2001:db8::5"])


def asked(fleet: Fleet, host: str, **given: Any) -> Request:
    return build_request(options(**given), fleet, host)


def test_the_request_of_a_linux_host() -> None:
    request = asked(fleet(web={"audit_ports_systems": ["linux", "snmp"]}), "web")
    assert [row.id for row in request.requirements] == ["linux.ssh", "snmp.agent", "snmp.trap"]
    assert set(request.not_applicable) == {"snmp.trap"}
    assert [source.text for source in request.sources[SourceRole.AUDIT_HOST]] == ["192.0.2.10"]
    assert SourceRole.DEVICE not in request.sources
    assert [str(address) for address in request.destinations] == ["198.51.100.5", "2001:db8::5"]


def test_a_host_is_asked_for_what_it_is_for_the_network_too() -> None:
    request = asked(fleet(dc={"audit_ports_systems": ["linux"]}), "dc")
    assert [row.id for row in request.requirements] == [
        "windows.kerberos",
        "windows.ldap",
        "linux.ssh",
        "network_scan.ldap",
    ]
    assert [row.id for row in asked(fleet(dc={}), "dc", systems=["linux"]).requirements] == ["linux.ssh"]


def test_the_hosts_variables_hold_where_the_task_says_nothing() -> None:
    variables = {"audit_ports_systems": ["linux"], "audit_ports_ports": {"linux.ssh": 2222}}
    assert asked(fleet(web=variables), "web").requirements[0].port == 2222
    assert asked(fleet(web=variables), "web", ports={"linux.ssh": 22}).requirements[0].port == 22


def test_a_row_of_ones_own_that_is_named_needs_no_system() -> None:
    row = {"id": "own.agent", "system": "linux", "protocol": "tcp", "port": 5005, "purpose": "an agent"}
    request = asked(fleet(web={}), "web", extra=[row], requirements=["own.agent"])
    assert [item.id for item in request.requirements] == ["own.agent"]
    with pytest.raises(InputError, match="what kind of system"):
        asked(fleet(web={}), "web", extra=[row])


def test_traps_without_devices_concern_nobody_unless_they_are_asked_for() -> None:
    request = asked(fleet(), "audit1", systems=["snmp"])
    assert "nobody sends traps" in request.not_applicable["snmp.trap"]
    with pytest.raises(InputError, match="nobody sends traps"):
        asked(fleet(), "audit1", systems=["snmp"], requirements=["snmp.trap"])


def test_udp_135_and_139_are_opened_only_when_named() -> None:
    known = fleet(win={"audit_ports_systems": ["windows"]})
    assert "windows.rpc_udp" not in asked(known, "win", psremoting="false").openable
    assert "windows.rpc_udp" in asked(known, "win", psremoting="false", requirements=["windows.rpc_udp"]).openable
    assert "windows.smb" not in asked(known, "win").openable


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "what kind of system"),
        ({"systems": ["toaster"]}, "toaster"),
        ({"systems": ["linux"], "requirements": ["linux.telnet"]}, "linux.telnet"),
        ({"systems": ["linux"], "exclude": ["linux.ssh"]}, "no requirement is left"),
        ({"systems": ["linux"], "sources": []}, "empty"),
        ({"systems": ["linux"], "select": "[?"}, "JMESPath"),
    ],
)
def test_wrong_options_are_errors(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        asked(fleet(web={}), "web", **given)
