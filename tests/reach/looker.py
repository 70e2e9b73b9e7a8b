# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes through the vantage of an inventory host: a request as JSON on standard input, what was seen on the output."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import AuditPortsError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.settings import find_vantage

NAME = "audit1"


def main() -> None:
    """One request, one run."""
    request = json.load(sys.stdin)
    options = {"vantage": NAME, **request["options"]}
    if "snmp_community" in options:
        options["snmp_community"] = Secret(options["snmp_community"])
    found: dict[str, Any] = {"rows": [], "warnings": [], "error": None}
    begun, spent = time.monotonic(), time.process_time()
    try:
        vantage = find_vantage(NAME, {NAME: request["variables"]}, found["warnings"].append)
        probes = [_probe(number, item) for number, item in enumerate(request["probes"])]
        for index, observation in vantage.observe(probes, ProbeOptions(**options)):
            found["rows"].append({"index": index, **to_result(observation)})
    except AuditPortsError as error:
        found["error"] = str(error)
    found["wall_s"], found["cpu_s"] = time.monotonic() - begun, time.process_time() - spent
    found["rows"].sort(key=lambda row: (row["index"], row["address"] or ""))
    json.dump(found, sys.stdout)


def _probe(number: int, item: dict[str, Any]) -> Probe:
    return Probe(
        index=number,
        host=item.get("host", "target"),
        requirement=f"probe.{number}",
        address=item["address"],
        question=Question(Protocol(item.get("protocol", "tcp")), item.get("port"), item.get("service", "none")),
    )


if __name__ == "__main__":
    main()
