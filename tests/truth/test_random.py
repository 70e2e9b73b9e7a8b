# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random firewall states, a fixed list of seeds: no verdict is wrong, and each unknown one names its rule.

``AUDIT_PORTS_RANDOM_SEEDS`` is ``first:count``; other seeds are run by ``make truth-random SEED=1 N=200``.
"""

from __future__ import annotations

import os

import pytest

from .field import Field
from .random_run import LEAST_CASES, Bench, draw_state, run
from .random_state import smaller_states

SEEDS = os.environ.get("AUDIT_PORTS_RANDOM_SEEDS", "1:90")


@pytest.mark.timeout(600)
def test_no_verdict_on_a_random_state_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """What the packets meet is what the simulator says, over all seeds of the list."""
    first, count = (int(part) for part in SEEDS.split(":"))
    made = Field("random")
    try:
        summary = run(made, first, count)
    finally:
        made.close()
    with capsys.disabled():
        print("\n" + summary.text())
    assert not summary.failures
    assert summary.cases >= count * 0.95
    assert summary.verdicts["right"] > 5 * summary.verdicts["unknown"]
    if summary.cases >= LEAST_CASES:
        assert not summary.short()


def test_a_seed_draws_the_same_state_every_time() -> None:
    """A seed that fails can be looked at again."""
    for seed in range(20):
        assert draw_state(seed) == draw_state(seed)
    assert draw_state(1) != draw_state(2)


def test_every_smaller_state_has_less() -> None:
    """Shrinking ends, and never adds a thing."""
    for seed in range(12):
        state = draw_state(seed)
        for smaller in smaller_states(state):
            assert smaller != state
            assert smaller.features() <= state.features()


@pytest.mark.timeout(60)
def test_a_simulator_that_errs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: verdicts that are the wrong way round are all found wrong."""
    made = Field("random")
    try:
        bench = Bench(made)
        state, _refused = bench.load(draw_state(1))
        kinds = [kind for kind, _problem, _probe, _outcome in bench.compare(state)]
        assert "right" in kinds
        observe = made.observe
        turned = {"passes": "dropped", "dropped": "passes", "rejected": "passes"}
        monkeypatch.setattr(
            made, "observe", lambda probes: {key: turned[seen] for key, seen in observe(probes).items()}
        )
        found = [kind for kind, _problem, _probe, _outcome in bench.compare(state)]
        assert found == ["wrong" if kind == "right" else kind for kind in kinds]
        bench.clear()
    finally:
        made.close()
