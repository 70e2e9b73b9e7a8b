# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What all tests share: hypothesis' settings, the ansible-cores of integration tests, and the run's closing table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.tools.cores import Core, cores
from tests.tools.environments import BUILD

# Deadlines of single examples fail on a busy machine; pytest-timeout bounds the whole test.
settings.register_profile("default", deadline=None, database=DirectoryBasedExampleDatabase(BUILD / "hypothesis"))
# A run that decides about a change must not fail by a chance that the change has nothing to do with.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.register_profile("soak", settings.get_profile("default"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


@pytest.fixture(scope="session", params=cores(), ids=lambda core: f"core-{core.label}")
def core(request: pytest.FixtureRequest) -> Core:
    """Give one ansible-core after the other: all tests that ask for it run on each.

    `core.run("ansible-playbook", "agentless.audit_ports.check", "-i", ...)` runs a command in the lab's controller.
    """
    selected: Core = request.param
    return selected


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table of the suites that ran before this one, where the runner has left it."""
    table = os.environ.get("AUDIT_PORTS_SUITES")
    if table:
        terminalreporter.section("suites before this one")
        terminalreporter.write_line(Path(table).read_text())
