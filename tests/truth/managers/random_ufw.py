# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random configurations of ufw: its own commands in random order, lines in its files, settings."""

from __future__ import annotations

from tests.truth.field import HOST, SOURCES
from tests.truth.random_state import Draw, Part
from tests.truth.random_values import NETWORKS

from .configuration import Configuration, Document

STAGE = "debian12-ufw"
_ACTIONS = ("allow", "deny", "reject", "limit")
_PLACES = ("append", "insert", "prepend")
_SIDES = ("in", "in on interface", "out", "route")
_WHAT = ("port", "ports list", "port range", "service name", "application", "any port", "protocol")
_SOURCES = ("anywhere", "from address", "from network", "from port")
_EXTRAS = ("log", "log-all", "comment", "to address")
_SETTINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "IPV6": (("no", "ipv6 off"),),
    "DEFAULT_INPUT_POLICY": (('"ACCEPT"', "default allow"), ('"REJECT"', "default reject")),
    "DEFAULT_OUTPUT_POLICY": (('"DROP"', "default out deny"), ('"REJECT"', "default out reject")),
    "DEFAULT_FORWARD_POLICY": (('"ACCEPT"', "default routed allow"),),
    "MANAGE_BUILTINS": (("yes", "builtins managed"),),
}
_LOGGING = ("off", "low", "full")
_OWN_RULES = (
    "-p tcp --dport 443 -j DROP",
    "-p tcp --dport 22 -s {source} -j ACCEPT",
    "-p udp --dport 161 -j ACCEPT",
    "-s {network} -j REJECT",
    "-p tcp -m multiport --dports 22,443 -i lan0 -j ACCEPT",
    "-p {icmp} -j DROP",
    "-p tcp --dport 443 -m comment --comment other -j RETURN",
)
_EARLY, _LATE = "# allow all on loopback", "# don't delete the 'COMMIT' line"


def _rule(draw: Draw, rules: int) -> Part | None:
    """One rule as the arguments of ufw; None where what was drawn does not go together."""
    action = draw.name("ufw ", dict.fromkeys(_ACTIONS), common=("allow", "deny"))
    place = draw.name("ufw ", dict.fromkeys(_PLACES), common=("append",))
    side = draw.name("ufw ", dict.fromkeys(_SIDES), common=("in",))
    what = draw.name("ufw ", dict.fromkeys(_WHAT), common=("port",))
    source = draw.name("ufw ", dict.fromkeys(_SOURCES))
    extras = [name for name in _EXTRAS if draw.often(0.6 if f"ufw {name}" in draw.wanted else 0.1)]
    if (place == "insert" and not rules) or (what == "application" and source == "from port"):
        return None
    version = 4 if place == "insert" else draw.one([4, 4, 6])  # its positions count IPv4's rules first
    words = ["route"] if side == "route" else []
    words += {"append": [], "insert": ["insert", "1"], "prepend": ["prepend"]}[place] + [action]
    through = ["in", "on", draw.one(["lan0", "lan0", "dmz0"])]
    words += {"in on interface": through, "out": ["out"]}.get(side, [])
    if "log" in extras or "log-all" in extras:
        words.append("log" if "log" in extras else "log-all")
        extras = [name for name in extras if name != ("log-all" if "log" in extras else "")]
    proto, port = _what(draw, what)
    words += ["proto", proto] if proto else []
    if source == "from port" and not proto:
        return None
    words += ["from", *_source(draw, source, version)]
    words += ["to", HOST[version] if "to address" in extras and source != "anywhere" else "any", *port]
    words += ["comment", "'of somebody'"] if "comment" in extras else []
    features = [f"ufw {name}" for name in (action, place, side, what, source, *extras)]
    return Part(" ".join(words), "|".join(features))


def _source(draw: Draw, kind: str, version: int) -> list[str]:
    return {
        "anywhere": ["any"],
        "from address": [draw.one(SOURCES[version])],
        "from network": [draw.one(NETWORKS[version])],
        "from port": ["any", "port", draw.one(["1024:65535", "1:1023", "33000:50000"])],
    }[kind]


