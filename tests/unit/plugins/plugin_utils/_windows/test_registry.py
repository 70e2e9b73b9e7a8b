# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Texts of a registry: the forms that tools print, and texts that are damaged or none."""

from __future__ import annotations

import contextlib
import time

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import VerdictStatus
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.network import Network
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import FIREWALL_POLICY
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.policy import POLICY, read_policy
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry import canonical, merged
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry_text import (
    LONGEST_INPUT,
    parse_registry,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import read_snapshot
from hypothesis import given
from hypothesis import strategies as st

from .machine import request

KEY = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
RULES = rf"{FIREWALL_POLICY}\FirewallRules"
RULE = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|Name=a|"
QUERY = "\r\n".join(
    [
        "", KEY, "    PolicyVersion    REG_DWORD    0x21f", "    (Standard)    REG_SZ    (Wert nicht gesetzt)", "",
        rf"{KEY}\FirewallRules", f"    TCP Query User{{A}}C:\\my dir\\x.exe    REG_SZ    {RULE}",
        "    {B}    REG_SZ    ", "    M    REG_MULTI_SZ    a\\0b", "    X    REG_BINARY    00FF", "",
        "Suche beendet: 3 Übereinstimmung(en) gefunden.", "",
    ]
)  # fmt: skip
EXPORT = f"""Windows Registry Editor Version 5.00

[{KEY}]
"PolicyVersion"=dword:0000021f
@="x"

[{KEY}\\FirewallRules]
"TCP Query User{{A}}C:\\\\my dir\\\\x.exe"="{RULE}"
"quoted \\"name\\""=hex(1):{",".join(f"{byte:02x}" for byte in RULE[:20].encode("utf-16-le"))},\\
  {",".join(f"{byte:02x}" for byte in (RULE[20:] + chr(0)).encode("utf-16-le"))}
"M"=hex(7):61,00,00,00,62,00,00,00,00,00
"X"=hex:00,ff
"Y"=hex(b):01,00,00,00,00,00,00,00
"gone"=-
; a comment
[-{KEY}\\Old]
"ignored"="x"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_reg_query_prints(encoding: str) -> None:
    registry = parse_registry(QUERY.encode(encoding))
    values = registry.values(RULES)
    assert values["tcp query user{a}c:\\my dir\\x.exe"].text == RULE
    assert values["{b}"].text == ""
    assert values["m"].data == ("a", "b")
    assert values["x"].data == b"\x00\xff"
    assert registry.number(KEY, "policyversion") == 0x21F
    assert registry.gaps == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_what_an_export_holds(encoding: str, line_end: str) -> None:
    registry = parse_registry(EXPORT.replace("\n", line_end).encode(encoding))
    values = registry.values(RULES)
    assert values["tcp query user{a}c:\\my dir\\x.exe"].text == RULE
    assert values['quoted "name"'].text == RULE
    assert (values["m"].data, values["x"].data, values["y"].number) == (("a", "b"), b"\x00\xff", 1)
    assert "gone" not in values
    assert not registry.has(rf"{KEY}\Old")
    assert registry.gaps == ()


def test_an_export_of_version_4() -> None:
    text = f'REGEDIT4\n\n[{KEY}\\FirewallRules]\n"a"=hex(2):76,32,2e,30,7c,00\n'
    assert parse_registry(text).values(RULES)["a"].text == "v2.0|"


@pytest.mark.parametrize(
    "path",
    [
        KEY,
        KEY.replace("HKEY_LOCAL_MACHINE", "HKLM").upper(),
        rf"Computer\{KEY}",
        KEY.replace("CurrentControlSet", "ControlSet001"),
        KEY.replace(r"HKEY_LOCAL_MACHINE\SYSTEM", r"HKEY_LOCAL_MACHINE\OFFLINE"),
        r"HKEY_LOCAL_MACHINE\ControlSet001\Services\SharedAccess\Parameters\FirewallPolicy",
        r"\ControlSet002\Services\SharedAccess\Parameters\FirewallPolicy",
        r"\Registry\Machine\System\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy",
        "FirewallPolicy",
    ],
)
def test_one_key_by_many_names(path: str) -> None:
    assert canonical(path) == canonical(FIREWALL_POLICY)
    assert canonical(rf"{path}\FirewallRules") == canonical(RULES)


@pytest.mark.parametrize("root", ["", "\\", r"HKEY_LOCAL_MACHINE\EXPORTED\\"[:-1], "CMI-CreateHive{A}\\"])
def test_a_hive_that_begins_at_the_firewalls_key(root: str) -> None:
    assert canonical(rf"{root}FirewallRules") == canonical(RULES)
    assert canonical(rf"{root}Mdm\FirewallRules") == canonical(rf"{FIREWALL_POLICY}\Mdm\FirewallRules")
    assert canonical(rf"{root}RestrictedServices\AppIso\FirewallRules") != canonical(RULES)


def test_keys_that_are_not_the_firewalls_own() -> None:
    factory = KEY.replace("Parameters", "Defaults")
    assert canonical(factory) != canonical(FIREWALL_POLICY)
    assert canonical(r"HKLM\Policies\Microsoft\WindowsFirewall") == canonical(POLICY)
    assert canonical(r"HKLM\SOFTWARE\Microsoft\WindowsFirewall") != canonical(POLICY)
    assert canonical("HKCU\\Software") == "hkey_current_user\\software"


def test_of_several_control_sets_one_speaks() -> None:
    first, second = (KEY.replace("CurrentControlSet", name) for name in ("ControlSet002", "ControlSet001"))
    text = f"{first}\\FirewallRules\n    a    REG_SZ    {RULE}\n{second}\\FirewallRules\n    b    REG_SZ    {RULE}\n"
    select = "HKEY_LOCAL_MACHINE\\SYSTEM\\Select\n    Current    REG_DWORD    0x{}\n    Default    REG_DWORD    0x1\n"
    assert [*parse_registry(text + select.format(2)).values(RULES)] == ["a"]
    assert [*parse_registry(text + select.format(2) + f"{KEY}\\FirewallRules\n").values(RULES)] == []


@pytest.mark.parametrize("select", ["", "HKEY_LOCAL_MACHINE\\SYSTEM\\Select\n    Current    REG_DWORD    0x7\n"])
def test_where_nothing_says_which_control_set_is_current_they_must_agree(select: str) -> None:
    keys = [KEY.replace("CurrentControlSet", name) for name in ("ControlSet002", "ControlSet001")]
    alike = "".join(f"{key}\\FirewallRules\n    a    REG_SZ    {RULE}\n    b    REG_SZ    {RULE}\n" for key in keys)
    found = parse_registry(select + alike)
    assert [*found.values(RULES)] == ["a", "b"]
    assert found.gaps == ()
    for other in (
        alike + "    c    REG_SZ    v2.0|\n",
        alike.replace(f"b    REG_SZ    {RULE}", "b    REG_SZ    v2.0|", 1),
    ):
        found = parse_registry(select + other)
        assert [*found.values(RULES)][:2] == (["a", "b"] if other.startswith(alike) else ["a"])
        assert "c" not in found.values(RULES)
        [why] = found.gaps_of(RULES)
        assert "several control sets" in why
        assert found.gaps_of(rf"{KEY}\DomainProfile") == ()
    asked = request("windows.winrm")
    for rules in (found, parse_registry(select + alike)):
        [verdict] = evaluate(read_snapshot(rules, network=Network()), asked)
        assert verdict.status is (VerdictStatus.UNKNOWN if rules is found else VerdictStatus.OPEN)


@pytest.mark.parametrize(
    ("root", "is_the_machines"),
    [
        (r"HKEY_CURRENT_USER\SOFTWARE", False),
        (r"HKCU\Software\Microsoft\Windows\CurrentVersion\Group Policy Objects\{A}Machine\Software", False),
        (r"HKEY_USERS\S-1-5-21-1-2-3-500\Software", False),
        (r"HKEY_USERS\.DEFAULT\Software", False),
        (r"Computer\HKEY_USERS\S-1-5-18\Software", False),
        (r"HKEY_USERS\OFFLINE", True),
        (r"HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node", True),
    ],
)
def test_policies_of_accounts_are_not_the_machines(root: str, is_the_machines: bool) -> None:
    text = f"{root}\\Policies\\Microsoft\\WindowsFirewall\\DomainProfile\n    EnableFirewall    REG_DWORD    0x0\n"
    assert (parse_registry(text).number(rf"{POLICY}\DomainProfile", "EnableFirewall") == 0) is is_the_machines


def test_many_gaps_of_one_key_say_nothing_of_another() -> None:
    notes = "".join(f"# {number}\n" for number in range(300))
    text = f"{KEY}\\FirewallRules\n    a    REG_SZ    {RULE}\n{KEY}2\n{notes}HKLM\\Other\n{notes}\n"
    registry = parse_registry(text)
    assert registry.gaps_of(RULES) == ()
    assert 200 <= len(registry.gaps_of(rf"{FIREWALL_POLICY}2")) < 300
    assert registry.gaps_of(r"HKLM\Other")


def test_a_rule_that_goes_on_in_the_next_line() -> None:
    text = f"{KEY}\\FirewallRules\n    a    REG_SZ    {RULE[:30]}\n{RULE[30:]}\n    b    REG_SZ    {RULE}\n"
    values = parse_registry(text).values(RULES)
    assert values["a"].text == RULE[:30] + "\n" + RULE[30:]
    assert values["b"].text == RULE


@pytest.mark.parametrize(
    "text", ["", "\n\n", "hello", "ERROR: Access is denied.\n", "    a    REG_SZ    v2.0|\n", "\x00" * 50, "[no key]\n"]
)
def test_what_is_no_registry(text: str) -> None:
    with pytest.raises(ReadError):
        parse_registry(text)


def test_a_text_that_is_too_long() -> None:
    class Long(str):
        def __len__(self) -> int:
            return LONGEST_INPUT + 1

    with pytest.raises(ReadError, match="limit"):
        parse_registry(Long("x"))


@pytest.mark.parametrize(
    "line", ["    a    REG_SZZ", "    EnableFirewall    REG_DWORD    0xzz", "    no type at all", "a line between"]
)
def test_a_damaged_line_is_a_gap_of_its_key(line: str) -> None:
    registry = parse_registry(f"{KEY}\\FirewallRules\n{line}\n    b    REG_SZ    {RULE}\n{KEY}\\DomainProfile\n")
    assert bool(registry.gaps_of(RULES)) or "a" in registry.values(RULES)
    assert registry.gaps_of(rf"{KEY}\DomainProfile") == ()
    unread = [item.rule for item in read_policy(registry).rules if item.rule.unclear]
    assert unread
    assert registry.values(RULES)["b"].text == RULE


BLOCKS = (f"\n{KEY}\n    PolicyVersion    REG_DWORD    0x21f\n\n", f"\n{RULES}\n    a    REG_SZ    {RULE}\n\n")


@pytest.mark.parametrize(
    "said",
    [
        "", "C:\\>reg query HKLM\\x /s\n", f"PS C:\\Users\\me> reg.exe query '{KEY}' /s\n", f"== {KEY} ==\n",
        f"[root@host ~]# cat {KEY}\n", f"C:\\>reg query {KEY}\n", "== rules ==\n",
        "End of search: 2 match(es) found.\n",
        "C:\\>reg query y\nERROR: The system was unable to find the specified registry key or value.\n\nC:\\>\n",
    ],
)  # fmt: skip
def test_what_is_said_between_two_keys(said: str) -> None:
    registry = parse_registry(said + BLOCKS[0] + said + BLOCKS[1] + said)
    assert registry.gaps == ()
    assert (registry.number(KEY, "PolicyVersion"), registry.text(RULES, "a")) == (0x21F, RULE)


def test_values_below_what_is_said_have_no_key() -> None:
    text = BLOCKS[0] + f"EY_LOCAL_MACHINE\\{RULES[5:]}\n    a    REG_SZ    {RULE}\n" + BLOCKS[1]
    assert parse_registry(text).gaps_of(RULES)


@pytest.mark.parametrize("cut", [1, 5, 19, 30])
def test_a_damaged_key_without_values_is_told(cut: int) -> None:
    """Nobody knows which one it is."""
    registry = parse_registry(f"{BLOCKS[0]}{RULES[cut:]}\n\n{BLOCKS[1]}")
    assert registry.gaps_of(RULES)
    assert registry.gaps_of(rf"{KEY}\PublicProfile")


def test_several_exports_in_one_file() -> None:
    heading = "\ufeffWindows Registry Editor Version 5.00\n\n"
    text = f'{heading}[{KEY}]\n"PolicyVersion"=dword:21f\n\n{heading}[{RULES}]\n"a"="{RULE}"\n'
    registry = parse_registry(text.encode("utf-16-le"))
    assert registry.gaps == ()
    assert (registry.number(KEY, "PolicyVersion"), registry.text(RULES, "a")) == (0x21F, RULE)


def test_a_text_that_breaks_off_is_told() -> None:
    whole = f"{KEY}\\FirewallRules\n    a    REG_SZ    {RULE}\n    b    REG_SZ    {RULE}\n"
    start = whole.index("    b ")
    for length in range(start + 5, len(whole) - 2):
        if whole[length - 1] == "|" or whole[:length].endswith("    REG_SZ    "):
            continue  # nobody can tell that more followed
        rules = read_policy(parse_registry(whole[:length])).rules
        assert any(item.rule.unclear for item in rules), whole[start:length]


def test_the_later_reading_counts() -> None:
    first = parse_registry(f"{KEY}\n    PolicyVersion    REG_DWORD    0x20a\n    A    REG_SZ    x\n")
    both = merged([first, parse_registry(f"{KEY}\n    PolicyVersion    REG_DWORD    0x21f\n")])
    assert (both.number(KEY, "PolicyVersion"), both.text(KEY, "A")) == (0x21F, "x")


@pytest.mark.parametrize(
    "text",
    [
        f'{EXPORT[:36]}\n[{KEY}]\n"a"=hex:' + ",\\\n  ".join([",".join(["00"] * 25)] * 20_000),
        f"{EXPORT[:36]}\n[{KEY}]\n" + '"a"="x\n' * 20_000,
        f"{KEY}\n    " + "a    " * 100_000,
        f"{RULES}\n    a    REG_SZ    v2.0|x\n" + "y\n" * 50_000,
        f"{RULES}\n    a    REG_SZ    v2.0" + "|" * 99_000,
    ],
    ids=["bytes", "strings", "blanks", "lines", "pairs"],
)
def test_long_texts_take_no_longer_than_they_are(text: str) -> None:
    started = time.process_time()
    parse_registry(text)
    assert time.process_time() - started < 3


@given(st.binary(max_size=400))
def test_bytes_of_any_kind(data: bytes) -> None:
    with contextlib.suppress(ReadError):
        read_policy(parse_registry(data))


LINES = st.sampled_from([*QUERY.split("\r\n"), *EXPORT.split("\n"), "", "\t", '"', "[", "hex(7):", "\\"])


@given(st.lists(LINES, max_size=25), st.integers(0, 2000))
def test_lines_of_any_form_cut_anywhere(lines: list[str], length: int) -> None:
    with contextlib.suppress(ReadError):
        read_policy(parse_registry("\n".join(lines)[:length]))
