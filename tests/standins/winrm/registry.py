# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Registry keys as `reg.exe query` shows them: loaded from its output, asked for, written, printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

ROOTS = {"HKLM": "HKEY_LOCAL_MACHINE", "HKU": "HKEY_USERS", "HKCU": "HKEY_CURRENT_USER"}
_VALUE = re.compile(r"    (?P<name>.+?)    (?P<type>REG_[A-Z_]+)(?:    (?P<data>.*))?")


@dataclass(frozen=True)
class Value:
    """One value; `data` is its text as reg.exe prints it."""

    name: str
    type: str
    data: str


@dataclass
class Key:
    """One key: its path with the letters' case as written, and its values by their name in small letters."""

    path: str
    values: dict[str, Value] = field(default_factory=dict)


class AccessDeniedError(Exception):
    """The account may not read the key."""


class Registry:
    """Keys by path. Every comparison is without case; missing parents are there as soon as a key is."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}
        self.denied: set[str] = set()

    def load(self, text: str) -> None:
        """Add the keys and values of a text that `reg.exe query /s` printed. Raises ValueError for any other line."""
        current: Key | None = None
        for line in text.replace("\r\n", "\n").split("\n"):
            if line.startswith("HKEY_"):
                current = self.key(line)
            elif line and current is not None and (found := _VALUE.fullmatch(line)):
                self.set(current.path, found["name"], found["data"] or "", kind=found["type"])
            elif line.strip():
                raise ValueError(f"no line of reg.exe: {line!r}")

    def key(self, path: str) -> Key:
        """The key, made where it is missing, its parents too."""
        path = full_path(path)
        parent = path.rpartition("\\")[0]
        if parent:
            self.key(parent)
        return self._keys.setdefault(path.lower(), Key(path))

    def find(self, path: str) -> Key | None:
        """The key if it is there. Raises AccessDeniedError."""
        lowered = full_path(path).lower()
        if any(lowered == denied or lowered.startswith(denied + "\\") for denied in self.denied):
            raise AccessDeniedError(path)
        return self._keys.get(lowered)

    def deny(self, path: str) -> None:
        """Let nobody read the key and what is below it."""
        self.denied.add(full_path(path).lower())

    def set(self, path: str, name: str, data: str, *, kind: str = "REG_SZ") -> None:
        """Write a value, as text."""
        self.key(path).values[name.lower()] = Value(name, kind, data)

    def set_number(self, path: str, name: str, number: int) -> None:
        """Write a REG_DWORD."""
        self.set(path, name, hex(number), kind="REG_DWORD")

    def get(self, path: str, name: str) -> str | None:
        """A value's data as text."""
        key = self._keys.get(full_path(path).lower())
        value = key.values.get(name.lower()) if key else None
        return value.data if value else None

    def delete_value(self, path: str, name: str) -> None:
        """Remove a value that is there."""
        del self.key(path).values[name.lower()]

    def delete_tree(self, path: str) -> None:
        """Remove a key and all that is below it."""
        for below in [key.path for key in self.walk(path)]:
            del self._keys[below.lower()]

    def children(self, path: str) -> list[Key]:
        """The keys right below this one, in the order in which they were made."""
        parent = full_path(path).lower()
        return [key for lowered, key in self._keys.items() if lowered.rpartition("\\")[0] == parent]

    def walk(self, path: str) -> Iterator[Key]:
        """The key and all that is below it."""
        start = full_path(path).lower()
        for lowered, key in list(self._keys.items()):
            if lowered == start or lowered.startswith(start + "\\"):
                yield key

    def text(self, path: str) -> str:
        """All that is below a key, for comparisons."""
        lines = []
        for key in sorted(self.walk(path), key=lambda key: key.path.lower()):
            lines.append(key.path)
            lines += sorted(f"    {value.name}    {value.type}    {value.data}" for value in key.values.values())
        return "\n".join(lines)


def full_path(path: str) -> str:
    """A path with its root's long name."""
    root, slash, rest = path.rstrip("\\").partition("\\")
    return ROOTS.get(root.upper(), root) + slash + rest
