# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that reads a Windows host. Nothing is written."""

from __future__ import annotations

from .._platform.interface import Command
from .parts import PARTS
from .shells import SHELLS


def read_command(*, transport: str = "powershell") -> Command:
    """The command that prints every part that a snapshot is made of, for one of the ``SHELLS``."""
    shell = SHELLS[transport]
    return shell.script("".join(shell.part(name, argv) for name, argv in PARTS))
