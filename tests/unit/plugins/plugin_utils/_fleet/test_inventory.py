# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What the inventory says: systems, platform, address, roles and sources of a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.selection import Roles
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._fleet.inventory import Fleet

NAMES = {"audit.example.com": ["192.0.2.10", "2001:db8::10"], "switch.example.com": ["198.51.100.40"]}


def resolve(name: str) -> Sequence[str]:
    if name not in NAMES:
        raise OSError("Name or service not known")
    return NAMES[name]


def fleet(hostvars: Mapping[str, Mapping[str, Any]], **groups: Sequence[str]) -> Fleet:
    return Fleet(hostvars, groups, resolve)


def texts(found: Sequence[Any]) -> list[str]:
    return [f"{source.text} = {source.addresses}" for source in found]


AUDIT = SourceRole.AUDIT_HOST


class Counting(dict[str, Mapping[str, Any]]):
    """Variables of hosts that note how often they are asked for."""

    asked = 0

    def __getitem__(self, host: str) -> Mapping[str, Any]:
        self.asked += 1
        return super().__getitem__(host)


def test_ansible_is_asked_once_for_the_variables_of_a_host() -> None:
    hostvars = Counting({f"host{number}": {"ansible_host": f"192.0.2.{number}"} for number in range(200)})
    known = fleet(hostvars)
    assert [known.address_text("host7") for _time in range(9)] == ["192.0.2.7"] * 9
    assert hostvars.asked == 1
    assert [known.address_text(name) for name in hostvars] == [f"192.0.2.{number}" for number in range(200)]
    assert len(known._known) <= 64


class Templar:
    """Templates as Ansible's does: names in double braces."""

    def template(self, value: Any) -> Any:
        return {"{{ audit_net }}": "192.0.2.0/28"}.get(value, value)


def test_of_its_own_host_a_task_sees_what_its_play_says() -> None:
    hostvars = Counting({"web": {"audit_ports_sources": ["203.0.113.1"]}, "db": {"audit_ports_sources": "192.0.2.9"}})
    seen = {"inventory_hostname": "web", "audit_ports_sources": "{{ audit_net }}", "hostvars": hostvars, "groups": {}}
    known = Fleet.of_task(seen, Templar())
    assert texts(known.sources("web", AUDIT, None)) == ["192.0.2.0/28 = 192.0.2.0/28"]
    assert known.address_text("web") == "web"
    assert hostvars.asked == 0
    assert texts(known.sources("db", AUDIT, None)) == ["192.0.2.9 = 192.0.2.9"]
    assert Fleet.of_task({"hostvars": {"web": {"ansible_host": "192.0.2.5"}}}, None).address_text("web") == "192.0.2.5"


def test_the_task_comes_first_then_the_host_then_the_audit_hosts() -> None:
    hostvars = {
        "web": {"audit_ports_sources": ["192.0.2.20"]},
        "bare": {},
        "audit1": {"audit_ports_source": "192.0.2.10", "ansible_host": "203.0.113.10"},
        "audit2": {"ansible_host": "203.0.113.11"},
        "audit.example.com": {},
    }
    known = fleet(hostvars, audit_hosts=["audit1", "audit2", "audit.example.com"])
    assert texts(known.sources("web", AUDIT, ["192.0.2.0/28"])) == ["192.0.2.0/28 = 192.0.2.0/28"]
    assert texts(known.sources("web", AUDIT, None)) == ["192.0.2.20 = 192.0.2.20"]
    assert texts(known.sources("bare", AUDIT, None)) == [
        "192.0.2.10 = 192.0.2.10",
        "203.0.113.11 = 203.0.113.11",
        "audit.example.com = 192.0.2.10, 2001:db8::10",
    ]


