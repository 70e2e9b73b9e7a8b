# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Probes of the lab's fleet from its audit host: the playbook `verify`, by the lookup over SSH and by the module."""

from __future__ import annotations

import pytest

from tests.integration.playing import Run, play
from tests.lab.fixture import INVENTORY
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def from_controller(newest: Core) -> Run:
    """The run that the others are held against."""
    return play(newest, "verify", inventory=INVENTORY)


@pytest.mark.parametrize("vantage", ["audit1", "audit_hosts"])
def test_the_audit_host_sees_what_the_controller_sees(newest: Core, from_controller: Run, vantage: str) -> None:
    """In the lab the controller stands in the audit host's network: same places, same states, another name."""
    run = play(newest, "verify", "-e", f"audit_ports_vantage={vantage}", inventory=INVENTORY)
    assert run.returncode == 0, run.said
    assert _seen(run) == _seen(from_controller)
    named = {seen["vantage"] for row in run.rows().values() for seen in row["observations"]}
    assert named == {"audit1"}
    assert "audit-lab" not in run.said


def _seen(run: Run) -> dict[tuple[str, str], list[tuple[str, str, str]]]:
    """Status and service of every row's observations, with the addresses."""
    return {
        key: [(seen["address"], seen["status"], seen["service"]) for seen in row["observations"]]
        for key, row in run.rows().items()
    }
