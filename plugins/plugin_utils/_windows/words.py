# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that rule strings are made of: profiles, ports and addresses with their keywords ([MS-GPFAS] 2.2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.errors import InputError
from ...module_utils._core.portset import HIGHEST_PORT, PortSet


class Profile(Enum):
    """A network's kind, which decides on the settings and on the rules that hold there."""

    DOMAIN = "domain"
    PRIVATE = "private"
    PUBLIC = "public"


ALL_PROFILES = frozenset(Profile)
_PROFILES = {"domain": Profile.DOMAIN, "private": Profile.PRIVATE, "public": Profile.PUBLIC}

# Keywords in the place of ports, and the ports that they may stand for; what stands for ports of one service alone is
# told by the evaluator. A word that is not here may stand for any port.
RPC, RPC_MAPPER = "rpc", "rpc-epmap"
DYNAMIC = "dynamic"
_NONE = ""  # no port but that of IP-HTTPS itself (DirectAccess), which nothing of an audit listens on
PORT_WORDS: dict[str, str] = {
    RPC: DYNAMIC,
    RPC_MAPPER: "135",
    "teredo": DYNAMIC,
    "iptlsin": _NONE,
    "iptlsout": _NONE,
    "iphttpsin": _NONE,
    "iphttpsout": _NONE,
    "dhcp": "67,68,546,547",
    "ply2disc": DYNAMIC,
    "mdns": "5353",
    "tcpcdpsvc": "5040",
    "cortanaout": DYNAMIC,
}
# Words for one port that is the same on every machine: as good as its number.
_FIXED_WORDS = {"mdns": 5353}

# Keywords in the place of addresses that a host's own configuration resolves; the other ones (IntrAnet, Ply2Renders,
# ...) Windows alone can.
LOCAL_SUBNET = "localsubnet"
RESOLVABLE = frozenset({LOCAL_SUBNET, "dns", "dhcp", "wins", "defaultgateway"})


@dataclass(frozen=True, slots=True)
class PortTerms:
    """Ports as a rule names them: numbers, keywords in small letters, and items that are neither."""

    numbers: PortSet
    words: frozenset[str] = frozenset()
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressTerms:
    """Addresses as a rule names them: numbers, keywords in small letters, and items that are neither."""

    addresses: AddressSet
    words: frozenset[str] = frozenset()
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FamilyTerms:
    """The terms of one end of the traffic, by address family."""

    v4: AddressTerms
    v6: AddressTerms

    def of(self, version: int) -> AddressTerms:
        """The terms of one family (4 or 6)."""
        return self.v4 if version == 4 else self.v6


def profile_of(word: str) -> Profile | None:
    """The profile that a rule's word names."""
    return _PROFILES.get(word.lower())


@lru_cache(maxsize=4096)
def parse_ports(values: tuple[str, ...]) -> PortTerms:
    """The union of the values; a value may be a list with commas."""
    numbers: list[str | int] = []
    words, unclear = set(), []
    for item in (item.strip() for value in values for item in value.split(",")):
        low, _dash, high = item.partition("-")
        if item.lower() in _FIXED_WORDS:
            numbers.append(_FIXED_WORDS[item.lower()])
        elif item and item[0].isalpha():
            words.add(item.lower())
        elif item and _is_port(low) and (not _dash or (_is_port(high) and int(low) <= int(high))):
            numbers.append(item)
        else:
            unclear.append(item)
    return PortTerms(PortSet.parse(numbers), frozenset(words), tuple(unclear))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= HIGHEST_PORT


@lru_cache(maxsize=4096)
def parse_addresses(values: tuple[str, ...], version: int) -> AddressTerms:
    """The union of the values of one family: addresses, ranges ``a-b``, networks with prefix or mask, keywords."""
    found = AddressSet()
    words, unclear = set(), []
    for item in (item.strip() for value in values for item in value.split(",")):
        if item.lower() in ("*", "any"):
            found = AddressSet.any(version)
        elif item.isascii() and item.isalnum() and item[:1].isalpha():
            words.add(item.lower())
        elif not _has_sound_mask(item):
            unclear.append(item)
        else:
            parsed = _parsed(item)
            if parsed is None or parsed != parsed.family(version):
                unclear.append(item)
            else:
                found = found | parsed
    return AddressTerms(found, frozenset(words), tuple(unclear))


def _parsed(item: str) -> AddressSet | None:
    try:
        return AddressSet.parse(item)
    except InputError:
        return None


def _has_sound_mask(item: str) -> bool:
    """Whether a mask behind the slash, if there is one, is ones and then zeros; a wildcard mask is not."""
    _address, _slash, mask = item.partition("/")
    if "." not in mask:
        return True
    try:
        inverted = ~int(IPv4Address(mask)) & 0xFFFFFFFF
    except ValueError:
        return False
    return inverted & (inverted + 1) == 0
