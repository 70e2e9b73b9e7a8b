# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``ping`` program, for machines where nothing else may send an echo request.

Piped to an audit host beside the engine: Python 3.8, and no import of a sibling.
"""

from __future__ import annotations

import subprocess

_PING_S = 60.0


def run_ping(command: list[str]) -> tuple[int, str]:
    """Run the ``ping`` program: its return code and all that it says. Raises OSError if there is none."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_PING_S, check=False)
    except subprocess.TimeoutExpired as error:
        return 2, f"no end after {error.timeout:g} s"
    return ended.returncode, (ended.stdout + ended.stderr).decode("utf-8", "replace")
