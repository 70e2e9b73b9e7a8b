# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Running the ``ping`` program."""

from __future__ import annotations

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.ping import run_ping


def test_ping_program() -> None:
    assert run_ping(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr\n")
    with pytest.raises(FileNotFoundError):
        run_ping(["/nonexistent/ping"])
