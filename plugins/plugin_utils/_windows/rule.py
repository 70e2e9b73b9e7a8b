# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall rule as a string of ``KEY=VALUE|`` pairs, which every store of Windows uses ([MS-GPFAS] 2.2.2).

Keys and words are compared without case and in any order; the version in front filters nothing, because one machine
holds rules of many. What is not known narrows the rule and never widens it: an unknown key is a limit, and a value that
cannot be read leaves open what the rule does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from .listeners import ICMP, TCP, UDP, normal_path
from .words import ALL_PROFILES, FamilyTerms, PortTerms, Profile, parse_addresses, parse_ports, profile_of

_VERSION = re.compile(r"\A\s*v(\d{1,3})\.(\d{1,4})\Z", re.IGNORECASE)
_SUFFIX = re.compile(r"\A([a-z]+[46]?)2?(?:_\d+)?\Z")
_SKIPPED = re.compile(r"\Av?(\d{1,3})\.(\d{1,4})\Z", re.IGNORECASE)
_ICMP = re.compile(r"\A(\d{1,3}):(\*|\d{1,3})\Z")
_PLATFORM = re.compile(r"\A(\d+):(\d+):(\d+)\Z")
_PLAIN_PROTOCOL = re.compile(r"\|protocol=([1-9][0-9]{0,2})(?=\|)")
_PLAIN_PORT = re.compile(r"\|lport=([1-9][0-9]{0,4})(?=\|)")
_PROGRAM = re.compile(r"\|\s*app([^|=]*=)([^|]*)")
_SPECIAL_KEY = re.compile(r"\|\s*(?:apppkgid|pfn|ttk)(2?(?:_[0-9]+)?=)?")
_SERVICE = re.compile(r"\|\s*svc([^|=]*=)([^|]*)")
_ANY_PROTOCOL = 256
_ASKED_FOR = (None, ICMP, TCP, UDP)  # protocols of requirements, and what may be any
_WITH_PORTS = (6, 17)  # [MS-FASP] 2.2.37: no other protocol has ports
_NT = 2  # VER_PLATFORM_WIN32_NT; the upper bits of that number are reserved
_LONGEST = 100_000

