# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what tools print of a registry: ``reg query`` in any language, and ``.reg`` exports (versions 4 and 5).

Of ``reg query`` only the structure is used (a key begins its line, a value is indented, its type begins with REG_),
because every other word is localised. What cannot be read is a gap that names its key: nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ...module_utils._core.errors import ReadError
from .registry import Registry, Value, canonical

LONGEST_INPUT = 64 * 1024 * 1024
_GAPS_AT_MOST = 200

_HIVE = r"(?:HKEY_[A-Z_]+|HK(?:LM|CU|U|CR|CC)|\\REGISTRY\\MACHINE)"
_KEY = re.compile(rf"\A(?:Computer\\)?{_HIVE}(?:\\.*)?\Z", re.I)
# A path without its right beginning; a shell's prompt before a command has a blank, a colon or an angle in there.
_DAMAGED_KEY = re.compile(r"""\A[^\s:>"']*\\[^>"']*(?:firewallpolicy|windowsfirewall)""", re.I)
_QUERY_VALUE = re.compile(r"\A(?: {4}|\t)(.*?)(?: {4}|\t)(REG_[A-Z_]+)(?:(?: {4}|\t)(.*))?\Z", re.DOTALL)
_QUERY_EMPTY = re.compile(r"\A(?: {4}|\t).*\sREG_[A-Z_]+ {0,3}\Z", re.DOTALL)
_RULE = re.compile(r"\Av\d+\.\d+\|", re.I)
_NUMBERS = {"REG_DWORD", "REG_QWORD", "REG_DWORD_LITTLE_ENDIAN", "REG_DWORD_BIG_ENDIAN"}
_EXPORT = re.compile(r"\A\s*(?:Windows Registry Editor Version 5|REGEDIT4)", re.I)
_EXPORT_KEY = re.compile(r"\A\[(-?)(.+)\]\s*\Z")
_EXPORT_VALUE = re.compile(r'\A(?:"((?:[^"\\]|\\.)*)"|(@))\s*=\s*(.*)\Z', re.DOTALL)
_UNFINISHED = re.compile(r'\A\s*(?:"(?:[^"\\]|\\.)*"|@)\s*="(?:[^"\\]|\\.)*\Z', re.DOTALL)
_MOST_LINES = 100  # of one string
_HEX_VALUE = re.compile(r'\A\s*(?:"(?:[^"\\]|\\.)*"|@)\s*=\s*hex(?:\([0-9a-f]+\))?:', re.I)
_STRING = re.compile(r'\A"((?:[^"\\]|\\.)*)"\s*(?:;.*)?\Z', re.DOTALL)
_HEX = re.compile(r"\Ahex(?:\(([0-9a-f]{1,2})\))?:(.*)\Z", re.I | re.DOTALL)
_HEX_KINDS = {
    0: "REG_NONE", 1: "REG_SZ", 2: "REG_EXPAND_SZ", 3: "REG_BINARY", 4: "REG_DWORD", 7: "REG_MULTI_SZ", 11: "REG_QWORD",
}  # fmt: skip
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def decode(data: bytes) -> str:
    """Text of UTF-8 or UTF-16, with its mark or without one; bytes that are neither are replaced.

    Raises ReadError for what is too long or no text.
    """
    if len(data) > LONGEST_INPUT:
        raise ReadError(f"{len(data)} bytes are no registry text that is read here; the limit is {LONGEST_INPUT}")
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    head = data[:4000]
    if head[1::2].count(0) > len(head) // 4:
        return data.decode("utf-16-le", "replace")
    if head[0::2].count(0) > len(head) // 4:
        return data.decode("utf-16-be", "replace")
    return data.decode("utf-8", "replace")


def parse_registry(text: str | bytes) -> Registry:
    """The registry that a text holds, whichever of the known forms it has. Raises ReadError where it has none."""
    if isinstance(text, bytes):
        text = decode(text)
    if len(text) > LONGEST_INPUT:
        raise ReadError(f"{len(text)} characters are no registry text that is read here; the limit is {LONGEST_INPUT}")
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((line for line in lines if line.strip()), "")
    exported = _EXPORT.match(first) or (
        "[" in text and any(_EXPORT_KEY.match(line) and "hkey" in line.lower() for line in lines[:50])
    )
    registry = _tree(_exported(lines) if exported else _queried(lines))
    if not registry.keys:
        words = " ".join(text.split())[:120]
        raise ReadError(f"this is neither output of 'reg query' nor a .reg export; it begins: {words or 'nothing'}")
    return registry


