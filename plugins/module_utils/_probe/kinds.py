# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all probes that ask the same, of whatever host: found out once, since a run asks it of thousands."""

from __future__ import annotations

from typing import Dict

from .._core.vocabulary import Protocol
from . import constants
from .conversations import STREAMS, converse, why_unverifiable
from .followups import RAW_PRINT, FollowUp, opening
from .loop import STREAM_EVENTS, WRITABLE
from .protocols.base import Conversation
from .records import Probe, ProbeOptions, Question


class Kind:
    """The probes of one question.

    ``is_plain``: a TCP connection alone is the answer, every time, and no further question follows from it.
    ``is_direct``: it is asked as it is, whatever was asked of the host before. ``stream`` makes the dialogue, where
    that is the same for every host. ``events`` is what to be told of while its first SYN is under way.
    """

    __slots__ = (
        "events", "greets_once", "is_direct", "is_plain", "is_stream", "port", "question", "stream", "unverifiable",
    )  # fmt: skip

    def __init__(self, probe: Probe, options: ProbeOptions) -> None:
        self.question = probe.question
        self.port = probe.port or 0
        self.unverifiable = why_unverifiable(probe, options)
        self.greets_once = probe.service in constants.LOGIN_SERVICES
        self.is_plain = (
            probe.protocol is Protocol.TCP
            and self.unverifiable is None
            and not self.greets_once
            and converse(probe, options) is None
            and not (options.service_check and probe.service == RAW_PRINT)
        )
        self.is_direct = self.unverifiable is None and not self.greets_once and opening(probe, options) is probe
        self.stream = STREAMS.get(probe.service) if probe.protocol is Protocol.TCP and options.service_check else None
        self.is_stream = self.is_plain or self.stream is not None
        self.events = WRITABLE if self.is_plain else STREAM_EVENTS

    def converse(self, probe: Probe, options: ProbeOptions) -> Conversation | None:
        """The dialogue for a probe of this kind, or ``None`` where there is none."""
        if self.stream is not None and not isinstance(probe, FollowUp):
            return self.stream()
        return converse(probe, options)


class Kinds(Dict[Question, Kind]):
    """Every kind of a run, by its question."""

    def __init__(self, options: ProbeOptions) -> None:
        super().__init__()
        self._options = options

    def of(self, probe: Probe) -> Kind:
        """The kind of a probe."""
        found = self.get(probe.question)
        if found is None:
            found = self[probe.question] = Kind(probe, self._options)
        return found
