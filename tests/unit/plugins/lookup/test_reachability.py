# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup: what is probed of whom, in which order, and what it says about wrong input."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible_collections.agentless.audit_ports.plugins.doc_fragments.probing import ModuleDocFragment
from ansible_collections.agentless.audit_ports.plugins.lookup import reachability as plugin
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Observation
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ObservationStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Outcome,
    Probe,
    ProbeOptions,
    observe,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import local

HOSTVARS: dict[str, dict[str, Any]] = {
    "linux1": {"audit_ports_address": "192.0.2.11", "ansible_host": "203.0.113.11"},
    "multi": {"ansible_host": "192.0.2.12", "audit_ports_systems": ["linux", "snmp"]},
    "win1": {"audit_ports_psremoting": True},
    "dc1": {"ansible_host": "192.0.2.14"},
    "other": {"audit_ports_ports": {"linux.ssh": 2222}, "audit_ports_systems": ["linux"]},
    "bare": {},
}
GROUPS = {
    "audit_linux": ["linux1"],
    "audit_windows": ["win1", "dc1"],
    "audit_domain_controllers": ["dc1"],
    "audit_dns_servers": ["bare"],
}


class FakeEngine:
    """Tells of every probe that it is open, the last one first, and keeps what it was asked."""

    asked: list[Probe]
    options: ProbeOptions

    def __init__(self, options: ProbeOptions, **_others: object) -> None:
        FakeEngine.options = options

    def __enter__(self) -> FakeEngine:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        pass

    def run(self, probes: Iterable[Probe]) -> Iterator[tuple[int, Observation]]:
        FakeEngine.asked = list(probes)
        for probe in reversed(FakeEngine.asked):
            yield probe.index, observe(probe, probe.address, Outcome(ObservationStatus.OPEN, "fine"), "controller")


NAME = "agentless.audit_ports.reachability"


def _make() -> Any:
    """The lookup with its options read as its documentation says, as the plugin loader does it."""
    shared = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    definitions = {**shared, **yaml.safe_load(plugin.DOCUMENTATION)["options"]}
    constants.config.initialize_plugin_configuration_definitions("lookup", NAME, definitions)
    lookup = plugin.LookupModule()
    lookup._load_name = NAME
    return lookup


