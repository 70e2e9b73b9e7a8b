# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry as far as somebody printed it: keys with their values, under one spelling of the paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

_HIVES = {
    "hklm": "hkey_local_machine",
    "hkey_local_machine": "hkey_local_machine",
    "hku": "hkey_users",
    "hkcu": "hkey_current_user",
}
_MACHINE = "hkey_local_machine"
_CONTROL_SET = re.compile(r"\Acontrolset(\d{3})\Z")
_LOCAL = ("sharedaccess", "parameters", "firewallpolicy")
_LOCAL_HOME = (_MACHINE, "system", "currentcontrolset", "services", *_LOCAL)
_POLICY = ("policies", "microsoft", "windowsfirewall")
_POLICY_HOME = (_MACHINE, "software", *_POLICY)
# What another hive or tool calls the keys that these are at home in, by the parts that lead to them.
_HOMES = (
    (_LOCAL, _LOCAL_HOME),
    (_POLICY, _POLICY_HOME),
)
# What `netsh advfirewall export` writes is a hive that begins at the firewall's own key, under a name of the tool's.
_CHILDREN = frozenset({"firewallrules", "consecrules", "domainprofile", "standardprofile", "publicprofile", "mdm"})
_STRANGERS = frozenset({"restrictedservices", "restrictedinterfaces", "software", "system", "sharedaccess"})
# The hive of an account, by a SID or the name of the one that stands for nobody; others are machines', loaded there.
_ACCOUNT = re.compile(r"\A(?:s-1-[\d-]+(?:_classes)?|\.default)\Z")


class Value(NamedTuple):
    """One value: its name as it was written, its type (``REG_SZ``, ...) and its data: text, number, lines or bytes."""

    name: str
    kind: str
    data: str | int | tuple[str, ...] | bytes

    @property
    def text(self) -> str:
        """The data as text; of lines, the lines joined by blanks."""
        if isinstance(self.data, tuple):
            return " ".join(self.data)
        return self.data.hex() if isinstance(self.data, bytes) else str(self.data)

    @property
    def number(self) -> int | None:
        """The data as a number, ``None`` where it is none."""
        if isinstance(self.data, int):
            return self.data
        text = self.data.strip() if isinstance(self.data, str) else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


Values = Mapping[str, Value]
_NO_VALUES: Values = {}


@dataclass(frozen=True)
class Registry:
    """Keys by path in small letters, each a mapping of names in small letters to values.

    ``gaps`` maps paths (the empty path is "somewhere") to what could not be read there.
    """

    keys: Mapping[str, Values] = field(default_factory=dict)
    gaps: tuple[tuple[str, str], ...] = ()

    def values(self, path: str) -> Values:
        """The values of a key; none where the key is not there."""
        return self.keys.get(canonical(path), _NO_VALUES)

    def number(self, path: str, name: str) -> int | None:
        """A value as a number; ``None`` where it is missing or none."""
        value = self.values(path).get(name.lower())
        return None if value is None else value.number

    def text(self, path: str, name: str) -> str | None:
        """A value as text; ``None`` where it is missing."""
        value = self.values(path).get(name.lower())
        return None if value is None else value.text

    def has(self, path: str) -> bool:
        """Whether the key or something below it is there."""
        return f"\n{canonical(path)}\\" in self._paths

    @cached_property
    def _paths(self) -> str:
        """All keys as one text, each between a line end and a backslash."""
        return "".join(f"\n{key}\\" for key in self.keys)

    def below(self, path: str) -> Iterator[tuple[str, Values]]:
        """The keys below a path, each by what follows the path, in the order in which they were read."""
        start = f"{canonical(path)}\\"
        for key, values in self.keys.items():
            if key.startswith(start):
                yield key[len(start) :], values

    def gaps_of(self, path: str) -> tuple[str, ...]:
        """What could not be read of a key, or of nobody knows which."""
        wanted = canonical(path)
        return tuple(why for where, why in self.gaps if not where or (where + "\\").startswith(wanted + "\\"))


def merged(parts: Iterable[Registry]) -> Registry:
    """All that several readings found; of a value that two of them have, the later one counts."""
    keys: dict[str, dict[str, Value]] = {}
    gaps: dict[tuple[str, str], None] = {}
    for part in parts:
        for path, values in part.keys.items():
            keys.setdefault(path, {}).update(values)
        gaps.update(dict.fromkeys(part.gaps))
    return Registry(keys, tuple(gaps))


@lru_cache(maxsize=16384)
def canonical(path: str) -> str:
    """A path in small letters from ``hkey_local_machine`` on, whatever hive, control set or tool it was printed from.

    The firewall's own keys are found by the words that lead to them, so that a hive mounted elsewhere reads the same.
    """
    words = [word for word in path.strip().strip("\\[]").lower().split("\\") if word]
    if words[:1] == ["computer"] or words[:1] == ["registry"]:
        words = words[1:]
    if words[:1] == ["machine"]:
        words[0] = _MACHINE
    if words and words[0] in _HIVES:
        words[0] = _HIVES[words[0]]
    if _is_of_an_account(words):
        return "\\".join(words)
    for trail, home in _HOMES:
        place = _find(words, trail)
        if place is not None:
            return "\\".join((*home, *words[place:]))
    if not _CHILDREN.isdisjoint(words[:3]):
        place = next(number for number, word in enumerate(words) if word in _CHILDREN)
        if _STRANGERS.isdisjoint(words[:place]):
            return "\\".join((*_LOCAL_HOME, *words[place:]))
    return "\\".join(_from_machine(words))


def _is_of_an_account(words: list[str]) -> bool:
    """Whether a key is an account's: what stands there decides nothing, as copies of policies that are edited do."""
    if words[:1] == ["hkey_current_user"]:
        return True
    return words[:1] == ["hkey_users"] and _ACCOUNT.match("".join(words[1:2])) is not None


def _find(words: list[str], trail: tuple[str, ...]) -> int | None:
    """Where the words behind the trail begin; ``None`` where it is not there."""
    if trail[-1] not in words:
        return None
    for start in range(len(words) - len(trail) + 1):
        if tuple(words[start : start + len(trail)]) == trail:
            return start + len(trail)
    # A hive that begins at the service or below it leaves the first words out.
    start = 1 if words[:1] == [_MACHINE] else 0
    for skipped in range(1, len(trail)):
        short = trail[skipped:]
        if tuple(words[start : start + len(short)]) == short:
            return start + len(short)
    return None


def _from_machine(words: list[str]) -> list[str]:
    if words[:1] in (["hkey_users"], ["hkey_current_user"]):
        return words
    rest = words[1:] if words[:1] == [_MACHINE] else words
    for place, word in enumerate(rest[:3]):
        if word == "currentcontrolset" or _CONTROL_SET.match(word):
            return [_MACHINE, "system", "currentcontrolset", *rest[place + 1 :]]
    return [_MACHINE, *rest] if rest else []
