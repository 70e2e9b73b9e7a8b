# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads fields of dicts that users or earlier results supply; errors name the row, the field and the choices."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Any, TypeVar

from .errors import InputError, choices
from .portset import HIGHEST_PORT

E = TypeVar("E", bound=Enum)
_ISO_DATE = re.compile(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def parse_choice(kind: type[E], value: object, where: str) -> E:
    """The member of a vocabulary whose value this is; ``true`` and ``True`` are the same word.

    Raises InputError naming the choices.
    """
    # an Enum that is also a str would print as its name
    text = str(value.value if isinstance(value, Enum) else value).strip().lower()
    try:
        return kind(text)
    except ValueError as error:
        known = choices(str(member.value) for member in kind)
        raise InputError(f"{where}: {value!r} is not known; choose from {known}") from error


def parse_port(value: object, where: str) -> int:
    """A port from 1 to 65535, as a number or its digits. Raises InputError."""
    text = str(value).strip()
    number = int(text) if isinstance(value, (int, str)) and re.match(r"\A[0-9]{1,5}\Z", text) else 0
    if 1 <= number <= HIGHEST_PORT:
        return number
    raise InputError(f"{where}: {value!r} is no port; choose a number from 1 to {HIGHEST_PORT}")


def parse_date(value: object, where: str) -> str:
    """An ISO date ``YYYY-MM-DD`` (a YAML date is one). Raises InputError."""
    text = str(value).strip()
    try:
        if _ISO_DATE.match(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise InputError(f"{where}: {value!r} is no date; write YYYY-MM-DD, such as 2027-03-31")


def parse_texts(value: object, where: str) -> tuple[str, ...]:
    """A list of words, or one word. Raises InputError for anything else and for an empty word."""
    items: Iterable[object] = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
    if isinstance(value, Mapping):
        raise InputError(f"{where}: a list is expected, not a dictionary")
    found = []
    for item in items:
        if isinstance(item, (Mapping, list, tuple)) or item is None or not str(item).strip():
            raise InputError(f"{where}: {item!r} is no name")
        found.append(str(item.value if isinstance(item, Enum) else item).strip())
    return tuple(found)


def parse_rows(value: object, where: str) -> tuple[Mapping[str, Any], ...]:
    """A list of dicts. Raises InputError naming the row that is none."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise InputError(f"{where}: a list of dictionaries is expected, not {type(value).__name__}")
    for number, row in enumerate(value, 1):
        if not isinstance(row, Mapping):
            raise InputError(f"{where}, row {number}: a dictionary is expected, not {row!r}")
    return tuple(value)


def parse_mapping(value: object, where: str) -> Mapping[str, Any]:
    """A dict, its keys as texts; ``None`` is an empty one. Raises InputError."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: a dictionary is expected, not {value!r}")
    return {str(key): item for key, item in value.items()}


class Fields:
    """One dict, read field by field. Every reader raises InputError that begins with ``where`` and names the field."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values = values
        self.where = where

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Refuse fields outside of ``known``: in what people write, they are slips."""
        for name in self.values:
            if name not in known:
                raise InputError(f"{self.where}: there is no field {name!r}; choose from {choices(known)}")

    def _require(self, name: str) -> Any:
        value = self.values.get(name)
        if value is None:
            raise InputError(f"{self.where}: the field {name!r} is missing")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A text; required where no default is given."""
        value = self.values.get(name)
        value = self._require(name) if value is None and default is None else value
        if isinstance(value, (Mapping, list, tuple)):
            raise InputError(f"{self.where}: {name}: a text is expected")
        return str(default if value is None else value)

    def optional_text(self, name: str) -> str | None:
        """A text or ``None``."""
        return None if self.values.get(name) is None else self.text(name)

    def choice(self, name: str, kind: type[E], default: E | None = None) -> E:
        """A word of a vocabulary; required where no default is given."""
        if self.values.get(name) is None and default is not None:
            return default
        return parse_choice(kind, self._require(name), f"{self.where}: {name}")

    def port(self, name: str) -> int | None:
        """A port or ``None``."""
        value = self.values.get(name)
        return None if value is None else parse_port(value, f"{self.where}: {name}")

    def flag(self, name: str) -> bool | None:
        """True, false, or ``None`` for not known."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise InputError(f"{self.where}: {name}: {value!r} is neither true, false nor null")

    def number(self, name: str) -> float | None:
        """A number or ``None``."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{self.where}: {name}: {value!r} is no number")
        return value

    def rows(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """A list of dicts; missing is empty."""
        return parse_rows(self.values.get(name) or [], f"{self.where}: {name}")
