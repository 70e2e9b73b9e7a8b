# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of firewalld's configuration: zones, policies, services, ipsets, rich rules and the direct interface."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Ports:
    """One port or range (``22``, ``5000-5010``) of one transport protocol."""

    protocol: str
    ports: str


@dataclass(frozen=True)
class Forward:
    """A forward-port: what arrives at ``at`` goes to ``address`` (empty: stays here) and ``port`` (empty: the same)."""

    at: Ports
    port: str
    address: str


@dataclass(frozen=True)
class Endpoint:
    """The source or destination of a rich rule: an address or network, a MAC address or ``ipset:NAME``."""

    address: str
    inverted: bool = False


@dataclass(frozen=True)
class RichRule:
    """A rich rule (firewalld.richlanguage(5)); ``element`` says what ``value`` is, one that only logs has no action."""

    family: str = ""
    priority: int = 0
    source: Endpoint | None = None
    destination: Endpoint | None = None
    element: str = ""
    value: str | Ports | Forward = ""
    action: str = ""
    action_value: str = ""
    limit: str = ""
    logs: bool = False

    def __str__(self) -> str:
        """The rule as ``firewall-cmd --list-rich-rules`` writes it, without its log and audit."""
        words = ["rule"]
        words += [f'priority="{self.priority}"'] if self.priority else []
        words += [f'family="{self.family}"'] if self.family else []
        words += [f"{name} {_endpoint(end)}" for name, end in self._ends() if end is not None]
        words += [_element_text(self.element, self.value)] if self.element else []
        if self.action:
            key = {"reject": "type", "mark": "set"}.get(self.action)
            words.append(self.action + (f' {key}="{self.action_value}"' if key and self.action_value else ""))
            words += [f'limit value="{self.limit}"'] if self.limit else []
        return " ".join(words)

    def _ends(self) -> tuple[tuple[str, Endpoint | None], ...]:
        return (("source", self.source), ("destination", self.destination))


@dataclass(frozen=True)
class Contents:
    """What zones and policies have in common: what they let in, block and forward."""

    services: tuple[str, ...] = ()
    ports: tuple[Ports, ...] = ()
    protocols: tuple[str, ...] = ()
    source_ports: tuple[Ports, ...] = ()
    icmp_blocks: tuple[str, ...] = ()
    icmp_inverted: bool = False
    forwards: tuple[Forward, ...] = ()
    rich_rules: tuple[RichRule, ...] = ()


@dataclass(frozen=True)
class Zone:
    """A zone. ``target`` is default, ACCEPT, DROP or %%REJECT%%; ``sources`` are addresses, MACs and ``ipset:NAME``."""

    name: str
    target: str
    interfaces: tuple[str, ...]
    sources: tuple[str, ...]
    contents: Contents
    ingress_priority: int = 0


@dataclass(frozen=True)
class Policy:
    """A policy between zones (firewalld.policy(5)); ``ingress`` and ``egress`` hold zones, HOST and ANY."""

    name: str
    target: str
    priority: int
    ingress: tuple[str, ...]
    egress: tuple[str, ...]
    contents: Contents


@dataclass(frozen=True)
class Service:
    """A service; ``destinations`` limits it to an address per family (``ipv4``, ``ipv6``)."""

    ports: tuple[Ports, ...]
    protocols: tuple[str, ...]
    source_ports: tuple[Ports, ...]
    destinations: tuple[tuple[str, str], ...]
    includes: tuple[str, ...]


@dataclass(frozen=True)
class IpSet:
    """An ipset of firewalld's own; ``version`` is the family of its addresses, 4 or 6."""

    name: str
    type: str
    version: int
    entries: tuple[str, ...]
    expires: bool


@dataclass(frozen=True)
class DirectRule:
    """A rule of the direct interface, in the order in which firewalld applies them; ``passthrough`` is raw iptables."""

    version: int
    table: str
    chain: str
    priority: int
    arguments: str
    passthrough: bool = False


def is_mac(text: str) -> bool:
    """Whether the text is a MAC address."""
    return _MAC.fullmatch(text) is not None


def _endpoint(end: Endpoint) -> str:
    name, _colon, value = end.address.partition(":")
    key, text = ("ipset", value) if name == "ipset" else ("address", end.address)
    if is_mac(text):
        key = "mac"
    return f'{"NOT " if end.inverted else ""}{key}="{text}"'


def _element_text(element: str, value: str | Ports | Forward) -> str:
    if isinstance(value, Ports):
        return f'{element} port="{value.ports}" protocol="{value.protocol}"'
    if isinstance(value, Forward):
        text = f'{element} port="{value.at.ports}" protocol="{value.at.protocol}"'
        text += f' to-port="{value.port}"' if value.port else ""
        return text + (f' to-addr="{value.address}"' if value.address else "")
    key = {"protocol": "value", "tcp-mss-clamp": "value"}.get(element, "name")
    return f'{element} {key}="{value}"' if value else element
