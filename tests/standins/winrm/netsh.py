# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""netsh.exe, as far as a firewall plugin uses it: strict about every word, its text in the machine's language."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

from tests.standins.winrm.answer import Answer, lines
from tests.standins.winrm.machine import RULES, Machine
from tests.standins.winrm.texts import TEXTS, Texts

PROFILES = ("Domain", "Private", "Public")
_ADD_WORDS = {"name", "dir", "action", "program", "service", "description", "enable", "profile", "localip", "remoteip"}
_ADD_WORDS |= {"localport", "remoteport", "protocol"}
_DELETE_WORDS = {"name", "dir", "protocol", "localport", "remoteip", "profile", "program", "service"}
_NUMBERS = {"tcp": "6", "udp": "17", "icmpv4": "1", "icmpv6": "58"}
_RULE_OF_ITS_LINE = "-" * 70


class BadWordError(Exception):
    """netsh does not take a word; the text says what it would say."""


def netsh(machine: Machine, argv: Sequence[str]) -> Answer:
    """Run netsh with these arguments."""
    texts = TEXTS[machine.language]
    if [word.lower() for word in argv] == ["interface", "ipv4", "show", "dynamicport", "tcp"]:
        return lines("", *texts.dynamic_ports, "")
    if not argv or argv[0].lower() != "advfirewall":
        return lines(texts.not_found.format(" ".join(argv)), rc=1)
    if not machine.firewall_runs():
        return lines("", texts.no_service, "", rc=1)
    handlers: dict[tuple[str, ...], Callable[[Machine, Sequence[str]], Answer]] = {
        ("show", "allprofiles", "state"): lambda *_: _states(machine, PROFILES),
        ("show", "currentprofile", "state"): lambda *_: _states(machine, machine.active),
        ("show", "global"): lambda *_: _global(machine),
    }
    words = tuple(word.lower() for word in argv[1:])
    if words in handlers:
        return handlers[words](machine, ())
    if words[:3] == ("firewall", "show", "rule"):
        return _show(machine, argv[4:])
    changes: dict[tuple[str, ...], Callable[[Machine, Sequence[str]], Answer]]
    changes = {("firewall", "add", "rule"): _add, ("firewall", "delete", "rule"): _delete}
    change = changes.get(words[:3])
    if change is None:
        return lines(texts.not_found.format(" ".join(argv)), rc=1)
    if not machine.elevated:
        return lines(texts.not_elevated, "", rc=1)
    try:
        return change(machine, argv[4:])
    except BadWordError as error:
        return lines("", str(error), *texts.usage, "", rc=1)


def _states(machine: Machine, profiles: Sequence[str]) -> Answer:
    texts = TEXTS[machine.language]
    shown: list[str] = []
    for profile in profiles:
        key = rf"{RULES.rpartition(chr(92))[0]}\{'Standard' if profile == 'Private' else profile}Profile"
        on = machine.registry.get(key, "EnableFirewall") != "0x0"
        state = f"{texts.state:<38}{texts.on if on else texts.off}"
        shown += ["", texts.headings[PROFILES.index(profile)], _RULE_OF_ITS_LINE, state]
    return lines(*shown, texts.ok, "")


def _global(machine: Machine) -> Answer:
    texts = TEXTS[machine.language]
    owner = machine.third_party or "Windows Firewall"
    names = ("BootTimeRuleCategory", "FirewallRuleCategory", "StealthRuleCategory")
    taken = [f"{name:<38}{owner}" for name in names]
    own = f"{'ConSecRuleCategory':<38}Windows Firewall"
    head = ["", texts.global_heading, _RULE_OF_ITS_LINE, "IPsec:", "StrongCRLCheck                        0:Disabled"]
    return lines(*head, "", texts.categories, *taken, own, "", texts.ok, "")


def _values(argv: Sequence[str], known: set[str], texts: Texts) -> dict[str, str]:
    """The `name=value` words; unknown ones, repeated ones and ones without a value are refused."""
    found: dict[str, str] = {}
    for word in argv:
        name, equals, value = word.partition("=")
        if not equals or not value or name.lower() not in known or name.lower() in found:
            raise BadWordError(texts.bad_argument.format(name))
        found[name.lower()] = value
    if "name" not in found:
        raise BadWordError(texts.missing)
    return found


def _add(machine: Machine, argv: Sequence[str]) -> Answer:
    texts = TEXTS[machine.language]
    values = _values(argv, _ADD_WORDS, texts)
    if not {"dir", "action"} <= set(values):
        raise BadWordError(texts.missing)
    if values["name"].lower() == "all" or "|" in values["name"]:
        raise BadWordError(texts.bad_value)
    fields = [
        "Action=" + _choice(values, "action", {"allow": "Allow", "block": "Block"}, texts.bad_value),
        "Active=" + _choice({"enable": "yes", **values}, "enable", {"yes": "TRUE", "no": "FALSE"}, texts.bad_value),
        "Dir=" + _choice(values, "dir", {"in": "In", "out": "Out"}, texts.bad_value),
        *_traffic(values, texts),
        *_addresses("RA", values.get("remoteip", "any"), texts),
        *_addresses("LA", values.get("localip", "any"), texts),
        *([f"App={values['program']}"] if "program" in values else []),
        *([f"Svc={values['service']}"] if "service" in values else []),
        f"Name={values['name']}",
        *([f"Desc={values['description']}"] if "description" in values else []),
    ]
    machine.add_rule("|".join(fields))
    return lines(texts.ok, "")


