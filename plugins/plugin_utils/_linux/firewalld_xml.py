# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's XML files as records: firewalld.zone(5), .policy(5), .service(5), .ipset(5) and .direct(5).

The text comes from a host and is hostile until read: a document type (and with it every entity) is refused, sizes
are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

from .firewalld_records import (
    Contents,
    DirectRule,
    Endpoint,
    Forward,
    IpSet,
    Policy,
    Ports,
    RichRule,
    Service,
    Zone,
)

LARGEST_FILE = 16 * 1024 * 1024
_DOCTYPE = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class UnreadableError(ValueError):
    """A file is not what firewalld would load; the text says what is wrong, without the file's name."""


def parse_zone(name: str, text: str) -> Zone:
    """Read a zone file. Raises UnreadableError."""
    root = _root(text, "zone")
    contents, others = _contents(root)
    interfaces: list[str] = []
    sources: list[str] = []
    for element in others:
        if element.tag == "interface":
            interfaces.append(_need(element, "name"))
        elif element.tag == "source":
            if not (element.get("address") or element.get("ipset")):
                raise UnreadableError("a source of a zone needs one of address and ipset")
            sources.append(_end_of(element).address)
        elif element.tag != "forward":
            raise UnreadableError(f"element {element.tag} is not known")
    target = root.get("target", "") or "default"
    if target == "{chain}_{zone}":
        target = "default"
    if target not in ("default", "ACCEPT", "DROP", "%%REJECT%%", "REJECT"):
        raise UnreadableError(f"target {target!r} is not known")
    priority = _number(root.get("ingress-priority", "0"))
    return Zone(name, target, _unique(interfaces), _unique(sources), contents, priority)


def parse_policy(name: str, text: str) -> Policy:
    """Read a policy file. Raises UnreadableError."""
    root = _root(text, "policy")
    contents, others = _contents(root)
    ends: dict[str, list[str]] = {"ingress-zone": [], "egress-zone": []}
    for element in others:
        if element.tag not in ends:
            raise UnreadableError(f"element {element.tag} is not known")
        ends[element.tag].append(_need(element, "name"))
    target = root.get("target", "CONTINUE")
    if target not in ("CONTINUE", "ACCEPT", "DROP", "REJECT"):
        raise UnreadableError(f"target {target!r} is not known")
    priority = _number(root.get("priority", "-1"))
    return Policy(name, target, priority, _unique(ends["ingress-zone"]), _unique(ends["egress-zone"]), contents)


def parse_service(text: str) -> Service:
    """Read a service file. Raises UnreadableError."""
    root = _root(text, "service")
    found: dict[str, list[ElementTree.Element]] = {}
    for element in root:
        found.setdefault(str(element.tag), []).append(element)
    bare = [_need(item, "protocol") for item in found.get("port", []) if not item.get("port")]
    return Service(
        ports=tuple(_ports(item) for item in found.get("port", []) if item.get("port")),
        protocols=(*bare, *(_need(item, "value") for item in found.get("protocol", []))),
        source_ports=tuple(_ports(item) for item in found.get("source-port", [])),
        destinations=tuple(
            (family, str(item.get(family)))
            for item in found.get("destination", [])
            for family in ("ipv4", "ipv6")
            if item.get(family)
        ),
        includes=tuple(_need(item, "service") for item in found.get("include", [])),
    )


def parse_ipset(name: str, text: str) -> IpSet:
    """Read an ipset file. Raises UnreadableError."""
    root = _root(text, "ipset")
    options = {item.get("name", ""): item.get("value", "") for item in root.iter("option")}
    return IpSet(
        name=name,
        type=_need(root, "type"),
        version=6 if options.get("family") == "inet6" else 4,
        entries=tuple((item.text or "").strip() for item in root.iter("entry")),
        expires=options.get("timeout", "0") != "0",
    )


def parse_direct(text: str) -> tuple[DirectRule, ...]:
    """Read direct.xml: its rules by priority, then its passthroughs. Raises UnreadableError."""
    root = _root(text, "direct")
    rules: list[DirectRule] = []
    for element in root.iter():
        version = {"ipv4": 4, "ipv6": 6}.get(element.get("ipv", ""))
        if element.tag not in ("rule", "passthrough") or version is None:
            continue
        arguments = (element.text or "").strip()
        if element.tag == "passthrough":
            rules.append(DirectRule(version, "", "", 0, arguments, passthrough=True))
        else:
            priority = _number(_need(element, "priority"))
            rules.append(DirectRule(version, _need(element, "table"), _need(element, "chain"), priority, arguments))
    return tuple(sorted(rules, key=lambda rule: (rule.passthrough, rule.priority)))