_Item = tuple[str, "Value | str | None"]  # a key's path with a value, with what is wrong there, or alone


def _tree(items: Iterable[_Item]) -> Registry:
    found = list(items)
    trees = [_tree_of(found, chosen) for chosen in _control_sets(found)]
    return trees[0] if len(trees) == 1 else _agreed(trees)


def _tree_of(found: Sequence[_Item], chosen: str) -> Registry:
    keys: dict[str, dict[str, Value]] = {}
    gaps: dict[tuple[str, str], None] = {}
    for path, item in found:
        if chosen and _other_control_set(path, chosen):
            continue
        key = canonical(path)
        if isinstance(item, str):
            gaps[(key, item)] = None
            continue
        values = keys.setdefault(key, {})
        if item is not None:
            values[item.name.lower()] = item
    return Registry(keys, tuple(_bounded(gaps)))


def _agreed(trees: Sequence[Registry]) -> Registry:
    """What all of them say; a key that they say different things of is a gap."""
    keys: dict[str, dict[str, Value]] = {}
    gaps = dict.fromkeys(gap for tree in trees for gap in tree.gaps)
    for path in dict.fromkeys(path for tree in trees for path in tree.keys):
        held = [tree.keys.get(path, {}) for tree in trees]
        keys[path] = {
            name: value for name, value in held[0].items() if all(other.get(name) == value for other in held[1:])
        }
        if any(values != held[0] for values in held[1:]) or not all(path in tree.keys for tree in trees):
            gaps[path, _SETS_DIFFER] = None
    return Registry(keys, tuple(gaps))


