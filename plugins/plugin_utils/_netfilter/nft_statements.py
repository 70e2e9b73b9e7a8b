# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements of nft's JSON: what a rule does with a packet that its matches let through (libnftables-json(5))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...module_utils._core.ranges import RangeSet
from .expressions import Bitwise, Constant, Expression, FieldValue
from .flow import TCP, Field, Flow, simplified
from .maps import VerdictMap
from .matches import Match, Undecidable
from .nft_expressions import HEADERS, read_expression
from .nft_matches import TableContext, read_match
from .nft_sets import data_kind, verdict_map
from .nft_values import NotUnderstoodError, bounds, number
from .nft_verdicts import read_verdict
from .statements import (
    NEXT_RULE,
    Effects,
    Nat,
    NoEffect,
    Notrack,
    SetField,
    Statement,
    Verdict,
    reject,
    undecided,
)
from .translation import Translation
from .xtables_special import PortWithin

Item = Match | Statement

_VERDICTS = frozenset({"accept", "drop", "return", "continue", "jump", "goto"})
_WITHOUT_EFFECT = frozenset(
    {"counter", "log", "dup", "flow", "ct helper", "ct timeout", "ct expectation", "secmark", "last", "comment"}
)
_XT_WITHOUT_EFFECT = frozenset({"comment", "LOG", "NFLOG", "TCPMSS", "CHECKSUM", "CLASSIFY", "AUDIT", "TRACE", "TEE"})
_SETTABLE = {
    ("meta", "mark"): Field.MARK,
    ("meta", "pkttype"): Field.PACKET_TYPE,
    ("ct", "mark"): Field.CT_MARK,
    ("ct", "zone"): Field.CT_ZONE,
}
_KINDS = {Field.MARK: "mark", Field.PACKET_TYPE: "pkt_type", Field.CT_MARK: "mark", Field.CT_ZONE: "ct_zone"}
_REWRITTEN = frozenset({"saddr", "daddr", "sport", "dport", "protocol", "nexthdr", "flags", "type", "code", "version"})


@dataclass(frozen=True)
class OnlyFor:
    """A statement for packets of one IP version and one protocol (None: any); the rule ends or goes on for others.

    nft leaves out of its listing that a rule asks for these, because the statement implies it.
    """

    version: int | None
    protocol: int | None
    statement: Statement
    otherwise: Verdict | None = NEXT_RULE

    def apply(self, flow: Flow) -> Effects:
        """See Statement (statements.py)."""
        fits = self.version in (None, flow.version) and self.protocol in (None, flow.protocol)
        return self.statement.apply(flow) if fits else ((flow, self.otherwise),)


