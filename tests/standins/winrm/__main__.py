# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Play Windows machines until interrupted, one port each.

    python -m tests.standins.winrm --machine win10 --port 15985 [--machine dc2022 --port 15986 --tls ...]

Prints one line of JSON a machine when it can be reached; GET /counters on its port tells what it was asked.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from tests.standins.engine import CONSTRAINED, FULL, find_engine
from tests.standins.winrm.fixture import Fleet
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.signin import PASSWORD, USER


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.winrm", description="Play Windows machines.")
    parser.add_argument("--machine", action="append", choices=sorted(MACHINES), required=True, help="more than once")
    parser.add_argument("--port", action="append", type=int, default=[], help="of each machine in turn; free ones else")
    parser.add_argument("--tls", action="store_true", help="HTTPS, with a certificate that nobody signed")
    parser.add_argument("--language", choices=["de", "en", "fr", "zh"], help="instead of the machine's own")
    parser.add_argument("--constrained", action="store_true", help="PowerShell in Constrained Language Mode")
    parser.add_argument("--not-elevated", action="store_true", help="the account may read and not write")
    parser.add_argument("--delay", type=float, default=0, metavar="SECONDS", help="each command takes that long")
    parser.add_argument("--drop-at", default="", metavar="OPERATION", help="cut the connection there, such as Receive")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Play the machines; return the exit code."""
    chosen = _arguments(argv)
    if len(chosen.port) > len(chosen.machine):
        print("more ports than machines", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ports = [*chosen.port, *[0] * (len(chosen.machine) - len(chosen.port))]
    with Fleet() as fleet:
        for name, port in zip(chosen.machine, ports, strict=True):
            machine = MACHINES[name]()
            machine.language = chosen.language or machine.language
            machine.elevated = not chosen.not_elevated
            mode = CONSTRAINED if chosen.constrained else FULL
            server = fleet.start(machine, port=port, tls=chosen.tls, language_mode=mode)
            server.host.faults.delay_s, server.host.faults.drop_at = chosen.delay, chosen.drop_at
            known = {"machine": name, "port": server.port, "user": USER, "password": PASSWORD}
            print(json.dumps({**known, "engine": str(find_engine() or "none")}), flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
