# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of an ESXi host by ``esxcli``: its rulesets, its listeners, and by whom it is being managed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._core.addressset import Address, AddressSet, parse_address
from ...module_utils._core.errors import InputError, ReadError
from ...module_utils._esxi.rulesets import HostFirewall, PortRule, Ruleset
from ...module_utils._esxi.state import Record
from .._linux.listeners import Listener
from .._platform.interface import Part
from .esxcli import Row, parse_bool, parse_fields, parse_list, parse_number, parse_rows

_CAN_ENABLE = re.compile(r"^enabledisable")
_CAN_LIST = re.compile(r"^allowedip.*config")
_EVERYONE = "all"
_BOTH = frozenset({4, 6})


@dataclass(frozen=True)
class Snapshot:
    """A host's firewall and listeners (``None``: not known), the address that manages it (none: not known), and our
    record of earlier changes.

    ``form`` are the options by which the host's esxcli was asked, ``guard`` the texts that it must still print when
    something is written, by the names of their parts.
    """

    firewall: HostFirewall
    listeners: tuple[Listener, ...] | None = None
    peers: AddressSet = field(default_factory=AddressSet)
    record: Record = field(default_factory=Record)
    form: str = ""
    guard: Mapping[str, str] = field(default_factory=dict)


def parse_snapshot(parts: Mapping[str, Part], record: Record) -> Snapshot:
    """The snapshot of what the read command printed. Raises ReadError when nothing can be said of the host."""
    texts = {name: _checked(parts, name) for name in _NEEDED}
    return Snapshot(
        firewall=parse_firewall(texts),
        listeners=_listeners(parts),
        peers=_peers(parts),
        record=record,
        form=_checked(parts, "form").strip(),
        guard={name: texts[name].strip("\n") for name in GUARDED},
    )


GUARDED = ("rulesets", "allowed")
_NEEDED = ("version", "firewall", "rulesets", "rules", "allowed")


def _checked(parts: Mapping[str, Part], name: str) -> str:
    """The text of a part that must have succeeded: esxcli's faults are on standard output, with return code 1."""
    part = parts.get(name)
    if part is None:
        raise ReadError(f"the host did not answer the part '{name}'; run again")
    if part.rc == 0:
        return part.out
    said = " ".join(f"{part.out} {part.err}".split())[:300]
    raise ReadError(f"esxcli failed at '{name}' with return code {part.rc}: {said or 'no message'}. {_cure(part)}")


def _cure(part: Part) -> str:
    if part.rc == 127:
        return "There is no esxcli: this is no ESXi host, or the account has no ESXi shell; see audit_ports_platform"
    if "Connection failed" in part.out + part.err:
        return "The host's management service (hostd) does not answer; look at the host's health first"
    return "The account needs the right Host.Config.NetService (role Administrator), and the host must be reachable"


def parse_firewall(texts: Mapping[str, str]) -> HostFirewall:
    """The firewall, from the texts of ``firewall get``, ``ruleset list``, ``ruleset rule list`` and ``ruleset allowedip
    list`` under the names firewall, rulesets, rules and allowed; what is not given or empty is not known.
    """
    general = parse_fields(texts["firewall"], "firewall get") if texts.get("firewall") else {}
    action = str(general.get("defaultaction", "")).strip().upper()
    rules = _rules(parse_rows(texts.get("rules", ""), "ruleset rule list"))
    lists = _lists(parse_rows(texts.get("allowed", ""), "ruleset allowedip list"))
    listed = parse_rows(texts.get("rulesets", ""), "ruleset list")
    if not listed:
        raise ReadError("ruleset list names no ruleset: that is no answer of an ESXi firewall")
    return HostFirewall(
        rulesets=tuple(_ruleset(row, rules, lists) for row in listed),
        incoming_blocked={"DROP": True, "PASS": False}.get(action),
        enabled=parse_bool(general.get("enabled")),
        loaded=parse_bool(general.get("loaded")),
        version=_version(texts.get("version", "")),
    )


