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

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.records import Decision, Requirement
from ...module_utils._core.vocabulary import Protocol, VerdictStatus
from .._netfilter.model import Fate, Outcome, Packet, Step
from .._netfilter.neighbours import unfindable
from .._netfilter.simulator import walk
from .manager import BootPart
from .network import arrivals, interface_of
from .read import BOOT_LOADERS, WRAPPERS
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
    found: tuple[Judgement, ...] = ()
    for iif in _arrivals(snapshot, source, destination):
        packet = Packet(requirement.protocol.value, source, destination, requirement.port, iif)
        here = _lost_on_link(snapshot, packet) or tuple(
            _judged(snapshot, packet, outcome) for outcome in walk(snapshot.ruleset, packet, snapshot.view)
        )
        found = _combined(found, here) if found else here
    found = _told_of_filter(snapshot, destination, found)
    denials = _denials(snapshot, requirement)
    kept_out = [part for judgement in found for part in _behind_the_firewall(judgement, denials)]
    return tuple(part for judgement in kept_out for part in _after_reboot(snapshot, judgement))


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


def _arrivals(snapshot: Snapshot, source: AddressSet, destination: Address) -> tuple[str, ...]:
    if snapshot.view.other_tables:  # the main table is not the whole truth then: any interface may be the one
        return tuple(item.name for item in snapshot.view.interfaces if item.name != "lo" and item.addresses)
    return arrivals(snapshot.view, snapshot.sysctls, source, destination)


def _told_of_filter(snapshot: Snapshot, destination: Address, found: tuple[Judgement, ...]) -> tuple[Judgement, ...]:
    """The judgements; what is open by another interface than the destination's says what the kernel drops there."""
    holder = interface_of(snapshot.view, destination)
    arrived = {judgement.packet.iif for judgement in found if judgement.packet is not None}
    if snapshot.view.other_tables or not arrived or holder in arrived:
        return found
    note = f"; arriving by {', '.join(sorted(arrived))}: the strict reverse path filter drops what comes by {holder}"
    return tuple(
        replace(judgement, reason=judgement.reason + note) if judgement.status is VerdictStatus.OPEN else judgement
        for judgement in found
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
            found += unit_denials(name, unit.allow, unit.deny)
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
    parts = []
    for mine in first:
        for other in second:
            common = mine.source & other.source
            if not common:
                continue
            if mine.status is other.status:
                parts.append(replace(mine, source=common))
                continue
            parts.append(
                Judgement(
                    common,
                    VerdictStatus.UNKNOWN,
                    "it depends on the interface of arrival: "
                    f"by {_iif(mine)} it is {mine.status.value} ({mine.reason}), "
                    f"by {_iif(other)} {other.status.value} ({other.reason})",
                    (*mine.decided_by[-1:], *other.decided_by[-1:]),
                )
            )
    return tuple(parts)


def _iif(judgement: Judgement) -> str:
    return judgement.packet.iif if judgement.packet else "another"


def _after_reboot(snapshot: Snapshot, judgement: Judgement) -> tuple[Judgement, ...]:
    if judgement.packet is None:
        return (judgement,)
    packet = replace(judgement.packet, source=judgement.source)
    parts = []
    for boot in boot_parts(snapshot, packet):
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
        parts.append(
            replace(judgement, source=boot.source, persistent=persistent, reason=reason, boot=boot, packet=packet)
        )
    return tuple(parts)


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
