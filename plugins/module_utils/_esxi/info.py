# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's firewall as the vSphere API tells it, as plain data: the bridge between the module that reads and writes and
the controller that judges and plans.

Source: vSphere Web Services API, data objects HostFirewallInfo, HostFirewallRuleset, HostFirewallRulesetIpList and
HostFirewallRule. Whether the firewall is enabled and loaded is not part of that API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.errors import ReadError
from .rulesets import HostFirewall, PortRule, Ruleset

_PORTS = range(65536)


def parse_info(info: Mapping[str, Any], version: str = "") -> HostFirewall:
    """The firewall of a HostFirewallInfo with the API's own names. Raises ReadError where it is of another shape."""
    try:
        policy = info.get("defaultPolicy") or {}
        return HostFirewall(
            rulesets=tuple(_ruleset(item) for item in info["ruleset"]),
            incoming_blocked=_flag(policy.get("incomingBlocked")),
            version=version,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReadError(f"the host's firewallInfo has another shape than the API tells ({error!r})") from error


def _ruleset(item: Mapping[str, Any]) -> Ruleset:
    hosts = item.get("allowedHosts") or {}
    return Ruleset(
        key=str(item["key"]),
        enabled=_flag(item.get("enabled")),
        allows_all=_flag(hosts.get("allIp")),
        allowed=(*_texts(hosts.get("ipAddress")), *map(_network, hosts.get("ipNetwork") or ())),
        rules=tuple(_rule(rule) for rule in item["rule"]),
        can_enable=_flag(item.get("userControllable")),
        can_list=_flag(item.get("ipListUserConfigurable")),
        required=_flag(item.get("required")),
        service=None if item.get("service") is None else str(item["service"]),
    )


def _network(item: Mapping[str, Any]) -> str:
    return f"{item['network']}/{int(item['prefixLength'])}"


def _rule(item: Mapping[str, Any]) -> PortRule:
    first, last = item.get("port"), item.get("endPort")
    if first is None:  # a rule for a protocol as a whole, about no port
        first, last = 0, -1
    last = first if last is None else last
    if first not in _PORTS or last not in range(-1, 65536):
        raise ValueError(f"port {first}-{last}")
    return PortRule(
        inbound=str(item["direction"]) == "inbound",
        destination=str(item.get("portType") or "dst") == "dst",
        protocol=str(item.get("protocol") or "").lower(),
        first=int(first),
        last=int(last),
    )


def _texts(items: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(str(item) for item in items or ())


def _flag(value: Any) -> bool | None:
    if value not in (True, False, None):
        raise ValueError(f"a switch that is neither on nor off: {value!r}")
    return None if value is None else bool(value)
