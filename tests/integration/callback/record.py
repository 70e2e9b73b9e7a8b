# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A callback that writes every result of a run, as a line of JSON each, to the file named by AUDIT_PORTS_RECORD."""

from __future__ import annotations

DOCUMENTATION = """
name: record
type: aggregate
short_description: Writes every result of a run to a file
description: [For tests, which judge by what plugins return and not by what is shown.]
"""

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """One line for each task on each host, and a last one with the numbers of the recap."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        self._result("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._result("unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result("skipped", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write({"stats": {host: stats.summarize(host) for host in stats.processed}})

    def _result(self, status: str, result: Any) -> None:
        task = result._task
        self._write(
            {
                "host": result._host.get_name(),
                "task": task.get_name(),
                "action": task.action,
                "status": status,
                "data": result._result,
            }
        )

    @staticmethod
    def _write(line: dict[str, Any]) -> None:
        with open(os.environ["AUDIT_PORTS_RECORD"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
