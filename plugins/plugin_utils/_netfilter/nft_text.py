# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of nft's JSON in nft's own syntax (nft(8)), for people. It is only written when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MOST_ELEMENTS = 8  # of an anonymous set; the rest is told as a number
_BARE_META = frozenset(
    {"iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup", "iiftype", "oiftype", "mark", "skuid", "skgid",
     "rtclassid", "cpu", "ibrname", "obrname", "pkttype", "cgroup"}
)  # fmt: skip
_WITHOUT_BODY = frozenset({"accept", "drop", "return", "continue", "notrack"})


@dataclass(frozen=True)
class RuleText:
    """The statements of a rule as nft's JSON has them; ``str()`` writes them."""

    items: list[Any]

    def __str__(self) -> str:
        return " ".join(statement_text(item) for item in self.items)


def statement_text(item: Any) -> str:
    """One statement in nft's syntax; what is not known is written as its name."""
    if not isinstance(item, dict) or len(item) != 1:
        return str(item)
    ((name, body),) = item.items()
    if name in _WITHOUT_BODY:
        return str(name)
    writer = _STATEMENTS.get(name)
    try:
        return writer(body) if writer else str(name)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        return str(name)


def expression_text(item: Any) -> str:
    """One expression or constant in nft's syntax."""
    if isinstance(item, bool):
        return "exists" if item else "missing"
    if isinstance(item, list):
        return ",".join(expression_text(part) for part in item)
    if not isinstance(item, dict):
        return str(item)
    if len(item) != 1:
        return str(item)
    ((name, body),) = item.items()
    writer = _EXPRESSIONS.get(name)
    return writer(body) if writer else str(name)


def _match(body: Any) -> str:
    operator = body["op"]
    left, right = expression_text(body["left"]), _quoted(body["left"], body["right"])
    return f"{left} {right}" if operator in ("==", "in") else f"{left} {operator} {right}"


def _quoted(left: Any, right: Any) -> str:
    text = expression_text(right)
    is_name = isinstance(left, dict) and str(left.get("meta", {}).get("key", "")).endswith(("ifname", "iif", "oif"))
    return f'"{text}"' if is_name and isinstance(right, str) and not right.startswith("@") else text


def _payload(body: Any) -> str:
    if "base" in body:
        return f"@{body['base']},{body['offset']},{body['len']}"
    tunnel = f"{body['tunnel']} " if "tunnel" in body else ""
    return f"{tunnel}{body['protocol']} {body['field']}"


def _ct(body: Any) -> str:
    return " ".join(part for part in ("ct", body.get("dir", ""), body["key"]) if part)


def _meta(body: Any) -> str:
    key = str(body["key"])
    return key if key in _BARE_META - {"mark"} else f"meta {key}"


def _fib(body: Any) -> str:
    flags = body["flags"] if isinstance(body["flags"], list) else [body["flags"]]
    return f"fib {' . '.join(flags)} {body['result']}"


def _elements(body: Any) -> str:
    texts = [_element(part) for part in body[:_MOST_ELEMENTS]]
    if len(body) > _MOST_ELEMENTS:
        texts.append(f"and {len(body) - _MOST_ELEMENTS} more")
    return "{ " + ", ".join(texts) + " }"


def _element(item: Any) -> str:
    if isinstance(item, list) and len(item) == 2:
        data = item[1]
        is_verdict = isinstance(data, dict) and data.keys() & {*_WITHOUT_BODY, "jump", "goto"}
        return f"{_element(item[0])} : {statement_text(data) if is_verdict else expression_text(data)}"
    return expression_text(item)


def _operation(operator: str) -> Callable[[Any], str]:
    return lambda body: f" {operator} ".join(_grouped(part) for part in body)


def _grouped(item: Any) -> str:
    if isinstance(item, list):
        return f"({' | '.join(expression_text(part) for part in item)})"
    return expression_text(item)


def _map(body: Any) -> str:
    return f"{expression_text(body['key'])} map {expression_text(body['data'])}"


def _hash(name: str) -> Callable[[Any], str]:
    def write(body: Any) -> str:
        of = f" {expression_text(body['expr'])}" if "expr" in body else ""
        mode = f" {body['mode']}" if "mode" in body else ""
        return f"{name}{mode}{of} mod {body['mod']}"

    return write


