# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for a host that nobody can read yet: everything that is asked for, as if nothing were open."""

from __future__ import annotations

from .._platform.interface import Plan, Request
from .evaluate import evaluate
from .network import Network
from .parts import FIREWALL_POLICY
from .plan import plan
from .registry import Registry, canonical
from .snapshot import read_snapshot
from .words import Profile


def unreached_plan(request: Request) -> Plan:
    """The plan for a firewall without rules, for the profiles that the request names."""
    empty = Registry({canonical(rf"{FIREWALL_POLICY}\FirewallRules"): {}})
    active = tuple(profile for profile in Profile if profile.value in request.profiles)
    snapshot = read_snapshot(empty, network=Network(), active=active)
    return plan(snapshot, evaluate(snapshot, request), request)
