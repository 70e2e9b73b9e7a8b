# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts' firewalls out of one answer of the PropertyCollector, straight from its XML to plain data.

pyVmomi makes an object of every rule of every ruleset of every host; of 64 hosts that takes it longer than all
requests together. So this one answer is read here, over pyVmomi's own session and from its own request.
Source: vSphere Web Services API, RetrievePropertiesEx and HostFirewallInfo.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from .._core.errors import ReadError

_NAMESPACE = "{urn:vim25}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_LARGEST = 512 * 1024 * 1024  # bytes of one page; 500 hosts make about 30 MiB
_SHOWN = 300


@dataclass(frozen=True)
class Told:
    """What came of one host: its HostFirewallInfo with the API's own names, or the fault in its own words."""

    info: dict[str, Any] | None
    fault: str = ""


def read_firewalls(content: Any, asked: Any, options: Any) -> dict[str, Told]:
    """The firewalls that a filter asks for, by the ids of their references; page by page.

    Raises ReadError where the API refuses the request, HTTPException or OSError where it does not come through.
    """
    collector, found = content.propertyCollector, {}
    answer = _call(collector, "RetrievePropertiesEx", ([asked], options))
    while answer is not None:
        for item in answer.iter(f"{_NAMESPACE}objects"):
            found[_text(item, "obj") or ""] = _told(item)
        token = _text(answer, "token")
        answer = _call(collector, "ContinueRetrievePropertiesEx", (token,)) if token else None
    return found


def _call(collector: Any, method: str, arguments: tuple[Any, ...]) -> ET.Element | None:
    """The ``returnval`` of a call of the PropertyCollector, over pyVmomi's session."""
    stub = collector._stub
    request = stub.SerializeRequest(collector, getattr(type(collector), method).info, arguments)
    headers = {"Cookie": stub.cookie, "SOAPAction": stub.versionId, "Content-Type": "text/xml; charset=UTF-8"}
    connection = stub.GetConnection()
    try:
        connection.request("POST", stub.path, request, headers)
        response = connection.getresponse()
        data = response.read(_LARGEST)
    except (OSError, HTTPException):
        connection.close()
        raise
    stub.ReturnConnection(connection)
    if response.status not in (200, 500):
        raise HTTPException(f"{response.status} {response.reason}")
    return _returned(data)


def _returned(data: bytes) -> ET.Element | None:
    try:
        body = ET.fromstring(data)
    except ET.ParseError as error:
        raise ReadError(f"the vSphere API answered with broken XML ({error}); run again") from error
    fault = next(body.iter("faultstring"), None)
    if fault is not None:
        detail = next(iter(next(iter(body.iter("detail")), ())), None)
        kind = "" if detail is None else str(detail.get(_TYPE) or "")
        ended = "; the session ended meanwhile, run again" if kind == "NotAuthenticated" else ""
        raise ReadError(f"the vSphere API refuses to be read: {kind}: {(fault.text or '')[:_SHOWN]}{ended}")
    return next(body.iter(f"{_NAMESPACE}returnval"), None)


def _told(item: ET.Element) -> Told:
    value = item.find(f"{_NAMESPACE}propSet/{_NAMESPACE}val")
    if value is not None:
        try:
            return Told(_info(value))
        except ValueError as error:  # a number that is none
            return Told(None, f"its firewallInfo cannot be read ({error})")
    missing = item.find(f"{_NAMESPACE}missingSet/{_NAMESPACE}fault")
    if missing is None:
        return Told(None)
    kind = missing.find(f"{_NAMESPACE}fault")
    name = "" if kind is None else str(kind.get(_TYPE) or "")
    return Told(None, " ".join(f"{name}: {_text(missing, 'localizedMessage') or ''}".split())[:_SHOWN])


def _info(value: ET.Element) -> dict[str, Any]:
    policy = value.find(f"{_NAMESPACE}defaultPolicy")
    return {
        "defaultPolicy": {"incomingBlocked": None if policy is None else _flag(policy, "incomingBlocked")},
        "ruleset": [_ruleset(item) for item in value.iterfind(f"{_NAMESPACE}ruleset")],
    }


def _ruleset(item: ET.Element) -> dict[str, Any]:
    hosts = item.find(f"{_NAMESPACE}allowedHosts")
    addresses = [] if hosts is None else hosts.findall(f"{_NAMESPACE}ipAddress")
    networks = [] if hosts is None else hosts.findall(f"{_NAMESPACE}ipNetwork")
    return {
        "key": _text(item, "key") or "",
        "enabled": _flag(item, "enabled"),
        "required": _flag(item, "required"),
        "service": _text(item, "service"),
        # From 8.0.2 on.
        "userControllable": _flag(item, "userControllable"),
        "ipListUserConfigurable": _flag(item, "ipListUserConfigurable"),
        "allowedHosts": {
            "allIp": None if hosts is None else _flag(hosts, "allIp"),
            "ipAddress": [address.text or "" for address in addresses],
            "ipNetwork": [
                {"network": _text(network, "network"), "prefixLength": _number(network, "prefixLength")}
                for network in networks
            ],
        },
        "rule": [_rule(rule) for rule in item.iterfind(f"{_NAMESPACE}rule")],
    }


def _rule(rule: ET.Element) -> dict[str, Any]:
    return {
        "port": _number(rule, "port"),
        "endPort": _number(rule, "endPort"),
        "direction": _text(rule, "direction"),
        "portType": _text(rule, "portType"),
        "protocol": _text(rule, "protocol"),
    }


def _text(parent: ET.Element, name: str) -> str | None:
    return parent.findtext(_NAMESPACE + name) or None


def _number(parent: ET.Element, name: str) -> int | None:
    text = _text(parent, name)
    return None if text is None else int(text)


def _flag(parent: ET.Element, name: str) -> bool | None:
    text = _text(parent, name)
    return None if text is None else text in ("true", "1")


def trimmed(
    info: Mapping[str, Any], ports: Collection[tuple[str, int]] | None, keys: Collection[str]
) -> dict[str, Any]:
    """The firewall without the rulesets that are about none of the ports (``None``: all) and have none of the keys."""
    kept = [item for item in info["ruleset"] if ports is None or item["key"] in keys or _is_about(item, ports)]
    return {**info, "ruleset": kept}


def _is_about(item: Mapping[str, Any], ports: Collection[tuple[str, int]]) -> bool:
    return any(
        rule["direction"] == "inbound"
        and str(rule["protocol"]).lower() == protocol
        and (rule["port"] or 0) <= port <= (rule["endPort"] or rule["port"] or -1)
        for rule in item["rule"]
        for protocol, port in ports
    )
