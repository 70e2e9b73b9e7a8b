# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authentication daemon of VMware hosts on port 902: it speaks first."""

from __future__ import annotations

import re
from functools import lru_cache

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence, MalformedError
from .text import shown

_GREETING = re.compile(rb"220 VMware Authentication Daemon Version (?P<version>[\d.]+)(?P<rest>[^\r\n]*)\r?\n")
_BEGINNING = b"220 VMware Authentication Daemon"


class VmwareAuthd(Conversation):
    """Reads the greeting and sends nothing."""

    name = "VMware authd"
    cap = 4096
    listens_only = True

    def _classify(self, data: bytes) -> Answer:
        return _told(data)


@lru_cache(maxsize=512)  # in a fleet most greetings are the same
def _told(greeting: bytes) -> Evidence | None:
    found = _GREETING.match(greeting)
    if found:
        options = shown(found["rest"].lstrip(b": ").rstrip(b", "))
        what = f"VMware authd ({options})" if options else "VMware authd"
        return Evidence(ServiceStatus.CONFIRMED, what, "VMware Authentication Daemon", shown(found["version"]))
    if not greeting.startswith(_BEGINNING[: len(greeting)]):
        raise MalformedError("it greets with something else")
    return None