def _ruleset(row: Row, rules: Mapping[str, tuple[PortRule, ...]], lists: Mapping[str, tuple[str, ...]]) -> Ruleset:
    key = str(row.get("name", "")).strip()
    if not key:
        raise ReadError(f"ruleset list has a row without a name: {str(dict(row))[:80]}")
    entries = lists.get(key)
    everyone = None if entries is None else [text.lower() for text in entries] == [_EVERYONE]
    return Ruleset(
        key=key,
        enabled=parse_bool(row.get("enabled")),
        allows_all=everyone,
        allowed=() if everyone or entries is None else entries,
        # A ruleset without rules of its own is about nothing; where no rules were read at all, nothing is known.
        rules=rules.get(key, ()) if rules else None,
        can_enable=_told(row, _CAN_ENABLE),
        can_list=_told(row, _CAN_LIST),
    )


def _told(row: Row, title: re.Pattern[str]) -> bool | None:
    return next((parse_bool(value) for name, value in row.items() if title.match(name)), None)


def _rules(rows: Iterable[Row]) -> Mapping[str, tuple[PortRule, ...]]:
    found: dict[str, tuple[PortRule, ...]] = {}
    for row in rows:
        key = str(row.get("ruleset", ""))
        found[key] = (*found.get(key, ()), _rule(row))
    return found


def _rule(row: Row) -> PortRule:
    first, last = parse_number(row.get("portbegin")), parse_number(row.get("portend"))
    words = [str(row.get(name, "")).strip().lower() for name in ("direction", "porttype", "protocol")]
    if first is None or last is None or words[0] not in ("inbound", "outbound") or words[1] not in ("dst", "src", ""):
        raise ReadError(f"ruleset rule list has a row that cannot be read: {str(dict(row))[:120]}")
    return PortRule(words[0] == "inbound", words[1] == "dst", words[2], first, last)


def _lists(rows: Iterable[Row]) -> Mapping[str, tuple[str, ...]]:
    return {str(row.get("ruleset", "")): parse_list(row.get("allowedipaddresses", "")) for row in rows}


def _version(text: str) -> str:
    fields: Row = parse_fields(text, "system version get") if text else {}
    return " ".join(str(fields[name]) for name in ("version", "build") if fields.get(name))[:80]


def _listeners(parts: Mapping[str, Part]) -> tuple[Listener, ...] | None:
    part = parts.get("connections")
    if part is None or part.rc != 0:
        return None
    try:
        rows = parse_rows(part.out, "ip connection list")
    except ReadError:
        return None
    return tuple(item for item in (_listener(row) for row in rows) if item is not None)


def _listener(row: Row) -> Listener | None:
    """A row of ``network ip connection list`` that accepts: TCP in LISTEN, UDP without a peer."""
    protocol = str(row.get("proto", "")).strip().lower()[:3]
    waits = str(row.get("state", "")).strip() == "LISTEN" if protocol == "tcp" else protocol == "udp"
    host, _colon, port = str(row.get("localaddress", "")).strip().rpartition(":")
    number = parse_number(port)
    peer = str(row.get("foreignaddress", "")).strip()
    if not waits or number is None or not peer.endswith((":0", ":*")):
        return None
    try:
        address = None if host in ("*", "") else parse_address(host.strip("[]"))
    except InputError:
        return None
    versions = _BOTH if address is None else frozenset({address.version})
    return Listener(protocol, _bound(address), number, versions, str(row.get("worldname") or "").strip()[:40])


def _bound(address: Address | None) -> Address | None:
    return None if address is None or int(address) == 0 else address


def _peers(parts: Mapping[str, Part]) -> AddressSet:
    """Who manages the host by this very connection: the first word of sshd's own variable."""
    part = parts.get("connection")
    words: Sequence[Any] = part.out.split() if part is not None and part.rc == 0 else ()
    try:
        return AddressSet.of(parse_address(str(words[0]))) if words else AddressSet()
    except InputError:
        return AddressSet()
