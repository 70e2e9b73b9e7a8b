# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was ours on a host: the record in the state directory, from which exactly that is withdrawn.

``journal.json`` is written before the change that it tells of; ``left`` holds the hashes of the touched files as our
last write left them, so that a later edit by somebody else is noticed and kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ...module_utils._core.errors import ReadError
from .manager import Opening

VERSION = 1
ABSENT = "-"  # in place of a hash or a backup: there was no such file


@dataclass(frozen=True)
class Entry:
    """One opening of ours: by which manager, for which requirements, and in which states it was made."""

    manager: str
    opening: Opening
    requirements: tuple[str, ...]
    runtime: bool
    permanent: bool


@dataclass(frozen=True)
class Journal:
    """Our openings, and the files that were touched for them, each with the name of its backup (``ABSENT``: there was
    none).
    """

    entries: tuple[Entry, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)

    def with_entries(self, added: Iterable[Entry]) -> Journal:
        """The journal with more entries; an opening that is there already gains requirements and states."""
        merged = {(entry.manager, entry.opening): entry for entry in self.entries}
        for entry in added:
            known = merged.get((entry.manager, entry.opening))
            merged[entry.manager, entry.opening] = entry if known is None else _merge(known, entry)
        return replace(self, entries=tuple(merged.values()))


def _merge(known: Entry, entry: Entry) -> Entry:
    return replace(
        known,
        requirements=tuple(dict.fromkeys((*known.requirements, *entry.requirements))),
        runtime=known.runtime or entry.runtime,
        permanent=known.permanent or entry.permanent,
    )


def parse_journal(journal: str | None, left: str | None) -> Journal:
    """The record of a host, empty where there is none. Raises ReadError for one that cannot be read: nothing is
    guessed about it.
    """
    if journal is None:
        return Journal()
    try:
        data = json.loads(journal)
        if data["version"] != VERSION:
            raise ReadError(_unreadable(f"it is of version {data['version']}, this collection knows {VERSION}"))
        entries = tuple(_entry(item) for item in data["entries"])
        files = {str(path): str(backup) for path, backup in data["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(_unreadable(repr(error))) from error
    return Journal(entries, files, parse_hashes(left or ""))


def _unreadable(why: str) -> str:
    return (
        f"the record /var/lib/agentless-audit/journal.json of what was opened here cannot be read ({why}); "
        "restore it from a backup, or remove it and withdraw by hand what is marked agentless-audit"
    )


def _entry(item: Mapping[str, Any]) -> Entry:
    return Entry(
        manager=str(item["manager"]),
        opening=Opening(**item["opening"]),
        requirements=tuple(str(name) for name in item["requirements"]),
        runtime=bool(item["runtime"]),
        permanent=bool(item["permanent"]),
    )


def print_journal(journal: Journal) -> str:
    """The text of ``journal.json``, stable for the same journal."""
    entries = [asdict(entry) for entry in journal.entries]
    return json.dumps(
        {"version": VERSION, "entries": entries, "files": dict(journal.files)}, indent=1, sort_keys=True, default=list
    )


def parse_hashes(text: str) -> dict[str, str]:
    """Path to hash, of lines as ``sha256sum`` prints them."""
    pairs = (line.split(None, 1) for line in text.splitlines())
    return {pair[1].strip(): pair[0] for pair in pairs if len(pair) == 2}
