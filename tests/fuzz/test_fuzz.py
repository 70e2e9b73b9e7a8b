# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a peer says makes a classification raise, read beyond its cap, or take long."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import SystemRandom

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import ServiceStatus
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import DATAGRAMS, STREAMS
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import Answer, Conversation

from tests.fuzz import dialogues, run

COUNT = 20_000
# A run that decides about a change must not fail by a chance that the change has nothing to do with.
SEED = 1 if os.environ.get("CI") else SystemRandom().randrange(2**32)


@pytest.mark.timeout(240)
def test_every_protocol() -> None:
    """No find, and inputs that are neither all right nor all wrong."""
    results = run.fuzz_all(COUNT, SEED)
    assert not [path for result in results for path in result.finds]
    for result in results:
        assert result.inputs == COUNT
        if result.name != "mute":
            assert len(result.classes) > 1, f"{result.name}: the inputs are all alike: {result.classes}"
            assert result.classes["confirmed"] + result.classes["not_checked"] > COUNT / 100, result


def test_every_dialogue_is_fuzzed() -> None:
    """A protocol that is added is fuzzed, too."""
    made = {type(dialogue.make()) for dialogue in dialogues.DIALOGUES.values()}
    assert {type(make()) for make in (*STREAMS.values(), *DATAGRAMS.values())} <= made


@pytest.mark.parametrize("name", [name for name in dialogues.DIALOGUES if name != "mute"])
def test_unchanged_answers_are_confirmed(name: str) -> None:
    """What the inputs are made from is what a real peer says."""
    dialogue = dialogues.DIALOGUES[name]
    assert dialogues.converse(dialogue.make, dialogue.answers).status is ServiceStatus.CONFIRMED


def test_finds_stay_fixed() -> None:
    """Every input that once broke something is tried again."""
    for path in sorted(run.FINDS.glob("*.json")):
        find = json.loads(path.read_text(encoding="utf-8"))
        dialogue = dialogues.DIALOGUES[find["protocol"]]
        dialogues.converse(dialogue.make, [bytes.fromhex(piece) for piece in find["pieces"]])


class _Careless(Conversation):
    """What the fuzzer must find: an answer that is taken for longer than it is."""

    name = "careless"

    def _classify(self, data: bytes) -> Answer:
        return data[data[0] : data[0] + 1] if data[data[0]] else None


def test_a_careless_dialogue_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer can find, and keeps what it found."""
    monkeypatch.setitem(dialogues.DIALOGUES, "careless", dialogues.Dialogue(_Careless, (b"\1\2",)))
    result = run.fuzz("careless", 500, 1, tmp_path)
    assert len(result.finds) == run.MOST_FINDS
    assert "IndexError" in result.finds[0].read_text()
