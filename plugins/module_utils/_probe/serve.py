# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine behind a pipe: options and probes as lines in, observations as lines out as they are made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from .engine import Engine
from .icmp import Runner
from .records import Probe
from .wire import pack_observation, unpack_options, unpack_probe


def serve(source: TextIO, sink: TextIO, runner: Runner) -> None:
    """Read the options from the first line of ``source`` and a probe from each other one; write the observations.

    The last line is ``{"end": N}`` with the number of observations, so that a reader knows that nothing is missing,
    or ``{"error": "..."}`` where this machine has not the means to probe at all. ``runner`` runs the ``ping`` program.
    """
    told = 0
    try:
        with Engine(unpack_options(json.loads(source.readline())), runner=runner) as engine:
            for index, observation in engine.run(_probes(source)):
                sink.write(pack_observation(index, observation) + "\n")
                sink.flush()
                told += 1
    except BrokenPipeError:  # nobody reads any more
        return
    except OSError as error:
        _say(sink, {"error": str(error)})
        return
    _say(sink, {"end": told})


def _probes(source: TextIO) -> Iterator[Probe]:
    for line in source:
        yield unpack_probe(json.loads(line))


def _say(sink: TextIO, value: dict[str, Any]) -> None:
    sink.write(json.dumps(value) + "\n")
    sink.flush()
