# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The catalog against the page's table, and what is selected of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import (
    BY_ID,
    CATALOG,
    CATALOG_VERSION,
    SERVICES,
    get_requirement,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.selection import (
    Roles,
    applicable,
    opens_by_default,
    select_requirements,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import (
    Level,
    ListenerHome,
    Protocol,
    PsRemoting,
    SourceRole,
    System,
)

# The page's table: id, port as people write it, level, only without PowerShell remoting, where the listener lives.
PAGE = """
windows.kerberos tcp/88 required always domain_controller
windows.ldap tcp/389 required always domain_controller
windows.winrm tcp/5985 required always target
windows.rpc_epmap tcp/135 required without_psremoting target
windows.netbios_session tcp/139 required without_psremoting target
windows.smb tcp/445 required without_psremoting target
windows.rpc_udp udp/135 recommended without_psremoting target
windows.named_pipes_udp udp/139 recommended without_psremoting target
windows.named_pipes service attention without_psremoting target
windows.rpc_dynamic rpc attention without_psremoting target
linux.ssh tcp/22 required always target
macos.ssh tcp/22 required always target
esxi.http tcp/80 required always target
esxi.https tcp/443 required always target
esxi.authd tcp/902 required always target
nas.netbios_session tcp/139 required always target
snmp.agent udp/161 required always target
snmp.trap udp/162 recommended always audit_host
printer.raw tcp/9100 required always target
network_scan.ldap tcp/389 required always domain_controller
network_scan.dns udp/53 required always dns_server
network_scan.netbios_name udp/137 required always target
network_scan.netbios_datagram udp/138 required always target
network_scan.icmp_echo icmp_echo required always target
"""
EXTRA = {"id": "linux.agent", "system": "linux", "protocol": "tcp", "port": 10050}


def ids(*systems: str, **options: Any) -> list[str]:
    return [row.id for row in select_requirements(systems or None, **options)]


def test_catalog_is_the_page() -> None:
    rows = [
        f"{row.id} {row.wire.replace(' ', '_')} {row.level.value} {row.condition.value} {row.listener_home.value}"
        for row in CATALOG
    ]
    assert rows == PAGE.split("\n")[1:-1]


def test_every_row_is_complete() -> None:
    assert len(BY_ID) == len(CATALOG)
    for row in CATALOG:
        assert row.system == row.id.split(".")[0]
        assert row.system in [system.value for system in System]
        assert (row.port is not None) == (row.protocol in (Protocol.TCP, Protocol.UDP))
        assert row.service in SERVICES
        assert row.purpose.endswith(".")
        assert row.catalog_version == CATALOG_VERSION
        assert re.match(r"\d{4}-\d\d-\d\d\Z", row.source.date)
    assert [row.id for row in CATALOG if row.source_role is SourceRole.DEVICE] == ["snmp.trap"]


def test_unknown_id_names_the_choices() -> None:
    assert get_requirement("linux.ssh").port == 22
    with pytest.raises(InputError, match=r"'linux\.shh'.*linux\.ssh"):
        get_requirement("linux.shh")


def test_all_and_by_system() -> None:
    assert ids() == [row.id for row in CATALOG]
    assert ids("snmp", "linux") == ["linux.ssh", "snmp.agent", "snmp.trap"]


def test_psremoting_decides_which_windows_rows_apply() -> None:
    common = ["windows.kerberos", "windows.ldap"]
    without = [row.id for row in CATALOG if row.condition.value == "without_psremoting"]
    assert ids("windows", psremoting="auto") == [*common, "windows.winrm", *without]
    assert ids("windows", psremoting=True) == [*common, "windows.winrm"]
    assert ids("windows", psremoting="False") == [*common, *without]
    assert ids("linux", psremoting="false") == ["linux.ssh"]


def test_a_named_id_stays_whatever_the_way_in() -> None:
    assert ids(ids=["windows.smb", "linux.ssh"], psremoting="true") == ["windows.smb", "linux.ssh"]
    assert ids("linux", ids=["windows.smb", "linux.ssh"]) == ["linux.ssh"]


def test_levels_and_exclude_narrow() -> None:
    assert ids("snmp", levels=["recommended"]) == ["snmp.trap"]
    assert ids("snmp", exclude=["snmp.trap"]) == ["snmp.agent"]
    assert ids("linux", extra=[EXTRA], exclude=["linux.agent"]) == ["linux.ssh"]


def test_ports_change_the_port_alone() -> None:
    (row,) = select_requirements(["linux"], ports={"linux.ssh": "2222"})
    assert (row.id, row.port, row.wire) == ("linux.ssh", 2222, "tcp/2222")
    assert BY_ID["linux.ssh"].port == 22


def test_extra_rows_come_last_with_defaults() -> None:
    row = select_requirements(["linux"], extra=[EXTRA])[-1]
    assert (row.id, row.level, row.service, row.listener_home) == (
        "linux.agent",
        Level.REQUIRED,
        "none",
        ListenerHome.TARGET,
    )


def test_literal_treats_every_windows_host_alike() -> None:
    homes = {row.id: row.listener_home for row in select_requirements(literal=True)}
    assert homes["windows.kerberos"] is homes["windows.ldap"] is ListenerHome.TARGET
    assert homes["network_scan.ldap"] is ListenerHome.DOMAIN_CONTROLLER
    assert homes["snmp.trap"] is ListenerHome.AUDIT_HOST


def test_select_gets_dicts_and_keeps_the_order() -> None:
    def keep(rows: list[dict[str, Any]]) -> list[Any]:
        return [row["id"] for row in reversed(rows) if row["protocol"] == "udp"]

    assert ids("snmp", "linux", select=keep) == ["snmp.agent", "snmp.trap"]
    assert ids("snmp", select=lambda rows: [rows[1]]) == ["snmp.trap"]
    assert ids("snmp", select=lambda _rows: []) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"systems": ["linus"]}, ["systems", "'linus'", "linux, macos"]),
        ({"systems": []}, ["systems", "empty"]),
        ({"ids": ["linux.shh"]}, ["requirements", "'linux.shh'", "linux.ssh"]),
        ({"ids": []}, ["requirements", "empty"]),
        ({"levels": ["must"]}, ["levels", "'must'", "attention, recommended, required"]),
        ({"exclude": ["ssh"]}, ["exclude", "'ssh'", "linux.ssh"]),
        ({"psremoting": "perhaps"}, ["psremoting", "'perhaps'", "auto, false, true"]),
        ({"ports": {"linux.shh": 1}}, ["ports", "'linux.shh'", "linux.ssh"]),
        ({"ports": {"linux.ssh": 70000}}, ["ports: linux.ssh", "70000", "65535"]),
        ({"ports": {"linux.ssh": True}}, ["ports: linux.ssh", "True"]),
        ({"ports": {"network_scan.icmp_echo": 7}}, ["ports", "icmp_echo"]),
        ({"ports": [22]}, ["ports", "dictionary"]),
        ({"extra": EXTRA}, ["extra", "list of dictionaries"]),
        ({"extra": [EXTRA, "x"]}, ["extra, row 2", "'x'"]),
        ({"extra": [{**EXTRA, "protocol": "tpc"}]}, ["extra, row 1 (linux.agent)", "protocol", "'tpc'", "tcp, udp"]),
        ({"extra": [{**EXTRA, "system": "bsd"}]}, ["system", "'bsd'", "windows"]),
        ({"extra": [{**EXTRA, "port": None}]}, ["port", "tcp needs a port"]),
        ({"extra": [{**EXTRA, "protocol": "icmp"}]}, ["port", "icmp has no port"]),
        ({"extra": [{**EXTRA, "prot": "tcp"}]}, ["'prot'", "protocol"]),
        ({"extra": [{**EXTRA, "level": "must"}]}, ["level", "'must'", "required"]),
        ({"extra": [{**EXTRA, "service": "gopher"}]}, ["service", "'gopher'", "ssh"]),
        ({"extra": [{**EXTRA, "id": "Linux Agent"}]}, ["id", "system.name"]),
        ({"extra": [{**EXTRA, "id": "linux.ssh"}]}, ["row 1 (linux.ssh)", "already", "ports"]),
        ({"extra": [EXTRA, EXTRA]}, ["row 2", "already"]),
        ({"extra": [{"system": "linux", "protocol": "tcp", "port": 1}]}, ["row 1", "'id' is missing"]),
        ({"select": lambda _rows: {"a": 1}}, ["select", "list of requirements"]),
        ({"select": lambda _rows: ["linux.shh"]}, ["select", "'linux.shh'"]),
    ],
)
def test_wrong_input_is_named_with_the_choices(options: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        select_requirements(options.pop("systems", None), **options)
    for text in told:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("requirement", "role"),
    [
        ("windows.kerberos", "is_domain_controller"),
        ("windows.ldap", "is_domain_controller"),
        ("network_scan.ldap", "is_domain_controller"),
        ("network_scan.dns", "is_dns_server"),
        ("snmp.trap", "is_audit_host"),
    ],
)
@pytest.mark.parametrize("held", [True, False, None])
def test_a_requirement_is_judged_where_its_listener_lives(requirement: str, role: str, held: bool | None) -> None:
    others = {"is_domain_controller": True, "is_dns_server": True, "is_audit_host": True}
    found = applicable(BY_ID[requirement], Roles(**{**others, role: held}))  # type: ignore[arg-type]
    assert found.applies is held
    assert ("audit_" in found.reason) == (held is None)


def test_targets_are_always_concerned() -> None:
    assert applicable(BY_ID["linux.ssh"], Roles()).applies is True


def test_rpc_and_smb_are_opened_only_without_psremoting() -> None:
    for row in CATALOG:
        asked = {way: opens_by_default(row, way) for way in PsRemoting}
        if row.id in ("windows.rpc_udp", "windows.named_pipes_udp"):
            assert not any(asked.values())
            assert opens_by_default(row, PsRemoting.FALSE, [row.id])
            assert not opens_by_default(row, PsRemoting.AUTO, [row.id])
        else:
            only_without = row.condition.value == "without_psremoting"
            assert asked == {way: not only_without or way is PsRemoting.FALSE for way in PsRemoting}
