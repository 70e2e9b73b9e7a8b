# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PJL: a printer's own name ([HP PJL Technical Reference Manual], INFO ID). A printer without PJL prints what it is
sent, so that this is asked only where somebody said so."""

from __future__ import annotations

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError
from .text import shown

_UNIVERSAL_EXIT = b"\x1b%-12345X"
_QUESTION = b"@PJL INFO ID"
_END = b"\x0c"


class Pjl(Conversation):
    """Asks a printer for its model."""

    name = "PJL"
    cap = 4096

    def first(self, attempt: int = 0) -> bytes:
        """The question between two exits, so that no job is left open."""
        return _UNIVERSAL_EXIT + _QUESTION + b"\r\n" + _UNIVERSAL_EXIT

    def _classify(self, data: bytes) -> Answer:
        if not data.startswith(_QUESTION[: len(data)]):
            raise MalformedError("its answer is no PJL")
        head, end, _rest = data.partition(_END)
        if not end:
            return None
        words = head[len(_QUESTION) :].replace(b'"', b"").strip()
        return Evidence(ServiceStatus.CONFIRMED, "printer that speaks PJL", shown(words) or None)