@pytest.fixture
def lookup(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lookup with an engine that sends nothing."""
    monkeypatch.setattr(local, "Engine", FakeEngine)
    return _make()


def _ask(lookup: Any, *terms: Any, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lookup.run(list(terms), variables={"hostvars": HOSTVARS, "groups": GROUPS}, **options)
    return found


def _told(rows: list[dict[str, Any]]) -> list[tuple[str, str, int | None]]:
    return [(row["requirement"], row["address"], row["port"]) for row in rows]


def test_address_and_systems_come_from_the_inventory(lookup: Any) -> None:
    assert _told(_ask(lookup, "linux1", "multi")) == [
        ("linux.ssh", "192.0.2.11", 22),
        ("linux.ssh", "192.0.2.12", 22),
        ("snmp.agent", "192.0.2.12", 161),
    ]


def test_order_is_that_of_the_input(lookup: Any) -> None:
    names = ["multi", "other", "linux1"]
    assert [row["host"] for row in _ask(lookup, *names)] == ["multi", "multi", "other", "linux1"]
    assert _ask(lookup, names) == _ask(lookup, *names)
    assert _ask(lookup, "multi", "multi") == _ask(lookup, "multi")


def test_port_and_way_variables_count(lookup: Any) -> None:
    assert _told(_ask(lookup, "other")) == [("linux.ssh", "other", 2222)]
    assert _told(_ask(lookup, "other", ports={"linux.ssh": 22022})) == [("linux.ssh", "other", 22022)]
    assert _told(_ask(lookup, "win1")) == [("windows.winrm", "win1", 5985)]
    assert "windows.smb" in [row["requirement"] for row in _ask(lookup, "win1", psremoting="false")]


def test_listeners_are_probed_where_they_live(lookup: Any) -> None:
    found = [row["requirement"] for row in _ask(lookup, "dc1", psremoting="true")]
    assert found == ["windows.kerberos", "windows.ldap", "windows.winrm", "network_scan.ldap"]
    assert [row["requirement"] for row in _ask(lookup, "bare")] == ["network_scan.dns"]
    literal = [row["requirement"] for row in _ask(lookup, "win1", literal=True)]
    assert literal == ["windows.kerberos", "windows.ldap", "windows.winrm"]


def test_options_narrow(lookup: Any) -> None:
    assert _told(_ask(lookup, "multi", requirements=["snmp.agent"])) == [("snmp.agent", "192.0.2.12", 161)]
    assert _told(_ask(lookup, "multi", exclude=["snmp.agent"])) == [("linux.ssh", "192.0.2.12", 22)]
    assert _told(_ask(lookup, "multi", systems=["printer"])) == [("printer.raw", "192.0.2.12", 9100)]
    assert _told(_ask(lookup, "multi", select="[?protocol=='udp']")) == [("snmp.agent", "192.0.2.12", 161)]
    assert _ask(lookup, "linux1", levels=["attention"]) == []


def test_named_requirements_are_probed_of_a_host_of_no_system(lookup: Any) -> None:
    """Such as the machine itself, which Ansible has variables of without any inventory."""
    assert _told(_ask(lookup, "bare", requirements=["linux.ssh"])) == [("linux.ssh", "bare", 22)]


def test_addresses_outside_of_the_inventory(lookup: Any) -> None:
    found = _told(_ask(lookup, "2001:db8::1", "web.example.com", requirements=["linux.ssh"]))
    assert found == [("linux.ssh", "2001:db8::1", 22), ("linux.ssh", "web.example.com", 22)]
    assert _told(_ask(lookup, "192.0.2.99", systems=["linux"])) == [("linux.ssh", "192.0.2.99", 22)]


@pytest.mark.parametrize(
    ("terms", "options", "words"),
    [
        (["192.0.2.99"], {}, "192.0.2.99 is not in the inventory"),
        (["linux1"], {"requirements": ["linux.telnet"]}, "linux.telnet"),
        (["linux1"], {"systems": ["amiga"]}, "amiga"),
        (["linux1"], {"timeout": 0}, "timeout: 0"),
        (["linux1"], {"rate": -1}, "rate: -1"),
        (["linux1"], {"retries": -1}, "retries: -1"),
        (["linux1"], {"deadline": 0}, "deadline: 0"),
        (["linux1"], {"concurrency": 0}, "concurrency: 0"),
        (["linux1"], {"source_address": "here"}, "here"),
        (["linux1"], {"select": "]["}, "JMESPath"),
        (["linux1"], {"psremoting": "perhaps"}, "perhaps"),
    ],
)
def test_wrong_input_is_named(lookup: Any, terms: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleLookupError, match=words.replace("[", r"\[")):
        _ask(lookup, *terms, **options)


def test_options_reach_the_engine(lookup: Any) -> None:
    _ask(
        lookup,
        "linux1",
        timeout=1,
        retries=0,
        rate=5,
        concurrency=7,
        deadline=9,
        source_address="192.0.2.1",
        service_check=False,
        snmp_community="geheim",
    )
    options = FakeEngine.options
    assert (options.timeout_s, options.retries, options.rate_per_s, options.concurrency) == (1.0, 0, 5.0, 7)
    assert (options.deadline_s, options.source_address, options.service_check) == (9.0, "192.0.2.1", False)
    assert options.snmp_community is not None
    assert options.snmp_community.reveal() == b"geheim"
    _ask(lookup, "linux1", snmp_community="")
    assert FakeEngine.options.snmp_community is None
    assert FakeEngine.options.deadline_s is None


def test_results_are_plain(lookup: Any) -> None:
    (row,) = _ask(lookup, "linux1")
    assert row == {
        "requirement": "linux.ssh",
        "host": "linux1",
        "address": "192.0.2.11",
        "protocol": "tcp",
        "port": 22,
        "status": "open",
        "service": "not_checked",
        "evidence": "fine",
        "rtt_ms": None,
        "attempts": 0,
        "vantage": "controller",
        "source_address": None,
    }
    assert row["status"].__class__ is str


def test_the_real_engine_on_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        open_one, closed_one = _make().run(
            ["127.0.0.1", "127.0.0.2"],
            variables={},
            requirements=["linux.ssh"],
            ports={"linux.ssh": port},
            service_check=False,
        )
    assert (open_one["status"], closed_one["status"]) == ("open", "closed")


def test_the_community_of_the_inventory_is_used(lookup: Any) -> None:
    variables = {"hostvars": HOSTVARS, "groups": GROUPS, "audit_ports_snmp_community": "geheim"}
    lookup.run(["multi"], variables=variables)
    assert FakeEngine.options.snmp_community is not None
    assert FakeEngine.options.snmp_community.reveal() == b"geheim"


def test_dest_takes_what_is_seen_as_it_is_made(lookup: Any, tmp_path: Path) -> None:
    """In the order of completion, which the engine here has reversed; the list is in the order of the input."""
    dest = tmp_path / "seen.jsonl"
    found = _ask(lookup, "multi", "linux1", dest=str(dest))
    written = [json.loads(line) for line in dest.read_text(encoding="utf-8").splitlines()]
    assert [row.pop("index") for row in written] == [2, 1, 0]
    assert written == found[::-1]
    assert dest.stat().st_mode & 0o077 == 0


def test_dest_that_cannot_be_written_is_an_error(lookup: Any, tmp_path: Path) -> None:
    with pytest.raises(AnsibleLookupError, match="dest cannot be written"):
        _ask(lookup, "linux1", dest=str(tmp_path / "nowhere" / "seen.jsonl"))


@pytest.mark.parametrize(
    ("vantage", "words"),
    [
        ("nobody", "nobody is not in the inventory"),
        ("win1", "win1: the connection to it failed"),
        ("boxed", "reached by podman"),
    ],
)
def test_a_vantage_that_cannot_be_used_is_named(lookup: Any, vantage: str, words: str) -> None:
    hosts = {"win1": {"ansible_connection": "winrm"}, "boxed": {"ansible_connection": "containers.podman.podman"}}
    variables = {"hostvars": {**HOSTVARS, **hosts}, "groups": GROUPS}
    with pytest.raises(AnsibleLookupError, match=words):
        lookup.run(["linux1"], variables=variables, vantage=vantage)


def test_vantage_by_a_local_connection_is_this_machine(lookup: Any) -> None:
    variables = {"hostvars": {**HOSTVARS, "me": {"ansible_connection": "local"}}, "groups": GROUPS}
    lookup.run(["linux1"], variables={**variables, "audit_ports_vantage": "me"})
    assert FakeEngine.options.vantage == "me"
