# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The lookup of the catalog, as Ansible calls it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible_collections.agentless.audit_ports.plugins.lookup import requirements as plugin
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet import jmes

NAME = "agentless.audit_ports.requirements"


def query(*terms: Any, **options: Any) -> list[dict[str, Any]]:
    """Run the lookup with its options read as its documentation says, as the plugin loader does it."""
    definitions = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", NAME, definitions)
    lookup = plugin.LookupModule()
    lookup._load_name = NAME
    found: list[dict[str, Any]] = lookup.run(list(terms), variables={}, **options)
    return found


def ids(*terms: Any, **options: Any) -> list[str]:
    return [row["id"] for row in query(*terms, **options)]


def test_rows_are_plain_data() -> None:
    (row,) = query("linux", ports={"linux.ssh": 2222})
    assert row["port"] == 2222
    assert row["level"] == "required"
    assert row["level"].__class__ is str
    assert row["source"] == {"page": "Required ports for agentless audit", "date": "2026-11-01"}


def test_terms_may_be_words_lists_or_nothing() -> None:
    assert ids("linux", "snmp") == ids(["linux", "snmp"]) == ["linux.ssh", "snmp.agent", "snmp.trap"]
    assert len(ids()) == 24


def test_options_reach_the_selection() -> None:
    assert ids("windows", psremoting=True) == ["windows.kerberos", "windows.ldap", "windows.winrm"]
    assert ids(ids=["linux.ssh"]) == ids(requirements=["linux.ssh"]) == ["linux.ssh"]
    assert ids("snmp", levels=["recommended"]) == ["snmp.trap"]
    assert ids("snmp", exclude=["snmp.trap"]) == ["snmp.agent"]
    extra = [{"id": "linux.agent", "system": "linux", "protocol": "tcp", "port": 10050}]
    assert ids("linux", extra=extra) == ["linux.ssh", "linux.agent"]
    homes = {row["id"]: row["listener_home"] for row in query("windows", literal=True)}
    assert homes["windows.ldap"] == "target"


def test_select_is_jmespath() -> None:
    assert ids("snmp", select="[?level == 'recommended']") == ["snmp.trap"]
    assert ids("snmp", select="[].id") == ["snmp.agent", "snmp.trap"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"select": "[?level =="}, r"'\[\?level ==' is no JMESPath expression"),
        ({"select": "abs(@)"}, r"'abs\(@\)' cannot be applied"),
        ({"select": "length(@)"}, "must give a list of requirements"),
        ({"ids": ["linux.shh"]}, r"'linux\.shh' is not known.*linux\.ssh"),
        ({"extra": [{"id": "linux.x"}]}, r"extra, row 1 \(linux\.x\): the field 'protocol' is missing"),
    ],
)
def test_wrong_options_are_a_lookup_error_that_names_the_choices(options: dict[str, Any], told: str) -> None:
    with pytest.raises(AnsibleLookupError, match=told):
        query("linux", **options)


def test_a_wrong_system_names_the_choices() -> None:
    with pytest.raises(AnsibleLookupError, match="'linus' is not known; choose from esxi, linux"):
        query("linus")


def test_a_missing_jmespath_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jmes, "jmespath", None)
    with pytest.raises(AnsibleLookupError, match="pip install jmespath"):
        query("linux", select="[]")
