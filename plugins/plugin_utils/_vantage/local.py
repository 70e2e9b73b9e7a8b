# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine itself as vantage: the engine in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...module_utils._probe.engine import Engine
from ...module_utils._probe.records import Probe, ProbeOptions
from ...module_utils._probe.wire import Numbered
from .interface import VantageError
from .ping import run_ping


class LocalVantage:
    """Where this process runs."""

    def observe(self, probes: Sequence[Probe], options: ProbeOptions) -> Iterator[Numbered]:
        """Observations in the order in which they are made. Raises VantageError."""
        try:
            with Engine(options, runner=run_ping) as engine:
                yield from engine.run(probes)
        except OSError as error:
            raise VantageError(f"the controller has not the means to probe: {error}") from error
