# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's rules tell about the firewalld that made them: its release, and the zones of interfaces now."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .._netfilter.model import Chain

_ZONES = ("filter_INPUT_ZONES", "INPUT_ZONES")
_POLICIES = ("filter_INPUT_POLICIES", "INPUT_POLICIES")
_OF_ZONE = re.compile(r"(?:filter_)?IN_(?!policy_)")
_POLICY_JUMP = re.compile(r"(?:^jump | -j )\"?(?:filter_)?INPUT_POLICIES_pre\"?$")
_BOUND = re.compile(r'^iifname "?([^" ]+)"? (?:goto|jump) "?filter_IN_(?!policy_)([^" ]+)"?$')
_XT_BOUND = re.compile(r" -i (\S+) -[gj] IN_(?!policy_)(\S+)$")


def runtime_release(chains: Iterable[Chain]) -> str:
    """``0``, ``1`` or ``2``: the release of firewalld whose rules these are; empty where they are not firewalld's.

    Release 2 has one dispatch of zones and policies, release 1 asks the policies from each zone, 0 before the zones.
    """
    release = ""
    for chain in chains:
        if chain.name in _POLICIES:
            return "2"
        if chain.name in _ZONES:
            release = release or "0"
        elif _OF_ZONE.match(chain.name) and chain.rules and _POLICY_JUMP.search(str(chain.rules[0].text)):
            release = "1"
    return release


def runtime_interface_zones(chains: Iterable[Chain]) -> dict[str, str]:
    """The zones that interfaces have now.

    They are those of the next start, too, where NetworkManager runs: it keeps the zone with the connection, and
    hands it to firewalld whenever the connection comes up.
    """
    found: dict[str, str] = {}
    for chain in chains:
        if chain.name not in (*_ZONES, *_POLICIES):
            continue
        for rule in chain.rules:
            bound = _BOUND.search(str(rule.text)) or _XT_BOUND.search(str(rule.text))
            if bound:
                found.setdefault(bound[1].replace("*", "+"), bound[2])
    return found