def read_statements(items: list[Any], context: TableContext) -> tuple[Item, ...]:
    """The matches and statements of a rule. What is not known stands there as something that nobody can decide."""
    found: list[Item] = []
    for item in items:
        ((name, body),) = item.items() if isinstance(item, dict) and len(item) == 1 else ((str(item)[:40], None),)
        try:
            found.append(_read(name, body, context))
        except NotUnderstoodError as error:
            found.append(_not_understood(name, str(error)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            found.append(_not_understood(name, f"{name} in a notation that is not known"))
    return tuple(found)


def _not_understood(name: str, what: str) -> Item:
    """A match that is not known is maybe; a statement that is not known may do anything."""
    if name in ("match", "limit", "quota", "ct count", "meter"):
        return Undecidable(what)
    return undecided(f"its statement is not understood: {what}")


def _read(name: str, body: Any, context: TableContext) -> Item:
    if name == "match":
        return read_match(body, context)
    if name in _VERDICTS:
        return read_verdict({name: body}) or NEXT_RULE
    if name in _WITHOUT_EFFECT:
        return NoEffect(name)
    reader = _READERS.get(name)
    if reader is None:
        raise NotUnderstoodError(name)
    return reader(body, context)


def _read_vmap(body: Any, context: TableContext) -> Item:
    keys = read_expression(body["key"], context.map_values)
    content = verdict_map(tuple(key.kind for key in keys), context.elements_of(body["data"]))
    return VerdictMap(tuple(key.expression for key in keys), content)


def _read_mangle(body: Any, context: TableContext) -> Item:
    ((kind, key),) = body["key"].items()
    field = _SETTABLE.get((kind, key.get("key", "")))
    if field is not None:
        return SetField(field, _read_value(_KINDS[field], body["value"], context))
    if kind == "payload":
        return _read_header_change(key)
    if kind == "tcp option":
        return OnlyFor(None, TCP, NoEffect("tcp option set"))
    return NoEffect(f"{kind} set")


def _read_header_change(key: dict[str, Any]) -> Item:
    harmless = "base" not in key and key["field"] not in _REWRITTEN
    statement = NoEffect("header set") if harmless else undecided("it rewrites the packet's header")
    if "base" in key:
        return statement
    if key["protocol"] not in HEADERS:
        return NEXT_RULE
    return OnlyFor(*HEADERS[key["protocol"]], statement)


def _read_value(kind: str, item: Any, context: TableContext) -> Expression:
    try:
        return Constant(number(kind, item))
    except NotUnderstoodError:
        (found,) = read_expression(item, context.map_values)
        return found.expression


def _read_reject(body: Any, context: TableContext) -> Item:
    kind = (body or {}).get("type", "")
    verdict = reject(" ".join(str(part) for part in (kind, (body or {}).get("expr")) if part) or "port-unreachable")
    if kind == "tcp reset":
        return OnlyFor(None, TCP, verdict)
    version = {"icmp": 4, "icmpv6": 6}.get(kind)
    if version and context.family in ("inet", "bridge", "netdev"):
        return OnlyFor(version, None, verdict)
    return verdict


def _nat_reader(kind: Translation) -> Callable[[Any, TableContext], Item]:
    def read(body: Any, context: TableContext) -> Item:
        body = body or {}
        version = {"ip": 4, "ip6": 6}.get(body.get("family", ""))
        address, port = _read_target(body.get("addr"), context)
        if "port" in body:
            # Unless told to choose by chance, a port of the range is kept (nf_nat_core.c, get_unique_tuple).
            keeps = kind in (Translation.DNAT, Translation.REDIRECT) and "random" not in str(body.get("flags", ""))
            port = _read_nat_value("inet_service", body["port"], context, keeps_port=keeps)
        if kind in (Translation.DNAT, Translation.SNAT) and address is port is None:
            raise NotUnderstoodError("a translation to nowhere")
        flags = body.get("type_flags", [])
        if address is not None and "prefix" in (flags if isinstance(flags, list) else [flags]):
            address = _kept_host_bits(body["addr"], kind)
        statement = Nat(kind, address, port)
        return OnlyFor(version, None, statement, None) if version and context.family == "inet" else statement

    return read


def _read_target(item: Any, context: TableContext) -> tuple[Expression | None, Expression | None]:
    if item is None:
        return None, None
    try:
        return _read_nat_value(data_kind(item), item, context), None
    except NotUnderstoodError:
        parts = read_expression(item, context.map_values)
        return parts[0].expression, parts[1].expression if len(parts) > 1 else None


def _read_nat_value(kind: str, item: Any, context: TableContext, *, keeps_port: bool = False) -> Expression:
    if isinstance(item, dict) and not item.keys() & {"range", "prefix"}:
        if kind != "inet_service":
            raise NotUnderstoodError("an address that is an expression")
        (found,) = read_expression(item, context.map_values)
        return found.expression
    low, high = bounds(kind, item)
    if kind == "inet_service" and low < high:
        return PortWithin(low, high, keeps=keeps_port)
    return Constant(simplified(RangeSet([(low, high)])))


def _kept_host_bits(item: Any, kind: Translation) -> Expression:
    """``dnat ip prefix to 10.0.0.0/24``: the network is exchanged, the rest of the address is kept."""
    if not isinstance(item, dict) or "prefix" not in item:
        raise NotUnderstoodError("a map from networks to networks")
    low, high = bounds(data_kind(item), item)
    field = Field.SOURCE if kind is Translation.SNAT else Field.DESTINATION
    return Bitwise("|", Bitwise("&", FieldValue(field), Constant(high - low)), Constant(low))


def _read_set_update(body: Any, context: TableContext) -> Item:
    """``add @set {...}``: changes the set for later packets; ends the rule where the set is full or a limit says so."""
    undecidable = [name for item in body.get("stmt", []) for name in item if name not in _WITHOUT_EFFECT]
    if undecidable:
        return Undecidable(f"{undecidable[0]} for each element of {body['set']}")
    if body["op"] != "delete" and context.named(body["set"]).full:
        return Undecidable(f"the set {body['set']} is full")
    return NoEffect(f"{body['op']} {body['set']}")


def _undecidable(name: str) -> Callable[[Any, TableContext], Item]:
    return lambda _body, _context: Undecidable(name)


def _always(statement: Statement) -> Callable[[Any, TableContext], Item]:
    return lambda _body, _context: statement


def _read_xt(body: Any, context: TableContext) -> Item:
    """A match or target of iptables; nft shows its name at most, and old versions of it not even that."""
    kind, name = (body or {}).get("type", ""), (body or {}).get("name", "")
    if name in _XT_WITHOUT_EFFECT:
        return NoEffect(name)
    what = (
        f"the table {context.family} {context.table} holds rules of iptables that nft cannot show, "
        "and iptables-save does not tell them"
    )
    return Undecidable(what) if kind == "match" else undecided(what)


_READERS: dict[str, Callable[[Any, TableContext], Item]] = {
    "vmap": _read_vmap,
    "mangle": _read_mangle,
    "reject": _read_reject,
    "dnat": _nat_reader(Translation.DNAT),
    "snat": _nat_reader(Translation.SNAT),
    "redirect": _nat_reader(Translation.REDIRECT),
    "masquerade": _nat_reader(Translation.MASQUERADE),
    "set": _read_set_update,
    "map": _always(NoEffect("map")),
    "meter": _undecidable("meter"),
    "limit": _undecidable("limit"),
    "quota": _undecidable("quota"),
    "ct count": _undecidable("ct count"),
    "notrack": _always(Notrack()),
    "reset": _always(NoEffect("reset")),
    "queue": _always(undecided("a program takes the packet from a queue and decides")),
    "tproxy": _always(undecided("a transparent proxy on this host takes the packet")),
    "synproxy": _always(undecided("synproxy answers in place of the service")),
    "fwd": _always(undecided("it is sent on to another interface")),
    "xt": _read_xt,
}
