# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random configurations of firewalld, as its XML files: valid ones, near the packets of the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.truth.field import BEHIND, HOST, SOURCES
from tests.truth.random_state import Draw, Part
from tests.truth.random_values import NETWORKS, address, network

from .configuration import Configuration, Document

STAGES = ("debian11-firewalld", "debian12-both", "debian13-firewalld")
_RELEASE = {"debian11-firewalld": "0.9", "debian12-both": "1", "debian13-firewalld": "2"}
_CLIENT_MAC = "02:00:00:00:01:10"
_FOLDER = "/etc/firewalld"
_ZONES = ("public", "work", "drop", "trusted", "scan", "block")
_SERVICES = ("ssh", "snmp", "https", "http")
_PORTS = (("22", "tcp"), ("443", "tcp"), ("161", "udp"), ("20-30", "tcp"), ("100-500", "udp"), ("8080", "tcp"))
_DIRECT = {
    4: ("-s 192.0.2.10", "-s 192.0.2.16/28", "! -s 192.0.2.20", ""),
    6: ("-s 2001:db8:1::10", "-s 2001:db8:1::20/124", ""),
}


@dataclass
class Spot:
    """Where something is drawn for: the release, and what can be there only once in a configuration."""

    draw: Draw
    release: str
    backend: str
    used: set[str] = field(default_factory=set)
    services: dict[str, str] = field(default_factory=dict)
    ipsets: list[Document] = field(default_factory=list)
    priorities: set[int] = field(default_factory=set)

    @property
    def has_ipsets(self) -> bool:
        """Whether the stage can have ipsets: with iptables they need a program, which Debian 12's lacks."""
        return self.backend == "nftables" or self.release == "0.9"

    def once(self, thing: str) -> bool:
        """Whether the thing is not used yet; it is then."""
        fresh = thing not in self.used
        self.used.add(thing)
        return fresh

    def port(self, owner: str) -> str:
        """Attributes of a port. Release 0.9 loads no file that names a port twice."""
        port, protocol = self.draw.one(_PORTS)
        if self.release == "0.9" and not self.once(f"{owner} {protocol}"):
            return ""
        return f'port="{port}" protocol="{protocol}"'


def _port(spot: Spot, owner: str) -> str:
    attributes = spot.port(owner)
    return f"<port {attributes}/>" if attributes else ""


def _source_port(spot: Spot, owner: str) -> str:
    port, protocol = spot.draw.one([("1024-65535", "tcp"), ("33000-50000", "udp"), ("1-1023", "tcp")])
    if spot.release == "0.9" and not spot.once(f"{owner} source {protocol}"):
        return ""
    return f'<source-port port="{port}" protocol="{protocol}"/>'


def _own_service(kind: str) -> Callable[[Spot, str], str]:
    """A service with a file of its own that holds the kind of thing."""

    def make(spot: Spot, owner: str) -> str:
        draw = spot.draw
        inside = {
            "own": lambda: '<port port="22" protocol="tcp"/><port port="100-443" protocol="udp"/>',
            "include": lambda: f'<include service="{draw.one(_SERVICES)}"/><port port="8080" protocol="tcp"/>',
            "destination": lambda: (
                f'<port port="{draw.one(["22", "443"])}" protocol="tcp"/>'
                f'<destination ipv4="{draw.one([HOST[4], BEHIND[4], "192.0.2.0/24"])}"/>'
            ),
            "protocol": lambda: f'<protocol value="{draw.one(["udp", "tcp", "icmp", "gre"])}"/>',
            "source-port": lambda: '<source-port port="1024-65535" protocol="udp"/>',
        }[kind]()
        name = f"own{len(spot.services)}"
        spot.services[name] = f"<service>{inside}</service>"
        return f'<service name="{name}"/>'

    return make


def _inversion(spot: Spot, owner: str) -> str:
    return "<icmp-block-inversion/>" if not owner.startswith("policy") else ""


def _forward_port(away: bool) -> Callable[[Spot, str], str]:
    def make(spot: Spot, owner: str) -> str:
        if owner.startswith("policy") and away:
            return ""
        port = spot.draw.one(["22", "443", "8080"])
        if not spot.once(f"{owner} forward {port}"):
            return ""
        to = f' to-addr="{spot.draw.one([BEHIND[4], HOST[4]])}"' if away else ""
        return f'<forward-port port="{port}" protocol="tcp" to-port="{spot.draw.one(["22", "80", "443"])}"{to}/>'

    return make


