# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of what a host's commands print that decide nothing and stay on the host, as regular expressions.

They mean the same to Python and .NET, in every culture: a case of letters stands in words, because some cultures have
their own. A line that is not written as Windows writes it, or of which more is to be known than a first look tells, is
not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...module_utils._core.catalog import CATALOG
from ...module_utils._core.records import Requirement
from ...module_utils._core.vocabulary import Protocol
from .listeners import KNOWN, OLDER, SYSTEM, TCP, UDP, WMI
from .opening import MARK
from .parts import RULES

_NUMBERS = {Protocol.TCP: TCP, Protocol.UDP: UDP}
# The ports of the catalog where the host is not asked who listens: a table knows.
USUAL = frozenset((_NUMBERS[row.protocol], row.port or 0) for row in CATALOG if row.protocol in _NUMBERS) & (
    KNOWN.keys() - OLDER.keys()
)


def is_usual(requirements: Iterable[Requirement]) -> bool:
    """Whether all ports that are asked about are ``USUAL`` ones."""
    return all(row.protocol not in _NUMBERS or (_NUMBERS[row.protocol], row.port) in USUAL for row in requirements)


def _any_case(text: str) -> str:
    return "".join(f"[{char.upper()}{char}]" if char.isalpha() else re.escape(char) for char in text)


def _one_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(dict.fromkeys(patterns))})"


def _nowhere(pattern: str) -> str:
    return f"(?!.*{pattern})"


def _key(name: str) -> str:
    """The beginning of a pair whose key begins with the name, whatever blanks and case it is written with."""
    return rf"\|[^A-Za-z|]*{_any_case(name)}"


def _not_twice(name: str) -> str:
    return f"(?!(?:.*{_key(name)}){{2}})"


_IN = r"TRUE\|Dir=In(?=\|)"
_PROFILES = r"(?:\|Profile=[A-Za-z]+)*"
# Rules that are off, outbound, of a protocol that is not asked for, of a message that is no echo request, of IP-HTTPS'
# own ports, or of any port of an app or of a trust tuple.
_IDLE = (
    rf"FALSE\|{_nowhere(_any_case('active'))}",
    rf"TRUE\|Dir=Out\|{_nowhere(_any_case('dir'))}",
    rf"{_IN}\|Protocol=(?!(?:1|6|17)\|)[1-9][0-9]?\|{_nowhere(_any_case('protocol'))}",
    rf"{_IN}\|Protocol=1{_PROFILES}\|ICMP4=(?!0*8:)[0-9]{{1,3}}:(?:\*|[0-9]{{1,3}})\|"
    + _nowhere(_one_of(map(_any_case, ("icmp", "protocol")))),
    rf"{_IN}\|Protocol=6{_PROFILES}(?:\|LPort2_10=IP(?:TLS|HTTPS)In)+\|{_nowhere(_any_case('lport'))}",
    r"TRUE\|(?=.*\|(?:AppPkgId|TTK(?:2_[0-9]+)?)=)" + _nowhere(_one_of(map(_any_case, ("lport", "icmp")))),
)

_PROGRAMS = sorted({KNOWN[door] for door in USUAL} | {WMI}, key=lambda program: program.path)
_SERVICES = _one_of(_any_case(name) for program in _PROGRAMS for name in sorted(program.services))
_FILES = _one_of(_any_case(program.path.rpartition("\\")[2].removesuffix(".exe")) for program in _PROGRAMS)
_PORTS = _one_of(str(port) for _protocol, port in sorted(USUAL))
# Ports in the place where Windows writes them, all of them numbers, and none in another place.
_OTHER_PORTS = (
    rf"{_PROFILES}(?:\|LPort=(?!{_PORTS}\|)(?:[1-9][0-9]{{0,3}}|[1-5][0-9]{{4}}))+(?=\|)"
    + _nowhere(_any_case("lport"))
)  # fmt: skip
_PLAIN_KEYS = _nowhere(r"\|[^|=]*[^ -~|=]")
_NOT_SPECIAL = _nowhere(_one_of(map(_key, ("apppkgid", "pfn", "ttk"))))
_OTHER_SERVICE = rf"{_not_twice('svc')}(?=.*\|Svc=(?!{_SERVICES}\|)[A-Za-z0-9_]+\|)"
_OTHER_PROGRAM = rf"{_nowhere(_key('svc'))}(?=.*\|App=(?![^|]*{_FILES}[^|\\/]*\|)[!-{{}}~][ -{{}}~]*\|)"
_KERNEL = rf"\|Protocol=6{_OTHER_PORTS}(?=.*\|App={_any_case(SYSTEM)}\|)"

# Rules that concern none of the usual ports, of RPC's ports and of the echo request, by what a table knows of who
# listens there (``traffic.claims_on`` decides alike):
# - of UDP's ports, and all of them others;
# - of one service that listens nowhere there, whatever ports the rule has;
# - of one program that listens nowhere there, and of no service;
# - of the kernel and TCP's ports, and all of them others. RPC may hand such ports out, but not to the kernel.
# Rules of apps and trust tuples are no answer to who listens: where they have ports, a look at those is needed.
_OTHERS = (
    rf"{_IN}\|Protocol=17{_OTHER_PORTS}{_nowhere(_any_case('protocol'))}",
    rf"{_IN}{_PLAIN_KEYS}{_NOT_SPECIAL}"
    + _one_of((_OTHER_SERVICE, _not_twice("app") + _one_of((_OTHER_PROGRAM, _KERNEL)))),
)  # fmt: skip


def _rules(cases: Iterable[str]) -> str:
    """The lines of ``reg query`` with a rule that is whole, of one of the cases, and not one of ours.

    Such a line ends the rule before it, should that one go on in lines of its own.
    """
    return (
        r"^ {4}[^|]+ {4}REG_SZ {4}v[0-9]+\.[0-9]+\|Action=[A-Za-z]+\|Active="
        rf"{_one_of(cases)}{_nowhere(MARK)}.{{0,9000}}\|$"
    )


# Of ``sc queryex``, all but names, states and processes.
_OF_SERVICES = r"^(?!.*:\s*(?:\d\s+[A-Z_]+|\d+)\s*$)\s+\S"
# Of ``netstat -rn``, all but lines of numbers; of those, loopback, multicast, and what is not on the link.
_OF_ROUTES = (
    r"^(?! *[0-9]+(?:\.[0-9]+)* )|^ *(?:127|22[4-9]|23[0-9])\.|^ *[0-9.]+ +[0-9.]+ +[0-9]+(?:\.[0-9]+){3} "
    r"|^ *[0-9]+ +[0-9]+ (?:::1/128|ff[0-9a-f]{2}::/[0-9]+|::/0) "
)
_OF_PROFILES = r"^ {4}Log[A-Za-z]+ {4}REG_(?:DWORD {4}0x[0-9a-f]+|EXPAND_SZ {4}[^|]+)$"
_ALWAYS = {
    "services": _OF_SERVICES,
    "routes": _OF_ROUTES,
    **dict.fromkeys(("local_domain", "local_standard", "local_public"), _OF_PROFILES),
}
_OTHER_SOCKETS = rf"^ *(?:UDP|TCP(?= +\S+ +\S+:0 )) +\S+:(?!{_PORTS} )[0-9]+ "

# By whether all that is asked about is usual, and by the part's name.
NEEDLESS: Mapping[bool, Mapping[str, str]] = {
    False: {RULES: _rules(_IDLE), **_ALWAYS},
    True: {RULES: _rules((*_IDLE, *_OTHERS)), "netstat": _OTHER_SOCKETS, **_ALWAYS},
}
