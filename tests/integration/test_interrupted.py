# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Runs whose session on the host is killed in the middle of a write, and two runs at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.integration import sabotage
from tests.integration.configuration import Configuration, configurations
from tests.integration.playing import Run, play
from tests.integration.private import inventory, private_hosts
from tests.lab.fixture import run_in
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)

# Who is killed while it opens: before our intent is on record, between the manager's two writes, after the last one,
# before the record is complete. `mv` closes each step of the record; the first `busctl` asks firewalld for its state.
KILLED_OPENING = {
    "debian12-firewalld-intent": ("mv", 3, False),
    "debian12-firewalld-half": ("busctl", 3, True),
    "debian12-firewalld-record": ("mv", 5, False),
    "debian12-ufw-half": ("ufw", 1, True),
    "debian12-ufw-record": ("mv", 4, False),
}
# And who is killed while it withdraws.
KILLED_WITHDRAWING = {
    "debian12-firewalld-intent": ("busctl", 2, False),
    "debian12-firewalld-half": ("mv", 2, True),
    "debian12-ufw-half": ("ufw", 1, True),
    "debian12-ufw-record": ("mv", 2, False),
}
REQUIREMENTS = ("linux.ssh", "snmp.agent")


@dataclass(frozen=True)
class Story:
    """What the runs returned, and what the hosts were in between."""

    untouched: Mapping[str, Configuration]
    killed: Run
    valid: Mapping[str, bool]
    locked: Mapping[str, bool]
    finished: Run
    killed_withdrawing: Run
    valid_withdrawing: Mapping[str, bool]
    withdraw: Run
    withdrawn: Mapping[str, Configuration]
    both: tuple[Run, ...]
    both_withdrew: tuple[Run, ...]
    end: Mapping[str, Configuration]


@pytest.fixture(scope="module")
def story(newest: Core, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with private_hosts(list(KILLED_OPENING)) as names:
        fleet = inventory(tmp_path_factory.mktemp("fleet") / "hosts.yml", {name: {} for name in names})

        def run(playbook: str) -> Run:
            return play(newest, playbook, "--forks", "5", "--limit", "audit_targets,localhost", inventory=fleet)

        def run_twice(playbook: str) -> tuple[Run, ...]:
            with ThreadPoolExecutor(2) as pool:
                return tuple(pool.map(run, [playbook] * 2))

        untouched = configurations(names)
        for name, (program, call, after) in KILLED_OPENING.items():
            sabotage.kill_session(name, program, call=call, after=after)
        killed = run("prepare")
        valid, locked = {name: _is_valid(name) for name in names}, {name: _is_locked(name) for name in names}
        for name, (program, _call, _after) in KILLED_OPENING.items():
            sabotage.repair(name, program)
        finished = run("prepare")
        for name, (program, call, after) in KILLED_WITHDRAWING.items():
            sabotage.kill_session(name, program, call=call, after=after)
        killed_withdrawing = run("withdraw")
        valid_withdrawing = {name: _is_valid(name) for name in names}
        for name, (program, _call, _after) in KILLED_WITHDRAWING.items():
            sabotage.repair(name, program)
        withdraw = run("withdraw")
        withdrawn = configurations(names)
        both = run_twice("prepare")
        both_withdrew = run_twice("withdraw")
        yield Story(
            untouched, killed, valid, locked, finished, killed_withdrawing, valid_withdrawing, withdraw,
            withdrawn, both, both_withdrew, configurations(names),
        )  # fmt: skip


def _is_valid(host: str) -> bool:
    """Whether the manager takes its own configuration, and runs."""
    commands = (
        ("firewall-cmd --check-config", "firewall-cmd --state") if "firewalld" in host else ("ufw status verbose",)
    )
    return all(run_in(host, "sh", "-c", command, check=False).returncode == 0 for command in commands)


def _is_locked(host: str) -> bool:
    return run_in(host, "flock", "-n", "/run/lock/agentless-audit.lock", "true", check=False).returncode != 0


def _open_and_lasting(run: Run, host: str) -> bool:
    found = [run.verdict(host, requirement) for requirement in REQUIREMENTS]
    return all(verdict["status"] == "open" and verdict["persistent"] for verdict in found)


@pytest.mark.parametrize("host", KILLED_OPENING)
def test_a_killed_run_says_where_it_broke_off(story: Story, host: str) -> None:
    """A broken connection is Ansible's to tell, a broken answer is ours."""
    message = story.killed.firewall(host)["msg"]
    assert story.killed.failed(host)
    assert "broke off at the part" in message or "Data could not be sent to remote host" in message
    assert story.killed.readiness()[host] == "unknown"


@pytest.mark.parametrize("host", KILLED_OPENING)
def test_a_killed_run_leaves_a_valid_host_and_no_lock(story: Story, host: str) -> None:
    assert story.valid[host]
    assert not story.locked[host]


@pytest.mark.parametrize("host", KILLED_OPENING)
def test_the_next_run_finishes(story: Story, host: str) -> None:
    assert _open_and_lasting(story.finished, host), story.finished.firewall(host)
    assert not story.finished.failed(host)


@pytest.mark.parametrize("host", KILLED_WITHDRAWING)
def test_a_killed_withdrawal_leaves_a_valid_host(story: Story, host: str) -> None:
    assert story.killed_withdrawing.failed(host)
    assert story.valid_withdrawing[host]


@pytest.mark.parametrize("host", KILLED_OPENING)
def test_the_next_withdrawal_leaves_the_host_as_it_was(story: Story, host: str) -> None:
    assert not story.withdraw.failed(host), story.withdraw.firewall(host)
    assert story.withdrawn[host].files == story.untouched[host].files
    assert story.withdrawn[host].rules == story.untouched[host].rules
    assert story.withdrawn[host].record == ()


@pytest.mark.parametrize("host", KILLED_OPENING)
def test_two_runs_at_once_are_both_right(story: Story, host: str) -> None:
    for run in (*story.both, *story.both_withdrew):
        assert not run.failed(host), run.firewall(host)["msg"]
    for run in story.both:
        assert _open_and_lasting(run, host), run.firewall(host)
    assert [run.firewall(host)["changed"] for run in story.both].count(True) == 1
    assert [run.firewall(host)["changed"] for run in story.both_withdrew].count(True) == 1
    assert story.end[host].files == story.untouched[host].files
    assert story.end[host].rules == story.untouched[host].rules
    assert story.end[host].record == ()