def _icmp_block(spot: Spot, owner: str) -> str:
    return f'<icmp-block name="{spot.draw.one(["echo-request", "echo-request", "redirect"])}"/>'


_ENTRIES: dict[str, Callable[[Spot, str], str]] = {
    "service": lambda spot, owner: f'<service name="{spot.draw.one(_SERVICES)}"/>',
    **{f"service {kind}": _own_service(kind) for kind in ("own", "include", "destination", "protocol", "source-port")},
    "port": _port,
    "protocol": lambda spot, owner: f'<protocol value="{spot.draw.one(["tcp", "udp", "icmp", "ipv6-icmp", "sctp"])}"/>',
    "source-port": _source_port,
    "icmp-block": _icmp_block,
    "icmp-block-inversion": _inversion,
    "forward-port": _forward_port(away=False),
    "forward-port to address": _forward_port(away=True),
    "masquerade": lambda spot, owner: "" if owner.startswith("policy") else "<masquerade/>",
    "forward": lambda spot, owner: "" if owner.startswith("policy") or spot.release == "0.9" else "<forward/>",
}
_SOURCES = ("none", "address", "network", "address inverted", "ipset", "mac")
_DESTINATIONS = ("none", "address", "address inverted")
_ELEMENTS = (
    *("none", "service", "port", "protocol", "source-port", "icmp-type", "icmp-block", "forward-port", "masquerade"),
)
_ACTIONS = ("accept", "reject", "drop", "mark", "none")
_EXTRAS = ("log", "audit", "limit", "reject type")


def _rich(spot: Spot, owner: str) -> Part | None:
    draw = spot.draw
    source = draw.name("fw rich source ", dict.fromkeys(_SOURCES), common=("address", "network", "none"))
    source = source if source != "ipset" or spot.has_ipsets else "address"
    destination = draw.name("fw rich destination ", dict.fromkeys(_DESTINATIONS), common=("none",))
    element = draw.name("fw rich ", dict.fromkeys(_ELEMENTS), common=("port", "service", "none"))
    action = draw.name("fw rich action ", dict.fromkeys(_ACTIONS), common=("accept", "drop", "reject"))
    if element in ("icmp-block", "forward-port", "masquerade"):
        action = "none"
    if owner.startswith("policy") and element in ("masquerade", "forward-port"):
        return None
    priority = draw.one([0, 0, 0, -10, -100, 5, 20, -32768, 32767])
    version = draw.one([4, 4, 6])
    family = draw.often(0.5) or source not in ("none", "mac", "ipset") or destination != "none"
    family = family or element in ("forward-port", "masquerade", "icmp-type", "icmp-block")
    if element == "forward-port":
        version = 4
    named = element in ("icmp-block", "forward-port", "masquerade")
    if action == "none" and not named:  # it only logs, which takes a priority and nothing else
        element, priority, extras = "none", priority or -1, ["log"]
    else:
        extras = [name for name in _EXTRAS if draw.often(0.7 if f"fw rich {name}" in draw.wanted else 0.1)]
    if action == "mark" and owner.startswith("policy"):
        return None
    if spot.backend == "iptables":  # the kernel need not have the target
        extras = [name for name in extras if name != "audit"]
    empty = (source, destination, priority) == ("none", "none", 0)
    if element == "none" and action != "none" and (action == "mark" or empty):
        return None
    if element == "masquerade" and source == "mac":
        return None
    features = [f"fw rich source {source}", f"fw rich destination {destination}", f"fw rich {element}"]
    features += [f"fw rich action {action}", f"fw rich priority {(priority > 0) - (priority < 0):+d}"]
    ends = _source(spot, source, version) + _destination(draw, destination, version)
    what = _element(spot, element)
    if not what and element != "none":
        return None
    text = "".join((ends, what, *_actions(draw, action, extras, version if family else 0, features)))
    attributes = (f' family="ipv{version}"' if family else "") + (f' priority="{priority}"' if priority else "")
    return Part(f"<rule{attributes}>{text}</rule>", "|".join(features))


def _source(spot: Spot, kind: str, version: int) -> str:
    if kind == "none":
        return ""
    if kind == "mac":
        return f'<source mac="{_CLIENT_MAC}"/>'
    if kind == "ipset":
        return f'<source ipset="{_ipset(spot, version)}"/>'
    where = network(spot.draw, version) if kind == "network" else address(spot.draw, version)
    return f'<source address="{where}"{_inverted(kind)}/>'


