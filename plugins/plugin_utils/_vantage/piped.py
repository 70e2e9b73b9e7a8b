# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine itself on the audit host: piped to its Python, run from memory, nothing written there."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from ...module_utils._core.errors import InputError
from ...module_utils._core.parsing import parse_observation
from ...module_utils._core.sanitize import safe_text
from ...module_utils._core.vocabulary import ObservationStatus
from ...module_utils._probe.records import Outcome, Probe, ProbeOptions, observe
from ...module_utils._probe.wire import Numbered, pack_options, pack_probe
from . import ping
from .interface import VantageError

OLDEST = (3, 8)
READY = "agentless-audit-ports:"
_PACKAGE = "audit_ports_engine"
_PARTS = ("_core", "_probe")
_CHUNK = 256  # probes written at once
_LONGEST_LINE = 65536
_NOISE_LINES = 200  # that a login may print before the program does

# Runs in the audit host's Python. One line without a single quote, so that any shell takes it between single quotes;
# the program proper follows on standard input, as one line, too.
_START = (
    'import base64, sys, zlib; print("{ready}%d.%d" % sys.version_info[:2], flush=True); '
    "exec(zlib.decompress(base64.b64decode(sys.stdin.readline())))"
)

# Runs there too: modules come out of a dictionary, and standard input goes on with the options and the probes.
_PROGRAM = '''
import importlib.abc, importlib.machinery, json, sys
SOURCES = json.loads(%r)
class Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return importlib.machinery.ModuleSpec(name, self, is_package=SOURCES[name] is None)
    def get_source(self, name):
        return SOURCES[name] or ""
    def is_package(self, name):
        return SOURCES[name] is None
sys.meta_path.insert(0, Finder())
from %s._probe.serve import serve
from %s.ping import run_ping
serve(sys.stdin, sys.stdout, run_ping)
'''


def start_command(python: str) -> str:
    """The command for the audit host's login shell, whichever that is."""
    return f"{python} -c '{_START.format(ready=READY)}'"


@lru_cache(maxsize=1)
def program() -> bytes:
    """The engine as one line, for the standard input of ``start_command``."""
    root = Path(__file__).resolve().parents[2] / "module_utils"
    sources: dict[str, str | None] = {_PACKAGE: None}
    for part in _PARTS:
        for path in sorted((root / part).rglob("*.py")):
            names = [_PACKAGE, *path.relative_to(root).with_suffix("").parts]
            sources.update({".".join(names[:length]): None for length in range(2, len(names))})
            sources[".".join(names)] = path.read_text(encoding="utf-8")
    sources[f"{_PACKAGE}.ping"] = Path(ping.__file__).read_text(encoding="utf-8")
    text = _PROGRAM % (json.dumps(sources), _PACKAGE, _PACKAGE)
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 9)) + b"\n"


def read_version(output: BinaryIO) -> tuple[int, int] | None:
    """The version of the Python that answers, whatever a login prints before; ``None`` if none does."""
    for _line in range(_NOISE_LINES):
        line = output.readline(_LONGEST_LINE)
        if not line:
            return None
        text = line.decode("utf-8", "replace").strip()
        if text.startswith(READY):
            major, _dot, minor = text[len(READY) :].partition(".")
            return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
    return None


class Remote:
    """An engine that waits behind a pipe: ``channel`` is written to, ``output`` is what it says."""

    def __init__(self, channel: Any, output: BinaryIO) -> None:
        self._channel = channel
        self._output = output

    def observe(self, probes: Sequence[Probe], options: ProbeOptions) -> Iterator[Numbered]:
        """Observations as they come. Where it breaks off, what is left is ``local_error``.

        Raises VantageError where it breaks off before the first.
        """
        writer = threading.Thread(target=self._write, args=(probes, options), name="audit-ports-writer", daemon=True)
        writer.start()
        count, told = 0, set()
        try:
            for row in self._rows():
                if "end" in row or "error" in row:
                    _check_end(row, count)
                    return
                index, observation = _read_row(row, options)
                count += 1
                told.add(index)
                yield index, observation
            raise VantageError(f"the engine there ended before its time{self._why()}")
        except VantageError as error:
            if not told:
                raise VantageError(f"{options.vantage}: {error}") from error
            outcome = Outcome(ObservationStatus.LOCAL_ERROR, f"not probed to the end: {error}")
            for probe in probes:
                if probe.index not in told:
                    yield probe.index, observe(probe, None, outcome, options.vantage)

    def _write(self, probes: Sequence[Probe], options: ProbeOptions) -> None:
        try:
            self._channel.sendall(program() + json.dumps(pack_options(options)).encode() + b"\n")
            for first in range(0, len(probes), _CHUNK):
                self._channel.sendall(_lines(probes[first : first + _CHUNK]))
            self._channel.shutdown_write()
        except (OSError, EOFError):  # the reader finds out why
            return

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        while True:
            try:
                line = self._output.readline(_LONGEST_LINE)
            except OSError as error:
                raise VantageError(f"the connection to the audit host broke: {error}") from error
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                words = safe_text(line.decode("utf-8", "replace"))
                raise VantageError(f"the audit host's Python says what no engine would: {words}")
            yield row

    def _why(self) -> str:
        """The last line of a traceback there."""
        self._channel.settimeout(1)
        try:
            said = self._channel.makefile_stderr("rb").read(_LONGEST_LINE).decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return f": {safe_text(said.splitlines()[-1])}" if said else ""


def _check_end(row: Mapping[str, Any], count: int) -> None:
    """Raise VantageError unless the engine ended well and everything came here."""
    if "error" in row:
        raise VantageError(f"the audit host has not the means to probe: {safe_text(str(row['error']))}")
    if row["end"] != count:
        raise VantageError(f"{row['end']} observations were made on the audit host, and {count} came here")


def _lines(probes: Iterable[Probe]) -> bytes:
    return "".join(json.dumps(pack_probe(probe), separators=(",", ":")) + "\n" for probe in probes).encode()


def _read_row(row: Mapping[str, Any], options: ProbeOptions) -> Numbered:
    """A row of the audit host as a record; its words are data like any peer's."""
    index = row.get("index")
    try:
        if not isinstance(index, int):
            raise InputError(f"no index in {row!r}")
        return index, parse_observation({**row, "vantage": options.vantage})
    except InputError as error:
        raise VantageError(f"the audit host's engine says what cannot be read: {safe_text(str(error))}") from error