def test_a_site_has_its_own_audit_hosts() -> None:
    hostvars = {
        "web": {"audit_ports_site": "north"},
        "far": {"audit_ports_site": "nowhere"},
        "audit1": {"audit_ports_source": "192.0.2.10", "audit_ports_site": "south"},
        "audit2": {"audit_ports_source": "192.0.2.11", "audit_ports_site": "north"},
    }
    known = fleet(hostvars, audit_hosts=["audit1", "audit2"])
    assert texts(known.sources("web", AUDIT, None)) == ["192.0.2.11 = 192.0.2.11"]
    assert len(known.sources("far", AUDIT, None)) == 2


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([], "empty.*any"),
        (["192.0.2.300"], "192.0.2.300.*does not resolve"),
        (["nowhere.example.com"], "web: source 'nowhere.example.com'.*does not resolve on the controller"),
        (["192.0.2.0/40"], "192.0.2.0/40"),
        (None, "nobody to open for.*audit_hosts"),
    ],
)
def test_no_source_is_an_error_that_says_what_to_do(asked: list[str] | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        fleet({"web": {}}).sources("web", AUDIT, asked)


def test_an_audit_host_whose_name_does_not_resolve_is_named() -> None:
    with pytest.raises(InputError, match="audit host audit9: its inventory name 'audit9'"):
        fleet({"web": {}, "audit9": {}}, audit_hosts=["audit9"]).sources("web", AUDIT, None)


def test_any_has_to_be_written_out() -> None:
    assert texts(fleet({"web": {}}).sources("web", AUDIT, ["any"])) == ["any = any"]


def test_traps_come_from_the_devices() -> None:
    hostvars = {
        "audit1": {},
        "switch": {"ansible_host": "switch.example.com", "audit_ports_systems": ["snmp"]},
        "printer": {"audit_ports_address": "198.51.100.41"},
        "web": {"audit_ports_systems": ["linux"]},
    }
    known = fleet(hostvars, audit_snmp=["printer"])
    assert texts(known.sources("audit1", SourceRole.DEVICE, ["192.0.2.10"])) == [
        "switch.example.com = 198.51.100.40",
        "198.51.100.41 = 198.51.100.41",
    ]
    with pytest.raises(InputError, match="audit_ports_trap_sources"):
        fleet({"audit1": {}}).sources("audit1", SourceRole.DEVICE, None)


def test_systems_and_platform_by_variable_or_by_group() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "named": {"audit_ports_systems": ["snmp", "linux"]},
        "grouped": {},
        "printer": {"audit_ports_systems": "printer"},
        "wrong": {"audit_ports_systems": ["toaster"]},
        "odd": {"audit_ports_systems": ["linux"], "audit_ports_platform": "beos"},
        "esxi1": {"audit_ports_systems": ["esxi"], "audit_ports_vcenter": "vcenter1"},
    }
    known = fleet(hostvars, audit_linux=["grouped"], audit_windows=["grouped"])
    assert known.systems("named") == ("snmp", "linux")
    assert known.systems("grouped") == ("windows", "linux")
    assert [known.platform(host) for host in ("named", "grouped", "printer", "esxi1")] == [
        "linux",
        "windows",
        "none",
        "vsphere",
    ]
    with pytest.raises(InputError, match=r"toaster.*systems are"):
        known.systems("wrong")
    with pytest.raises(InputError, match="beos"):
        known.platform("odd")


def test_roles_by_group() -> None:
    hostvars = {"dc": {"audit_ports_systems": ["windows"]}, "member": {"audit_ports_systems": ["windows"]}, "web": {}}
    known = fleet(hostvars, audit_domain_controllers=["dc"], audit_dns_servers=["dc"])
    assert known.roles("dc") == Roles(True, True, False)
    assert known.roles("member") == Roles(None, False, False)
    assert known.roles("web") == Roles(False, False, False)


def test_every_address_of_a_name_is_meant() -> None:
    known = fleet({"web": {"ansible_host": "audit.example.com"}})
    assert known.address_text("web") == "audit.example.com"
    assert [str(item) for item in known.addresses("audit.example.com", "web")] == ["192.0.2.10", "2001:db8::10"]
