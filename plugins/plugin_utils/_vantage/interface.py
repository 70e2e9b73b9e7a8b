# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a vantage is: probes in, observations out, however they are carried there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ...module_utils._core.errors import AuditPortsError
from ...module_utils._probe.records import Probe, ProbeOptions
from ...module_utils._probe.wire import Numbered


class VantageError(AuditPortsError):
    """The vantage itself cannot be used: not reached, not let in, or without the means to probe."""


class Vantage(Protocol):
    """A place that probes start from. ``options.vantage`` is its name in the observations."""

    def observe(self, probes: Sequence[Probe], options: ProbeOptions) -> Iterator[Numbered]:
        """Observations with the index of their probe, in the order in which they are made. Raises VantageError."""
