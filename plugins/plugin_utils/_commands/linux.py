# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts for Linux, one command a line, as each manager of the platform composes them."""

from __future__ import annotations

from collections.abc import Sequence

from ...module_utils._core.errors import InputError
from .._linux.firewalld import parse_firewalld
from .._linux.manager import Manager, Opening
from .._linux.native import FIRST, STORED_IN, Native
from .._linux.ufw import parse_ufw
from .._netfilter.model import HostView, Ruleset
from .._platform import sh
from .._platform.interface import Request
from .wanted import doors

_NOWHERE = HostView(interfaces=())


def firewalld_script(request: Request, *, zone: str) -> str:
    """Rich rules of a zone, now and after a reboot."""
    manager = parse_firewalld({}, _NOWHERE)
    return _script(request, manager, _openings(request, zone), [f"Rules go to the zone {zone} of firewalld."])


def ufw_script(request: Request) -> str:
    """Rules of ufw, now and after a reboot. Raises InputError for what ufw's commands do not open."""
    openings = _openings(request, "")
    echoes = [row.id for row in request.requirements if row.port is None]
    if echoes:
        raise InputError(
            f"{', '.join(echoes)}: no command of ufw opens ICMP, and what it ships lets the echo request in; leave it"
            " out by exclude, or edit /etc/ufw/before.rules by hand"
        )
    return _script(request, parse_ufw({}, _NOWHERE), openings, [])


def nftables_script(request: Request, *, chain: str) -> str:
    """Rules at the head of a chain of nftables, now alone. Raises InputError for what names no chain."""
    words = chain.split()
    if len(words) != 3:
        raise InputError(f"chain: {chain!r} is no family, table and chain of nftables, such as 'inet filter input'")
    return _native_script(request, "nftables", " ".join(words))


def iptables_script(request: Request, *, chain: str) -> str:
    """Rules at the head of a chain of iptables, now alone. Raises InputError for what names no chain."""
    if len(chain.split()) != 1:
        raise InputError(f"chain: {chain!r} is no chain of iptables, such as INPUT")
    return _native_script(request, "iptables", f"ip filter {chain}")


def _native_script(request: Request, name: str, chain: str) -> str:
    notes = [f"Rules go to the head of the chain {chain}. A reboot ends them: store them in {STORED_IN[name]}, too."]
    return _script(request, Native(name, Ruleset()), _openings(request, f"{chain} {FIRST}"), notes)


def _openings(request: Request, place: str) -> list[Opening]:
    return [
        Opening(door.protocol, door.port, door.source, door.version, place, request.override)
        for door in doors(request)
    ]


def _script(request: Request, manager: Manager, openings: Sequence[Opening], notes: Sequence[str]) -> str:
    heading = [f"Lets an agentless audit in: {', '.join(row.id for row in request.requirements)}.", *notes]
    commands = [sh.words(action.argv) for action in manager.add(openings, runtime=True, permanent=True)]
    return "\n".join(["#!/bin/sh", *(f"# {line}" for line in heading), "set -e", *commands, ""])
