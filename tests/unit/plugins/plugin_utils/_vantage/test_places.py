# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Lines as probes: read many at a time, they ask for the same as each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage import places
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.places import (
    Places,
    parse_place,
    parse_places,
)
from hypothesis import given
from hypothesis import strategies as st

_ADDRESSES = ("192.0.2.1", "192.0.2.10", "192.0.2.100", "2001:db8::1", "a", "a.example")
_WIRES = ("tcp/22 ssh", "tcp/22", "tcp/2200 ssh", "udp/161 snmp", "icmp", "tcp/80 192.0.2.1")
_LINE = st.one_of(
    st.builds("{}{}{}{}".format, st.sampled_from(_ADDRESSES), st.sampled_from((" ", " ", " ", "  ", "\t")),
              st.sampled_from(_WIRES), st.sampled_from(("", "", " ", "\r"))),
    st.builds(" {} {}".format, st.sampled_from(_ADDRESSES), st.sampled_from(_WIRES)),
    st.sampled_from(("", "  ", "# 192.0.2.1 tcp/22", "#192.0.2.1 tcp/22 ssh", "  # a tcp/22", "\t")),
)  # fmt: skip


def _one_by_one(lines: Sequence[str]) -> list[Probe]:
    asking = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    return [parse_place(line, index) for index, line in enumerate(asking)]


@given(st.lists(_LINE, max_size=60), st.integers(1, 7))
def test_together_as_one_by_one(lines: list[str], block: int) -> None:
    expected = _one_by_one(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "_BLOCK", block)
        assert list(parse_places([f"{line}\n" for line in lines])) == expected
        shares = [list(parse_places([f"{line}\n" for line in lines], number, 3)) for number in range(3)]
    assert sorted((probe for share in shares for probe in share), key=lambda probe: probe.index) == expected
    assert not {probe.address for probe in shares[0]} & {probe.address for probe in shares[1] + shares[2]}


def test_nothing_is_remembered_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_KNOWN", 2)
    lines = [f"192.0.2.{host} tcp/{port}\n" for host in range(3) for port in (22, host + 100)]
    assert list(parse_places(lines)) == _one_by_one(lines)


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    file = tmp_path / "places"
    file.write_text("a tcp/1\na tcp/2\r\n\na tcp/3", encoding="ascii")
    assert [probe.port for probe in Places(str(file))] == [1, 2, 3]
    assert len(Places(str(file))) == 3


@pytest.mark.parametrize("wrong", ["a", "a ", "a tcp/0", "a tcp/\u00b2", "a tcp/22 ssh more", "\ta udp"])
def test_a_wrong_line_is_told_with_its_number(wrong: str) -> None:
    with pytest.raises(InputError, match=r"^line 3: 'a"):
        list(parse_places(["# comment\n", "a tcp/22\n", "a tcp/23\n", f"{wrong}\n", "a tcp/24\n"]))