def _option(name: str) -> Callable[[Any], str]:
    return lambda body: " ".join(str(part) for part in (name, body.get("name"), body.get("field")) if part)


_EXPRESSIONS: dict[str, Callable[[Any], str]] = {
    "meta": _meta,
    "ct": _ct,
    "payload": _payload,
    "fib": _fib,
    "set": lambda body: _elements(body if isinstance(body, list) else [body]),
    "elem": lambda body: expression_text(body["val"]),
    "prefix": lambda body: f"{expression_text(body['addr'])}/{body['len']}",
    "range": lambda body: f"{expression_text(body[0])}-{expression_text(body[1])}",
    "concat": lambda body: " . ".join(expression_text(part) for part in body),
    "map": _map,
    "numgen": _hash("numgen"),
    "jhash": _hash("jhash"),
    "symhash": _hash("symhash"),
    "tcp option": _option("tcp option"),
    "ip option": _option("ip option"),
    "exthdr": _option("exthdr"),
    **{operator: _operation(operator) for operator in ("&", "|", "^", "<<", ">>")},
}


def _rate(body: Any) -> str:
    if isinstance(body, str):
        return f'limit name "{body}"'
    if "rate" not in body:
        return f"limit name {expression_text(body)}"
    unit = f" {body['rate_unit']}" if body.get("rate_unit", "packets") != "packets" else ""
    over = "over " if body.get("inv") else ""
    burst = f" burst {body['burst']} {body.get('burst_unit', 'packets')}" if body.get("burst") else ""
    return f"limit rate {over}{body['rate']}{unit}/{body['per']}{burst}"


def _quota(body: Any) -> str:
    if isinstance(body, str):
        return f'quota name "{body}"'
    return f"quota {'over' if body.get('inv') else 'until'} {body['val']} {body['val_unit']}"


def _counter(body: Any) -> str:
    return f'counter name "{body}"' if isinstance(body, str) else "counter"


def _log(body: Any) -> str:
    prefix = (body or {}).get("prefix")
    return f'log prefix "{prefix}"' if prefix else "log"


def _reject(body: Any) -> str:
    kind = (body or {}).get("type")
    if not kind:
        return "reject"
    code = (body or {}).get("expr")
    return f"reject with {kind}" + (f" {expression_text(code)}" if code else "")


def _nat(name: str) -> Callable[[Any], str]:
    def write(body: Any) -> str:
        body = body or {}
        words = [name, body.get("family", "")]
        if "addr" in body or "port" in body:
            address = expression_text(body["addr"]) if "addr" in body else ""
            port = f":{expression_text(body['port'])}" if "port" in body else ""
            words.append(f"to {f'[{address}]' if port and ':' in address else address}{port}")
        return " ".join(word for word in words if word)

    return write


def _set_update(body: Any) -> str:
    inner = [expression_text(body["elem"]), *(statement_text(part) for part in body.get("stmt", []))]
    return f"{body['op']} {body['set']} {{ {' '.join(inner)} }}"


def _queue(body: Any) -> str:
    number = (body or {}).get("num")
    return "queue" if number is None else f"queue to {expression_text(number)}"


_STATEMENTS: dict[str, Callable[[Any], str]] = {
    "match": _match,
    "vmap": lambda body: f"{expression_text(body['key'])} vmap {expression_text(body['data'])}",
    "mangle": lambda body: f"{expression_text(body['key'])} set {expression_text(body['value'])}",
    "jump": lambda body: f"jump {body['target']}",
    "goto": lambda body: f"goto {body['target']}",
    "limit": _rate,
    "quota": _quota,
    "counter": _counter,
    "log": _log,
    "reject": _reject,
    "dnat": _nat("dnat"),
    "snat": _nat("snat"),
    "redirect": _nat("redirect"),
    "masquerade": _nat("masquerade"),
    "tproxy": _nat("tproxy"),
    "set": _set_update,
    "ct count": lambda body: f"ct count {'over ' if body.get('inv') else ''}{body['val']}",
    "ct helper": lambda body: f'ct helper set "{body}"',
    "flow": lambda body: f"flow {body['op']} {body['flowtable']}",
    "queue": _queue,
    "dup": lambda body: f"dup to {expression_text(body['addr'])}",
    "fwd": lambda body: f"fwd to {expression_text(body['dev'])}",
}