def _destination(draw: Draw, kind: str, version: int) -> str:
    if kind == "none":
        return ""
    where = draw.one([HOST[version], HOST[version], BEHIND[version], NETWORKS[version][0]])
    return f'<destination address="{where}"{_inverted(kind)}/>'


def _inverted(kind: str) -> str:
    return ' invert="yes"' if kind.endswith("inverted") else ""


def _element(spot: Spot, kind: str) -> str:
    draw = spot.draw
    port, protocol = draw.one(_PORTS)
    return {
        "none": "",
        "service": f'<service name="{draw.one(_SERVICES)}"/>',
        "port": f'<port port="{port}" protocol="{protocol}"/>',
        "protocol": f'<protocol value="{draw.one(["tcp", "udp", "icmp"])}"/>',
        "source-port": '<source-port port="1024-65535" protocol="tcp"/>',
        "icmp-type": '<icmp-type name="echo-request"/>',
        "icmp-block": '<icmp-block name="echo-request"/>',
        "forward-port": f'<forward-port port="{draw.one(["443", "8080"])}" protocol="tcp" to-port="22"/>',
        "masquerade": "<masquerade/>",
    }[kind]


def _actions(draw: Draw, action: str, extras: list[str], version: int, features: list[str]) -> Iterator[str]:
    if "log" in extras:
        features.append("fw rich log")
        yield '<log prefix="seen" level="info"><limit value="1/m"/></log>'
    if "audit" in extras and action in ("accept", "reject", "drop"):
        features.append("fw rich audit")
        yield '<audit><limit value="1/m"/></audit>'
    if action == "none":
        return
    limit = ""
    if "limit" in extras:
        features.append("fw rich limit")
        limit = '<limit value="2/m"/>'
    attribute = ' set="0x10"' if action == "mark" else ""
    if action == "reject" and "reject type" in extras and version:
        features.append("fw rich reject type")
        attribute = ' type="icmp-host-prohibited"' if version == 4 else ' type="icmp6-adm-prohibited"'
    yield f"<{action}{attribute}>{limit}</{action}>"


_IPSETS = ("hash:ip", "hash:net", "hash:mac", "timeout")


def _ipset(spot: Spot, version: int) -> str:
    """The name of an ipset, made on the way."""
    draw = spot.draw
    kind = draw.name("fw ipset ", dict.fromkeys(_IPSETS), common=("hash:ip", "hash:net", "timeout"))
    name, options = f"set{len(spot.ipsets)}", ""
    entries = [address(draw, version) for _number in range(2)]
    if kind == "hash:net":  # firewalld loads no entries that overlap
        entries = [network(draw, version), {4: "203.0.113.7", 6: "2001:db8:9::7"}[version]]
    if kind == "hash:mac":
        entries = [draw.one([_CLIENT_MAC, "02:00:00:00:09:09"])]
    if version == 6 and kind != "hash:mac":
        options += '<option name="family" value="inet6"/>'
    if kind == "timeout":  # firewalld takes no entries in its file then
        options, entries = options + '<option name="timeout" value="600"/>', []
    parts = tuple(Part(f"<entry>{entry}</entry>", "") for entry in dict.fromkeys(entries))
    shown = "hash:ip" if kind == "timeout" else kind
    features = f"fw ipset {kind}"
    spot.ipsets.append(
        Document(f"{_FOLDER}/ipsets/{name}.xml", parts, f'<ipset type="{shown}">{options}', "</ipset>", features)
    )
    return name


_BINDINGS = ("interface", "interface wildcard", "source address", "source network", "source ipset", "source mac")


def _binding(spot: Spot) -> Part | None:
    draw = spot.draw
    kind = draw.name("fw zone by ", dict.fromkeys(_BINDINGS), common=("interface", "source address", "source network"))
    version = draw.one([4, 4, 6])
    if kind == "source ipset" and spot.has_ipsets:
        return Part(f'<source ipset="{_ipset(spot, version)}"/>', "fw zone by source ipset")
    key, values = {
        "interface": ("interface name", ["lan0", "lan0", "dmz0"]),
        "interface wildcard": ("interface name", ["lan+"]),
        "source address": ("source address", [*SOURCES[version]]),
        "source network": ("source address", [*NETWORKS[version]]),
        "source ipset": ("source address", [*SOURCES[version]]),
        "source mac": ("source address", [_CLIENT_MAC]),
    }[kind]
    value = draw.one(values)
    kind = "source address" if kind == "source ipset" else kind
    return Part(f'<{key}="{value}"/>', f"fw zone by {kind}") if spot.once(f"{key} {value}") else None


