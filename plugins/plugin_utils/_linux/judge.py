# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Linux host does with one requirement's packets from one source: now (the kernel's rules) and after a
reboot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from ...module_utils._core.addressset import Address, AddressSet, overlaps
from ...module_utils._core.records import Decision, Requirement
from ...module_utils._core.vocabulary import Protocol, VerdictStatus
from .._netfilter.model import Fate, Outcome, Packet, Step
from .._netfilter.neighbours import unfindable
from .._netfilter.simulator import walk
from .manager import BootPart
from .network import arrivals, interface_of, strict_filter, ways_back
from .read import BOOT_LOADERS, CONTAINER, WRAPPERS
from .service_acl import PROGRAMS_OF, UNITS_OF, Denial, unit_denials, wrapper_denials
from .snapshot import Snapshot

_STATUS_OF = {
    Fate.PASSES: VerdictStatus.OPEN,
    Fate.DROPPED: VerdictStatus.BLOCKED,
    Fate.REJECTED: VerdictStatus.BLOCKED,
    Fate.UNDECIDED: VerdictStatus.UNKNOWN,
}
_VERB_OF = {
    Fate.PASSES: "let in by",
    Fate.DROPPED: "dropped by",
    Fate.REJECTED: "rejected by",
    Fate.UNDECIDED: "cannot be decided because of",
}
_WHAT = {
    "arrival": "",
    "answer": "the answer is ",
    "established": "the connection begins, and its next packets are ",
}
_ECHO_SWITCH = {4: "net.ipv4.icmp_echo_ignore_all", 6: "net.ipv6.icmp.echo_ignore_all"}
_OWNERS = (
    ("DOCKER", "docker"),
    ("f2b-", "fail2ban"),
    ("LIBVIRT", "libvirt"),
    ("KUBE-", "kubernetes"),
    ("cali-", "calico"),
)


@dataclass(frozen=True)
class Judgement:
    """What happens to one part of a source. ``outcome`` and ``packet`` are there where the kernel's rules were
    walked.
    """

    source: AddressSet
    status: VerdictStatus
    reason: str
    decided_by: tuple[Decision, ...] = ()
    persistent: bool | None = None
    boot: BootPart | None = None
    packet: Packet | None = None
    outcome: Outcome | None = None


def judge(
    snapshot: Snapshot, requirement: Requirement, source: AddressSet, destination: Address
) -> tuple[Judgement, ...]:
    """The judgements of the parts of ``source`` (addresses of the destination's family) that are treated alike.

    They are kept with the snapshot: a plan asks again what the verdicts were made of.
    """
    asked = (requirement, source, destination)
    found: tuple[Judgement, ...] | None = snapshot.judged.get(asked)
    if found is None:
        found = snapshot.judged[asked] = _judge(snapshot, requirement, source, destination)
    return found


def _judge(
    snapshot: Snapshot, requirement: Requirement, source: AddressSet, destination: Address
) -> tuple[Judgement, ...]:
    hindrance = _hindrance(snapshot, requirement, source, destination)
    if hindrance is not None:
        return (hindrance,)
    packet = Packet(requirement.protocol.value, source, destination, requirement.port, "")
    found = tuple(judgement for arriving in _arriving(snapshot, packet) for judgement in arriving)
    denials = _denials(snapshot, requirement)
    kept_out = [part for judgement in found for part in _behind_the_firewall(judgement, denials)]
    return tuple(_after_reboot(snapshot, kept_out, source))


def _hindrance(
    snapshot: Snapshot, requirement: Requirement, source: AddressSet, destination: Address
) -> Judgement | None:
    """What settles the matter before any rule is looked at."""
    if snapshot.problem is not None:
        return Judgement(source, VerdictStatus.UNKNOWN, snapshot.problem)
    if requirement.protocol in (Protocol.SERVICE, Protocol.RPC):
        return Judgement(
            source,
            VerdictStatus.UNKNOWN,
            f"{requirement.protocol.value} is a matter of Windows; no Linux firewall shows it",
        )
    if interface_of(snapshot.view, destination) is None:
        return Judgement(
            source,
            VerdictStatus.UNKNOWN,
            f"{destination} is not an address of this host (an address translated in front of it?); "
            "set audit_ports_address to the address that packets have when they arrive",
        )
    switch = _ECHO_SWITCH[destination.version]
    if requirement.protocol is Protocol.ICMP and snapshot.sysctls.get(switch) == "1":
        decision = Decision("sysctl", switch, f"{switch} = 1")
        return Judgement(
            source, VerdictStatus.BLOCKED, f"the kernel ignores echo requests: {decision.text}", (decision,)
        )
    return None