def _what(draw: Draw, kind: str) -> tuple[str, list[str]]:
    """The protocol, where the rule names one, and the words for its ports."""
    single = draw.one([("tcp", "22"), ("tcp", "443"), ("udp", "161"), ("", "443"), ("", "161")])
    return {
        "port": (single[0], ["port", single[1]]),
        "ports list": (draw.one(["tcp", "udp"]), ["port", draw.one(["22,443", "161,162,5000:5010", "22,161,443"])]),
        "port range": (draw.one(["tcp", "udp"]), ["port", draw.one(["20:30", "100:500", "440:450"])]),
        "service name": ("", ["port", draw.one(["ssh", "https", "snmp"])]),
        "application": ("", ["app", draw.one(["One", "Two"])]),
        "any port": ("", []),
        "protocol": (draw.one(["tcp", "udp", "esp"]), []),
    }[kind]


def _lines(draw: Draw, name: str, version: int) -> Document:
    """Somebody's own rules in one of ufw's files."""
    suffix, ufw = ("", "ufw") if version == 4 else ("6", "ufw6")
    parts = []
    for _number in range(draw.one([1, 2])):
        text = draw.one(_OWN_RULES).format(
            source=draw.one(SOURCES[version]),
            network=draw.one(NETWORKS[version]),
            icmp="icmp --icmp-type echo-request" if version == 4 else "icmpv6 --icmpv6-type echo-request",
        )
        parts.append(Part(f"-A {ufw}-{name}-input {text}", f"ufw {name}{suffix}.rules"))
    before = _LATE if name == "after" else draw.one([_EARLY, _LATE])
    return Document(f"/etc/ufw/{name}{suffix}.rules", tuple(parts), before=before)


_FILES = {"before.rules": ("before", 4), "before6.rules": ("before", 6), "after.rules": ("after", 4)}
_FILES["after6.rules"] = ("after", 6)
_PROFILES = "".join(
    f"[{name}]\ntitle={name}\ndescription={name}\nports={ports}\n\n"
    for name, ports in (("One", "22/tcp|161/udp"), ("Two", "440:450/tcp"))
)


def _defaults(draw: Draw) -> Document:
    parts: dict[str, Part] = {}
    for _number in range(draw.one([0, 0, 1, 2])):
        choices = {feature: (name, value) for name, values in _SETTINGS.items() for value, feature in values}
        feature = draw.name("ufw ", choices)
        name, value = choices[feature]
        parts[name] = Part(f"{name}={value}", f"ufw {feature}")
    return Document("/etc/default/ufw", tuple(parts.values()), settings=True)


def draw_ufw(draw: Draw, number: int) -> Configuration:
    """A configuration of ufw, which is switched on."""
    documents = [Document("/etc/ufw/applications.d/mine", (Part(_PROFILES, ""),)), _defaults(draw)]
    wanted = [name for name in _FILES if f"ufw {name}" in draw.wanted]
    wanted += [draw.one([*_FILES])] if draw.often(0.2) else []
    documents += [_lines(draw, *_FILES[name]) for name in dict.fromkeys(wanted)]
    commands: list[Part] = []
    for _number in range(draw.one(range(2, 9))):
        rule = _rule(draw, len(commands))
        if rule is not None:
            commands.append(rule)
    if draw.often(0.3) or any(name.startswith("ufw logging") for name in draw.wanted):
        level = draw.name("ufw logging ", dict.fromkeys(_LOGGING))
        commands.append(Part(f"logging {level}", f"ufw logging {level}"))
    return Configuration(STAGE, tuple(documents), tuple(commands))


FEATURES = tuple(
    f"ufw {name}"
    for name in (
        *(*_ACTIONS, *_PLACES, *_SIDES, *_WHAT, *_SOURCES, *_EXTRAS, *_FILES),
        *(feature for values in _SETTINGS.values() for _value, feature in values),
        *(f"logging {level}" for level in _LOGGING),
    )
)
