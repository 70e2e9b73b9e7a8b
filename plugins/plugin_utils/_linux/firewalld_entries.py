# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a zone's or policy's contents say, one entry per rule that firewalld makes of them, each with its own words.

Only what can decide about a new TCP, UDP or echo-request packet becomes an entry: logs, marks, masquerading, helpers,
and blocks of other kinds of ICMP do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .firewalld_config import FirewalldConfig
from .firewalld_records import Contents, Endpoint, Forward, Ports, RichRule

ECHO = "echo-request"
# What /etc/protocols calls the protocols of our packets.
_PROTOCOLS = {
    "tcp": ("tcp",),
    "6": ("tcp",),
    "udp": ("udp",),
    "17": ("udp",),
    "icmp": ("icmp",),
    "1": ("icmp",),
    "ipv6-icmp": ("icmpv6",),
    "icmpv6": ("icmpv6",),
    "58": ("icmpv6",),
}


@dataclass(frozen=True)
class Entry:
    """One rule: where it stands in the zone (``section``: pre, deny, allow, post), what it matches, what it does.

    ``verb`` is accept, drop, reject or forward; ``problem`` says why nobody knows which packets match, where that is
    so. ``protocol`` is tcp, udp, icmp, icmpv6 or empty; ``ports`` and ``source_ports`` belong to it; ``echo`` limits
    ICMP to echo requests. ``forward`` is the destination of a forward-port.
    """

    section: str
    verb: str
    words: str
    family: str = ""
    source: Endpoint | None = None
    destination: Endpoint | None = None
    protocol: str = ""
    ports: str = ""
    source_ports: str = ""
    echo: bool = False
    limit: str = ""
    problem: str = ""
    forward: Forward | None = None


def filter_entries(config: FirewalldConfig, contents: Contents) -> tuple[Entry, ...]:
    """The entries for packets to the host itself, in the order of firewalld's chains; rich rules by priority."""
    plain = Entry("allow", "accept", "")
    found: list[Entry] = []
    for name in contents.services:
        found += _service(config, name, replace(plain, words=f"service {name}"), {name})
    for port in contents.ports:
        found.append(_port(port, replace(plain, words=f"port {port.ports}/{port.protocol}")))
    for protocol in contents.protocols:
        found += _protocol(protocol, replace(plain, words=f"protocol {protocol}"))
    for port in contents.source_ports:
        words = f"source-port {port.ports}/{port.protocol}"
        found.append(replace(plain, protocol=port.protocol, source_ports=port.ports, words=words))
    for name in contents.icmp_blocks:
        if name == ECHO:
            inverted = contents.icmp_inverted
            block = Entry("allow" if inverted else "deny", "accept" if inverted else "reject", f"icmp-block {name}")
            found += _echo(block)
    for rule in sorted(contents.rich_rules, key=lambda rule: rule.priority):
        found += _rich(config, rule)
    return tuple(entry for section in ("pre", "deny", "allow", "post") for entry in found if entry.section == section)


def forward_entries(contents: Contents) -> tuple[Entry, ...]:
    """The forward-ports, which change a packet's destination before it is filtered."""
    found: list[Entry] = []
    for forward in contents.forwards:
        family = "ipv6" if ":" in forward.address else "ipv4"
        words = f"forward-port {forward.at.ports}/{forward.at.protocol}"
        found.append(_forward(forward, Entry("allow", "forward", words, family=family)))
    for rule in sorted(contents.rich_rules, key=lambda rule: rule.priority):
        if isinstance(rule.value, Forward):
            found.append(_forward(rule.value, replace(_base(rule, "forward"), section=_section(rule, "allow"))))
    return tuple(entry for section in ("pre", "deny", "allow", "post") for entry in found if entry.section == section)


def _forward(forward: Forward, base: Entry) -> Entry:
    return replace(base, protocol=forward.at.protocol, ports=forward.at.ports, forward=forward)


def _section(rule: RichRule, plain: str) -> str:
    return "pre" if rule.priority < 0 else "post" if rule.priority > 0 else plain


def _base(rule: RichRule, verb: str) -> Entry:
    return Entry(
        section=_section(rule, "allow" if verb == "accept" else "deny"),
        verb=verb,
        words=f"rich rule '{rule}'",
        family=rule.family,
        source=rule.source,
        destination=rule.destination,
        limit=rule.limit,
    )


def _rich(config: FirewalldConfig, rule: RichRule) -> Iterator[Entry]:
    if rule.element == "icmp-block" and not rule.action:
        rule = replace(rule, action="reject")
    if rule.action not in ("accept", "reject", "drop"):
        return
    base = _base(rule, rule.action)
    if not rule.element:
        yield base
    elif rule.element == "service":
        yield from _service(config, str(rule.value), base, {str(rule.value)})
    elif rule.element == "protocol":
        yield from _protocol(str(rule.value), base)
    elif rule.element in ("icmp-type", "icmp-block"):
        if rule.value == ECHO:
            yield from _echo(base)
    elif isinstance(rule.value, Ports):
        source_ports = rule.value.ports if rule.element == "source-port" else ""
        ports = "" if source_ports else rule.value.ports
        yield replace(base, protocol=rule.value.protocol, ports=ports, source_ports=source_ports)


def _service(config: FirewalldConfig, name: str, base: Entry, seen: set[str]) -> Iterator[Entry]:
    service = config.service(name)
    if isinstance(service, str):
        yield replace(base, problem=service)
        return
    for included in service.includes:
        if included not in seen:
            seen.add(included)
            yield from _service(config, included, base, seen)
    if service.destinations and base.destination:
        yield replace(base, problem=f"service {name} and the rule that uses it both have a destination")
        return
    bases = [
        replace(base, family=family, destination=Endpoint(address))
        for family, address in service.destinations
        if base.family in ("", family)
    ]
    for here in bases if service.destinations else [base]:
        yield from (_port(port, here) for port in service.ports)
        for protocol in service.protocols:
            yield from _protocol(protocol, here)
        yield from (replace(here, protocol=port.protocol, source_ports=port.ports) for port in service.source_ports)


def _port(port: Ports, base: Entry) -> Entry:
    return replace(base, protocol=port.protocol, ports=port.ports)


def _protocol(name: str, base: Entry) -> Iterator[Entry]:
    return (replace(base, protocol=protocol) for protocol in _PROTOCOLS.get(name.lower(), ()))


def _echo(base: Entry) -> Iterator[Entry]:
    for family, protocol in (("ipv4", "icmp"), ("ipv6", "icmpv6")):
        if base.family in ("", family):
            yield replace(base, protocol=protocol, echo=True)