def _arriving(snapshot: Snapshot, packet: Packet) -> Iterator[tuple[Judgement, ...]]:
    """The judgements of each part of a packet's sources that has a way back of its own, over all its ways in."""
    view, version = snapshot.view, packet.destination.version
    # With policy routing the main table is not the whole truth: any interface may be the one.
    anywhere = tuple(item.name for item in view.interfaces if item.name != "lo" and item.addresses)
    parts = ((packet.source, anywhere),) if view.other_tables else ways_back(view, packet.source, version)
    for part, back in parts:
        ways_in = anywhere if view.other_tables else arrivals(view, back, packet.destination)
        packets = [replace(packet, source=part, iif=iif) for iif in ways_in]
        dropped = [_dropped_by_filter(snapshot, arriving, back) for arriving in packets]
        found: tuple[Judgement, ...] = ()
        for arriving, lost in sorted(zip(packets, dropped, strict=True), key=lambda way: way[1] is not None):
            here = (lost,) if lost else _walked(snapshot, arriving)
            found = _combined(found, here) if found else here
        yield found


def _dropped_by_filter(snapshot: Snapshot, packet: Packet, back: Sequence[str]) -> Judgement | None:
    """The judgement of a packet that the strict reverse path filter drops: answers leave by ``back``."""
    filtered = strict_filter(snapshot.sysctls, packet.iif) if packet.destination.version == 4 else None
    if filtered is None or not back or packet.iif in back:
        return None
    decision = Decision("sysctl", filtered, f"{filtered} = 1")
    reason = f"the strict reverse path filter drops it, as answers leave by {' or '.join(back)}: {decision.text}"
    return Judgement(packet.source, VerdictStatus.BLOCKED, reason, (decision,), packet=packet)


def _walked(snapshot: Snapshot, packet: Packet) -> tuple[Judgement, ...]:
    return _lost_on_link(snapshot, packet) or tuple(
        _judged(snapshot, packet, outcome) for outcome in walk(snapshot.ruleset, packet, snapshot.view)
    )


def _lost_on_link(snapshot: Snapshot, packet: Packet) -> tuple[Judgement, ...]:
    """What drops the neighbours' search for the host, so that no packet of IPv6 ever gets to it."""
    if not isinstance(packet.destination, IPv6Address) or packet.iif in ("", "lo"):
        return ()
    outcome = unfindable(snapshot.ruleset, snapshot.view, packet.destination, packet.iif)
    if outcome is None:
        return ()
    decisions = tuple(decision_of(snapshot, step) for step in outcome.decided_by)
    by = f" by {decisions[-1].text}" if decisions else ""
    reason = f"nobody on the link finds the host: ICMPv6 neighbour solicitations are dropped{by}"
    return (Judgement(packet.source, VerdictStatus.BLOCKED, reason, decisions, packet=packet),)


def _judged(snapshot: Snapshot, packet: Packet, outcome: Outcome) -> Judgement:
    decisions = tuple(decision_of(snapshot, step) for step in outcome.decided_by)
    return Judgement(
        source=outcome.source,
        status=_STATUS_OF[outcome.fate],
        reason=_reason(outcome, decisions),
        decided_by=decisions,
        packet=replace(packet, source=outcome.source),
        outcome=outcome,
    )


def told(snapshot: Snapshot, outcome: Outcome) -> str:
    """The end of a sentence that says what becomes of a packet, and by whom."""
    return _reason(outcome, tuple(decision_of(snapshot, step) for step in outcome.decided_by))


def _reason(outcome: Outcome, decisions: Sequence[Decision]) -> str:
    if outcome.fate is Fate.UNDECIDED or not decisions:
        return outcome.reason
    return f"{_WHAT[outcome.stage]}{_VERB_OF[outcome.fate]} {decisions[-1].text}"


def decision_of(snapshot: Snapshot, step: Step) -> Decision:
    """A step in the words of the manager that owns it, else as the kernel's rule, with the name of its known owner."""
    if not step.chain:
        return Decision("netfilter", "", step.text)
    for manager in snapshot.managers.values():
        words = manager.words(step)
        if words is not None:
            return words
    kind = next((owner for prefix, owner in _OWNERS if step.chain.startswith(prefix)), "netfilter")
    place = f"{step.family} {step.table} {step.chain}"
    where = f"{place} handle {step.handle}" if step.handle is not None else f"{place} rule {step.position}"
    what = f"the policy of chain {place}" if step.kind == "policy" else f"rule {step.position} of chain {place}"
    remark = f' comment "{step.comment}"' if step.comment and step.comment not in step.text else ""
    return Decision(kind, where, f"{what}: {step.text}{remark}")


def _denials(snapshot: Snapshot, requirement: Requirement) -> list[Denial]:
    """What the service of a requirement does not answer, whatever the firewall lets in."""
    service = requirement.service
    found: list[Denial] = []
    for name in UNITS_OF.get(service, ()):
        unit = snapshot.units.get(name)
        if unit is not None and unit.running:
            found += unit_denials(name, unit.allow, unit.deny, contained=CONTAINER in snapshot.files)
    for program in PROGRAMS_OF.get(service, ()):
        if program in snapshot.wrapped:
            found += wrapper_denials(program, *(snapshot.files.get(path, "") for path in WRAPPERS))
    return found


