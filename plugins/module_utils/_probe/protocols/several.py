# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several questions to one UDP port, a different one on each try, to find out what it is that did not answer."""

from __future__ import annotations

from collections.abc import Sequence

from ..._core.vocabulary import ServiceStatus
from .base import Answer, DatagramConversation, Evidence


class SeveralDatagrams(DatagramConversation):
    """Asks in turn, and takes an answer that fits any of the questions."""

    name = "UDP"
    shows_strangers = False

    def __init__(self, questions: Sequence[DatagramConversation]) -> None:
        super().__init__()
        self._questions = questions

    def first(self, attempt: int = 0) -> bytes:
        """The question of this try."""
        return self._questions[attempt % len(self._questions)].first()

    def receive(self, data: bytes) -> Answer:
        """The evidence of the question that the datagram answers."""
        for question in self._questions:
            answer = question.receive(data)
            if isinstance(answer, Evidence) and answer.status is ServiceStatus.CONFIRMED:
                return answer
        return super().receive(data)

    def _classify(self, data: bytes) -> Answer:
        self._buffer = data
        return None