def _entries(spot: Spot, owner: str, most: int) -> tuple[Part, ...]:
    """Rules of a zone or policy, none of them twice."""
    found: dict[str, Part] = {}
    for _number in range(spot.draw.one(range(1, most))):
        if spot.draw.often(0.5):
            rich = _rich(spot, owner)
            if rich is not None:
                found.setdefault(rich.text, rich)
            continue
        name = spot.draw.name("fw ", _ENTRIES, common=("service", "port"))
        text = _ENTRIES[name](spot, owner)
        if text:
            found.setdefault(text, Part(text, f"fw {name}"))
    return tuple(found.values())


_TARGETS = {"default": "", "ACCEPT": ' target="ACCEPT"', "DROP": ' target="DROP"', "REJECT": ' target="%%REJECT%%"'}


def _zone(spot: Spot, name: str) -> Document:
    draw = spot.draw
    target = draw.name("fw target ", _TARGETS, common=("default",))
    feature, priority = f"fw target {target}", ""
    bound = [binding for binding in (_binding(spot) for _number in range(draw.one([0, 1, 1, 2]))) if binding]
    if spot.release == "2" and draw.often(0.3):
        value = draw.one([-10, -1, 1, 10])
        priority = f' ingress-priority="{value}" egress-priority="{value}"'
        bound = [Part(item.text, f"{item.feature}|fw zone priority") for item in bound]
    parts = (*bound, *_entries(spot, f"zone {name}", 7))
    return Document(f"{_FOLDER}/zones/{name}.xml", parts, f"<zone{_TARGETS[target]}{priority}>", "</zone>", feature)


_POLICY_TARGETS = ("CONTINUE", "ACCEPT", "DROP", "REJECT")


def _policy(spot: Spot, number: int, zones: list[str]) -> Document | None:
    draw = spot.draw
    target = draw.name("fw policy target ", dict.fromkeys(_POLICY_TARGETS), common=("CONTINUE",))
    priority = draw.one([-100, -5, -1, 1, 5, 100])
    if priority in spot.priorities:
        return None
    spot.priorities.add(priority)
    ingress = draw.one(["ANY", "ANY", "zone", "zone", "HOST"])
    egress = draw.one(["HOST", "HOST", "HOST", "ANY", "zone"]) if ingress != "HOST" else "ANY"
    ends = [("ingress", ingress if ingress != "zone" else draw.one(zones))]
    ends.append(("egress", egress if egress != "zone" else draw.one(zones)))
    head = f'<policy target="{target}" priority="{priority}">'
    head += "".join(f'<{end}-zone name="{name}"/>' for end, name in ends)
    entries = _entries(spot, f"policy {number}", 4)
    parts = tuple(part for part in entries if egress == "HOST" or "fw rich" in part.feature)
    sides = f"|fw policy from {ingress}|fw policy to {egress}|fw policy {'after' if priority > 0 else 'before'}"
    marked = tuple(Part(part.text, part.feature + sides) for part in parts)
    return Document(
        f"{_FOLDER}/policies/policy{number}.xml", marked, head, "</policy>", f"fw policy target {target}"
    )


_DIRECT_KINDS = ("rule", "chain", "passthrough")


def _direct(spot: Spot) -> Document:
    draw, parts = spot.draw, []
    for number in range(draw.one([1, 2, 3])):
        kind = draw.name("fw direct ", dict.fromkeys(_DIRECT_KINDS))
        version = draw.one([4, 4, 6])
        match = draw.one([*_DIRECT[version]])
        what = draw.one(["-p tcp --dport 22", "-p udp --dport 161", "-p tcp -m multiport --dports 22,443", ""])
        verdict = draw.one(["DROP", "REJECT", "ACCEPT", "RETURN", "DROP"])
        rule, ipv = " ".join(f"{match} {what} -j {verdict}".split()), f'ipv="ipv{version}"'
        text = f'<rule {ipv} table="filter" chain="INPUT" priority="{number}">{rule}</rule>'
        if kind == "chain":
            own = f"own{number}"
            text = (
                f'<chain {ipv} table="filter" chain="{own}"/>'
                f'<rule {ipv} table="filter" chain="{own}" priority="0">{rule}</rule>'
                f'<rule {ipv} table="filter" chain="INPUT" priority="{number}">-j {own}</rule>'
            )
        if kind == "passthrough":
            text = f"<passthrough {ipv}>{draw.one(['-I', '-I', '-A'])} INPUT {rule}</passthrough>"
        parts.append(Part(text, f"fw direct {kind}"))
    return Document(f"{_FOLDER}/direct.xml", tuple(parts), "<direct>", "</direct>")


