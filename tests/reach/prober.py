# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine inside a namespace: a request as JSON on standard input, observations as JSON lines on the output."""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe import (
    constants,
    first_tries,
    guards,
    spares,
    tcp,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.names import parse_endpoint
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import (
    Endpoint,
    Probe,
    ProbeOptions,
    Question,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.secret import Secret


def main() -> None:
    """One request, one run."""
    request = json.load(sys.stdin)
    if request["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["descriptors"], request["descriptors"]))
    constants.SECOND_SERVICE_S = float(os.environ.get("AUDIT_PORTS_PATIENCE_S", constants.SECOND_SERVICE_S))
    options = dict(request["options"])
    if "snmp_community" in options:
        options["snmp_community"] = Secret(options["snmp_community"])
    probes = (_probe(number, item) for number, item in enumerate(request["probes"]))
    begun = time.monotonic()
    for name in request.get("unguarded", ()):
        _UNGUARD[name]()
    spares._WORTH_IT = request.get("spares_from") or spares._WORTH_IT
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
        question=Question(protocol, item.get("port"), item.get("service", "none")),
    )


def _run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def _unguard_descriptors() -> None:
    guards.Descriptors.room = property(lambda self: 1_000_000)  # type: ignore[assignment, method-assign]
    guards.Descriptors.exhausted = lambda self: False  # type: ignore[method-assign]


def _unguard_neighbours() -> None:
    guards.Neighbours.admits = lambda self, address, now: True  # type: ignore[method-assign]


def _unguard_conntrack() -> None:
    guards.Conntrack.is_crowded = lambda self, now: False  # type: ignore[method-assign]


def _unguard_time_wait() -> None:
    spares._WORTH_IT = 0  # none is the zeroth
    tcp.RESET_ON_CLOSE = first_tries.RESET_ON_CLOSE = struct.pack("ii", 0, 0)


def _unguard_ports() -> None:
    tcp._BIND_ADDRESS_NO_PORT = 0  # no option of that number: the kernel takes a port at once


def _unguard_icmp_errors() -> None:
    constants.UDP_BURST = 1000


# What a test switches off to show what it is there for.
_UNGUARD = {
    "descriptors": _unguard_descriptors,
    "neighbours": _unguard_neighbours,
    "conntrack": _unguard_conntrack,
    "time_wait": _unguard_time_wait,
    "ports": _unguard_ports,
    "icmp_errors": _unguard_icmp_errors,
}

if __name__ == "__main__":
    main()