# Keys that do not narrow ordinary inbound traffic, and keys that narrow it to what a stranger cannot see.
NEUTRAL = frozenset({"edge", "defer", "lsm", "pcross", "authbypassout", "name", "desc", "embedctxt"})
# An app container or a trust tuple (Wi-Fi Direct and the like): never the services that an audit needs.
SPECIAL = frozenset({"apppkgid", "pfn", "ttk"})
# Of these, a key that comes twice contradicts itself.
_ONCE = frozenset({"action", "active", "dir", "protocol", "app", "svc"})
_WIDE_IF_TWICE = frozenset({"protocol", "app", "svc"})
_ACTIONS = frozenset({"allow", "block", "bypass"})
_DIRECTIONS = frozenset({"in", "out"})
_FLAGS = {"true": True, "false": False}
NO_SERVICE_NAME = "*"  # any service
# Keys of traffic (see ``Hint``): whatever it is; that to a port of which nobody knows what listens there.
ANY_TRAFFIC, UNKNOWN_LISTENER = "any", "unknown"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its id (the registry value's name), its version and pairs as they were written, and what they mean.

    ``action`` and ``direction`` are empty where they are missing or cannot be read; ``protocol``, ``local_ports``,
    ``remote`` and the like are ``None`` for "any". ``limits`` narrow the rule in ways that a packet's addresses do not
    tell; ``special`` narrow it to app containers and trust tuples; ``unclear`` is what could not be read, and the field
    that it belongs to is then as wide as it can be.
    """

    id: str
    pieces: tuple[str, ...]
    closed: bool = True
    action: str = ""
    active: bool | None = False
    direction: str = ""
    profiles: frozenset[Profile] = ALL_PROFILES
    protocol: int | None = None
    local_ports: PortTerms | None = None
    remote_ports: PortTerms | None = None
    icmp4: tuple[tuple[int, int | None], ...] | None = None
    icmp6: tuple[tuple[int, int | None], ...] | None = None
    remote: FamilyTerms | None = None
    local: FamilyTerms | None = None
    app: str = ""
    service: str = ""
    interfaces: frozenset[str] | None = None
    platforms: tuple[tuple[int, int], ...] = ()
    or_later: bool = False
    skipped_up_to: tuple[int, int] | None = None
    limits: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The display name where it is plain text, else nothing: ``@dll,-id`` is known to the machine alone."""
        text = next((piece[5:] for piece in self.pieces if piece[:5].lower() == "name="), "")
        return "" if text.startswith("@") else text

    @property
    def is_candidate(self) -> bool:
        """Whether the rule can say anything about inbound traffic."""
        return self.active is not False and self.direction != "out"


def parse_rule(rule_id: str, text: str) -> Rule:
    """The rule of one registry value. Never raises: what is not understood is told by the rule itself."""
    if len(text) > _LONGEST:
        return damaged_rule(rule_id, f"a rule string of {len(text)} characters")
    version, *pieces = text.strip().split("|")
    closed = bool(pieces) and not pieces[-1]
    if closed:
        pieces.pop()
    builder = _Builder()
    if _VERSION.match(version) is None:
        builder.unclear.append("the version is missing")
    for piece in pieces if closed else pieces[:-1]:  # of a string that is cut off, the last value may be cut, too
        key, equals, value = piece.partition("=")
        if equals:
            builder.read(key.strip().lower(), value.strip())
        else:
            builder.unclear.append(f"'{piece[:60]}' is no KEY=VALUE")
    if not closed:
        builder.unclear.append("the string is cut off")
    return builder.rule(rule_id, (version, *pieces), closed)


def is_idle(text: str) -> bool:
    """Whether a rule string that is whole says at first sight that it is off, outbound, or of any port of an app.

    Most rules of a store are, and this costs a twentieth of reading them. False where a closer look is needed.
    """
    low = text.lower()
    if not low.endswith("|"):
        return False
    if "|apppkgid=" in low and "lport" not in low and "icmp" not in low:
        return True
    off = "|active=false|" in low and low.count("active") == 1
    return off or ("|dir=out|" in low and low.count("dir") == 1) or "active" not in low


class Hint(NamedTuple):
    """What a rule string says at first sight: its protocol's number, ``None`` where that takes a closer look, and the
    ``keys`` of the traffic that it can be about: each of its ports, a program or service, or one of the words above.
    """

    protocol: int | None = None
    keys: tuple[int | str, ...] = (ANY_TRAFFIC,)


def service_key(name: str) -> str:
    """The key of traffic to a service."""
    return f"svc={name}"


def program_key(path: str) -> str:
    """The key of traffic to a program, by its path as ``normal_path`` writes it."""
    return f"app={path}"


def hint_of(text: str) -> Hint:
    """What a rule string says at first sight. Whatever is not written as Windows itself does is not told."""
    low = text.lower()
    if not low.endswith("|") or len(text) > _LONGEST:
        return Hint()
    found = _PLAIN_PROTOCOL.search(low) if low.count("protocol") == 1 else None
    protocol = int(found[1]) if found and int(found[1]) < _ANY_PROTOCOL else None
    if protocol not in _ASKED_FOR:
        return Hint(protocol, ())
    has_ports = "lport" in low
    if has_ports:
        ports = [int(port) for port in _PLAIN_PORT.findall(low)]
        if len(ports) == low.count("lport") and max(ports) < 1 << 16:
            return Hint(protocol, tuple(ports))
    is_named = has_ports or "icmp" in low
    special = _SPECIAL_KEY.findall(low)
    if special:
        return Hint(protocol, () if any(special) and not is_named else (ANY_TRAFFIC,))
    key = _listener_key(low)
    if not key:
        return Hint(protocol)
    return Hint(protocol, (key, UNKNOWN_LISTENER) if is_named else (key,))


def _listener_key(low: str) -> str:
    """The key of the one service, or without any of the one program, that a rule is for; empty where it is not so."""
    services = _SERVICE.findall(low)
    found = services or _PROGRAM.findall(low)
    value = found[0][1].strip() if len(found) == 1 and found[0][0] == "=" else ""
    if services:
        return service_key(value) if value not in ("", NO_SERVICE_NAME) else ""
    path = normal_path(value)
    return program_key(path) if path else ""


def print_rule(rule: Rule) -> str:
    """The string that the rule was read from."""
    return "|".join(rule.pieces) + ("|" if rule.closed else "")


def damaged_rule(rule_id: str, why: str) -> Rule:
    """A rule of which nothing is known but that it is there: it may let in or keep out anything."""
    return Rule(rule_id, (), closed=False, active=None, unclear=(why,))


@lru_cache(maxsize=1024)
def _base(key: str) -> str:
    found = _SUFFIX.match(key)
    return found.group(1) if found else key


class _Builder:
    """Collects what the pairs of one rule mean."""

    def __init__(self) -> None:
        self.words: dict[str, list[str]] = {}
        self.limits: list[str] = []
        self.special: list[str] = []
        self.unclear: list[str] = []

    def read(self, key: str, value: str) -> None:
        """Take one pair; the version at the end of some keys (``LPort2_10``) only says who invented the value."""
        base = _base(key)
        if base in NEUTRAL:
            return
        if base in SPECIAL:
            self.special.append(f"{key}={value}")
        elif key == "platform2":
            self.words.setdefault(key, []).append(value)
        elif base in _KNOWN:
            self.words.setdefault(base, []).append(value)
        else:
            self.limits.append(f"{key}={value}")

    def rule(self, rule_id: str, pieces: tuple[str, ...], closed: bool) -> Rule:
        """The rule that the pairs make."""
        for key in _ONCE & self.words.keys():
            if len(self.words[key]) > 1 and len({value.lower() for value in self.words[key]}) > 1:
                self.unclear.append(f"{key} is there twice")
                if key in _WIDE_IF_TWICE:
                    del self.words[key]
        self._widen_if_local_only()
        told = len(self.unclear)
        protocol = self._protocol()
        is_read = len(self.unclear) == told
        if is_read and protocol not in _WITH_PORTS and self.words.keys() & {"lport", "rport"}:
            self.unclear.append("ports, and a protocol that is neither TCP nor UDP")
        return Rule(
            rule_id,
            pieces,
            closed,
            action=self._choice("action", _ACTIONS),
            active=self._active() if closed or "active" in self.words else None,
            direction=self._choice("dir", _DIRECTIONS),
            profiles=self._profiles(),
            protocol=protocol,
            local_ports=self._ports("lport"),
            remote_ports=self._ports("rport"),
            icmp4=self._icmp("icmp4"),
            icmp6=self._icmp("icmp6"),
            remote=self._addresses("ra4", "ra6"),
            local=self._addresses("la4", "la6"),
            app=self._first("app"),
            service=self._first("svc"),
            interfaces=self._interfaces(),
            platforms=tuple(self._platforms()),
            or_later=any(value.lower() == "gteq" for value in self.words.get("platform2", ())),
            skipped_up_to=self._skipped_up_to(),
            limits=tuple(self.limits),
            special=tuple(self.special),
            unclear=tuple(self.unclear),
        )

    def _widen_if_local_only(self) -> None:
        """Of an allow rule with LOM (local only mapped), Windows leaves the other end aside ([MS-FASP] 2.2.34)."""
        other_end = self.words.keys() & {"ra4", "ra6", "rport"}
        if self._first("lom").lower() == "true" and self._first("action").lower() != "block" and other_end:
            self.unclear.append("LOM=TRUE: whom it lets in is not known")
            for key in other_end:
                del self.words[key]

    def _first(self, key: str) -> str:
        return self.words.get(key, ("",))[0]

    def _choice(self, key: str, choices: frozenset[str]) -> str:
        word = self._first(key).lower()
        if word in choices and all(value.lower() == word for value in self.words[key][1:]):
            return word
        self.unclear.append(f"{key}={word}" if word else f"{key} is missing")
        return ""

    def _active(self) -> bool | None:
        if "active" not in self.words:
            return False
        values = {_FLAGS.get(value.lower()) for value in self.words["active"]}
        if len(values) == 1 and None not in values:
            return values.pop()
        self.unclear.append(f"active={self._first('active')}")
        return None

    def _profiles(self) -> frozenset[Profile]:
        found = [(value, profile_of(value)) for value in self.words.get("profile", ())]
        wrong = [f"profile={value}" for value, profile in found if profile is None]
        self.unclear.extend(wrong)
        return frozenset(profile for _value, profile in found if profile) if found and not wrong else ALL_PROFILES

    def _protocol(self) -> int | None:
        value = self._first("protocol")
        if not value and "protocol" not in self.words:
            return None
        if value.isascii() and value.isdigit() and int(value[:4]) <= _ANY_PROTOCOL:
            return None if int(value) == _ANY_PROTOCOL else int(value)
        self.unclear.append(f"protocol={value}")
        return None

    def _ports(self, key: str) -> PortTerms | None:
        if key not in self.words:
            return None
        terms = parse_ports(tuple(self.words[key]))
        self.unclear.extend(f"{key}={text}" for text in terms.unclear)
        return None if terms.unclear else terms

    def _addresses(self, *keys: str) -> FamilyTerms | None:
        """Both families' terms; where only one family is named, the other one is not let in at all."""
        if not any(key in self.words for key in keys):
            return None
        families = [parse_addresses(tuple(self.words.get(key, ())), int(key[-1])) for key in keys]
        wrong = [f"{key}={text}" for key, terms in zip(keys, families, strict=True) for text in terms.unclear]
        self.unclear.extend(wrong)
        return None if wrong else FamilyTerms(*families)

    def _icmp(self, key: str) -> tuple[tuple[int, int | None], ...] | None:
        if key not in self.words:
            return None
        found: list[tuple[int, int | None]] = []
        for value in self.words[key]:
            match = _ICMP.match(value)
            if match is None:
                self.unclear.append(f"{key}={value}")
                return None
            found.append((int(match.group(1)), None if match.group(2) == "*" else int(match.group(2))))
        return tuple(found)

    def _interfaces(self) -> frozenset[str] | None:
        return frozenset(value.lower() for value in self.words["if"]) if "if" in self.words else None

    def _skipped_up_to(self) -> tuple[int, int] | None:
        if "skipver" not in self.words:
            return None
        match = _SKIPPED.match(self._first("skipver"))
        if match is None:
            self.unclear.append(f"skipver={self._first('skipver')}")
            return None
        return int(match.group(1)), int(match.group(2))

    def _platforms(self) -> Iterator[tuple[int, int]]:
        for value in self.words.get("platform", ()):
            match = _PLATFORM.match(value)
            if match is None or int(match.group(1)) & 7 != _NT:
                self.unclear.append(f"platform={value}")
            else:
                yield int(match.group(2)), int(match.group(3))


_KNOWN = frozenset(
    {
        *("action", "active", "dir", "profile", "protocol", "lport", "rport", "icmp4", "icmp6", "ra4", "ra6"),
        *("la4", "la6", "app", "svc", "if", "platform", "skipver", "lom"),
    }
)
