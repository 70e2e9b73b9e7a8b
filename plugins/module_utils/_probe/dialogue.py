# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a stream and the dialogue over it end, whoever carries the bytes."""

from __future__ import annotations

from .._core.vocabulary import ObservationStatus, ServiceStatus
from .loop import Job
from .protocols.base import Conversation, Evidence
from .records import Outcome


class StreamJob(Job):
    """A connection and, where there is a conversation, what the service lets us know over it."""

    __slots__ = ()

    _conversation: Conversation | None
    _rtt_s: float | None

    def _conclude(self, when: str, *, hung_up: bool = False) -> None:
        """Nothing more will come of the dialogue."""
        if self._conversation is not None:
            evidence = self._conversation.ended(hung_up=hung_up)
            self._told(evidence, f"{evidence.text} ({when})")

    def _told(self, evidence: Evidence, text: str) -> None:
        self._end(ObservationStatus.OPEN, text, evidence.status, evidence)

    def _end(
        self,
        status: ObservationStatus,
        text: str,
        service: ServiceStatus = ServiceStatus.NOT_CHECKED,
        said: Evidence | None = None,
    ) -> None:
        if not self.is_done:
            self._release()
            self.finish(Outcome(status, text, service, self._rtt_s, self.tries, self.host.source, said))

    def _release(self) -> None:
        """Give back what the connection holds."""
