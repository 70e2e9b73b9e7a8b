# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One little network for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.reach.world import World


def _missing() -> str:
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    lacking = [name for name in ("ip", "nft") if shutil.which(name) is None]
    if lacking:
        return f"needs {' and '.join(lacking)}, to make network namespaces with firewalls"
    probe = subprocess.run(["ip", "netns", "add", "audit-ports-try"], capture_output=True, text=True, check=False)
    if probe.returncode:
        return f"cannot make network namespaces here: {probe.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", "audit-ports-try"], capture_output=True, check=False)
    return ""


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The three namespaces with their firewalls and services."""
    missing = _missing()
    if missing:
        pytest.skip(missing)
    with World() as made:
        yield made
