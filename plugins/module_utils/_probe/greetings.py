# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of services that are greeted only once a run, so that a second question costs them nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Tuple

from .._core.vocabulary import ObservationStatus
from . import constants
from .records import Outcome, Question

_Asked = Tuple[str, Question]


class Greetings:
    """The outcomes by address and question, the latest of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Asked, Outcome] = OrderedDict()

    def of(self, address: str, question: Question) -> Outcome | None:
        """What came of it, or ``None`` if it was not greeted yet."""
        return self._known.get((address, question))

    def remember(self, address: str, question: Question, outcome: Outcome) -> None:
        """Keep what came of it, unless nobody was there to be greeted."""
        if outcome.status is ObservationStatus.OPEN:
            self._known[address, question] = outcome
            if len(self._known) > constants.REMEMBERED_GREETINGS:
                self._known.popitem(last=False)
