# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random configurations of firewalld and ufw, a fixed list of seeds: no verdict is wrong, each unknown one says why.

``AUDIT_PORTS_MANAGER_SEEDS`` is ``first:count`` for each manager; others are run by ``make truth-random SEED=1 N=200``.
"""

from __future__ import annotations

import os

import pytest

from tests.truth.managers import random_managers
from tests.truth.managers.random_managers import FEATURES, MANAGERS, draw_configuration
from tests.truth.managers.stage import Stage
from tests.truth.random_run import LEAST_CASES

SEEDS = os.environ.get("AUDIT_PORTS_MANAGER_SEEDS", "1:30")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")


@needs_root
@pytest.mark.timeout(600)
@pytest.mark.parametrize("manager", MANAGERS)
def test_no_verdict_on_a_random_configuration_is_wrong(manager: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the packets meet is what is said of now, by the kernel's rules, and of a reboot, by the files."""
    first, count = (int(part) for part in SEEDS.split(":"))
    summary = random_managers.run(manager, range(first, first + count))
    with capsys.disabled():
        print("\n" + summary.text())
    assert not summary.failures
    not_run = sum(note.startswith("not run") for note in summary.notes)
    assert summary.cases >= (count - not_run) * 0.8
    assert summary.verdicts["right"] > 5 * summary.verdicts["unknown"]
    if summary.cases >= LEAST_CASES:
        assert not summary.short()


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_seed_draws_the_same_configuration_every_time(manager: str) -> None:
    """A seed that fails can be looked at again, and every smaller configuration has less."""
    for seed in range(20):
        drawn = draw_configuration(manager, seed)
        assert drawn == draw_configuration(manager, seed)
        assert drawn.covered() <= set(FEATURES[manager])
        for smaller in drawn.smaller():
            assert smaller != drawn
            assert smaller.covered() <= drawn.covered()


@needs_root
@pytest.mark.timeout(120)
def test_a_verdict_that_errs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: where packets fare the other way round, every verdict about them is found wrong."""
    stages = random_managers.Stages()
    turned = {"passes": "dropped", "dropped": "passes", "rejected": "passes"}
    observe = Stage.observe
    try:
        configuration = draw_configuration("ufw", 1)
        stages.load(configuration)
        kinds = [kind for kind, _problem, _probe in stages.compare(configuration)]
        monkeypatch.setattr(
            Stage, "observe", lambda self, probes: {key: turned[seen] for key, seen in observe(self, probes).items()}
        )
        found = [kind for kind, _problem, _probe in stages.compare(configuration)]
    finally:
        stages.close()
    assert "right" in kinds
    assert found == ["wrong" if kind == "right" else kind for kind in kinds]
