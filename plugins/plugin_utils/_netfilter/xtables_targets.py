# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets of iptables as statements of the model.

Sources: iptables-extensions(8); linux: net/netfilter/xt_*.c, net/netfilter/nf_nat_core.c.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from ...module_utils._core.ranges import RangeSet
from .expressions import Bitwise, Constant, Expression, FieldValue, Unknown
from .flow import Field, simplified
from .statements import (
    ACCEPT,
    BACK,
    DROP,
    Nat,
    NoEffect,
    Notrack,
    SetField,
    Statement,
    Template,
    goto,
    jump,
    reject,
    undecided,
)
from .translation import Translation
from .xtables_arguments import Arguments, Option, Section
from .xtables_lines import UnreadableError, shown
from .xtables_special import PortWithin
from .xtables_values import ALL_BITS, address_range, masked, network, number

_MARK, _CT_MARK = FieldValue(Field.MARK), FieldValue(Field.CT_MARK)

_WITHOUT_EFFECT = {
    *("LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "TEE", "LED", "IDLETIMER", "RATEEST", "CLASSIFY", "CHECKSUM", "TCPMSS"),
    *("TCPOPTSTRIP", "TOS", "DSCP", "ECN", "TTL", "HL", "SECMARK", "CONNSECMARK"),
}
_HANDED_ON = {
    "NFQUEUE": "a program outside of the rules decides about the packets of a queue",
    "QUEUE": "a program outside of the rules decides about the packets of a queue",
    "TPROXY": "a proxy on this host takes the packet, if it runs",
    "SYNPROXY": "the kernel answers for the service and opens the connection anew",
    "CLUSTERIP": "one node of a cluster answers, chosen by a hash",
    "DNPT": "the prefix of the address is translated without a connection",
    "SNPT": "the prefix of the address is translated without a connection",
}
# What REJECT sends, by the names that iptables prints (libipt_REJECT, libip6t_REJECT).
_REJECTS = {
    "icmp-net-unreachable": "icmp net-unreachable",
    "icmp-host-unreachable": "icmp host-unreachable",
    "icmp-port-unreachable": "icmp port-unreachable",
    "icmp-proto-unreachable": "icmp prot-unreachable",
    "icmp-net-prohibited": "icmp net-prohibited",
    "icmp-host-prohibited": "icmp host-prohibited",
    "icmp-admin-prohibited": "icmp admin-prohibited",
    "icmp6-no-route": "icmpv6 no-route",
    "icmp6-adm-prohibited": "icmpv6 admin-prohibited",
    "icmp6-addr-unreachable": "icmpv6 addr-unreachable",
    "icmp6-port-unreachable": "icmpv6 port-unreachable",
    "icmp6-policy-fail": "icmpv6 policy-fail",
    "icmp6-reject-route": "icmpv6 reject-route",
    "tcp-reset": "tcp reset",
}

Entries = Callable[[], frozenset[str]]


def read_target(arguments: Arguments, version: int, entries: Entries, chains: Collection[str]) -> tuple[Statement, ...]:
    """What a rule does once its conditions hold. ``entries`` tells the built-in chains by which packets come to the
    rule's, ``chains`` are the names of the table's chains.

    Raises UnreadableError for options that no target of this name has.
    """
    target = arguments.target
    if target is None:
        return ()
    if target.name in chains:
        return (goto(target.name) if arguments.goto else jump(target.name),)
    if target.name in _WITHOUT_EFFECT:
        return (NoEffect(target.name),)
    if target.name in _HANDED_ON:
        return (undecided(_HANDED_ON[target.name]),)
    reader = _TARGETS.get(target.name)
    if reader is None or arguments.goto:
        return (undecided(f"what the target {shown(target.name)} does is not known"),)
    return tuple(reader(target, version, entries))


def _reject(target: Section, version: int, _entries: Entries) -> Iterator[Statement]:
    default = "icmp-port-unreachable" if version == 4 else "icmp6-port-unreachable"
    name = next((option.value for option in target.options if option.name == "--reject-with"), default)
    yield reject(_REJECTS.get(name, name.replace("-", " ", 1)))


def _set(target: Section, _version: int, _entries: Entries) -> Iterator[Statement]:
    if any(option.name == "--map-mark" for option in target.options):
        yield SetField(Field.MARK, Unknown("the mark that a set of ipset holds"))
    else:
        yield NoEffect("SET")


def _mark(target: Section, _version: int, _entries: Entries) -> Iterator[Statement]:
    for option in target.options:
        change = _changes(option, _MARK)
        if change is None:
            raise UnreadableError(f"MARK has no option {shown(option.name)}")
        yield SetField(Field.MARK, change)


def _connmark(target: Section, _version: int, _entries: Entries) -> Iterator[Statement]:
    options = {option.name: option for option in target.options}
    masks = {name: masked(options[name].value)[0] for name in ("--nfmask", "--ctmask", "--mask") if name in options}
    of_packet = masks.get("--nfmask", masks.get("--mask", ALL_BITS))
    of_connection = masks.get("--ctmask", masks.get("--mask", ALL_BITS))
    shifted = any("shift" in name for name in options)
    if "--restore-mark" in options:
        found = _joined(_MARK, ALL_BITS ^ of_packet, Bitwise("&", _CT_MARK, Constant(of_connection)))
        yield SetField(Field.MARK, Unknown("a mark that is shifted") if shifted else found)
        return
    if "--save-mark" in options:
        found = _joined(_CT_MARK, ALL_BITS ^ of_connection, Bitwise("&", _MARK, Constant(of_packet)))
    else:
        changes = [change for change in (_changes(option, _CT_MARK) for option in target.options) if change]
        if len(changes) != 1:
            raise UnreadableError("CONNMARK does not say what to set")
        found = changes[0]
    yield SetField(Field.CT_MARK, Unknown("a mark that is shifted") if shifted else found)


def _changes(option: Option, mark: Expression) -> Expression | None:
    """The mark after one of the options that MARK and CONNMARK share, None for another option."""
    if option.name == "--set-xmark":
        value, mask = masked(option.value)
        return _joined(mark, ALL_BITS ^ mask, Constant(value))
    if option.name == "--set-mark":
        value, mask = masked(option.value)
        return _joined(mark, ALL_BITS ^ (mask | value), Constant(value))
    if option.name in ("--and-mark", "--or-mark", "--xor-mark"):
        return Bitwise(_OPERATORS[option.name], mark, Constant(number(option.value, ALL_BITS)))
    return None


_OPERATORS = {"--and-mark": "&", "--or-mark": "|", "--xor-mark": "^"}


def _joined(kept: Expression, mask: int, added: Expression) -> Expression:
    return Bitwise("^", Bitwise("&", kept, Constant(mask)), added) if mask else added


def _ct(target: Section, _version: int, _entries: Entries) -> Iterator[Statement]:
    for option in target.options:
        if option.name == "--notrack":
            yield Notrack()
        elif option.name == "--zone":
            zone = Unknown("the zone by mark") if option.value == "mark" else Constant(number(option.value, 0xFFFF))
            yield SetField(Field.CT_ZONE, zone)
        elif option.name in ("--zone-orig", "--zone-reply"):
            yield undecided("conntrack keeps the two directions of the connection apart")
    if not any(option.name == "--notrack" for option in target.options):
        yield Template()


def _translate(kind: Translation, option_name: str) -> Callable[[Section, int, Entries], Iterator[Statement]]:
    def read(target: Section, version: int, _entries: Entries) -> Iterator[Statement]:
        options = {option.name: option for option in target.options}
        if option_name not in options:
            raise UnreadableError(f"{target.name} does not say where to")
        address, port = _destination(options[option_name].value, version)
        yield Nat(
            kind,
            Constant(simplified(address_range(address, version))) if address else None,
            _port(port, kind, keeps="--random" not in options) if port else None,
        )

    return read


def _destination(text: str, version: int) -> tuple[str, str]:
    """Address and port of ``192.0.2.1:80``, ``[2001:db8::1]:80``, ``192.0.2.1-192.0.2.9``, ``:80``."""
    if text.startswith("["):
        address, _bracket, port = text[1:].partition("]")
        return address, port.removeprefix(":")
    if version == 6 and not text.startswith(":"):
        return text, ""
    if version == 6 and text.count(":") > 1:
        return text, ""
    address, _colon, port = text.partition(":")
    return address, port


def _port(text: str, kind: Translation, *, keeps: bool) -> Expression:
    ports, slash, base = text.partition("/")
    first, dash, last = ports.partition("-")
    low, high = number(first, 0xFFFF), number(last if dash else first, 0xFFFF)
    if low > high:
        raise UnreadableError(f"{shown(text)} is a range with its ends swapped")
    if low == high:
        return Constant(low)
    if kind is Translation.SNAT or kind is Translation.MASQUERADE:
        return Constant(RangeSet([(low, high)]))
    return PortWithin(low, high, number(base, 0xFFFF) if slash else None, keeps)


def _to_interface(kind: Translation) -> Callable[[Section, int, Entries], Iterator[Statement]]:
    def read(target: Section, _version: int, _entries: Entries) -> Iterator[Statement]:
        options = {option.name: option for option in target.options}
        ports = options.get("--to-ports")
        yield Nat(kind, None, _port(ports.value, kind, keeps="--random" not in options) if ports else None)

    return read


def _netmap(target: Section, version: int, entries: Entries) -> Iterator[Statement]:
    option = next((option for option in target.options if option.name == "--to"), None)
    if option is None:
        raise UnreadableError("NETMAP does not say where to")
    value, mask = network(option.value, version)
    others = Constant(((1 << 32 if version == 4 else 1 << 128) - 1) ^ mask)
    ways = entries()
    if ways <= {"PREROUTING", "OUTPUT"}:
        address = Bitwise("|", Bitwise("&", FieldValue(Field.DESTINATION), others), Constant(value))
        yield Nat(Translation.DNAT, address)
    elif ways <= {"POSTROUTING", "INPUT"}:
        address = Bitwise("|", Bitwise("&", FieldValue(Field.SOURCE), others), Constant(value))
        yield Nat(Translation.SNAT, address)
    else:
        yield undecided("NETMAP translates the source or the destination, by the built-in chain that it is met from")


def _always(statement: Statement) -> Callable[[Section, int, Entries], Iterator[Statement]]:
    return lambda _target, _version, _entries: iter((statement,))


_TARGETS: dict[str, Callable[[Section, int, Entries], Iterator[Statement]]] = {
    "ACCEPT": _always(ACCEPT),
    "DROP": _always(DROP),
    "RETURN": _always(BACK),
    "REJECT": _reject,
    # It holds the connection open and hands nothing to the service.
    "TARPIT": _always(DROP),
    "MARK": _mark,
    "CONNMARK": _connmark,
    "HMARK": _always(SetField(Field.MARK, Unknown("a mark by a hash"))),
    "SET": _set,
    "NOTRACK": _always(Notrack()),
    "CT": _ct,
    "DNAT": _translate(Translation.DNAT, "--to-destination"),
    "SNAT": _translate(Translation.SNAT, "--to-source"),
    "REDIRECT": _to_interface(Translation.REDIRECT),
    "MASQUERADE": _to_interface(Translation.MASQUERADE),
    "NETMAP": _netmap,
}
