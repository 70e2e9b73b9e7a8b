# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The engine as the reachability bench runs it: probes in, JSON lines to a file, without politeness.

    python -m tests.bench.reach_ours TARGETS OUTPUT '{"retries": 1, ...}'

TARGETS has lines "address tcp/port service", as the engine's own program reads them; with "stream:NUMBER" in its place
that many are made up, of closed ports of this machine, and read one by one. Prints the highest memory of the process,
in MiB.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.engine import Engine
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import Probe, ProbeOptions, Question
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.places import Places

_IMPOLITE = {"rate_per_s": 1e9, "per_host": 1000}


def _made_up(count: int) -> Iterator[Probe]:
    for index in range(count):
        address = f"127.{index // 1_000_000}.{index // 2500 % 250}.{index // 10 % 250 + 1}"
        yield Probe(index, address, "bench", address, Question(Protocol.TCP, 3000 + index % 10, "none"))


def main() -> None:
    """One run."""
    targets, output, options = sys.argv[1:]
    kind, _colon, count = targets.partition(":")
    gc.disable()
    engine = Engine(ProbeOptions(**{**_IMPOLITE, **json.loads(options)}))
    if kind == "stream":
        lines = engine.lines(_made_up(int(count)))
    else:
        places = Places(targets)
        lines = engine.lines(places, processes=places.processes)
    with Path(output).open("w", encoding="ascii") as file:
        for _count, text in lines:
            file.write(text)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


if __name__ == "__main__":
    main()
