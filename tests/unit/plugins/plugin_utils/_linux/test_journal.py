# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The record of what was ours on a host."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.journal import (
    Entry,
    Journal,
    parse_hashes,
    parse_journal,
    print_journal,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.manager import Opening
from hypothesis import given
from hypothesis import strategies as st

SSH = Opening("tcp", 22, "192.0.2.10", 4, "public")
PING = Opening("icmp", None, "any", 4, "public", ahead=True)


def entry(opening: Opening, *requirements: str, runtime: bool = True, permanent: bool = True) -> Entry:
    return Entry("firewalld", opening, requirements, runtime, permanent)


def test_what_is_printed_is_read_back() -> None:
    journal = Journal(
        (entry(SSH, "linux.ssh"), entry(PING, "network_scan.icmp_echo", permanent=False)),
        {"/etc/firewalld/zones/public.xml": "etc__firewalld__zones__public.xml"},
        {"/etc/firewalld/zones/public.xml": "abc"},
    )
    assert parse_journal(print_journal(journal), "abc  /etc/firewalld/zones/public.xml\n") == journal


def test_no_record_is_an_empty_one() -> None:
    assert parse_journal(None, None) == Journal()


def test_the_same_opening_twice_is_one_entry_that_gains() -> None:
    journal = Journal((entry(SSH, "linux.ssh", permanent=False),)).with_entries(
        [entry(SSH, "macos.ssh", runtime=False)]
    )
    assert journal.entries == (entry(SSH, "linux.ssh", "macos.ssh"),)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1, "entries": [{}], "files": {}}', '{"version": 1, "entries": 5}'],
)
def test_a_damaged_record_is_an_error_and_never_an_empty_record(text: str) -> None:
    with pytest.raises(ReadError, match=r"journal\.json"):
        parse_journal(text, "")


@given(st.text())
def test_any_text_is_a_record_or_an_error(text: str) -> None:
    with pytest.raises(ReadError):
        parse_journal(text, text)
    assert isinstance(parse_hashes(text), dict)
