# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A callback that writes what each task returned, and how long it took, as a line of JSON to AUDIT_PORTS_TIMED.

It takes the place of the usual one and does all that this does: beside it, Ansible would prepare each result twice, and
that would be measured, too.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
name: timed
type: stdout
short_description: Writes every result of a run, and the seconds that it took, to a file
description: [For benches. All else is as with the default callback.]
extends_documentation_fragment: [default_callback, result_format_callback]
"""


class CallbackModule(Default):  # type: ignore[misc]
    """One line for each task of a play: from its start to the result of its last item, by the wall's clock."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "timed"

    _started = 0.0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._started = time.perf_counter()
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_on_ok(self, result: Any) -> None:
        super().v2_runner_on_ok(result)
        self._write("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        super().v2_runner_on_failed(result, ignore_errors)
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        super().v2_runner_on_unreachable(result)
        self._write("unreachable", result)

    def _write(self, status: str, result: Any) -> None:
        line = {
            "host": result._host.get_name(),
            "task": result._task.get_name(),
            "status": status,
            "seconds": time.perf_counter() - self._started,
            "data": result._result,
        }
        with open(os.environ["AUDIT_PORTS_TIMED"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
