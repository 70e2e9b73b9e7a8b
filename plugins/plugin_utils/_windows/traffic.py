# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules speak about a kind of inbound traffic, and with which restrictions: all but addresses and profiles.

A restriction that a stranger's packet may or may not meet is a ``limit``; what could not be read is ``unclear``. A rule
for a program or service that is not the one which listens there does not speak about the traffic at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...module_utils._core.portset import PortSet
from ...module_utils._core.ranges import RangeSet
from .listeners import ICMP, TCP, Program, normal_path
from .policy import Policy, StoredRule
from .rule import ANY_TRAFFIC, NO_SERVICE_NAME, UNKNOWN_LISTENER, Rule, program_key, service_key
from .words import DYNAMIC, PORT_WORDS, RPC, RPC_MAPPER, PortTerms

_ECHO_REQUEST = 8
_MAPPER_PORT = 135
_ANY_CLIENT_PORT = RangeSet([(1, 65535)])
_PORTS = {text: PortSet.parse(text) if text else PortSet() for text in PORT_WORDS.values() if text != DYNAMIC}
DYNAMIC_PORTS = PortSet.parse("49152-65535")  # RFC 6335's, and Windows' own default since Vista


@dataclass(frozen=True)
class Traffic:
    """A kind of inbound packets: an IP protocol number, the port or ports (none for ICMP), and who listens there.

    ``by_rpc`` says that the ports are handed out by RPC, one of them to the program; ``dynamic`` are the ports from
    which Windows takes such ports. ``port`` is the one port where it is one.
    """

    protocol: int
    ports: PortSet
    program: Program | None
    by_rpc: bool = False
    dynamic: PortSet = DYNAMIC_PORTS
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A rule that speaks about the traffic, with what restricts it beside addresses and profiles."""

    item: StoredRule
    limits: tuple[str, ...]
    unclear: tuple[str, ...]


def claims_on(policy: Policy, traffic: Traffic) -> Iterator[Claim]:
    """The claims of all rules of a policy, in the order of its stores."""
    for item in policy.rules_for(traffic.protocol, _keys(policy, traffic)):
        if not item.rule.is_candidate:
            continue
        if item.rule.protocol not in (None, traffic.protocol):
            continue
        claim = _claim(item, traffic, policy.version)
        if claim is not None:
            yield claim


def _keys(policy: Policy, traffic: Traffic) -> Iterator[int | str]:
    """What rules about the traffic are found by: all others are for other ports, services or programs."""
    yield ANY_TRAFFIC
    if traffic.port is not None:
        yield traffic.port
    elif traffic.ports:
        lowest, highest = traffic.ports.span
        yield from (port for port in policy.ports if lowest <= port <= highest)
    program = traffic.program
    if program is not None:
        yield program_key(program.path)
        yield from map(service_key, program.services)
    if program is None or not program.path:
        yield UNKNOWN_LISTENER


def _claim(item: StoredRule, traffic: Traffic, version: tuple[int, int] | None) -> Claim | None:
    rule = item.rule
    named, limits = True, list(rule.limits)
    if traffic.protocol == ICMP:
        if rule.local_ports is not None or rule.remote_ports is not None or not _is_echo(rule):
            return None
        named = rule.icmp4 is not None
    elif rule.local_ports is None:
        named = False
    else:
        limit = _port_limit(rule.local_ports, traffic)
        if limit is None:
            return None
        limits.extend(filter(None, (limit,)))
    fit = _program_limit(rule, traffic.program, named=named)
    if fit is None:
        return None
    limits.extend(filter(None, (fit,)))
    if rule.remote_ports is not None and not rule.remote_ports.numbers.covers(_ANY_CLIENT_PORT):
        limits.append("RPort=" + ",".join(filter(None, (str(rule.remote_ports.numbers), *rule.remote_ports.words))))
    if not rule.platforms and rule.skipped_up_to is None:
        return Claim(item, tuple(limits), rule.unclear)
    return _for_this_system(item, tuple(limits), version)


def _is_echo(rule: Rule) -> bool:
    """Whether the rule's types, if it names some, hold the echo request (RFC 792: type 8, code 0)."""
    return rule.icmp4 is None or any(kind == _ECHO_REQUEST and code in (None, 0) for kind, code in rule.icmp4)


def _port_limit(terms: PortTerms, traffic: Traffic) -> str | None:
    """``None`` where the ports do not fit, else what of them remains open, nothing where they fit whatever happens."""
    if traffic.port in terms.numbers if traffic.port is not None else terms.numbers.covers(traffic.ports):
        return ""
    if traffic.by_rpc and RPC in terms.words:
        return ""
    if RPC_MAPPER in terms.words and traffic.protocol == TCP and _MAPPER_PORT in traffic.ports:
        return ""
    if traffic.port is None and terms.numbers & traffic.ports:
        return f"LPort={terms.numbers}"
    for word in sorted(terms.words):
        if _may_be(PORT_WORDS.get(word), traffic):
            return f"LPort={word}"
    return None


def _may_be(stands_for: str | None, traffic: Traffic) -> bool:
    """Whether a word may stand for ports of the traffic; for any, where the word is not known."""
    if stands_for is None:
        return bool(traffic.ports)
    ports = traffic.dynamic if stands_for == DYNAMIC else _PORTS[stands_for]
    return traffic.port in ports if traffic.port is not None else bool(ports & traffic.ports)


def _program_limit(rule: Rule, listening: Program | None, *, named: bool) -> str | None:
    """``None`` where the rule is for other programs, else what of it remains open.

    A rule for a program that may or may not be the one which listens concerns a port only where it names the port.
    """
    if rule.special:
        return rule.special[0] if named else None
    if not rule.app and not rule.service:
        return ""
    words = " ".join(f"{key}={value}" for key, value in (("App", rule.app), ("Svc", rule.service)) if value)
    if listening is None:
        return words if named else None
    if rule.service and not _runs(listening, rule.service.lower()):
        return None
    if not rule.app or normal_path(rule.app) == listening.path:
        return ""
    if listening.path:
        return None
    return "" if rule.service and rule.service != NO_SERVICE_NAME else words if named else None


def _runs(listening: Program, service: str) -> bool:
    return bool(listening.services) if service == NO_SERVICE_NAME else service in listening.services


# Policy versions and the version of Windows that brought them ([MS-GPFAS] 2.2.1); from 2.24 on it is Windows 10's.
_SYSTEMS = (((2, 24), (10, 0)), ((2, 22), (6, 3)), ((2, 20), (6, 2)), ((2, 10), (6, 1)), ((2, 0), (6, 0)))


def _for_this_system(item: StoredRule, limits: tuple[str, ...], version: tuple[int, int] | None) -> Claim | None:
    """The claim, as far as the rule is for this version of Windows."""
    rule = item.rule
    if version is None:
        return Claim(item, limits, (*rule.unclear, "Platform: the host's version is not known"))
    here = next((system for policy, system in _SYSTEMS if policy <= version), (6, 0))
    if rule.platforms and not any(here == wanted or (rule.or_later and here > wanted) for wanted in rule.platforms):
        return None
    if rule.skipped_up_to is not None and version <= rule.skipped_up_to:
        limits = (*limits, f"SkipVer={rule.skipped_up_to[0]}.{rule.skipped_up_to[1]}")
    return Claim(item, limits, rule.unclear)
