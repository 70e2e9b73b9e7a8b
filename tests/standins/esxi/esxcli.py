# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""``esxcli`` over a stand-in host: the few commands that it knows, in all forms of output, and real hosts' refusals.

Anything else is an error with return code 1 and its text on standard output, as with the real program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .model import OWNED_SWITCH, RELEASES, Host, RefusedError, Ruleset

Row = Mapping[str, Any]
_JSON_NEEDS_DEBUG = "Error: Unknown formatter: json"


def esxcli(host: Host, argv: Sequence[str]) -> tuple[int, str]:
    """Run one command; its return code and standard output."""
    try:
        form, words = _form(host, list(argv))
        for path, command in _COMMANDS.items():
            if words[: len(path)] == list(path):
                return 0, command(host, form, _options(words[len(path) :], _OPTIONS.get(path, {})))
        raise RefusedError(f"Error: Unknown command or namespace {' '.join(words)}")
    except RefusedError as error:
        return 1, f"{error}\n"


def _form(host: Host, words: list[str]) -> tuple[str, list[str]]:
    debug, form = False, "text"
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--debug":
            debug = True
        elif option.startswith("--formatter="):
            form = option.partition("=")[2]
        else:
            raise RefusedError(f"Error: Unknown option {option}")
    form = f"debug {form}" if debug else form
    if form not in host.forms:
        raise RefusedError(_JSON_NEEDS_DEBUG if form.endswith("json") else f"Error: Unknown formatter: {form}")
    return form, words


def _options(words: list[str], known: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in known:
            raise RefusedError(f"Error: Invalid option {word}")
        found[known[name]] = value if equals else next(rest, "")
    return found


def _version(host: Host, form: str, _options: Mapping[str, str]) -> str:
    return _fields(RELEASES[host.release], form)


def _firewall(host: Host, form: str, _options: Mapping[str, str]) -> str:
    return _fields({"Default Action": host.default_action, "Enabled": host.enabled, "Loaded": host.loaded}, form)


def _ruleset_list(host: Host, form: str, options: Mapping[str, str]) -> str:
    titles = ["Name", "Enabled"]
    owners = any(item.can_enable is not None for item in host.rulesets.values())
    if owners:
        titles += ["Enable/Disable configurable", "Allowed IP configurable"]
    rows = [
        dict(zip(titles, (item.key, item.enabled, item.can_enable, item.can_list), strict=False))
        for item in _selected(host, options)
    ]
    return _rows(titles, rows, form)


def _rule_list(host: Host, form: str, options: Mapping[str, str]) -> str:
    titles = ["Ruleset", "Direction", "Protocol", "Port Type", "Port Begin", "Port End"]
    rows = [
        dict(
            zip(
                titles,
                (
                    item.key,
                    rule.direction.capitalize(),
                    rule.protocol.upper(),
                    rule.port_type.capitalize(),
                    rule.first,
                    rule.last,
                ),
                strict=True,
            )
        )
        for item in _selected(host, options)
        for rule in item.rules
    ]
    return _rows(titles, rows, form)


def _allowed_list(host: Host, form: str, options: Mapping[str, str]) -> str:
    titles = ["Ruleset", "Allowed IP Addresses"]
    rows = [
        dict(zip(titles, (item.key, ["All"] if item.allows_all else item.allowed), strict=True))
        for item in _selected(host, options)
    ]
    return _rows(titles, rows, form)


def _connections(_host: Host, form: str, _options: Mapping[str, str]) -> str:
    titles = ["Proto", "Recv Q", "Send Q", "Local Address", "Foreign Address", "State"]
    titles += ["World ID", "CC Algo", "World Name"]
    listeners = ((80, "envoy"), (443, "envoy"), (902, "busybox"), (22, "busybox"))
    rows: list[tuple[Any, ...]] = [
        ("tcp", 0, 0, f"0.0.0.0:{port}", "0.0.0.0:0", "LISTEN", 1000 + port, "newreno", name)
        for port, name in listeners
    ]
    rows += [
        ("tcp", 0, 0, "198.51.100.21:443", "192.0.2.10:50000", "ESTABLISHED", 1443, "newreno", "envoy"),
        ("udp", 0, 0, "127.0.0.1:123", "0.0.0.0:0", "", 530726, "", "ntpd"),
    ]
    return _rows(titles, [dict(zip(titles, row, strict=True)) for row in rows], form)


def _set(host: Host, _form: str, options: Mapping[str, str]) -> str:
    item = host.ruleset(options.get("key", ""))
    if "enabled" in options:
        if item.can_enable is False or item.required:
            raise RefusedError(OWNED_SWITCH)
        host.switch(item.key, _flag(options["enabled"]))
    if "all" in options:
        everyone = _flag(options["all"])
        if not everyone and not item.allows_all:
            raise RefusedError("Already use allowed ip list")
        host.change_list(item.key, everyone, item.allowed)
    return ""


def _add(host: Host, _form: str, options: Mapping[str, str]) -> str:
    item = _listed(host, options)
    if options["address"] in item.allowed:
        raise RefusedError("Ip address already exist")
    host.change_list(item.key, False, [*item.allowed, options["address"]])
    return ""


def _remove(host: Host, _form: str, options: Mapping[str, str]) -> str:
    item = _listed(host, options)
    if options["address"] not in item.allowed:
        raise RefusedError("Ip address not found")
    host.change_list(item.key, False, [text for text in item.allowed if text != options["address"]])
    return ""


def _listed(host: Host, options: Mapping[str, str]) -> Ruleset:
    item = host.ruleset(options.get("key", ""))
    if item.allows_all:
        raise RefusedError("Couldn't update allowed ip list when allowed-all flag is true.")
    if not options.get("address"):
        raise RefusedError("Error: Missing required parameter -i|--ip-address")
    return item


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise RefusedError(f"Error: Invalid value {text}")
    return text == "true"


def _selected(host: Host, options: Mapping[str, str]) -> list[Ruleset]:
    return [host.ruleset(options["key"])] if "key" in options else list(host.rulesets.values())


def _key(title: str) -> str:
    return title.replace(" ", "").replace("/", "")


def _fields(fields: Row, form: str) -> str:
    if form == "debug json":
        return json.dumps({_key(title): value for title, value in sorted(fields.items())}) + "\n"
    if form == "csv":
        return _csv(list(fields), [fields])
    return "".join(f"   {title}: {_text(value)}\n" for title, value in fields.items())


def _rows(titles: Sequence[str], rows: Sequence[Row], form: str) -> str:
    if form == "debug json":
        return json.dumps([{_key(title): row[title] for title in sorted(titles)} for row in rows]) + "\n"
    return _csv(titles, rows) if form == "csv" else _table(titles, rows)


def _csv(titles: Sequence[str], rows: Sequence[Row]) -> str:
    order = sorted(titles, key=_key)
    lines = [[_key(title) for title in order]]
    lines += [[",".join(row[t]) if isinstance(row[t], list) else _text(row[t]) for t in order] for row in rows]
    return "".join(",".join(line) + ",\n" for line in lines)


def _table(titles: Sequence[str], rows: Sequence[Row]) -> str:
    cells = [[_text(row[title]) for title in titles] for row in rows]
    right = [bool(rows) and isinstance(rows[0][title], (bool, int)) for title in titles]
    widths = [max(len(line[index]) for line in ([*titles], *cells)) for index in range(len(titles))]
    shown = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]
    heading = "  ".join(title.ljust(width) for title, width in zip(titles, widths, strict=True)).rstrip()
    return "\n".join([heading, "  ".join("-" * width for width in widths), *shown]) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else str(value)


