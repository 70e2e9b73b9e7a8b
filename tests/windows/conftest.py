# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Stand-ins for Windows hosts, and the PowerShell engine that runs scripts on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.engine import MISSING, Engines, find_engine
from tests.standins.winrm.door import Door
from tests.standins.winrm.fixture import Fleet
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.natives import Natives


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Hosts can be started in it; they end with the session."""
    with Fleet() as started:
        yield started


@pytest.fixture(scope="session")
def engines(fleet: Fleet) -> Engines:
    """The warm engines; the test is skipped where there is no engine."""
    if find_engine() is None:
        pytest.skip(MISSING)
    return fleet.engines


@pytest.fixture
def natives(request: pytest.FixtureRequest) -> Natives:
    """The programs of a Windows 10 of the test's own, or of the machine that `request.param` names."""
    return Natives(MACHINES[getattr(request, "param", "win10")]())


@pytest.fixture
def environment(natives: Natives, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What an engine needs to find those programs."""
    door = Door(natives, tmp_path / "machine")
    yield door.environment
    door.close()
