# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that reads a Windows host. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...module_utils._core.records import Requirement
from .._platform.interface import Command
from .needless import NEEDLESS, is_usual
from .parts import IF_LISTED, LISTINGS, PARTS, RULES
from .shells import SHELLS, Shell


def read_command(requirements: Iterable[Requirement] = (), *, transport: str = "powershell") -> Command:
    """The command that prints every part that a snapshot is made of, for one of the ``SHELLS``.

    What decides nothing about the requirements may be left out of the parts.
    """
    return SHELLS[transport].script(_BODIES[transport, is_usual(requirements)])


def _lines(shell: Shell, needless: Mapping[str, str]) -> Iterator[str]:
    for name, argv in PARTS:
        if name in LISTINGS.values():
            yield shell.listing(name, argv)
        elif name in IF_LISTED:
            yield shell.if_listed(IF_LISTED[name], shell.part(name, argv))
        else:
            yield shell.part(name, argv, unneeded=needless.get(name, ""), heads=name == RULES)


# Made once, before Ansible starts a process for each host.
_BODIES = {
    (transport, usual): "".join(_lines(shell, needless))
    for transport, shell in SHELLS.items()
    for usual, needless in NEEDLESS.items()
}
