# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A UDP port of which no protocol is known: an empty datagram, which only an ICMP error or a chatty service answers."""

from __future__ import annotations

from ..._core.vocabulary import ServiceStatus
from .base import Answer, DatagramConversation, Evidence
from .identify import identify


class MuteDatagram(DatagramConversation):
    """Asks nothing, and takes whatever comes back as a sign of life."""

    name = "service"

    def _classify(self, data: bytes) -> Answer:
        return Evidence(
            ServiceStatus.NOT_CHECKED,
            f"something answers an empty datagram: {identify(data) or 'bytes of no known kind'}",
        )

    def ended(self, *, hung_up: bool = False) -> Evidence:
        """Silence is what is usual here."""
        return Evidence(ServiceStatus.NOT_CHECKED, "no answer to an empty datagram, as is usual there")
