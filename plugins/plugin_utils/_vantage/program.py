# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a program of its own: places in, JSON lines out as they are found.

    python3 -m ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.program [options] [FILE]

reads lines such as ``192.0.2.10 tcp/22 ssh``, ``192.0.2.10 udp/161 snmp`` and ``192.0.2.10 icmp`` from FILE or from
its standard input. Echo requests go out by the ``ping`` program where this user may have no socket for them. A bar
shows on a terminal how far it is. An interrupt ends the run at once; what is written stays.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TextIO

from ...module_utils._core.errors import InputError
from ...module_utils._probe import constants
from ...module_utils._probe.engine import Engine
from ...module_utils._probe.records import ProbeOptions
from .ping import run_ping
from .places import Places, parse_places

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_USAGE = 2
_BAR_CELLS = 30
_BAR_PERIOD_S = 0.2


class Bar:
    """How far a run is, drawn on one line of a terminal; nothing at all on anything else."""

    def __init__(self, stream: TextIO, total: int | None) -> None:
        self._stream = stream if stream.isatty() else None
        self._total = total
        self._done = 0
        self._begun = self._drawn = time.monotonic()

    def step(self, count: int) -> bool:
        """So many more are done. Whether it is time to show what there is."""
        self._done += count
        now = time.monotonic()
        if now - self._drawn < _BAR_PERIOD_S:
            return False
        self._drawn = now
        self._draw(now)
        return True

    def end(self) -> None:
        """Leave the last state on the terminal."""
        self._draw(time.monotonic())
        if self._stream is not None:
            self._stream.write("\n")

    def _draw(self, now: float) -> None:
        if self._stream is not None:
            self._stream.write(f"\r{bar_text(self._done, self._total, now - self._begun)}\x1b[K")
            self._stream.flush()


def bar_text(done: int, total: int | None, elapsed_s: float) -> str:
    """The line: done and total where that is known, rate, time left."""
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    if not total:
        return f"{done:,} probed, {rate:,.0f}/s"
    cells = min(_BAR_CELLS, _BAR_CELLS * done // total)
    left_s = (total - done) / rate if rate else 0.0
    clock = f"{int(left_s) // 60}:{int(left_s) % 60:02d} left" if rate else "?"
    return f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}] {done:,}/{total:,} {rate:,.0f}/s {clock}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code: 0, 2 where the input is wrong, 130 behind an interrupt."""
    given = _parser().parse_args(arguments)
    options = ProbeOptions(
        timeout_s=given.timeout,
        retries=given.retries,
        rate_per_s=given.rate,
        per_host=given.per_host,
        deadline_s=given.deadline,
        source_address=given.source_address,
        service_check=not given.no_service_check,
        confirm=given.confirm,
    )
    try:
        with ExitStack() as stack:
            places = Places(given.file) if given.file else None
            sink = stack.enter_context(open(given.output, "w", encoding="ascii")) if given.output else sys.stdout
            drawn = Bar(sys.stderr, len(places) if places else None)
            stack.callback(drawn.end)
            engine = stack.enter_context(Engine(options, runner=run_ping))
            source = places or parse_places(sys.stdin)
            for count, lines in engine.lines(source, processes=places.processes if places else 1):
                sink.write(lines)
                if drawn.step(count):
                    sink.flush()
            sink.flush()
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE
    except BrokenPipeError:  # nobody reads any more
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="probe", description="Probe places, and tell what the wire says of each.")
    parser.add_argument("file", nargs="?", metavar="FILE", help="lines ADDRESS PROTOCOL/PORT [SERVICE]")
    parser.add_argument("--output", metavar="FILE", help="where the JSON lines go; the standard output when left out")
    parser.add_argument("--timeout", type=float, default=constants.TIMEOUT_S, help="seconds, for each try at most")
    parser.add_argument("--retries", type=int, default=constants.RETRIES)
    parser.add_argument("--rate", type=float, default=constants.RATE_PER_S, help="new flows a second")
    parser.add_argument("--per-host", type=int, default=constants.PER_HOST, help="flows in flight to one host")
    parser.add_argument("--deadline", type=float, help="seconds for the whole run")
    parser.add_argument("--source-address")
    parser.add_argument("--no-service-check", action="store_true", help="connect only")
    parser.add_argument("--confirm", action="store_true", help="ask those that stay silent once more, for longer")
    return parser


if __name__ == "__main__":
    gc.disable()  # the engine leaves no cycles; looking for some costs a tenth of its time
    raise SystemExit(main())
