# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One little network for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.reach.audit_hosts import AuditHosts, missing
from tests.reach.matrix_world import MatrixWorld
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
def namespaces() -> None:
    """Nothing but that namespaces with firewalls can be made here; without them the tests are skipped."""
    missing = _missing()
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def world(namespaces: None) -> Iterator[World]:
    """The three namespaces with their firewalls and services."""
    with World() as made:
        yield made


@pytest.fixture(scope="session")
def hosts(world: World) -> Iterator[AuditHosts]:
    """Audit hosts at the vantage, in containers; echoes are allowed to everybody there."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with AuditHosts(world) as made:
        yield made


@pytest.fixture
def echoes(world: World) -> Iterator[None]:
    """Whoever is at the vantage may send echoes."""
    world.run(world.vantage, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    yield
    world.run(world.vantage, "sysctl", "-qw", "net.ipv4.ping_group_range=1 0")


@pytest.fixture(scope="session")
def matrix() -> Iterator[MatrixWorld]:
    """A vantage, and a container with every service that a probe may meet."""
    missing = _missing() or ("" if shutil.which("podman") else "needs podman, for the container of services")
    if missing:
        pytest.skip(missing)
    with MatrixWorld() as made:
        yield made
