# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A second evaluator of Windows policies, slow and simple: one concrete packet, every world that may be.

Written from [MS-FASP] and [MS-GPFAS] alone; it shares no code with the real one. What nobody can see of a packet (is it
authenticated, which user's is it, ...) is a world of its own for each rule that asks; what cannot be read of a rule is
tried both ways. A packet that passes in every world is ``open``, in none ``blocked``, in some ``partial``; where that
depends on what could not be read, ``unknown``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import product

Ip = IPv4Address | IPv6Address
Rules = Mapping[str, Mapping[str, str]]  # store (local, gpo, mdm) -> id -> rule string
Settings = Mapping[str, Mapping[str, Mapping[str, "int | str"]]]  # store -> key of a profile -> name -> value

IGNORED = {"EDGE", "DEFER", "LSM", "PCROSS", "AUTHBYPASSOUT", "NAME", "DESC", "EMBEDCTXT"}
CONTAINERS = {"APPPKGID", "PFN", "TTK", "TTK2_22", "TTK2_27", "TTK2_28"}
READ = {
    "ACTION", "ACTIVE", "DIR", "PROFILE", "PROTOCOL", "ICMP4", "ICMP6", "RA4", "RA6", "RA42", "RA62", "LA4", "LA6",
    "APP", "SVC", "IF", "PLATFORM", "PLATFORM2", "SKIPVER", "LOM",
}  # fmt: skip
LPORTS = {"LPORT", "LPORT2_10", "LPORT2_20", "LPORT2_24", "LPORT2_25", "LPORT2_29"}
RPORTS = {"RPORT", "RPORT2_10", "RPORT2_28"}
RUNS = {  # port -> the program and services that answer there; a port that is not here is anybody's
    ("tcp", 88): (r"%systemroot%\system32\lsass.exe", {"kdc"}),
    ("tcp", 135): (r"%systemroot%\system32\svchost.exe", {"rpcss", "rpceptmapper"}),
    ("udp", 135): (r"%systemroot%\system32\svchost.exe", {"rpcss", "rpceptmapper"}),
    ("tcp", 139): ("system", set()),
    ("tcp", 445): ("system", set()),
    ("tcp", 5985): ("system", set()),
    ("udp", 137): ("system", set()),
    ("icmp", None): ("system", set()),
    ("rpc", None): (r"%systemroot%\system32\svchost.exe", {"winmgmt"}),
}
NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1", "rpc": "6"}
DYNAMIC = range(49152, 65536)
SYSTEMS = ((24, (10, 0)), (22, (6, 3)), (20, (6, 2)), (10, (6, 1)), (0, (6, 0)))  # from which policy version on
WORDS = {  # a keyword in the place of a port, and the ports that it may be
    "RPC": DYNAMIC, "TEREDO": DYNAMIC, "PLY2DISC": DYNAMIC, "RPC-EPMAP": [135], "IPTLSIN": [], "IPHTTPSIN": [],
    "DHCP": [67, 68, 546, 547], "MDNS": [5353], "TCPCDPSVC": [5040],
}  # fmt: skip


# [MS-FASP] 2.2.38: local rules of either kind may be void; nobody says which rules of today those are.
OLD_KINDS = {"programs": r"\AuthorizedApplications", "ports": r"\GloballyOpenPorts"}


@dataclass(frozen=True)
class Packet:
    """One packet: ``wire`` is tcp, udp, icmp (an echo request) or rpc (to a port that RPC handed out to WMI)."""

    wire: str
    port: int | None
    source: Ip
    destination: Ip
    profile: str  # Domain, Private or Public


@dataclass(frozen=True)
class Host:
    """What the machine knows of itself: the interface of the destination, its subnets, its policy version, its DNS."""

    interface: str
    subnets: tuple[str, ...] | None
    version: tuple[int, int] | None
    dns: tuple[str, ...] | None


class Pairs:
    """A rule string in pieces."""

    def __init__(self, text: str) -> None:
        self.cut = not text.endswith("|")
        self.unread = self.cut or not re.match(r"(?i)v\d+\.\d+\|", text)
        self.values: dict[str, list[str]] = {}
        for piece in text.split("|")[1:-1]:
            if "=" not in piece:
                self.unread = True
                continue
            key, value = piece.split("=", 1)
            self.values.setdefault(key.upper(), []).append(value)

    def all(self, *keys: str) -> list[str]:
        return [value for key in keys if key in self.values for value in self.values[key]]


class UnreadableError(Exception):
    """A value that says nothing."""


@lru_cache(maxsize=64)
def pairs_of(text: str) -> Pairs:
    return Pairs(text)


def status(rules: Rules, settings: Settings, packet: Packet, host: Host) -> str:
    """What becomes of the packet: open, blocked, partial or unknown."""
    where = profile_keys(settings, packet.profile)

    def first(name: str, stores: tuple[str, ...], default: int, below: str = "") -> int:
        for store in stores:
            value = settings.get(store, {}).get(where[store] + below, {}).get(name)
            if value is not None:
                return int(value)
        return default

    if first("EnableFirewall", ("gpo", "mdm", "local"), 1) == 0:
        return "open"
    for store in ("gpo", "mdm", "local"):
        off = settings.get(store, {}).get(where[store], {}).get("DisabledInterfaces")
        if off is not None:
            if host.interface.lower() in str(off).lower():
                return "open"
            break
    if any(settings.get(store, {}).get(where[store], {}).get("DoNotAllowExceptions") for store in where):
        return "blocked"
    local_rules = first("AllowLocalPolicyMerge", ("gpo", "mdm"), 1)
    passes_by_default = first("DefaultInboundAction", ("gpo", "mdm", "local"), 1) == 0
    kept = {kind: first("AllowUserPrefMerge", ("gpo", "mdm", "local"), 1, below) for kind, below in OLD_KINDS.items()}
    matching = [
        replace(found, unread=True) if store == "local" and not kept.get(old_kind(pairs_of(text)), 1) else found
        for store, texts in rules.items()
        if store != "local" or local_rules
        for text in texts.values()
        for found in matches(pairs_of(text), packet, host)
    ]
    return worlds([*dict.fromkeys(matching)], passes_by_default)  # two rules alike make the same worlds


def profile_keys(settings: Settings, profile: str) -> dict[str, str]:
    """The key of the profile in each store; StandardProfile is the old name of two of them."""
    local = {"Private": "StandardProfile"}.get(profile, f"{profile}Profile")
    gpo = f"{profile}Profile"
    there = {store: {key.partition("\\")[0] for key in keys} for store, keys in settings.items()}
    if profile != "Domain" and not {"PrivateProfile", "PublicProfile"} & there.get("gpo", set()):
        gpo = "StandardProfile"
    old = profile == "Private" and "PrivateProfile" not in there.get("mdm", set())
    return {"local": local, "gpo": gpo, "mdm": "StandardProfile" if old else f"{profile}Profile"}


@dataclass(frozen=True)
class Match:
    """A rule that may match: what it may do, and whether that hangs on what nobody sees, or could not be read."""

    actions: tuple[str, ...]
    limited: bool
    unread: bool


def worlds(matching: list[Match], passes_by_default: bool) -> str:
    """Try every world."""
    choices = []  # of each rule that could not be read: it does not match, or it is one of its actions
    for rule in matching:
        choices.append([None, *rule.actions] if rule.unread else [*rule.actions])
    answers = set()
    for actions in product(*choices):
        outcomes = set()
        switches = [[False, True] if rule.limited or action == "bypass" else [True]
                    for rule, action in zip(matching, actions, strict=True)]  # fmt: skip
        for met in product(*switches):
            present = {action for action, is_met in zip(actions, met, strict=True) if is_met and action}
            outcomes.add(outcome(present, passes_by_default))
        answers.add("partial" if len(outcomes) == 2 else outcomes.pop())
    return answers.pop() if len(answers) == 1 else "unknown"


def outcome(present: set[str], passes_by_default: bool) -> str:
    """[MS-FASP] 2.2.34: bypass, block, allow, and then the default."""
    if "bypass" in present:
        return "open"
    if "block" in present:
        return "blocked"
    if "allow" in present or passes_by_default:
        return "open"
    return "blocked"


def matches(rule: Pairs, packet: Packet, host: Host) -> Iterator[Match]:
    """The rule as one rule for each of its remote addresses; none that have nothing to do with the packet."""
    unread = rule.unread
    answers: list[object] = []
    checks = (is_active, is_inbound, has_profile, has_protocol, has_icmp_type, fits_system, has_remote_port,
              has_local_address, has_interface)  # fmt: skip
    for check in checks:
        try:
            answers.append(check(rule, packet, host))
        except UnreadableError:
            unread = True
        if answers[-1:] == [False]:
            return
    port: object = "any"
    try:
        port = has_port(rule, packet)
        answers.append(port)
    except UnreadableError:
        unread = True
    try:
        answers.append(has_program(rule, packet, port))
    except UnreadableError:
        unread = True
    try:
        remotes = list(has_source(rule, packet, host))
    except UnreadableError:
        unread, remotes = True, [True]
    unread = unread or has_ports_in_vain(rule) or is_for_everybody(rule)
    remotes = [True] if is_for_everybody(rule) else remotes
    limited = any(is_limit(key) for key in rule.values)
    actions = {value.lower() for value in rule.all("ACTION")}
    if len(actions) != 1 or not actions <= {"allow", "block", "bypass"}:
        unread, actions = True, {"allow", "block"}
    for remote in remotes:
        every = [*answers, remote]
        if not any(answer is False for answer in every):
            yield Match(tuple(sorted(actions)), limited or "limit" in every, unread or "unread" in every)


def old_kind(rule: Pairs) -> str:
    """What the firewall of Windows XP would have called a rule that lets something in; nothing for any other."""
    if [value.lower() for value in rule.all("ACTION")] == ["block"]:
        return ""
    return "programs" if rule.all("APP", "SVC") else "ports" if rule.all(*LPORTS) else ""


def has_ports_in_vain(rule: Pairs) -> bool:
    """Whether it is no rule of Windows: only TCP and UDP have ports."""
    return bool(rule.all(*LPORTS, *RPORTS)) and rule.all("PROTOCOL")[:1] not in (["6"], ["17"])


def is_for_everybody(rule: Pairs) -> bool:
    """Whether it allows without a look at the other end, although it names one."""
    named = rule.all("RA4", "RA6", "RA42", "RA62", *RPORTS)
    local_only = [value.upper() for value in rule.all("LOM")][:1] == ["TRUE"]
    return bool(named) and local_only and [value.upper() for value in rule.all("ACTION")][:1] != ["BLOCK"]


def is_limit(key: str) -> bool:
    return key not in READ | IGNORED | CONTAINERS | LPORTS | RPORTS


def is_active(rule: Pairs, _packet: Packet, _host: Host) -> bool:
    values = {value.upper() for value in rule.all("ACTIVE")} or {"MORE FOLLOWED" if rule.cut else "FALSE"}
    if len(values) > 1 or not values <= {"TRUE", "FALSE"}:
        raise UnreadableError
    return values == {"TRUE"}


def is_inbound(rule: Pairs, _packet: Packet, _host: Host) -> bool:
    values = {value.upper() for value in rule.all("DIR")}
    if len(values) != 1 or not values <= {"IN", "OUT"}:
        raise UnreadableError
    return values == {"IN"}


def has_profile(rule: Pairs, packet: Packet, _host: Host) -> bool:
    values = [value.upper() for value in rule.all("PROFILE")]
    if not set(values) <= {"DOMAIN", "PRIVATE", "PUBLIC"}:
        raise UnreadableError
    return not values or packet.profile.upper() in values


def has_protocol(rule: Pairs, packet: Packet, _host: Host) -> bool:
    values = rule.all("PROTOCOL")
    if not values:
        return True
    if len(set(values)) > 1 or not values[0].isdigit() or int(values[0]) > 256:
        raise UnreadableError
    return values[0] == "256" or values[0] == NUMBERS[packet.wire]


def has_icmp_type(rule: Pairs, packet: Packet, _host: Host) -> bool:
    values = rule.all("ICMP4")
    if not all(re.fullmatch(r"\d{1,3}:(\d{1,3}|\*)", value) for value in values):
        raise UnreadableError
    return not values or packet.wire != "icmp" or any(value in ("8:*", "8:0") for value in values)


def fits_system(rule: Pairs, _packet: Packet, host: Host) -> object:
    platforms, skip = rule.all("PLATFORM"), rule.all("SKIPVER")
    if not platforms and not skip:
        return True
    if host.version is None:
        return "unread"
    minor = host.version[1]
    windows = next(windows for least, windows in SYSTEMS if minor >= least)
    if platforms:
        wanted = [tuple(int(number) for number in text.split(":")[1:]) for text in platforms]
        later = "GTEQ" in rule.all("PLATFORM2")
        if not any(windows == one or (later and windows > one) for one in wanted):
            return False
    if skip and host.version <= tuple(int(number) for number in skip[0].split(".")):
        return "limit"
    return True


def ports(values: list[str]) -> Iterator[object]:
    """The items: ranges of numbers, and words."""
    for item in ",".join(values).split(",") if values else ():
        if item[:1].isalpha():
            yield item.upper()
        elif re.fullmatch(r"\d{1,5}(-\d{1,5})?", item):
            low, high = (item.split("-") * 2)[:2]
            if int(high) > 65535 or int(low) > int(high):
                raise UnreadableError
            yield range(int(low), int(high) + 1)
        else:
            raise UnreadableError


def readable(values: list[str]) -> list[object]:
    """The items, none where one of them cannot be read."""
    try:
        return list(ports(values))
    except UnreadableError:
        return []


def has_port(rule: Pairs, packet: Packet) -> object:
    """``named``: for this port by its number or its word; ``any``: no port is named; else True, False or a limit."""
    if packet.wire == "icmp":
        if readable(rule.all(*LPORTS)) or (readable(rule.all(*RPORTS)) and not is_for_everybody(rule)):
            return False
        types = rule.all("ICMP4")
        return "named" if types and all(re.fullmatch(r"\d{1,3}:(\d{1,3}|\*)", text) for text in types) else "any"
    values = rule.all(*LPORTS)
    if not values:
        return "any"
    found = list(ports(values))
    if packet.wire == "rpc":
        return has_rpc_port(found)
    if any(is_the_port(item, packet) for item in found):
        return "named"
    words = [item for item in found if not isinstance(item, range)]
    return "limit" if any(packet.port in WORDS.get(str(word), range(65536)) for word in words) else False


def is_the_port(item: object, packet: Packet) -> bool:
    """Whether the item is the packet's port for certain."""
    if isinstance(item, range):
        return packet.port in item
    return (item, packet.port) == ("MDNS", 5353) or (item, packet.wire, packet.port) == ("RPC-EPMAP", "tcp", 135)


def has_rpc_port(found: list[object]) -> object:
    numbers = [item for item in found if isinstance(item, range) and item.stop > DYNAMIC.start]
    if hold_all(numbers, DYNAMIC) or "RPC" in found:
        return "named"
    words = [item for item in found if not isinstance(item, range)]
    if numbers or any(max(WORDS.get(str(word), DYNAMIC), default=0) in DYNAMIC for word in words):
        return "limit"
    return False


def has_remote_port(rule: Pairs, _packet: Packet, _host: Host) -> object:
    values = rule.all(*RPORTS)
    if not values or is_for_everybody(rule):
        return True
    found = list(ports(values))
    return True if hold_all([item for item in found if isinstance(item, range)], range(1, 65536)) else "limit"


def hold_all(ranges: list[range], wanted: range) -> bool:
    """Whether each of the wanted ports is in some range."""
    missing = wanted.start  # the first port that no range held so far
    for ports_held in sorted(ranges, key=lambda item: item.start):
        if ports_held.start <= missing:
            missing = max(missing, ports_held.stop)
    return missing >= wanted.stop


def has_program(rule: Pairs, packet: Packet, port: object) -> object:
    """A rule for a program that nobody knows to listen there counts where it names the port, and then partly."""
    only = False if port == "any" else "limit"
    if any(key in CONTAINERS for key in rule.values):
        return only
    apps, services = rule.all("APP"), rule.all("SVC")
    for words in (apps, services):
        if len({word.lower() for word in words}) > 1:
            raise UnreadableError
    if not apps and not services:
        return True
    if (packet.wire, packet.port) not in RUNS:
        return only
    program, running = RUNS[packet.wire, packet.port]
    if services and not (running if services[0] == "*" else services[0].lower() in running):
        return False
    wanted = re.sub(r"^(c:\\windows|%windir%)", "%systemroot%", apps[0].lower()) if apps else program
    return wanted == program


def has_source(rule: Pairs, packet: Packet, host: Host) -> Iterator[object]:
    """For each remote address or word of the packet's family, whether the source is one of it."""
    families = {4: rule.all("RA4", "RA42"), 6: rule.all("RA6", "RA62")}
    for version, texts in families.items():
        for text in texts:
            if not is_word(text):
                holds(text, packet.source, version)
    if not any(families.values()):
        yield True
    for text in families[packet.source.version]:
        if text.upper() == "LOCALSUBNET":
            yield "unread" if host.subnets is None else in_subnets(packet.source, host.subnets)
        elif text.upper() == "DNS":
            yield "unread" if host.dns is None else str(packet.source) in host.dns
        elif text.upper() in ("DHCP", "WINS", "DEFAULTGATEWAY"):
            yield "unread"
        elif is_word(text):
            yield "limit"
        else:
            yield holds(text, packet.source, packet.source.version)


def is_word(text: str) -> bool:
    return text.isalnum() and text[0].isalpha()


def in_subnets(source: Ip, subnets: tuple[str, ...]) -> bool:
    linked = ip_network("169.254.0.0/16" if source.version == 4 else "fe80::/10")
    return source in linked or any(source in ip_network(subnet) for subnet in subnets)


@lru_cache(maxsize=4096)
def holds(text: str, address: Ip, version: int) -> bool:
    """Whether the address is among those that the text names; the text has to be of the version."""
    try:
        if "-" in text:
            low, high = (ip_address(end) for end in text.split("-"))
            if low.version != version or high.version != version or int(low) > int(high):
                raise UnreadableError
            return address.version == version and int(low) <= int(address) <= int(high)
        mask = text.partition("/")[2]
        if "." in mask and "01" in f"{int(IPv4Address(mask)):032b}":
            raise UnreadableError  # ones have to come before zeros
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise UnreadableError from error
    if network.version != version:
        raise UnreadableError
    return address in network


def has_local_address(rule: Pairs, packet: Packet, _host: Host) -> bool:
    for key, version in (("LA4", 4), ("LA6", 6)):
        for text in rule.all(key):
            holds(text, packet.destination, version)
    mine = "LA4" if packet.destination.version == 4 else "LA6"
    held = [holds(text, packet.destination, packet.destination.version) for text in rule.all(mine)]
    return not rule.all("LA4", "LA6") or any(held)


def has_interface(rule: Pairs, _packet: Packet, host: Host) -> bool:
    wanted = [text.lower() for text in rule.all("IF")]
    return not wanted or host.interface.lower() in wanted
