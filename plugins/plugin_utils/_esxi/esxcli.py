# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``esxcli`` prints, in each of its forms: JSON (of the debug formatter), CSV, XML, lines of keys and values, and
text for people.

All give the same rows: dicts whose keys are the column titles in small letters, without blanks and signs, so that
"Allowed IP Addresses" and ``AllowedIPAddresses`` are one. A text that is none of the forms is a ReadError.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...module_utils._core.errors import ReadError

Row = Mapping[str, Any]

_SIGNS = re.compile(r"[^a-z0-9]")
_RULER = re.compile(r"^-{2,}(?:  -{2,})*\s*$")
_FIELD = re.compile(r"^\s{2,}(\S[^:]*):(?: (.*))?$")
_KEY_VALUE = re.compile(
    r"^(?:structure\[(?P<row>\d+)\]\.)?(?P<type>\w+)\.(?P<field>\w+)\.\w+(?P<many>\[\d*\](?:\.\w+)?)? ?=(?P<value>.*)$"
)
_NO_ROWS = "structure[] ="
_LIST = "allowedipaddresses"
_SHOWN = 80


def parse_rows(text: str, what: str) -> list[Row]:
    """The rows of a list. ``what`` names the command in an error."""
    stripped = text.strip()
    if not stripped:
        return []
    if stripped[0] == "[":
        return [_row(item, what) for item in _json(stripped, what)]
    if stripped[0] == "<":
        return _xml(stripped, what)
    if _KEY_VALUE.match(stripped.partition("\n")[0]) or stripped.startswith(_NO_ROWS):
        return _key_values(stripped, what)
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    if len(lines) > 1 and _RULER.match(lines[1]):
        return list(_table(lines, what))
    if "," in lines[0]:
        return list(_csv(lines, what))
    raise ReadError(f"{what} printed neither JSON, CSV, XML, keys and values nor a table: {stripped[:_SHOWN]!r}")


def parse_fields(text: str, what: str) -> Row:
    """The fields of a ``get`` command."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return _row(_json(stripped, what), what)
    told = stripped.startswith("<") or _KEY_VALUE.match(stripped.partition("\n")[0]) is not None
    rows = parse_rows(text, what) if told else []
    if len(rows) == 1:
        return rows[0]
    found = [_FIELD.match(line) for line in text.splitlines() if line.strip()]
    if found and all(found):
        return {_key(match.group(1)): (match.group(2) or "").strip() for match in found if match}
    if "," in stripped.partition("\n")[0]:
        rows = list(_csv(stripped.splitlines(), what))
        if len(rows) == 1:
            return rows[0]
    raise ReadError(f"{what} printed neither JSON, CSV, XML nor fields: {stripped[:_SHOWN]!r}")


def _key(title: str) -> str:
    return _SIGNS.sub("", title.lower())


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{what} printed JSON that cannot be read ({error}); its output was cut, run again") from error


def _row(item: Any, what: str) -> Row:
    if not isinstance(item, dict):
        raise ReadError(f"{what} printed JSON of another shape: {str(item)[:_SHOWN]!r}")
    return {_key(str(title)): value for title, value in item.items()}


def _xml(text: str, what: str) -> list[Row]:
    """Structures of fields, each of which holds a value or a list of values."""
    try:
        # A declaration of entities is nothing that esxcli prints, and may be made to eat up memory.
        root = None if "<!" in text else ET.fromstring(text)
    except ET.ParseError as error:
        raise ReadError(f"{what} printed XML that cannot be read ({error}); its output was cut, run again") from error
    if root is None:
        raise ReadError(f"{what} printed XML with declarations: {text[:_SHOWN]!r}")
    return [
        {_key(str(field.get("name"))): _xml_value(field) for field in item.iterfind("{*}field")}
        for item in root.iterfind(".//{*}structure")
    ]


def _xml_value(field: ET.Element) -> Any:
    listed = field.find("{*}list")
    values = [item.text or "" for item in (field if listed is None else listed)]
    return "".join(values) if listed is None else values


def _key_values(text: str, what: str) -> list[Row]:
    """Lines as ``structure[0].FirewallRuleset.Name.string=sshServer``; of a list of values, a line for each."""
    rows: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        match = _KEY_VALUE.match(line)
        if match is None:
            if line.strip() and not line.startswith(_NO_ROWS):
                raise ReadError(f"{what} printed a line that is no key with its value: {line[:_SHOWN]!r}")
            continue
        row, key = rows.setdefault(match["row"] or "", {}), _key(match["field"])
        if match["many"]:
            row.setdefault(key, []).extend(filter(None, [match["value"].strip()]))
        else:
            row[key] = match["value"]
    return list(rows.values())


def _table(lines: Sequence[str], what: str) -> Sequence[Row]:
    """Columns by the line of dashes: titles hold blanks, and values are put to either side of their column."""
    spans = [match.span() for match in re.finditer(r"-+", lines[1])]
    titles = [_key(lines[0][start:end]) for start, end in spans]
    # The last column may be longer than its title, and go on in the next line; nothing may stand between columns.
    found: list[dict[str, str]] = []
    for line in lines[2:]:
        if not line.strip():
            continue
        values = [line[start:end].strip() for start, end in spans[:-1]] + [line[spans[-1][0] :].strip()]
        between = "".join(line[left[1] : right[0]] for left, right in pairwise(spans))
        if between.strip() or line[: spans[0][0]].strip():
            raise ReadError(f"{what} printed a table whose line does not fit its columns: {line[:_SHOWN]!r}")
        if found and values[-1] and not any(values[:-1]):
            found[-1][titles[-1]] += f" {values[-1]}"
        else:
            found.append(dict(zip(titles, values, strict=True)))
    return found


def _csv(lines: Sequence[str], what: str) -> Iterator[Row]:
    """A heading and lines of fields; each line ends with a comma. A list of addresses may hold commas of its own."""
    rows = [row for row in csv.reader(io.StringIO("\n".join(lines))) if row]
    titles = [_key(title) for title in rows[0]]
    for row in rows[1:]:
        surplus = len(row) - len(titles)
        if surplus > 0 and _LIST in titles:
            start = titles.index(_LIST)
            row[start : start + surplus + 1] = [",".join(row[start : start + surplus + 1])]
        if len(row) != len(titles):
            raise ReadError(f"{what} printed CSV whose line does not fit its heading: {','.join(row)[:_SHOWN]!r}")
        yield {title: value for title, value in zip(titles, row, strict=True) if title}


def parse_bool(value: Any) -> bool | None:
    """A switch in any of the forms; ``None`` for what is none."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).strip().lower())


def parse_number(value: Any) -> int | None:
    """A port number; ``None`` for what is none."""
    text = str(value).strip()
    return int(text) if text.isdigit() and len(text) <= 5 else None


def parse_list(value: Any) -> tuple[str, ...]:
    """A list of words: JSON's own, or one text with commas."""
    items = value if isinstance(value, list) else str(value).split(",")
    return tuple(str(item).strip() for item in items if str(item).strip())
