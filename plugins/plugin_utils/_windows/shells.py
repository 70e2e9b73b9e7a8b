# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shells that a script can be written for, by the name of the option ``transport``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .._platform import cmd, powershell
from .._platform.interface import Command


class _Script(Protocol):
    def __call__(self, body: str, *, mark: str | None = None) -> Command: ...


class _Part(Protocol):
    def __call__(self, name: str, argv: Sequence[str], *, unneeded: str = "", heads: bool = False) -> str: ...


@dataclass(frozen=True)
class Shell:
    """What a shell's quoting file offers: a part of the output, one that lists keys and parts for keys that it lists,
    parts up to the first failure, the whole script.
    """

    part: _Part
    listing: Callable[[str, Sequence[str]], str]
    if_listed: Callable[[str, str], str]
    all_of: Callable[[Iterable[str]], str]
    when_failed: Callable[[str], str]
    script: _Script


SHELLS = {
    module.__name__.rpartition(".")[2]: Shell(
        module.part, module.listing, module.if_listed, module.all_of, module.when_failed, module.script
    )
    for module in (powershell, cmd)
}
