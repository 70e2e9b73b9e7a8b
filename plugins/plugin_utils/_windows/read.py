# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that reads a Windows host. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator

from .._platform.interface import Command
from .parts import IF_LISTED, LISTINGS, PARTS, RULES
from .rule import WHOLE_AND_IDLE
from .shells import SHELLS, Shell


def read_command(*, transport: str = "powershell") -> Command:
    """The command that prints every part that a snapshot is made of, for one of the ``SHELLS``."""
    return SHELLS[transport].script(_BODIES[transport])


def _lines(shell: Shell) -> Iterator[str]:
    for name, argv in PARTS:
        if name in LISTINGS.values():
            yield shell.listing(name, argv)
        elif name in IF_LISTED:
            yield shell.if_listed(IF_LISTED[name], shell.part(name, argv))
        else:
            yield shell.part(name, argv, unneeded=WHOLE_AND_IDLE if name == RULES else "")


# Made once, before Ansible starts a process for each host.
_BODIES = {transport: "".join(_lines(shell)) for transport, shell in SHELLS.items()}