def _bounded(gaps: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The first gaps, and of the others one for each key: what cannot be read of one key says nothing of another."""
    more: dict[str, None] = {}
    for number, (key, why) in enumerate(gaps):
        if number < _GAPS_AT_MOST:
            yield key, why
        else:
            more[key] = None
    yield from ((key, "more of it cannot be read") for key in more)


_SET = re.compile(r"\\((?:Current)?ControlSet(?:\d{3})?)(?:\\|\Z)", re.I)
_SELECT = re.compile(r"\\Select\Z", re.I)
_CURRENT_SET = "currentcontrolset"


_SETS_DIFFER = "several control sets say different things of it, and nothing says which one is the current one"


def _control_sets(items: Sequence[_Item]) -> Sequence[str]:
    """Which of several control sets speaks: the current one, else the one that Select names, else any may; a dump of a
    whole hive holds them all. An empty name where there is no choice.
    """
    names = {match.group(1).lower() for match in map(_SET.search, {path for path, _item in items}) if match}
    if len(names) < 2:
        return ("",)
    if _CURRENT_SET in names:
        return (_CURRENT_SET,)
    told = (item for path, item in items if isinstance(item, Value) and _SELECT.search(path) is not None)
    current = next((item.number for item in told if item.name.lower() == "current"), None)
    named = f"controlset{current or 0:03}"
    return (named,) if named in names else sorted(names)


def _other_control_set(path: str, chosen: str) -> bool:
    match = _SET.search(path)
    return match is not None and match.group(1).lower() != chosen


def _queried(lines: list[str]) -> Iterator[_Item]:
    """Keys and values of ``reg query``; a value's text that goes on in the next line is put together again."""
    path = ""
    pending: list[str] = []
    # The last line may say how many were found, in words of any language.
    closing = next((number for number in range(len(lines), 0, -1) if lines[number - 1].strip()), 0)
    for number, line in enumerate([*lines, ""], 1):
        is_value = line.startswith(("    ", "\t"))
        is_key = not is_value and _KEY.match(line) is not None
        if not (is_key or is_value) and line.strip() and pending and _goes_on(pending):
            pending.append(line)
            continue
        if pending and (is_key or is_value or not line.strip()):
            is_cut = number > len(lines) and _QUERY_EMPTY.match(pending[0]) is not None
            yield path, "the text breaks off in a value" if is_cut else _query_value("\n".join(pending))
            pending = []
        if is_key:
            path = line.strip()
            yield path, None
        elif is_value and line.strip():
            if not path:
                yield "", f"line {number} holds a value without a key"
            else:
                pending = [line]
        elif line.strip() and not is_value and path and number != closing:
            if lines[number - 2].strip():
                yield path, f"line {number} is not understood: {line.strip()[:60]}"
                continue
            path = ""  # what a shell or another command says between two keys; values below it have no key
            if _DAMAGED_KEY.match(line):
                yield path, f"line {number} may be the name of a firewall key: {line.strip()[:60]}"


def _goes_on(pending: list[str]) -> bool:
    """Whether a rule string has not come to its end."""
    match = _QUERY_VALUE.match(pending[0])
    text = (match.group(3) or "") if match else ""
    return len(pending) < _MOST_LINES and _RULE.match(text) is not None and not pending[-1].endswith("|")


def _query_value(text: str) -> Value | str:
    match = _QUERY_VALUE.match(text)
    if match is None:
        return f"a value cannot be read: {text.strip()[:60]}"
    name, kind, data = match.group(1).strip(), match.group(2), match.group(3) or ""
    if kind in _NUMBERS:
        word = data.strip().lower()
        try:
            return Value(name, kind, int(word[2:], 16) if word.startswith("0x") else int(word))
        except ValueError:
            return f"the number of {name[:60]} cannot be read: {word[:40]}"
    if kind == "REG_MULTI_SZ":
        return Value(name, kind, tuple(part for part in data.split("\\0") if part))
    if kind in ("REG_BINARY", "REG_NONE"):
        try:
            return Value(name, kind, bytes.fromhex(data.strip()))
        except ValueError:
            return f"the bytes of {name[:60]} cannot be read"
    return Value(name, kind, data)


def _exported(lines: list[str]) -> Iterator[_Item]:
    path, ansi = "", lines[0].strip().upper().startswith("REGEDIT4")
    for number, line in _joined(lines):
        key = _EXPORT_KEY.match(line.strip())
        if _EXPORT.match(line.lstrip("\ufeff")):
            path = ""  # the next one of several exports in one file
        elif key is not None:
            path = "" if key.group(1) else key.group(2)
            if path:
                yield path, None
        elif path and line.strip() and not line.lstrip().startswith(";"):
            item = _export_value(line.strip(), ansi)
            if item is None:
                yield path, f"line {number} is not understood: {line.strip()[:60]}"
            elif item != "":
                yield path, item


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Logical lines with their first's number: those of bytes go on behind a backslash, strings until their end."""
    place = 0
    while place < len(lines):
        first = place
        place += 1
        if lines[first].endswith("\\") and _HEX_VALUE.match(lines[first]):
            while place < len(lines) and lines[place - 1].endswith("\\"):
                place += 1
            pieces = (line.strip().rstrip("\\") for line in lines[first:place])
            yield first + 1, ",".join(piece.strip().rstrip(",") for piece in pieces)
            continue
        text = lines[first]
        while place < len(lines) and place - first < _MOST_LINES and _UNFINISHED.match(text):
            if _EXPORT_KEY.match(lines[place]):
                break
            text = f"{text}\n{lines[place]}"
            place += 1
        yield first + 1, text


def _export_value(line: str, ansi: bool) -> Value | str | None:
    """The value of a line; nothing for a deletion, ``None`` for a line that is no value, a text for a damaged one."""
    match = _EXPORT_VALUE.match(line)
    if match is None:
        return None
    name = "" if match.group(2) else _ESCAPED.sub(r"\1", match.group(1))
    data = match.group(3).strip()
    if data == "-":
        return ""
    string = _STRING.match(data)
    if string is not None:
        return Value(name, "REG_SZ", _ESCAPED.sub(r"\1", string.group(1)))
    if data.lower().startswith("dword:"):
        digits = data[6:].partition(";")[0].strip()
        return Value(name, "REG_DWORD", int(digits, 16)) if re.fullmatch(r"[0-9A-Fa-f]{1,8}", digits) else None
    return _bytes_value(name, data, ansi)


def _bytes_value(name: str, data: str, ansi: bool) -> Value | str:
    found = _HEX.match(data)
    try:
        raw = bytes.fromhex(re.sub(r"[\s,]+", " ", found.group(2))) if found else None
    except ValueError:
        raw = None
    if found is None or raw is None:
        return f"the value of {name[:60]} cannot be read: {data[:40]}"
    number = int(found.group(1), 16) if found.group(1) else 3
    kind = _HEX_KINDS.get(number, f"REG_{number}")
    if kind in ("REG_DWORD", "REG_QWORD"):
        return Value(name, kind, int.from_bytes(raw, "little"))
    if kind in ("REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ"):
        text = raw.decode("cp1252" if ansi else "utf-16-le", "replace")
        if kind == "REG_MULTI_SZ":
            return Value(name, kind, tuple(part for part in text.split("\0") if part))
        return Value(name, kind, text.partition("\0")[0])
    return Value(name, kind, raw)
