# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run is, told by a process that is heard at its end only: by its name, which others on the host can read.

Nothing is written anywhere, and however the process ends, nothing of it is left behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from .wire import Numbered

_NAME = "/proc/self/comm"  # proc(5): 15 characters
_PERIOD_S = 1.0
MARK_LENGTH = 8  # leaves seven hexadecimal digits


def tell_while(mark: str, observed: Iterator[Numbered]) -> Iterator[Numbered]:
    """Pass everything on; once a second the process is called ``mark`` with the number of probes that are done."""
    done: set[int] = set()
    due = 0.0
    for index, observation in observed:
        done.add(index)
        now = time.monotonic()
        if now >= due:
            due = now + _PERIOD_S
            with suppress(OSError), open(_NAME, "w", encoding="ascii") as name:
                name.write(f"{mark[:MARK_LENGTH]}{len(done):x}")
        yield index, observation
