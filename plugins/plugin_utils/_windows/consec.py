# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection security rules: which of them ask for IPsec, so that clear text is dropped whatever the firewall allows.

[MS-GPFAS] 2.2.6: the same form as a firewall rule, with its own keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...module_utils._core.addressset import AddressSet
from .words import ALL_PROFILES, Profile, parse_addresses, profile_of

# What a rule may ask for without dropping clear text that comes in.
_HARMLESS = frozenset({"boundary", "donotsecure"})


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """A connection security rule as far as it matters here: whom it may demand authentication of.

    ``ends`` are the addresses of the two endpoints of one family each, ``None`` for any or for what cannot be told.
    """

    id: str
    name: str = ""
    demanding: bool = True
    profiles: frozenset[Profile] = ALL_PROFILES
    protocol: int | None = None
    ends: tuple[AddressSet | None, AddressSet | None] = (None, None)

    def may_cover(self, profile: Profile, protocol: int, source: AddressSet, destination: AddressSet) -> bool:
        """Whether it may make the traffic subject to IPsec."""
        if not self.demanding or profile not in self.profiles or self.protocol not in (None, protocol):
            return False
        first, second = self.ends
        return any(
            (here is None or bool(here & destination)) and (there is None or bool(there & source))
            for here, there in ((first, second), (second, first))
        )


def parse_security_rule(rule_id: str, text: str) -> SecurityRule:
    """The rule of one registry value. What cannot be told makes it wider, never narrower."""
    words: dict[str, list[str]] = {}
    for piece in text.split("|"):
        key, equals, value = piece.partition("=")
        if equals:
            words.setdefault(key.strip().lower(), []).append(value.strip())
    active = words.get("active", ["false"])[0].lower() != "false"
    action = words.get("action", [""])[0].lower()
    protocol = words.get("protocol", [""])[0]
    profiles = [profile_of(word) for word in words.get("profile", ())]
    known = [profile for profile in profiles if profile is not None]
    name = words.get("name", [""])[0]
    return SecurityRule(
        id=rule_id,
        name="" if name.startswith("@") else name,
        demanding=active and action not in _HARMLESS,
        profiles=frozenset(known) if known and len(known) == len(profiles) else ALL_PROFILES,
        protocol=int(protocol) if protocol.isascii() and protocol.isdigit() and len(protocol) < 4 else None,
        ends=(_end(words, "ep1"), _end(words, "ep2")),
    )


def _end(words: dict[str, list[str]], prefix: str) -> AddressSet | None:
    """The addresses of an endpoint; ``None`` where none are named or a word stands for some that are not known."""
    found = AddressSet()
    named = False
    for version in (4, 6):
        values = tuple(words.get(f"{prefix}_{version}", ()))
        named = named or bool(values)
        terms = parse_addresses(values, version)
        if terms.words or terms.unclear:
            return None
        found = found | terms.addresses
    return found if named else None
