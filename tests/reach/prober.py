# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine inside a namespace: a request as JSON on standard input, observations as JSON lines on the output."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import time
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.names import parse_endpoint
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Endpoint, Probe, ProbeOptions
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret


def main() -> None:
    """One request, one run."""
    request = json.load(sys.stdin)
    if request["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["descriptors"], request["descriptors"]))
    options = dict(request["options"])
    if "snmp_community" in options:
        options["snmp_community"] = Secret(options["snmp_community"])
    probes = (_probe(number, item) for number, item in enumerate(request["probes"]))
    begun = time.monotonic()
    names = request["names"] or {}

    def resolve(name: str) -> list[Endpoint]:
        found = names.get(name)
        if isinstance(found, (int, float)):
            time.sleep(found)
        if not isinstance(found, list):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [endpoint for endpoint in map(parse_endpoint, found) if endpoint]

    engine = Engine(ProbeOptions(**options), resolver=resolve, runner=_run)
    for index, observation in engine.run(probes):
        row = {"index": index, "at_s": time.monotonic() - begun, **to_result(observation)}
        sys.stdout.write(json.dumps(row) + "\n")


def _probe(number: int, item: dict[str, Any]) -> Probe:
    protocol = Protocol(item.get("protocol", "tcp"))
    return Probe(
        index=number,
        host=item.get("host", "target"),
        requirement=item.get("requirement", f"probe.{number}"),
        address=item["address"],
        protocol=protocol,
        port=item.get("port"),
        service=item.get("service", "none"),
    )


def _run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    main()
