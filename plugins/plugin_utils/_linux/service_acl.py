# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind the firewall: address lists of a service's own, which systemd and the TCP wrappers enforce.

systemd.resource-control(5): an address in IPAddressAllow is let in, else one in IPAddressDeny is not, else it is.
hosts_access(5), hosts_options(5): the first line that fits in hosts.allow lets in, else the first in hosts.deny does
not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.errors import InputError
from ...module_utils._core.records import Decision
from ...module_utils._core.vocabulary import VerdictStatus

# The units and the programs (as the TCP wrappers name them) that answer for a service of the catalog.
UNITS_OF = {
    "ssh": ("ssh", "sshd"),
    "snmp": ("snmpd",),
    "snmp_trap": ("snmptrapd",),
    "smb": ("smbd", "samba-ad-dc"),
    "netbios_session": ("smbd", "samba-ad-dc"),
    "netbios_name": ("nmbd", "samba-ad-dc"),
    "kerberos": ("krb5-kdc", "samba-ad-dc"),
    "ldap": ("slapd", "samba-ad-dc"),
    "dns": ("named", "bind9", "dnsmasq", "unbound", "samba-ad-dc"),
    "raw_print": ("p910nd", "cups"),
}
PROGRAMS_OF = {"ssh": ("sshd",), "snmp": ("snmpd",), "snmp_trap": ("snmptrapd",), "ldap": ("slapd",)}
ACL_UNITS = tuple(sorted({unit for units in UNITS_OF.values() for unit in units}))
_EVERYBODY = AddressSet.any()


@dataclass(frozen=True)
class Denial:
    """A part of the world that a service does not answer (``blocked``), or of which nobody can tell (``unknown``)."""

    sources: AddressSet
    status: VerdictStatus
    decision: Decision


def unit_denials(unit: str, allow: str, deny: str, *, contained: bool = False) -> Iterator[Denial]:
    """What the address lists of a unit keep out; ``allow`` and ``deny`` as ``systemctl show`` prints them.

    ``contained``: systemd runs in a container, where it says the same whether or not the kernel lets it filter.
    """
    if not deny.strip():
        return
    doubt = ", which a container may not be allowed to enforce" if contained else ""
    text = f"IPAddressDeny={deny.strip()} of {unit}.service{doubt}"
    decision = Decision("ip_address_deny", f"{unit}.service", text)
    try:
        denied = AddressSet.parse(deny.split()) - AddressSet.parse(allow.split())
    except InputError:
        yield Denial(_EVERYBODY, VerdictStatus.UNKNOWN, decision)
        return
    if denied:
        yield Denial(denied, VerdictStatus.UNKNOWN if contained else VerdictStatus.BLOCKED, decision)


def wrapper_denials(program: str, allow: str, deny: str) -> Iterator[Denial]:
    """What hosts.allow and hosts.deny (their texts) keep out of a program that uses the TCP wrappers."""
    left, perhaps = _EVERYBODY, AddressSet()  # who has met no line yet, and who may have met one that lets in
    for path, text, denies in (("/etc/hosts.allow", allow, False), ("/etc/hosts.deny", deny, True)):
        for line in _lines(text):
            daemons, clients, options = line
            if not _names(daemons, program):
                continue
            refuses = "deny" in options or (denies and "allow" not in options)
            decision = Decision("hosts_deny", path, f"{path}: {' : '.join(line[:2])}")
            sure, unsure = _clients(clients)
            if refuses:
                yield from _denials(left & sure - perhaps, left & (unsure | sure & perhaps), decision)
            else:
                perhaps = perhaps | unsure
            left = left - sure


def _denials(sure: AddressSet, unsure: AddressSet, decision: Decision) -> Iterator[Denial]:
    for sources, status in ((sure, VerdictStatus.BLOCKED), (unsure, VerdictStatus.UNKNOWN)):
        if sources:
            yield Denial(sources, status, decision)


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.replace("\\\n", " ").splitlines():
        parts = [part.strip() for part in _split(line.partition("#")[0])]
        if len(parts) >= 2 and all(parts[:2]):
            yield parts[0], parts[1], " ".join(parts[2:]).lower()


def _split(line: str) -> Sequence[str]:
    """The fields of a line; colons within brackets belong to IPv6 addresses."""
    fields, depth = [""], 0
    for character in line:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == ":" and depth == 0:
            fields.append("")
        else:
            fields[-1] += character
    return fields


def _names(daemons: str, program: str) -> bool:
    wanted, _except, excluded = daemons.partition(" EXCEPT ")
    return any(word in ("ALL", program) for word in _words(wanted)) and program not in _words(excluded)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _clients(clients: str) -> tuple[AddressSet, AddressSet]:
    """The addresses that a client list holds for certain, and those of which it may hold some."""
    wanted, _except, excluded = clients.partition(" EXCEPT ")
    sure, unsure = AddressSet(), AddressSet()
    for word in _words(wanted):
        found = _client(word)
        sure, unsure = (sure, _EVERYBODY) if found is None else (sure | found, unsure)
    if excluded.strip():
        without, maybe = _clients(excluded)
        sure, unsure = sure - without - maybe, unsure | (sure & maybe)
    return sure, unsure - sure


def _client(word: str) -> AddressSet | None:
    """The addresses of one pattern; ``None`` where it depends on names or on what nobody here knows."""
    if word == "ALL":
        return _EVERYBODY
    text = word.replace("[", "").replace("]", "")
    if word.endswith(".") and word[:-1].replace(".", "").isdigit():
        octets = word[:-1].split(".")
        text = ".".join([*octets, *["0"] * (4 - len(octets))]) + f"/{8 * len(octets)}"
    try:
        return AddressSet.parse(text)
    except InputError:
        return None
