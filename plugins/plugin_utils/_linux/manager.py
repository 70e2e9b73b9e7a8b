# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Linux firewall manager (firewalld, ufw) is to the platform: a reader of its own files and a writer of
commands.

Everything here is pure: a manager never touches a host, it turns the text of its files into records and wishes into
argument lists.
The kernel's rule set stays the truth about *now*; a manager answers for *after a reboot*, for its own words, and for
how to change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.records import Decision
from ...module_utils._core.vocabulary import VerdictStatus
from .._netfilter.model import Outcome, Packet, Step

COPY = ".old"  # behind a file's name: what was there before it was written, as firewalld keeps it


@dataclass(frozen=True)
class Opening:
    """A hole that is wanted, or one of ours that is recorded: one protocol and port for one source.

    ``protocol`` is tcp, udp or icmp (echo-request); ``source`` one address, network or ``any``; ``version`` its
    family, 4 or 6
    (``any`` is asked for once per family). ``place`` is where the manager keeps it: firewalld's zone, nothing for ufw.
    ``ahead`` asks for it ahead of the rule that would otherwise win (``override: true``).
    """

    protocol: str
    port: int | None
    source: str
    version: int
    place: str = ""
    ahead: bool = False


@dataclass(frozen=True)
class BootPart:
    """What the manager's permanent configuration will do with one part of a packet's sources after a reboot.

    ``status`` is open, blocked or unknown; ``decided_by`` is in the manager's words; ``place`` is the zone that
    judges it (firewalld).
    """

    source: AddressSet
    status: VerdictStatus
    decided_by: Decision
    place: str = ""


@dataclass(frozen=True)
class Action:
    """One native command of a change: its argument list, what it is for, and whether it writes the running or the
    stored state.
    """

    argv: tuple[str, ...]
    text: str
    scope: str  # "runtime", "permanent" or "both"


class Manager(Protocol):
    """One firewall manager as configured on one host (built from the text of its files by its ``parse_*`` function)."""

    name: str

    def boot(self, packet: Packet) -> tuple[BootPart, ...]:
        """What happens to the packet after a reboot; the parts' sources partition the packet's."""

    def words(self, step: Step) -> Decision | None:
        """The rule of the kernel in the manager's own words (zone and service, rule number); ``None`` when it is not
        the manager's.
        """

    def obstacle(self, outcome: Outcome) -> Decision | None:
        """The rule that would still win over an ordinary allow rule of ours; ``None`` when an allow rule opens it."""

    def place(self, outcome: Outcome, packet: Packet) -> str:
        """Where an allow rule has to go to meet this packet (firewalld: the zone; ufw: the empty string)."""

    def place_again(self, opening: Opening, gone: Sequence[Opening]) -> str | None:
        """Where an opening goes that takes the place of this one of ours, once those that go are removed (it is one of
        them); ``None`` where that cannot be told.
        """

    def has(self, opening: Opening) -> bool:
        """Whether the stored configuration holds exactly this opening already (whoever made it)."""

    def add(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """The commands that add the openings, as few processes as possible."""

    def remove(self, openings: Sequence[Opening], *, runtime: bool, permanent: bool) -> tuple[Action, ...]:
        """The commands that remove exactly these openings."""

    def reread(self, openings: Sequence[Opening]) -> tuple[Action, ...]:
        """The commands that wait until the manager itself has seen that its stored files no longer hold these."""

    def touched(self, openings: Sequence[Opening]) -> tuple[str, ...]:
        """The absolute paths of every file that ``add`` or ``remove`` of these may write, create or rename."""


Files = Mapping[str, str]
