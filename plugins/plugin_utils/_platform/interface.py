# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a platform is: a small set of pure functions between a request and a verdict. The action base does all the
I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.changes import ChangeSet
from ...module_utils._core.records import Requirement, Verdict
from ...module_utils._core.vocabulary import PsRemoting, SourceRole


@dataclass(frozen=True)
class Command:
    """A short program to start and a body for its standard input, so that no length limit of a command line matters.

    ``mark`` is the unguessable word that splits the output into parts (see ``sections``).
    """

    program: str
    body: str
    mark: str


@dataclass(frozen=True)
class NamedSource:
    """A source as the user wrote it (or the inventory gave it) and the addresses that it stands for."""

    text: str
    addresses: AddressSet


@dataclass(frozen=True)
class Request:
    """What is asked of one host, every name resolved on the controller.

    ``destinations`` are the addresses that the audit will use; ``not_applicable`` maps requirement ids that do not
    concern this
    host to the reason, ``undetermined`` those of which nobody said whether they do. What is not ``openable`` is only
    judged. ``profiles`` (Windows: domain, private, public) are those to open for, none for the platform's own choice;
    ``winrm`` says whether the service may be set up (``configure``) or is left as it is (``leave``).
    """

    host: str
    systems: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    openable: frozenset[str]
    sources: Mapping[SourceRole, tuple[NamedSource, ...]]
    destinations: tuple[Address, ...]
    state: str = "present"
    override: bool = False
    force: bool = False
    manager: str = "auto"
    persistent: bool = True
    psremoting: PsRemoting = PsRemoting.AUTO
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    undetermined: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    winrm: str = "leave"


@dataclass(frozen=True)
class Part:
    """One named part of a command's output: its return code, standard output and (capped) standard error."""

    rc: int
    out: str
    err: str


@dataclass(frozen=True)
class Plan:
    """What would be written: the change set, and the platform's own ``details`` that its ``write`` turns into a
    command.

    ``advice`` maps ids of requirements that the plan leaves blocked to why, and what the user can do. ``refusals`` are
    sentences about what was asked for and will not be done; they fail the task.
    """

    changes: ChangeSet
    details: Any = None
    advice: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """How a write ended: ``stale`` (nothing written, the host changed since it was read), else the errors, none for
    success.
    """

    stale: bool
    errors: tuple[str, ...] = ()


class Platform(Protocol):
    """One system's firewall. All functions are pure; ``snapshot`` is the platform's own frozen record of what was
    read.
    """

    name: str

    def read(self, request: Request) -> Command:
        """The one command that reads everything an evaluation may need."""

    def parse(self, parts: Mapping[str, Part], request: Request) -> Any:
        """The snapshot. Raises ReadError, with the next step, when too little came back to say anything."""

    def evaluate(self, snapshot: Any, request: Request) -> tuple[Verdict, ...]:
        """A verdict for each requirement, in the order asked."""

    def plan(self, snapshot: Any, verdicts: Sequence[Verdict], request: Request) -> Plan:
        """The additive steps that make the verdicts open (``present``), or their exact reverse (``absent``)."""

    def write(self, snapshot: Any, plan: Plan) -> Command:
        """The one command that carries the plan out, guarded by lock and fingerprint."""

    def written(self, parts: Mapping[str, Part]) -> Written:
        """How that command ended."""

    def firewall(self, snapshot: Any) -> Mapping[str, Any]:
        """Which firewall is in charge, for the result: ``{kind, active, ...}``."""
