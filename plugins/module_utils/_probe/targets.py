# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From hosts and their requirements to plain probes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Tuple

from .._core.records import Requirement
from .records import Probe, Question


class Target(NamedTuple):
    """A host as the result names it, the address or name that is probed, and what is asked of it."""

    host: str
    address: str
    requirements: Tuple[Requirement, ...]  # noqa: UP006


def plan_probes(targets: Iterable[Target]) -> list[Probe]:
    """One probe for each requirement of each target, numbered in that order."""
    pairs = [(target, requirement) for target in targets for requirement in target.requirements]
    return [
        Probe(
            index=index,
            host=target.host,
            requirement=requirement.id,
            address=target.address,
            question=Question(requirement.protocol, requirement.port, requirement.service),
        )
        for index, (target, requirement) in enumerate(pairs)
    ]