_KEY = {"-r": "key", "--ruleset-id": "key"}
_SWITCHES = {"-e": "enabled", "--enabled": "enabled", "-a": "all", "--allowed-all": "all"}
_ADDRESS = {**_KEY, "-i": "address", "--ip-address": "address"}
_FIREWALL = ("network", "firewall")
_COMMANDS: dict[tuple[str, ...], Callable[[Host, str, Mapping[str, str]], str]] = {
    ("system", "version", "get"): _version,
    (*_FIREWALL, "get"): _firewall,
    (*_FIREWALL, "ruleset", "list"): _ruleset_list,
    (*_FIREWALL, "ruleset", "rule", "list"): _rule_list,
    (*_FIREWALL, "ruleset", "allowedip", "list"): _allowed_list,
    (*_FIREWALL, "ruleset", "allowedip", "add"): _add,
    (*_FIREWALL, "ruleset", "allowedip", "remove"): _remove,
    (*_FIREWALL, "ruleset", "set"): _set,
    ("network", "ip", "connection", "list"): _connections,
}
_OPTIONS: dict[tuple[str, ...], Mapping[str, str]] = {
    (*_FIREWALL, "ruleset", "list"): _KEY,
    (*_FIREWALL, "ruleset", "rule", "list"): _KEY,
    (*_FIREWALL, "ruleset", "allowedip", "list"): _KEY,
    (*_FIREWALL, "ruleset", "allowedip", "add"): _ADDRESS,
    (*_FIREWALL, "ruleset", "allowedip", "remove"): _ADDRESS,
    (*_FIREWALL, "ruleset", "set"): {
        **_KEY,
        "-e": "enabled",
        "--enabled": "enabled",
        "-a": "all",
        "--allowed-all": "all",
    },
}
