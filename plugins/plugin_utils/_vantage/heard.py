# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a module is that runs on an audit host: read there, over a second way beside the one that waits for its end.

The module calls itself by a mark and the number of probes that are done (``module_utils/_probe/telling.py``).
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from typing import Any

from ...module_utils._probe.telling import MARK_LENGTH

# Connections that start a program of their own for each command: a second one does not meet the first.
_APART = frozenset({"ssh", "local", "podman", "containers.podman.podman", "docker", "community.docker.docker"})


def new_mark() -> str:
    """What no other process there is called."""
    return secrets.token_hex(MARK_LENGTH // 2)


def listener(connection: Any, mark: str) -> Callable[[], int | None] | None:
    """Reads how many probes are done, ``None`` where that can't be read. None at all for unknown connections."""
    if connection.transport not in _APART:
        return None
    command = f"/bin/sh -c 'grep -hs ^{mark} /proc/[0-9]*/comm'"

    def read() -> int | None:
        try:
            apart = copy.copy(connection)  # with a state of its own, the same options
            _code, output, _errors = apart.exec_command(command, in_data=None, sudoable=False)
        except Exception:  # whatever a connection plugin raises: the run itself goes on, and tells of what breaks it
            return None
        return parse_names(output.decode("ascii", "replace"), mark)

    return read


def parse_names(text: str, mark: str) -> int | None:
    """The number in the names of processes that begin with the mark, the highest; ``None`` where there is none."""
    found = []
    for name in text.split():
        digits = name[len(mark) :]
        if name.startswith(mark) and digits and all(digit in "0123456789abcdef" for digit in digits):
            found.append(int(digits, 16))
    return max(found, default=None)