_SETTINGS: dict[str, tuple[str, ...]] = {
    "IPv6_rpfilter": ("yes", "no"),
    "LogDenied": ("all", "unicast"),
    "RFC3964_IPv4": ("no",),
    "IndividualCalls": ("yes",),
}
_SETTINGS_OF = {
    "0.9": {"AllowZoneDrifting": ("yes",)},
    "1": {},
    "2": {
        "IPv6_rpfilter": ("strict", "loose", "no", "strict-forward"),
        "StrictForwardPorts": ("yes",),
        "NftablesCounters": ("yes",),
    },
}


def _settings(spot: Spot, zones: list[str]) -> Document:
    draw, parts = spot.draw, []
    if draw.often(0.6):
        parts.append(Part(f"DefaultZone={draw.one(zones)}", "fw setting DefaultZone"))
    choices = {**_SETTINGS, **_SETTINGS_OF[spot.release]}
    for _number in range(draw.one([0, 1, 2])):
        name = draw.name("fw setting ", choices)
        if spot.once(f"setting {name}"):
            parts.append(Part(f"{name}={draw.one(choices[name])}", f"fw setting {name}"))
    if spot.backend == "iptables":
        parts.append(Part("FirewallBackend=iptables", ""))
    return Document(f"{_FOLDER}/firewalld.conf", tuple(parts), settings=True)


def draw_firewalld(draw: Draw, number: int) -> Configuration:
    """A configuration; its release is that of the stage that it is for."""
    stage = STAGES[number % len(STAGES)]
    release = _RELEASE[stage]
    backend = "iptables" if release != "2" and (number // len(STAGES)) % 3 == 0 else "nftables"
    spot = Spot(draw, release, backend)
    zones = ["public", *draw.chance.sample(_ZONES[1:], draw.one([1, 2, 3]))]
    documents = [_zone(spot, name) for name in zones]
    policies = (_policy(spot, number, zones) for number in range(draw.one([0, 1, 2, 3])))
    documents += [policy for policy in policies if policy is not None]
    if release != "2" and (draw.often(0.3) or any(name.startswith("fw direct") for name in draw.wanted)):
        documents.append(_direct(spot))
    documents += [
        Document(f"{_FOLDER}/services/{name}.xml", (Part(text, ""),)) for name, text in spot.services.items()
    ]
    documents += [*spot.ipsets, _settings(spot, zones)]
    features = frozenset({f"fw release {release}", f"fw backend {backend}"})
    return Configuration(stage, tuple(documents), features=features)


FEATURES = (
    *(f"fw release {release}" for release in ("0.9", "1", "2")),
    *("fw backend nftables", "fw backend iptables"),
    *(f"fw zone by {name}" for name in _BINDINGS),
    "fw zone priority",
    *(f"fw target {name}" for name in _TARGETS),
    *(f"fw {name}" for name in _ENTRIES),
    *(f"fw rich {name}" for name in (*_ELEMENTS, *_EXTRAS)),
    *(f"fw rich source {name}" for name in _SOURCES),
    *(f"fw rich destination {name}" for name in _DESTINATIONS),
    *(f"fw rich action {name}" for name in _ACTIONS),
    *(f"fw rich priority {sign}" for sign in ("-1", "+0", "+1")),
    *(f"fw policy target {name}" for name in _POLICY_TARGETS),
    *(f"fw policy from {name}" for name in ("ANY", "zone", "HOST")),
    *(f"fw policy to {name}" for name in ("ANY", "zone", "HOST")),
    *("fw policy before", "fw policy after"),
    *(f"fw ipset {name}" for name in _IPSETS),
    *(f"fw direct {name}" for name in _DIRECT_KINDS),
    *(f"fw setting {name}" for name in ("DefaultZone", *_SETTINGS)),
    *(f"fw setting {name}" for name in ("AllowZoneDrifting", "StrictForwardPorts", "NftablesCounters")),
)
