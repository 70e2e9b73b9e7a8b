# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows audit hosts at the vantage: stand-ins whose real PowerShell engines work in the vantage's namespace.

Their WS-Management is on the loopback of the tests' own namespace, which has no way to any target.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.reach.world import ROOT, World
from tests.standins.engine import FULL
from tests.standins.winrm.fixture import Fleet, inventory_variables
from tests.standins.winrm.server import Server


class WindowsHosts:
    """The stand-ins of one network, while it is entered."""

    def __init__(self, world: World) -> None:
        self._fleet = Fleet(("ip", "netns", "exec", world.vantage))

    def __enter__(self) -> WindowsHosts:
        self._fleet.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._fleet.__exit__(*exc_info)

    def start(self, *, tls: bool = False, language_mode: str = FULL) -> Server:
        """A Windows 10 of the test's own; all share the engines."""
        return self._fleet.start("win10", tls=tls, language_mode=language_mode)

    def look(
        self,
        server: Server,
        probes: list[dict[str, Any]],
        *,
        connection: str = "winrm",
        transport: str = "ntlm",
        changes: Mapping[str, Any] | None = None,
        longest_s: float = 90,
        **options: Any,
    ) -> dict[str, Any]:
        """What this host sees: ``rows`` with their index, ``warnings``, ``error``, ``wall_s``.

        ``changes`` are other variables of its inventory.
        """
        variables = {**inventory_variables(server, connection, transport=transport), **(changes or {})}
        request = {"variables": variables, "probes": probes, "options": options}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.reach.looker"],
            input=json.dumps(request), capture_output=True, text=True, timeout=longest_s, check=False, cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "tests" / "tools" / "ansible.cfg"),
                "PYTHONPATH": f"{ROOT / 'build' / 'collections'}:{ROOT}",
            },
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the looker failed: {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found
