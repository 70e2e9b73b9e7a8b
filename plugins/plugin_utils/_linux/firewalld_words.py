# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a rule of the kernel back to what made it in firewalld: zone or policy by its chain, entry by what it matches.

Chains are named ``filter_IN_public_allow`` with nftables and ``IN_public_allow`` with iptables; zones and policies
alike have the parts pre, log, deny, allow and post.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .._netfilter.model import Step
from .firewalld_config import FirewalldConfig
from .firewalld_entries import Entry, filter_entries, forward_entries
from .firewalld_records import Endpoint

_TABLES = {"inet", "ip", "ip6"}
_PARTS = ("pre", "log", "deny", "allow", "post")
_CHAIN = re.compile(r"(?:(?:filter|nat|mangle|raw)_)?(IN|FWDI|FWDO|FWD|OUT|PRE|POST)_(policy_)?(.+)")
_BASE = re.compile(
    r"(?:(?:filter|nat|mangle|raw)_)?(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)"
    r"(?:_(ZONES|ZONES_SOURCE|POLICIES|POLICIES_pre|POLICIES_post|direct|dnat|IN_ZONES|OUT_ZONES))?"
)
_PORTS = re.compile(r"\b(tcp|udp) (dport|sport) (\d+(?:-\d+)?)\b")
_XT_PROTOCOL = re.compile(r"-p (\S+)")
_XT_PORTS = re.compile(r"--(dport|sport) (\d+(?::\d+)?)")
_ADDRESS = re.compile(r"\bip6? (saddr|daddr) (!= )?(@?[\w.:/-]+)")
_XT_ADDRESS = re.compile(r"(?:^|\s)(! )?-([sd]) (\S+)")
_XT_SET = re.compile(r"(! )?--match-set (\S+) (src|dst)")
_ETHER = re.compile(r"\bether saddr (!= )?(\S+)")
_XT_ETHER = re.compile(r"(! )?--mac-source (\S+)")
_ECHO = re.compile(r"\b(icmp|icmpv6) type echo-request\b|--(icmp|icmpv6)-type (?:8|128)(?:/0)?(?=\s|$)")
_IIF = re.compile(r'\biifname "?([^" ]+)"?')
_XT_IIF = re.compile(r" -i (\S+)")
_L4PROTO = re.compile(r"\bmeta l4proto (tcp|udp|icmp|ipv6-icmp)\b")


@dataclass(frozen=True)
class Place:
    """Where a chain belongs: ``kind`` is zone, policy or base (``name`` is then a hook), ``part`` what is behind it."""

    kind: str
    name: str
    part: str
    direction: str


def place_of_chain(step: Step, config: FirewalldConfig) -> Place | None:
    """Whose chain a rule stands in; None for chains that are not firewalld's."""
    if not is_firewalld_table(step, config):
        return None
    found = _CHAIN.fullmatch(step.chain)
    if found:
        name, part = found[3], ""
        head, _underscore, tail = name.rpartition("_")
        if tail in _PARTS and name not in config.zones and name not in config.policies:
            name, part = head, tail
        # The iptables backend does not mark the chains of policies.
        is_policy = found[2] is not None or (name not in config.zones and name in config.policies)
        return Place("policy" if is_policy else "zone", name, part, found[1])
    base = _BASE.fullmatch(step.chain)
    return Place("base", base[1], base[2] or "", base[1]) if base else None


def is_firewalld_table(step: Step, config: FirewalldConfig) -> bool:
    """Whether the step's table is one that firewalld writes to."""
    if step.table == "firewalld":
        return step.family in _TABLES
    return config.iptables_backend and step.table in ("filter", "nat", "mangle", "raw") and step.family in ("ip", "ip6")


@dataclass(frozen=True)
class Essence:
    """What a rule compares, however it is written: what two spellings of one rule have in common."""

    protocol: str = ""
    ports: str = ""
    source_ports: str = ""
    source: str = ""
    destination: str = ""
    echo: bool = False


