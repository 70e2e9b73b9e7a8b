# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Fleets of stand-in ESXi hosts for tests, gone at their end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.captured import captured
from tests.esxi.fleets import Fleet, World
from tests.standins.esxi.model import Host, captured_host
from tests.standins.esxi.shell import BUSYBOX
from tests.standins.esxi.ssh import SshHosts
from tests.tools.cores import Core, cores


@pytest.fixture
def newest() -> Core:
    """The newest ansible-core, for what is the same on all of them."""
    return cores()[-1]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet, reached by a key of its own."""
    if os.geteuid() != 0 or not BUSYBOX.exists():
        pytest.skip("the stand-in's shell needs root (chroot) and BusyBox (Debian's package busybox-static)")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=20)
    made = Fleet(tmp_path, SshHosts(key.with_suffix(".pub").read_text()), key)
    yield made
    made.close()


@pytest.fixture
def release() -> Callable[..., Host]:
    """Make a host of a release from the captured data."""
    data = captured("esxi")

    def make(version: str, name: str = "esx1") -> Host:
        return captured_host(data, version, name)

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return folder


@pytest.fixture
def world(tmp_path: Path, certificate: Path) -> Iterator[World]:
    for name in ("key.pem", "cert.pem"):
        (tmp_path / name).write_bytes((certificate / name).read_bytes())
    made = World(tmp_path)
    yield made
    for server in made.servers:
        server.close()
