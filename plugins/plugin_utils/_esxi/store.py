# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files on the controller that keep what was changed on ESXi hosts, one a host: ESXi has no place for marks.

Written whole or not at all, readable by their owner alone. Whoever changes a host holds its file's lock meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ...module_utils._core.errors import ReadError
from ...module_utils._esxi.state import Record, parse_record
from .._fleet.inventory import Fleet

VARIABLE = "audit_ports_state_dir"
DEFAULT = "~/.local/state/agentless-audit"
_WAIT_S = 60


@dataclass(frozen=True)
class Store:
    """The record of one host in a directory. Every fault of the file system is a ReadError that names the file."""

    directory: Path
    host: str

    @classmethod
    def of(cls, fleet: Fleet, host: str, here: str) -> Store:
        """The store that the inventory names for a host; for one that it does not have, the store of the task's own."""
        owner = host if host in fleet.hostvars else here
        return cls(Path(str(fleet.variable(owner, VARIABLE) or DEFAULT)).expanduser(), host)

    @property
    def path(self) -> Path:
        """The host's file; its name is the host's, with what a file name cannot hold written as percent codes."""
        return self.directory / f"{quote(self.host, safe='')}.esxi.json"

    def load(self) -> Record:
        """What is recorded of the host; empty where nothing is."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Record()
        except (OSError, UnicodeDecodeError) as error:
            raise self._fault(error) from error
        return parse_record(text, str(self.path))

    def save(self, record: Record) -> None:
        """Keep a record, or remove the file where nothing is left to keep."""
        try:
            if not record.rulesets:
                self.path.unlink(missing_ok=True)
                return
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(record.to_text(self.host))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            raise self._fault(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the host's lock; wait for another run of this controller, for a minute at most."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._fault(error) from error
        try:
            self._wait(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int) -> None:
        ends = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise ReadError(f"another run has been changing {self.host} for {_WAIT_S} s; run again") from None
                time.sleep(0.2)

    def _fault(self, error: Exception) -> ReadError:
        return ReadError(
            f"{self.path}: {error}. What is changed on an ESXi host has to be recorded on the controller first; "
            f"set {VARIABLE} to a directory that can be written and lasts"
        )
