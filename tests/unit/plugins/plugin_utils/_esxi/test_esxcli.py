# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""esxcli's output in all of its forms, and the firewall that they tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._esxi.rulesets import PortRule
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.esxcli import parse_fields, parse_rows
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._esxi.snapshot import parse_firewall
from hypothesis import given
from hypothesis import strategies as st

TITLES = ("Ruleset", "Allowed IP Addresses")
XML_STATE = """<?xml version="1.0"?>
<output xmlns="http://www.vmware.com/Products/ESX/5.0/esxcli/"><root><structure typeName="Firewall">
   <field name="DefaultAction"><string>DROP</string></field><field name="Enabled"><boolean>true</boolean></field>
   <field name="Loaded"><boolean>false</boolean></field>
</structure></root></output>
"""
ROWS = (("webAccess", "All"), ("vSphereClient", "192.0.2.10, 192.0.2.128/25"), ("NFC", ""))


def as_json(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    keys = [title.replace(" ", "") for title in titles]
    listed = [dict(zip(keys, (row[0], row[1].split(", ")), strict=True)) for row in rows]
    return json.dumps(listed, sort_keys=True)


def as_csv(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    order = sorted(range(len(titles)), key=lambda index: titles[index])
    lines = [[titles[index].replace(" ", "") for index in order]]
    lines += [[row[index].replace(", ", ",") for index in order] for row in rows]
    return "".join(",".join(line) + ",\n" for line in lines)


def as_quoted_csv(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As the formatter itself does it: each item of a list has a comma of its own, and quotes are around them all."""
    lines = [",".join(title.replace(" ", "") for title in reversed(titles)) + ","]
    lines += [(f'"{row[1].replace(", ", ",")},",{row[0]},' if row[1] else f",{row[0]},") for row in rows]
    return "\n".join(lines) + "\n"


def as_xml(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>', '<output xmlns="http://www.vmware.com/Products/ESX/5.0/esxcli">']
    lines += ["<root>", '   <list type="structure">']
    for row in rows:
        items = "".join(f"<string>{item}</string>" for item in row[1].split(", ") if item)
        lines += ['<structure typeName="Row">', f'<field name="{titles[1].replace(" ", "")}">']
        lines += [f'   <list type="string">{items}</list>', "</field>", f'<field name="{titles[0]}">']
        lines += [f"   <string>{row[0]}</string>", "</field>", "</structure>"]
    return "\n".join([*lines, "   </list>", "</root>", "</output>", ""])


def as_key_values(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = []
    for number, row in enumerate(rows):
        start = f"structure[{number}].Row"
        items = enumerate(item for item in row[1].split(", ") if item)
        listed = [f"{start}.{titles[1].replace(' ', '')}.string[{place}].string={item}" for place, item in items]
        lines += listed or [f"{start}.{titles[1].replace(' ', '')}.string[] = "]
        lines.append(f"{start}.{titles[0]}.string={row[0]}")
    return "\n".join(lines) + "\n"


def as_wrapped_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = as_table(titles, rows)
    return text.replace("192.0.2.10, 192", "192.0.2.10,\n" + " " * text.index("Allowed") + "192")


def as_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(str(line[index])) for line in (titles, *rows)) for index in range(len(titles))]
    lines = [titles, ["-" * width for width in widths], *rows]
    return "".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


@pytest.mark.parametrize(
    "form", [as_json, as_csv, as_quoted_csv, as_xml, as_key_values, as_table, as_wrapped_table]
)
def test_all_forms_tell_the_same_lists(form: Callable[..., str]) -> None:
    listing = as_table(("Name", "Enabled"), [(key, "true") for key, _allowed in ROWS])
    found = parse_firewall({"rulesets": listing, "allowed": form(TITLES, ROWS)})
    assert [(item.key, item.allows_all, item.allowed) for item in found.rulesets] == [
        ("webAccess", True, ()),
        ("vSphereClient", False, ("192.0.2.10", "192.0.2.128/25")),
        ("NFC", False, ()),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "   Default Action: DROP\n   Enabled: true\n   Loaded: false\n",
        '{"DefaultAction": "DROP", "Enabled": true, "Loaded": false}',
        "DefaultAction,Enabled,Loaded,\nDROP,true,false,\n",
        "Firewall.DefaultAction.string=DROP\nFirewall.Enabled.boolean=true\nFirewall.Loaded.boolean=false\n",
        XML_STATE,
    ],
)
def test_all_forms_tell_the_same_state(text: str) -> None:
    listing = as_table(("Name", "Enabled"), [("webAccess", "true")])
    found = parse_firewall({"rulesets": listing, "firewall": text})
    assert (found.incoming_blocked, found.enabled, found.loaded) == (True, True, False)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><output><root></root></output>',
        "<output><root>",
        "structure[0].Row.Name.string=webAccess\nConnection failed\n",
    ],
)
def test_forms_that_are_damaged(text: str) -> None:
    with pytest.raises(ReadError):
        parse_rows(text, "ruleset list")


def test_lists_without_a_row() -> None:
    empty = "<output><root><list type=\"structure\"></list></root></output>"
    assert parse_rows(empty, "ruleset list") == parse_rows("structure[] = \n", "ruleset list") == []


def test_a_table_is_read_by_its_dashes() -> None:
    text = (
        "Name       Enabled  Enable/Disable configurable  Allowed IP configurable\n"
        "---------  -------  ---------------------------  -----------------------\n"
        "sshServer     true                        false                     true\n"
    )
    item = parse_firewall({"rulesets": text}).rulesets[0]
    assert (item.key, item.enabled, item.can_enable, item.can_list) == ("sshServer", True, False, True)
    assert item.rules is None
    assert item.allows_all is None


def test_before_update_2_nobody_says_who_owns_a_ruleset() -> None:
    item = parse_firewall({"rulesets": as_table(("Name", "Enabled"), [("NFC", "true")])}).rulesets[0]
    assert (item.can_enable, item.can_list) == (None, None)


def test_rules_and_state() -> None:
    rules = as_table(
        ("Ruleset", "Direction", "Protocol", "Port Type", "Port Begin", "Port End"),
        [("NFC", "Inbound", "TCP", "Dst", "902", "902"), ("NFC", "Outbound", "TCP", "Dst", "0", "65535")],
    )
    found = parse_firewall(
        {
            "rulesets": as_table(("Name", "Enabled"), [("NFC", "true"), ("idle", "false")]),
            "rules": rules,
            "firewall": "   Default Action: DROP\n   Enabled: true\n   Loaded: false\n",
            "version": '{"Build": "Releasebuild-1", "Version": "8.0.3"}',
        }
    )
    assert found.rulesets[0].rules == (
        PortRule(True, True, "tcp", 902, 902),
        PortRule(False, True, "tcp", 0, 65535),
    )
    assert found.rulesets[1].rules == ()
    assert (found.incoming_blocked, found.enabled, found.loaded) == (True, True, False)
    assert found.version == "8.0.3 Releasebuild-1"


@pytest.mark.parametrize(
    "text",
    [
        "Error: Unknown command or namespace network firewall ruleset list",
        "[1, 2]",
        '[{"Name": "NFC"',
        "Name  Enabled\n----  -------\nsomething that fits no column of the table",
        "Enabled,Name,\ntrue,NFC,more,\n",
        "",
    ],
)
def test_anything_else_is_an_error_and_never_an_empty_firewall(text: str) -> None:
    with pytest.raises(ReadError):
        parse_firewall({"rulesets": text})


def test_a_rule_that_cannot_be_read_is_an_error() -> None:
    rules = as_table(
        ("Ruleset", "Direction", "Protocol", "Port Type", "Port Begin", "Port End"),
        [("NFC", "Sideways", "TCP", "Dst", "902", "902")],
    )
    with pytest.raises(ReadError, match="rule list"):
        parse_firewall({"rulesets": as_table(("Name", "Enabled"), [("NFC", "true")]), "rules": rules})


@given(st.text(alphabet='[]{}",:-abA1 \n', max_size=200))
def test_no_text_makes_anything_but_rows_or_an_error(text: str) -> None:
    for parse in (parse_rows, parse_fields):
        with suppress(ReadError):
            assert isinstance(parse(text, "a command"), (list, dict))
