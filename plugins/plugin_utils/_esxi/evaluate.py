# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of an ESXi host, however it was read."""

from __future__ import annotations

from collections.abc import Sequence

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.records import Requirement, Verdict
from ...module_utils._esxi.rulesets import Judgement, judge
from .._platform.interface import Request
from .._platform.verdicts import verdicts_of
from .snapshot import Snapshot


def evaluate(snapshot: Snapshot, request: Request) -> tuple[Verdict, ...]:
    """A verdict for each requirement of the request, in its order."""

    def judged(requirement: Requirement, source: AddressSet, _destination: Address) -> tuple[Judgement, ...]:
        return judge(snapshot.firewall, requirement, source)

    def listener(requirement: Requirement, _judged: Sequence[Judgement]) -> tuple[bool | None, str | None]:
        return _listener(snapshot, request, requirement)

    return verdicts_of(request, judged, listener)


def _listener(snapshot: Snapshot, request: Request, requirement: Requirement) -> tuple[bool | None, str | None]:
    """Whether something accepts at every destination, and what; ``None`` where the host could not tell."""
    if snapshot.listeners is None or requirement.port is None:
        return None, None
    wire, port = requirement.protocol.value, requirement.port
    found = [
        next((item for item in snapshot.listeners if item.accepts(wire, destination, port)), None)
        for destination in request.destinations
    ]
    if not found or not all(found):
        return False, None
    return True, "; ".join(dict.fromkeys(str(item) for item in found))
