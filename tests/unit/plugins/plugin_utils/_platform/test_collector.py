# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The collector of cyclic garbage: quiet within, as it was afterwards, and with nothing to catch up on."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.collector import collector_paused


class Node:
    """Something that can be part of a cycle."""

    other: Node


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.enable()
    yield
    if not was_on:
        gc.disable()


def test_nothing_is_caught_up_on() -> None:
    with collector_paused():
        kept = [[number] for number in range(50_000)]
    assert gc.isenabled()
    assert gc.get_count()[0] < 100
    assert gc.get_count()[1:] == (0, 0)
    assert len(kept) == 50_000


def test_cycles_are_still_found_afterwards() -> None:
    node = Node()
    node.other = node
    known = weakref.ref(node)
    frozen = gc.get_freeze_count()
    with collector_paused():
        del node
    assert gc.get_freeze_count() == frozen
    gc.collect()
    assert known() is None


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with pytest.raises(ValueError, match="x"), collector_paused():
        raise ValueError("x")
    assert not gc.isenabled()
