# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The lab for tests: start it, run things in it, restart its hosts."""

from __future__ import annotations

import subprocess

from . import cli
from .fleet import HOSTS, INVENTORY, KEY, KNOWN_HOSTS, Host
from .shell import LabError, require_root

__all__ = [
    "HOSTS",
    "INVENTORY",
    "KEY",
    "KNOWN_HOSTS",
    "Host",
    "LabError",
    "controller_argv",
    "ensure_up",
    "reboot",
    "run_in",
]


def ensure_up() -> None:
    """Start the lab if it is not up. Raises LabError saying why it cannot be."""
    require_root()
    cli.up()


def run_in(
    host: str, *argv: str, input_text: str | None = None, check: bool = True, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command inside a host, as root; text in and out.

    Raises CalledProcessError (with `check`) when it does not return 0, TimeoutExpired after `timeout_s`.
    """
    command = cli.exec_argv(host, argv)
    return subprocess.run(
        command,
        input=input_text or "",
        capture_output=True,
        text=True,
        errors="replace",
        check=check,
        timeout=timeout_s,
    )


def controller_argv(*argv: str) -> list[str]:
    """The command line that runs a command of this machine in the audit host's network."""
    return cli.controller_argv(argv)


def reboot(host: str) -> None:
    """Restart a host: what is not in its files is gone. Returns when its services answer. Raises LabError."""
    cli.reboot(host)
