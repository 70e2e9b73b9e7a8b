# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements of rules: verdicts, and what changes a packet or its connection on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from ...module_utils._core.ranges import RangeSet
from .expressions import Expression
from .flow import ABSENT, Field, Flow, Value, changed, simplified
from .translation import Translation, translate


class Verb(Enum):
    """What a verdict does."""

    ACCEPT = "accept"  # ends this base chain; later chains on the hook still see the packet
    DROP = "drop"
    REJECT = "reject"
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    NEXT_RULE = "next rule"  # the rule does not apply after all, as when a map has no element for the packet
    UNDECIDED = "undecided"  # ends the walk: somebody outside the rules decides


@dataclass(frozen=True)
class Verdict:
    """A verdict; ``target`` is the chain of JUMP and GOTO, the kind of REJECT, the reason of UNDECIDED."""

    verb: Verb
    target: str = ""

    def apply(self, flow: Flow) -> Effects:
        """See Statement."""
        return ((flow, self),)


class Statement(Protocol):
    """Something that a rule does once its matches are true."""

    def apply(self, flow: Flow) -> Effects:
        """The flow afterwards, split into parts where that differs, with a verdict or None to go on in the rule."""


Effects = Sequence[tuple[Flow, Verdict | None]]

ACCEPT = Verdict(Verb.ACCEPT)
DROP = Verdict(Verb.DROP)
BACK = Verdict(Verb.RETURN)
NEXT_RULE = Verdict(Verb.NEXT_RULE)


def reject(kind: str) -> Verdict:
    """A reject; ``kind`` names the answer: ``tcp reset``, ``icmp port-unreachable``."""
    return Verdict(Verb.REJECT, kind)


def jump(chain: str) -> Verdict:
    """Go through another chain of the same table and come back."""
    return Verdict(Verb.JUMP, chain)


def goto(chain: str) -> Verdict:
    """Go through another chain of the same table and not come back to this one."""
    return Verdict(Verb.GOTO, chain)


def undecided(reason: str) -> Verdict:
    """The packet's fate lies with somebody else: a queue's program, a proxy. ``reason`` is a sentence."""
    return Verdict(Verb.UNDECIDED, reason)


@dataclass(frozen=True)
class NoEffect:
    """A statement that changes nothing for the packet's way: counter, log, comment. ``name`` says which."""

    name: str
    without_effect: ClassVar[bool] = True

    def apply(self, flow: Flow) -> Effects:
        """See Statement."""
        return ((flow, None),)


@dataclass(frozen=True)
class Notrack:
    """Keep conntrack from looking at the packet.

    Without effect once it has, or once a connection is prepared for it (linux: nft_notrack_eval, xt_CT).
    """

    def apply(self, flow: Flow) -> Effects:
        """See Statement."""
        keeps = flow.tracking == "none" and not flow.template
        return ((changed(flow, tracking="untracked") if keeps else flow, None),)


@dataclass(frozen=True)
class Template:
    """Prepare a connection for conntrack's hook, as xt_CT does; rules before the hook then see a new one."""

    def apply(self, flow: Flow) -> Effects:
        """See Statement."""
        return ((changed(flow, template=True) if flow.tracking == "none" else flow, None),)


_SETTABLE = {
    Field.MARK: "mark",
    Field.CT_MARK: "ct_mark",
    Field.CT_ZONE: "ct_zone",
    Field.PACKET_TYPE: "packet_type",
}
_OF_CONNECTION = {Field.CT_MARK}


@dataclass(frozen=True)
class SetField:
    """Write MARK, CT_MARK, CT_ZONE or PACKET_TYPE. A connection's fields are only written where there is one.

    A value that is ABSENT ends the rule, as nft does where an expression has no value.
    """

    field: Field
    value: Expression

    def apply(self, flow: Flow) -> Effects:
        """See Statement."""
        return tuple(self._set(part, value) for part, value in self.value.evaluate(flow))

    def _set(self, flow: Flow, value: Value) -> tuple[Flow, Verdict | None]:
        if value == ABSENT:
            return flow, NEXT_RULE
        if self.field in _OF_CONNECTION and flow.tracking != "tracked":
            return flow, None
        if self.field is Field.CT_ZONE:
            if flow.template or flow.tracking == "tracked":  # of the first that is set (nft_ct_set_zone_eval)
                return flow, None
            flow = changed(flow, template=flow.tracking == "none")
        if isinstance(value, RangeSet):
            value = simplified(value)
        return _written(flow, self.field, value), None


def _written(flow: Flow, field: Field, value: Value) -> Flow:
    if field is Field.MARK:
        return changed(flow, mark=value)
    if field is Field.CT_MARK:
        return changed(flow, ct_mark=value)
    if field is Field.CT_ZONE:
        return changed(flow, ct_zone=value)
    return changed(flow, packet_type=value)


@dataclass(frozen=True)
class Nat:
    """Translate the connection's addresses: ``address`` and ``port`` as far as the rule names them. Ends the chain.

    A value that is a RangeSet is one of these. REDIRECT goes to the address of the arrival interface, MASQUERADE
    comes from the one of the interface by which the packet leaves; neither has an ``address``.
    """

    kind: Translation
    address: Expression | None = None
    port: Expression | None = None

    def apply(self, flow: Flow) -> Effects:
        """See Statement."""
        parts: list[tuple[Flow, Value, Value]] = [
            (part, address, None)
            for part, address in (self.address.evaluate(flow) if self.address else ((flow, None),))
        ]
        if self.port:
            parts = [(last, address, port) for part, address, _none in parts for last, port in self.port.evaluate(part)]
        return tuple(self._translate(part, address, port) for part, address, port in parts)

    def _translate(self, flow: Flow, address: Value, port: Value) -> tuple[Flow, Verdict | None]:
        if ABSENT in (address, port):
            return flow, NEXT_RULE
        return translate(flow, self.kind, (address,) if self.address else None, (port,) if self.port else None), ACCEPT
