# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Runs that are killed after each of their steps, and two at once: packets meet what verdicts say at every point.

The next run finishes what a killed one began, and a withdrawal leaves no trace of either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .stage import Stage
from .test_managers import Play

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")]
# A step of the write command ends with this; the shell ends at once there, as a run whose connection is cut.
_STEP = " &&\n"
_KILL = " &&\nkill -KILL $$ &&\n"
# The kills of a short run: within a manager's write, between its writes, and before the record is complete. A long one
# has all of them.
_SHORT = 3
SCENARIOS = {
    "firewalld": {"manager": "debian12-firewalld", "panel": ["tcp/22", "udp/161"]},
    "ufw": {"manager": "debian12-ufw", "panel": ["tcp/22", "udp/161"], "setup": ["ufw deny 443/tcp"]},
    "no manager": {
        "manager": "debian12-ufw",
        "panel": ["tcp/22", "udp/161"],
        "asked_manager": "nftables",
        "setup": [
            "ufw disable",
            "nft add table inet own",
            "nft 'add chain inet own input { type filter hook input priority 0; policy drop; }'",
            "nft add rule inet own input ct state established accept",
            "nft add rule inet own input meta l4proto ipv6-icmp accept",
        ],
    },
}


@pytest.fixture(scope="module", params=SCENARIOS)
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    scenario = SCENARIOS[request.param]
    stage = Stage(str(scenario["manager"]))
    try:
        yield Play(stage, scenario)
    finally:
        stage.close()


def _killed(play: Play, body: str, step: int) -> None:
    """Run the command up to the end of a step."""
    steps = body.split(_STEP)
    play.stage.run_to_its_end(_STEP.join(steps[:step]) + _KILL + _STEP.join(steps[step:]))


def _kills(body: str) -> list[int]:
    steps = body.count(_STEP)
    assert steps > 2 * _SHORT
    first = 2 if os.environ.get("AUDIT_PORTS_SOAK") else steps - _SHORT + 1
    return [1, *range(first, steps + 1)]


def test_killed_after_each_step_and_finished_by_the_next_run(play: Play) -> None:
    play.stage.begin({}, play.scenario.get("setup", ()))
    untouched, before = play.stage.state(), play.agree("before")
    opening = play.product.write_script(play.look()).body
    for step in _kills(opening):
        _killed(play, play.product.write_script(play.look()).body, step)
        play.agree(f"killed after step {step} of the opening")
        play.product.write(play.look())
        play.opened(before, play.sources)
        withdrawing = play.product.write_script(play.look(state="absent")).body
        _killed(play, withdrawing, max(1, withdrawing.count(_STEP) - opening.count(_STEP) + step))
        play.agree(f"killed after step {step} of the withdrawal")
        play.product.write(play.look(state="absent"))
        assert play.stage.state().splitlines() == untouched.splitlines(), f"step {step}"
    assert play.agree("after all") == before


def test_of_two_runs_at_once_one_writes_and_the_other_plans_again(play: Play) -> None:
    play.stage.begin({}, play.scenario.get("setup", ()))
    untouched, before = play.stage.state(), play.agree("before")
    commands = [play.product.write_script(play.look()) for _run in range(2)]
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(play.stage.run_to_its_end, [command.body for command in commands]))
    ends = [play.product.answered(output, command) for output, command in zip(outputs, commands, strict=True)]
    assert [end.errors for end in ends] == [(), ()]
    assert sorted(end.stale for end in ends) == [False, True]
    assert not play.look().plan.changes.changed
    play.opened(before, play.sources)
    play.product.write(play.look(state="absent"))
    assert play.stage.state().splitlines() == untouched.splitlines()
