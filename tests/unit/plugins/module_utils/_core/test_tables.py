# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Text from targets is safe to show, and tables are aligned whatever is in them."""

from __future__ import annotations

import unicodedata

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.sanitize import (
    fit_width,
    safe_text,
    text_width,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.tables import render_table
from hypothesis import given
from hypothesis import strategies as st

ROW = {
    "requirement": "linux.ssh",
    "host": "web1",
    "status": "blocked",
    "cause": "path_blocked",
    "next_step": "Ask the network team to let 192.0.2.10 pass to tcp/22 of web1. " * 3,
    "verdict": {"status": "open", "protocol": "tcp", "port": 22},
    "observations": [
        {"status": "open", "service": "confirmed"},
        {"status": "filtered", "service": "not_checked"},
    ],
}
HOST = {"host": "web1", "readiness": "not_ready", "route": "ssh", "reasons": ["linux.ssh (required) is blocked"]}


@given(st.text(max_size=200), st.integers(1, 100))
def test_nothing_invisible_gets_through(text: str, limit: int) -> None:
    shown = safe_text(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in shown)
    assert shown == shown.strip()
    assert safe_text(shown, limit) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_9.2p1"),
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x9b31mred", "red"),
        ("\x1bPdevice control", ""),
        ("\x1b(Bplain", "plain"),
        ("a\u202eb\u2066c\u200bd\ufeffe", "abcde"),
        ("one\u2028two\x85three\tfour", "one two three four"),
        ("\ud800x\ue000y", "xy"),
        ("héllo 日本", "héllo 日本"),
        ("a\x00\x07\x08b", "ab"),
    ],
)
def test_what_is_removed(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert safe_text("x" * 20, 10) == "x" * 9 + "…"
    assert safe_text("x" * 10, 10) == "x" * 10
    assert safe_text("ab" + "\x00" * 10_000 + "c", 10) == "ab…"


def test_width_is_that_of_a_terminal() -> None:
    assert text_width("日本") == 4
    assert text_width("e\u0301") == 1
    assert fit_width("日本語", 5) == "日本"
    assert fit_width("日", 1) == "日"


def test_table_by_example() -> None:
    lines = render_table([ROW], [HOST], 120)
    assert lines[0] == "web1: not_ready by ssh - linux.ssh (required) is blocked"
    assert lines[1].split() == ["REQUIREMENT", "PORT", "STATUS", "VERDICT", "OBSERVATION", "CAUSE", "NEXT", "STEP"]
    assert lines[2].startswith("  linux.ssh    tcp/22  blocked  open     open, confirmed;")
    assert lines[3].split()[0] == "filtered"
    column = lines[1].index("NEXT STEP")
    told = " ".join(line[column:].strip() for line in lines[2:])
    assert told == ROW["next_step"].strip()  # type: ignore[attr-defined]


def test_hosts_without_rows_and_rows_without_hosts_are_shown() -> None:
    lines = render_table([ROW], [{"host": "gone", "readiness": "unknown", "route": "none", "reasons": []}])
    assert lines[0] == "gone: unknown"
    assert lines[1] == ""
    assert lines[2] == "web1: -"


def test_what_does_not_concern_a_host_has_no_row() -> None:
    assert len(render_table([{**ROW, "status": "not_applicable"}], [HOST])) == 1


def test_a_row_without_verdict_or_observation_has_dashes() -> None:
    lines = render_table([{**ROW, "verdict": None, "observations": [], "next_step": None}], [HOST])
    assert lines[2].split() == ["linux.ssh", "-", "blocked", "-", "-", "path_blocked", "-"]


def test_icmp_and_services_have_no_port() -> None:
    icmp = {**ROW, "verdict": {"status": "open", "protocol": "icmp", "port": None}}
    rpc = {**ROW, "verdict": {"status": "open", "protocol": "rpc", "port": None}}
    lines = render_table([icmp, rpc], [HOST])
    assert "  icmp echo  " in lines[2]
    assert any("  rpc        " in line for line in lines)


def test_many_reasons_are_counted() -> None:
    lines = render_table([], [{**HOST, "reasons": [f"reason {number}" for number in range(7)]}])
    assert lines == ["web1: not_ready by ssh - reason 0; reason 1; reason 2; reason 3; 3 more"]


cells = st.text(max_size=60)


@given(st.lists(st.tuples(cells, cells, cells, cells), max_size=4), st.integers(-5, 200))
def test_no_line_is_wider_than_asked_whatever_is_in_the_cells(rows: list[tuple[str, ...]], width: int) -> None:
    diagnoses = [
        {**ROW, "requirement": row[0], "cause": row[1], "next_step": row[2], "observations": [{"status": row[3]}]}
        for row in rows
    ]
    lines = render_table(diagnoses, [HOST], width)
    assert max(map(text_width, lines)) <= max(width, 80)
    assert all(unicodedata.category(char) not in ("Cc", "Cf") for line in lines for char in line)