def _root(text: str, tag: str) -> ElementTree.Element:
    if len(text) > LARGEST_FILE:
        raise UnreadableError(f"it is larger than {LARGEST_FILE} characters")
    if _DOCTYPE.search(text):
        raise UnreadableError("it has a document type, which is refused")
    try:
        root = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnreadableError(f"it is no XML ({error})") from error
    if root.tag != tag:
        raise UnreadableError(f"its outermost element is {root.tag}, not {tag}")
    return root


def _contents(root: ElementTree.Element) -> tuple[Contents, list[ElementTree.Element]]:
    found: dict[str, list[ElementTree.Element]] = {}
    others: list[ElementTree.Element] = []
    for element in root:
        if element.tag in _COMMON:
            found.setdefault(str(element.tag), []).append(element)
        elif element.tag not in ("short", "description"):
            others.append(element)

    def named(tag: str, key: str) -> tuple[str, ...]:
        return _unique(_need(item, key) for item in found.get(tag, []))

    contents = Contents(
        services=named("service", "name"),
        ports=tuple(_ports(item) for item in found.get("port", [])),
        protocols=named("protocol", "value"),
        source_ports=tuple(_ports(item) for item in found.get("source-port", [])),
        icmp_blocks=named("icmp-block", "name"),
        icmp_inverted="icmp-block-inversion" in found,
        forwards=tuple(_forward(item) for item in found.get("forward-port", [])),
        rich_rules=tuple(_rich_rule(item) for item in found.get("rule", [])),
    )
    return contents, others


_COMMON = {
    "service",
    "port",
    "protocol",
    "source-port",
    "icmp-block",
    "icmp-block-inversion",
    "forward-port",
    "masquerade",
    "rule",
}
_ACTIONS = ("accept", "reject", "drop", "mark")


def _rich_rule(rule: ElementTree.Element) -> RichRule:
    parts: dict[str, ElementTree.Element] = {}
    for item in rule:
        kind = "action" if item.tag in _ACTIONS else "element" if item.tag in _ELEMENTS else str(item.tag)
        if kind not in ("action", "element", "source", "destination", "log", "nflog", "audit") or kind in parts:
            raise UnreadableError(f"a rich rule has {item.tag} where firewalld allows none")
        parts[kind] = item
    element, action = parts.get("element"), parts.get("action")
    limit = action.find("limit") if action is not None else None
    family = rule.get("family", "")
    if family not in ("", "ipv4", "ipv6"):
        raise UnreadableError(f"a rich rule has the family {family!r}")
    return RichRule(
        family=family,
        priority=_number(rule.get("priority", "0")),
        source=_end_of(parts["source"]) if "source" in parts else None,
        destination=_end_of(parts["destination"]) if "destination" in parts else None,
        element=str(element.tag) if element is not None else "",
        value=_ELEMENTS[str(element.tag)](element) if element is not None else "",
        action=str(action.tag) if action is not None else "",
        action_value=(action.get("type") or action.get("set") or "") if action is not None else "",
        limit=limit.get("value", "") if limit is not None else "",
        logs="log" in parts or "nflog" in parts or "audit" in parts,
    )


def _end_of(element: ElementTree.Element) -> Endpoint:
    address = element.get("address") or element.get("mac") or ""
    ipset = element.get("ipset")
    if bool(address) == bool(ipset):
        raise UnreadableError(f"a {element.tag} needs one of address and ipset")
    inverted = element.get("invert", "no").lower() in ("yes", "true")
    return Endpoint(address if address else f"ipset:{ipset}", inverted)


def _forward(element: ElementTree.Element) -> Forward:
    return Forward(_ports(element), element.get("to-port", ""), element.get("to-addr", ""))


def _ports(element: ElementTree.Element) -> Ports:
    return Ports(_need(element, "protocol"), _need(element, "port"))


def _need(element: ElementTree.Element, attribute: str) -> str:
    value = element.get(attribute)
    if not value:
        raise UnreadableError(f"a {element.tag} has no {attribute}")
    return value


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UnreadableError(f"{text!r} is no number") from error


def _unique(items: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


# What the elements of a rich rule are read as.
_ELEMENTS: dict[str, Callable[[ElementTree.Element], str | Ports | Forward]] = {
    "service": lambda item: _need(item, "name"),
    "port": _ports,
    "source-port": _ports,
    "protocol": lambda item: _need(item, "value"),
    "icmp-block": lambda item: _need(item, "name"),
    "icmp-type": lambda item: _need(item, "name"),
    "forward-port": _forward,
    "masquerade": lambda item: "",
    "tcp-mss-clamp": lambda item: item.get("value", ""),
}