def _choice(values: dict[str, str], name: str, choices: dict[str, str], message: str) -> str:
    if values[name].lower() not in choices:
        raise BadWordError(message)
    return choices[values[name].lower()]


def _traffic(values: dict[str, str], texts: Texts) -> list[str]:
    """The fields of protocol, profiles and ports, in the order in which the service writes them."""
    protocol, kinds = _protocol(values, texts)
    fields = [f"Protocol={protocol}"] if protocol else []
    profiles = values.get("profile", "any").lower().split(",")
    if profiles != ["any"]:
        if not set(profiles) <= {profile.lower() for profile in PROFILES}:
            raise BadWordError(texts.bad_value)
        fields += [f"Profile={profile}" for profile in PROFILES if profile.lower() in profiles]
    for word, key in (("localport", "LPort"), ("remoteport", "RPort")):
        if values.get(word, "any").lower() == "any":
            continue
        if protocol not in ("6", "17"):
            raise BadWordError(texts.bad_port)
        fields += [_port(item, key, texts) for item in values[word].split(",")]
    return [*fields, *kinds]


def _protocol(values: dict[str, str], texts: Texts) -> tuple[str, list[str]]:
    name, colon, kind = values.get("protocol", "any").lower().partition(":")
    if name == "any" and not colon:
        return "", []
    number = _NUMBERS.get(name, name if name.isdigit() and int(name) < 256 else "")
    found = re.fullmatch(r"(\d{1,3}),(any|\d{1,3})", kind)
    if not number or (colon and not (found and name in ("icmpv4", "icmpv6"))):
        raise BadWordError(texts.bad_protocol)
    key = {"icmpv4": "ICMP4", "icmpv6": "ICMP6"}.get(name)
    return number, [f"{key}={found[1]}:{found[2].replace('any', '*')}"] if found else []


def _port(item: str, key: str, texts: Texts) -> str:
    if item.upper() in ("RPC", "RPC-EPMAP"):
        return f"{key}={'RPC' if item.upper() == 'RPC' else 'RPC-EPMap'}"
    low, dash, high = item.partition("-")
    if not low.isdigit() or int(low) > 65535 or (dash and (not high.isdigit() or not int(low) < int(high) <= 65535)):
        raise BadWordError(texts.bad_port)
    return f"{key}2_10={item}" if dash else f"{key}={item}"


def _addresses(prefix: str, text: str, texts: Texts) -> list[str]:
    if text.lower() == "any":
        return []
    fields = []
    for item in text.split(","):
        if item.lower() == "localsubnet":
            fields += [f"{prefix}4=LocalSubnet", f"{prefix}6=LocalSubnet"]
            continue
        try:
            fields.append(_address(prefix, item))
        except ValueError as error:
            raise BadWordError(texts.bad_value) from error
    return fields


def _address(prefix: str, item: str) -> str:
    low, dash, high = item.partition("-")
    if dash:
        first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
        if first.version != last.version or int(first) > int(last):
            raise ValueError(item)
        return f"{prefix}{first.version}={first}-{last}"
    network = ipaddress.ip_network(item, strict=False)
    if "/" not in item:
        return f"{prefix}{network.version}={item}"
    if network.version == 4:
        return f"{prefix}4={network.network_address}/{network.netmask}"
    return f"{prefix}6={network}"


def _show(machine: Machine, argv: Sequence[str]) -> Answer:
    """Rules by name and direction; only whether there is one is played, its fields are not."""
    texts = TEXTS[machine.language]
    try:
        values = _values(argv, {"name", "dir"}, texts)
        directions = {"in": "In", "out": "Out"}
        wanted = ["Dir=" + _choice(values, "dir", directions, texts.bad_value)] if "dir" in values else []
    except BadWordError as error:
        return lines("", str(error), "", rc=1)
    found = [rule for rule in machine.rules().values() if _matches(rule, values["name"], wanted)]
    if not found:
        return lines("", texts.none_match, "", rc=1)
    return lines("", *(f"{values['name']}" for _rule in found), texts.ok, "")


def _delete(machine: Machine, argv: Sequence[str]) -> Answer:
    texts = TEXTS[machine.language]
    values = _values(argv, _DELETE_WORDS, texts)
    wanted = _traffic({key: value for key, value in values.items() if key != "profile"}, texts)
    if "dir" in values:
        wanted.append("Dir=" + _choice(values, "dir", {"in": "In", "out": "Out"}, texts.bad_value))
    if set(values) - {"name", "dir", "protocol", "localport"}:
        raise BadWordError(texts.bad_value)  # not modelled: no plugin narrows a deletion by these
    gone = [name for name, rule in machine.rules().items() if _matches(rule, values["name"], wanted)]
    for name in gone:
        machine.registry.delete_value(RULES, name)
    if not gone:
        return lines("", texts.none_match, "", rc=1)
    return lines("", texts.deleted.format(len(gone)), texts.ok, "")


def _matches(rule: str, name: str, wanted: Sequence[str]) -> bool:
    fields = {field.lower() for field in rule.split("|")}
    named = name.lower() == "all" or f"name={name}".lower() in fields
    return named and all(field.lower() in fields for field in wanted)