def _behind_the_firewall(judgement: Judgement, denials: Sequence[Denial]) -> Iterator[Judgement]:
    """The judgement, with the parts of its source that are let in and that the service then does not answer."""
    left = judgement.source
    for denial in denials if judgement.status is VerdictStatus.OPEN else ():
        part = left & denial.sources
        if part:
            verb = (
                "let in, and then kept out by"
                if denial.status is VerdictStatus.BLOCKED
                else "let in, but it depends on"
            )
            reason = f"{verb} {denial.decision.text}"
            yield Judgement(part, denial.status, reason, (denial.decision,))
            left = left - part
    if left:
        yield replace(judgement, source=left)


def _combined(first: tuple[Judgement, ...], second: tuple[Judgement, ...]) -> tuple[Judgement, ...]:
    """Two possible arrivals: what they agree on stays, where they differ it depends on the interface, which nobody
    knows.
    """
    sides = [judgement.source for judgement in first], [judgement.source for judgement in second]
    return tuple(_either(first[mine], second[other], common) for mine, other, common in overlaps(*sides))


def _either(mine: Judgement, other: Judgement, common: AddressSet) -> Judgement:
    if mine.status is other.status:
        return replace(mine, source=common)
    return Judgement(
        common,
        VerdictStatus.UNKNOWN,
        "it depends on the interface of arrival: "
        f"by {_iif(mine)} it is {mine.status.value} ({mine.reason}), "
        f"by {_iif(other)} {other.status.value} ({other.reason})",
        (*mine.decided_by[-1:], *other.decided_by[-1:]),
    )


def _iif(judgement: Judgement) -> str:
    return judgement.packet.iif if judgement.packet else "another"


def _after_reboot(snapshot: Snapshot, judgements: Sequence[Judgement], source: AddressSet) -> Iterator[Judgement]:
    """The judgements of the parts of a source, parted further by what is done with them after a reboot."""
    yield from (judgement for judgement in judgements if judgement.packet is None)
    by_arrival: dict[str, list[tuple[Judgement, Packet]]] = {}
    for judgement in judgements:
        if judgement.packet is not None:
            by_arrival.setdefault(judgement.packet.iif, []).append((judgement, judgement.packet))
    for walked in by_arrival.values():
        boots = boot_parts(snapshot, replace(walked[0][1], source=source))
        sides = [judgement.source for judgement, _packet in walked], [boot.source for boot in boots]
        for number, other, common in overlaps(*sides):
            judgement, packet = walked[number]
            boot = replace(boots[other], source=common)
            yield _with_boot(snapshot, judgement, replace(packet, source=common), boot)


def _with_boot(snapshot: Snapshot, judgement: Judgement, packet: Packet, boot: BootPart) -> Judgement:
    if judgement.outcome is None and boot.status is VerdictStatus.OPEN and boot.decided_by.kind != "boot":
        # Lost on the link now; whether the neighbours will find the host then is not judged.
        boot = replace(boot, status=VerdictStatus.UNKNOWN)
    known = VerdictStatus.UNKNOWN not in (boot.status, judgement.status)
    persistent = (boot.status is judgement.status) if known else None
    reason = judgement.reason
    if judgement.status is not VerdictStatus.UNKNOWN and (
        persistent is False or (persistent is None and snapshot.units)
    ):
        reason = f"{reason}; after a reboot: {boot.decided_by.text}"
    return replace(judgement, source=boot.source, persistent=persistent, reason=reason, boot=boot, packet=packet)


def boot_parts(snapshot: Snapshot, packet: Packet) -> tuple[BootPart, ...]:
    """What will be done with the packet after a reboot, by all that loads rules then."""
    loaders = [unit for unit in BOOT_LOADERS if snapshot.enabled(unit)]
    if loaders:
        names = " and ".join(f"{unit}.service" for unit in loaders)
        return (
            _boot(
                packet, VerdictStatus.UNKNOWN, "boot", names, f"{names} loads rules at boot that are not judged here"
            ),
        )
    if not snapshot.units:
        return (
            _boot(
                packet,
                VerdictStatus.UNKNOWN,
                "boot",
                "init",
                "systemd does not answer, so what loads rules at boot is not known",
            ),
        )
    if snapshot.enabled("firewalld") and snapshot.firewalld_state == "FAILED":
        text = "firewalld could not load its configuration (state FAILED), so what it loads then is not known"
        return (_boot(packet, VerdictStatus.UNKNOWN, "firewalld", "state", text),)
    parts: tuple[BootPart, ...] = (_boot(packet, VerdictStatus.OPEN, "boot", "none", "nothing loads rules at boot"),)
    for name, manager in snapshot.managers.items():
        if snapshot.enabled(name):
            parts = _both(parts, manager.boot(packet))
    return parts


def _boot(packet: Packet, status: VerdictStatus, kind: str, name: str, text: str) -> BootPart:
    return BootPart(packet.source, status, Decision(kind, name, text))


_SEVERITY = (VerdictStatus.OPEN, VerdictStatus.UNKNOWN, VerdictStatus.BLOCKED)


def _both(first: tuple[BootPart, ...], second: tuple[BootPart, ...]) -> tuple[BootPart, ...]:
    """Two managers loaded at boot: a packet passes only what both let pass."""
    return tuple(
        replace(max(other, mine, key=lambda part: _SEVERITY.index(part.status)), source=mine.source & other.source)
        for mine in first
        for other in second
        if mine.source & other.source
    )
