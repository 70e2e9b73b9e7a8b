# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH: the server's identification string (RFC 4253, 4.2). We read it and send nothing."""

from __future__ import annotations

import re
from functools import lru_cache

from ..._core.vocabulary import ServiceStatus
from .base import Answer, Conversation, Evidence
from .identify import identify
from .text import shown

_IDENTIFICATION = re.compile(rb"SSH-(?P<protocol>\d+\.\d+)-(?P<software>[^ \r\n]*)(?: (?P<comment>[^\r\n]*))?\r?$")
_PRODUCT = re.compile(r"(?P<product>[A-Za-z][A-Za-z0-9.+]*(?:[_-][A-Za-z]+)*)[_-]v?(?P<version>\d.*)$")
_SPEAKS_2 = (b"2.0", b"1.99")  # RFC 4253, 5.1
_REFUSALS = (b"Exceeded MaxStartups", b"Not allowed at this time")  # what OpenSSH sends in place of its identification
_LONGEST_LINE = 255


class Ssh(Conversation):
    """Waits for the identification string; lines that a server may send before it are passed over."""

    name = "SSH"
    cap = 4096
    listens_only = True

    def _classify(self, data: bytes) -> Answer:
        lines = data.split(b"\n")
        for line in lines[:-1]:
            told = _told(line)
            if told is not None:
                return told
        if (
            b"\0" in data
            or len(lines[-1]) > _LONGEST_LINE
            or (not data.startswith(b"SSH-") and identify(data, quote=False))
        ):
            return self.unexpected("it greets with something else")
        return None


@lru_cache(maxsize=512)  # in a fleet most greetings are the same
def _told(line: bytes) -> Evidence | None:
    """What a line tells, ``None`` for one that may stand before the identification (RFC 4253, 4.2)."""
    found = _IDENTIFICATION.match(line)
    if found:
        return _identified(found)
    if line.startswith(_REFUSALS):
        words = shown(line, _LONGEST_LINE)
        return Evidence(ServiceStatus.SILENT, f"an SSH server that turns connections away for now: {words}")
    return None


def _identified(found: re.Match[bytes]) -> Evidence:
    software = shown(found["software"], _LONGEST_LINE)
    comment = shown(found["comment"] or b"", _LONGEST_LINE)
    if found["protocol"] not in _SPEAKS_2:
        version = shown(found["protocol"], _LONGEST_LINE)
        return Evidence(ServiceStatus.UNEXPECTED, f"SSH of protocol version {version} only, 2.0 is needed", software)
    known = _PRODUCT.match(software)
    product, version = (known["product"], known["version"]) if known else (software, "")
    return Evidence(ServiceStatus.CONFIRMED, "SSH 2.0", product, " ".join(filter(None, (version, comment))) or None)
