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
from collections.abc import Collection, Mapping, Sequence
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


@dataclass(frozen=True)
class Concern:
    """Which rulesets matter: those about one of the ``ports`` (protocol, number; ``None``: all), or of the ``keys``."""

    ports: Collection[tuple[str, int]] | None
    keys: Collection[str]

    def includes(self, key: str, rules: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a ruleset matters."""
        return self.ports is None or key in self.keys or any(self._is_about(rule) for rule in rules)

    def _is_about(self, rule: Mapping[str, Any]) -> bool:
        if rule["direction"] != "inbound":
            return False
        protocol, first, last = str(rule["protocol"]).lower(), rule["port"] or 0, rule["endPort"] or rule["port"] or -1
        return any(protocol == wanted and first <= port <= last for wanted, port in self.ports or ())


def read_firewalls(content: Any, asked: Any, options: Any, concern: Concern) -> dict[str, Told]:
    """The firewalls that a filter asks for, without the rulesets that do not matter, by the ids of their references;
    page by page.

    Raises ReadError where the API refuses the request, HTTPException or OSError where it does not come through.
    """
    collector, found = content.propertyCollector, {}
    answer = _call(collector, "RetrievePropertiesEx", ([asked], options))
    while answer is not None:
        for item in answer.iter(f"{_NAMESPACE}objects"):
            found[_text(item, "obj") or ""] = _told(item, concern)
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


def _told(item: ET.Element, concern: Concern) -> Told:
    value = item.find(f"{_NAMESPACE}propSet/{_NAMESPACE}val")
    if value is not None:
        try:
            return Told(_info(value, concern))
        except ValueError as error:  # a number that is none
            return Told(None, f"its firewallInfo cannot be read ({error})")
    missing = item.find(f"{_NAMESPACE}missingSet/{_NAMESPACE}fault")
    if missing is None:
        return Told(None)
    kind = missing.find(f"{_NAMESPACE}fault")
    name = "" if kind is None else str(kind.get(_TYPE) or "")
    return Told(None, " ".join(f"{name}: {_text(missing, 'localizedMessage') or ''}".split())[:_SHOWN])


def _info(value: ET.Element, concern: Concern) -> dict[str, Any]:
    policy = value.find(f"{_NAMESPACE}defaultPolicy")
    found = (_ruleset(item, concern) for item in value.iterfind(f"{_NAMESPACE}ruleset"))
    return {
        "defaultPolicy": {"incomingBlocked": None if policy is None else _flag(_texts(policy), "incomingBlocked")},
        "ruleset": [item for item in found if item is not None],
    }


def _ruleset(item: ET.Element, concern: Concern) -> dict[str, Any] | None:
    """A ruleset in the API's names; ``None`` for one that does not matter."""
    texts, rules = _texts(item), [_rule(_texts(rule)) for rule in item.iterfind(f"{_NAMESPACE}rule")]
    key = texts.get("key", "")
    if not concern.includes(key, rules):
        return None
    return {
        "key": key,
        "enabled": _flag(texts, "enabled"),
        "required": _flag(texts, "required"),
        "service": texts.get("service"),
        # From 8.0.2 on.
        "userControllable": _flag(texts, "userControllable"),
        "ipListUserConfigurable": _flag(texts, "ipListUserConfigurable"),
        "allowedHosts": _hosts(item.find(f"{_NAMESPACE}allowedHosts")),
        "rule": rules,
    }


def _hosts(item: ET.Element | None) -> dict[str, Any]:
    if item is None:
        return {"allIp": None, "ipAddress": [], "ipNetwork": []}
    networks = [_texts(network) for network in item.iterfind(f"{_NAMESPACE}ipNetwork")]
    return {
        "allIp": _flag(_texts(item), "allIp"),
        "ipAddress": [address.text or "" for address in item.iterfind(f"{_NAMESPACE}ipAddress")],
        "ipNetwork": [
            {"network": texts.get("network"), "prefixLength": _number(texts, "prefixLength")} for texts in networks
        ],
    }


def _rule(texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "port": _number(texts, "port"),
        "endPort": _number(texts, "endPort"),
        "direction": texts.get("direction"),
        "portType": texts.get("portType"),
        "protocol": texts.get("protocol"),
    }


def _texts(parent: ET.Element) -> dict[str, str]:
    """The texts of an element's children by their names: one walk, as there are thousands of them."""
    return {child.tag[len(_NAMESPACE) :]: child.text for child in parent if child.text}


def _text(parent: ET.Element, name: str) -> str | None:
    return parent.findtext(_NAMESPACE + name) or None


def _number(texts: Mapping[str, str], name: str) -> int | None:
    text = texts.get(name)
    return None if text is None else int(text)


def _flag(texts: Mapping[str, str], name: str) -> bool | None:
    text = texts.get(name)
    return None if text is None else text in ("true", "1")
