# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What integration tests share: the lab, and one ansible-core for what does not depend on it."""

from __future__ import annotations

import pytest

from tests.lab.fixture import ensure_up
from tests.tools.cores import Core, cores


@pytest.fixture(scope="session")
def lab() -> None:
    """See that the lab is up; it stays up."""
    ensure_up()


@pytest.fixture(scope="session")
def newest(lab: None) -> Core:
    """The newest ansible-core that there is here, with the lab: for what happens on hosts, whatever the core."""
    return cores()[-1]