def essence_of_text(text: str) -> Essence:
    """The essence of a rule as nft or iptables-save writes it."""
    protocol = ports = source_ports = ""
    for name, side, value in _PORTS.findall(text):
        protocol = name
        ports, source_ports = (value, source_ports) if side == "dport" else (ports, value)
    for side, value in _XT_PORTS.findall(text):
        value = value.replace(":", "-")
        ports, source_ports = (value, source_ports) if side == "dport" else (ports, value)
    spelled = _XT_PROTOCOL.search(text) or _L4PROTO.search(text)
    echo = _ECHO.search(text)
    if spelled and not protocol:
        protocol = spelled[1]
    if echo and not protocol:
        protocol = echo[1] or echo[2]
    return Essence(
        protocol={"ipv6-icmp": "icmpv6"}.get(protocol, protocol),
        ports=ports,
        source_ports=source_ports,
        source=_text_end(text, "source"),
        destination=_text_end(text, "destination"),
        echo=echo is not None,
    )


def _text_end(text: str, which: str) -> str:
    field, flag, side = ("saddr", "s", "src") if which == "source" else ("daddr", "d", "dst")
    for name, inverted, address in _ADDRESS.findall(text):
        if name == field:
            return _normal(f"ipset:{address[1:]}" if address.startswith("@") else address, bool(inverted))
    for inverted, name, address in _XT_ADDRESS.findall(text):
        if name == flag:
            return _normal(address, bool(inverted))
    for inverted, name, where in _XT_SET.findall(text):
        if where == side:
            return _normal(f"ipset:{name}", bool(inverted))
    ether = (_ETHER.search(text) or _XT_ETHER.search(text)) if which == "source" else None
    return _normal(ether[2], bool(ether[1])) if ether else ""


def essence_of_entry(entry: Entry) -> Essence:
    """The essence of a rule that firewalld makes of an entry."""
    return Essence(
        protocol=entry.protocol,
        ports=entry.ports.replace(":", "-"),
        source_ports=entry.source_ports.replace(":", "-"),
        source=_end(entry.source),
        destination=_end(entry.destination),
        echo=entry.echo,
    )


def _end(end: Endpoint | None) -> str:
    return "" if end is None else _normal(end.address, end.inverted)


def _normal(address: str, inverted: bool) -> str:
    try:
        network = ipaddress.ip_network(address, strict=False)
        if network.prefixlen == 0 and not inverted:
            return ""
        address = str(network)
    except ValueError:
        address = address.lower() if address.count(":") == 5 else address
    return f"! {address}" if inverted else address


def entry_words(config: FirewalldConfig, place: Place, text: str) -> str:
    """The entry of a zone or policy that a rule in its chains was made of, in words; empty when none fits."""
    owner = config.policies.get(place.name) if place.kind == "policy" else config.zones.get(place.name)
    if owner is None:
        return ""
    inbound = place.direction == "IN"
    entries = filter_entries(config, owner.contents) if inbound else forward_entries(owner.contents)
    return _matching(entries, place.part, essence_of_text(text))


def runtime_words(place: Place, text: str) -> str:
    """A rule that no entry of the files makes, in words: a port that was opened while firewalld ran, else the rule."""
    essence = essence_of_text(text)
    plain = Essence(protocol=essence.protocol, ports=essence.ports)
    if place.part == "allow" and essence == plain and essence.ports:
        return f"port {essence.ports}/{essence.protocol} of the running configuration, which no file has"
    return f"rule {text}"


def _matching(entries: Iterable[Entry], part: str, essence: Essence) -> str:
    fitting = (entry.words for entry in entries if entry.section == part and essence_of_entry(entry) == essence)
    return next(fitting, "")


def bound_in_text(text: str) -> tuple[str, str]:
    """The interface and the source that a rule is about, as zones' files spell them; empty where it names none."""
    interface = _IIF.search(text) or _XT_IIF.search(text)
    name = interface[1].replace("*", "+") if interface else ""
    return name, _text_end(text, "source")
