# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of a Windows host: what its effective policy does with each requirement's packets, in each active profile.

Requirements that are no single port are put together here: named pipes work over 445 or 139 where the server service
runs; RPC needs the endpoint mapper and the ports that it hands out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.catalog import REMOTING_ID
from ...module_utils._core.portset import PortSet
from ...module_utils._core.records import Decision, Requirement, Verdict
from ...module_utils._core.vocabulary import ListenerHome, Protocol, VerdictStatus
from .._platform.interface import Request
from .._platform.verdicts import verdicts_of
from .effects import Scene
from .judge import Piece, judge_profile
from .listeners import ICMP, KERNEL_PID, KNOWN, OLDER, TCP, UDP, WMI, Program, program_at, services_of
from .snapshot import Snapshot
from .traffic import Claim, Traffic, claims_on
from .words import Profile

_NUMBERS = {Protocol.TCP: TCP, Protocol.UDP: UDP, Protocol.ICMP: ICMP}
_WORDS = {number: protocol.value for protocol, number in _NUMBERS.items()}
_KERNEL = Program("system")
_EVERY = (Profile.DOMAIN, Profile.PRIVATE, Profile.PUBLIC)
# The services without which nobody answers, by the kind of requirement.
_NEEDED_SERVICES = {Protocol.SERVICE: ("lanmanserver",), Protocol.RPC: ("rpcss", "winmgmt")}
_SERVICE_NAMES = {
    "lanmanserver": "LanmanServer",
    "rpcss": "RpcSs",
    "winmgmt": "Winmgmt",
    "mpssvc": "MpsSvc",
    "bfe": "BFE",
}
_FIREWALL_SERVICES = ("mpssvc", "bfe")


@dataclass(frozen=True)
class Judgement:
    """What happens to one part of a source. ``profiles`` holds what each of the judged profiles says of it."""

    source: AddressSet
    status: VerdictStatus
    reason: str
    decided_by: tuple[Decision, ...] = ()
    persistent: bool | None = None
    profiles: tuple[tuple[Profile, Piece], ...] = field(default=(), compare=False)


class Evaluation:
    """One snapshot, judged; what rules say about a kind of traffic is worked out once for all evaluations of it."""

    def __init__(self, snapshot: Snapshot, profiles: Sequence[Profile] | None = None) -> None:
        self.snapshot = snapshot
        self.known = profiles is not None or snapshot.active is not None
        self.profiles = tuple(profiles or snapshot.active or _EVERY)

    def judge(self, requirement: Requirement, source: AddressSet, destination: Address) -> tuple[Judgement, ...]:
        """The judgements of the parts of ``source`` (of the destination's family) that are treated alike."""
        hindrance = self._hindrance(source)
        if hindrance is not None:
            return (hindrance,)
        found = self._through(requirement, source, destination)
        found = tuple(self._secured(item, requirement, destination) for item in found)
        return tuple(self._served(item, requirement) for item in found)

    def _hindrance(self, source: AddressSet) -> Judgement | None:
        """What makes the policy meaningless, before it is looked at."""
        snapshot = self.snapshot
        if snapshot.third_party is not None:
            decision = Decision("third_party_firewall", snapshot.third_party, f"firewall: {snapshot.third_party}")
            reason = f"another firewall is in charge, Windows' rules do not decide: {snapshot.third_party}"
            return Judgement(source, VerdictStatus.UNKNOWN, reason, (decision,))
        for name in _FIREWALL_SERVICES:
            runs = snapshot.runs(name)
            if runs is not True:
                state = "is not known to run" if runs is None else "does not run"
                decision = Decision("service", _SERVICE_NAMES[name], f"the service {_SERVICE_NAMES[name]} {state}")
                reason = f"{decision.text}; what filters then is not known (Microsoft does not support that)"
                return Judgement(source, VerdictStatus.UNKNOWN, reason, (decision,))
        return None

    def _through(self, requirement: Requirement, source: AddressSet, destination: Address) -> tuple[Judgement, ...]:
        if requirement.protocol is Protocol.SERVICE:
            return _combined(
                self.door(TCP, 445, source, destination), self.door(TCP, 139, source, destination), _either
            )
        if requirement.protocol is Protocol.RPC:
            return _combined(
                self.door(TCP, 135, source, destination), self.door(TCP, None, source, destination), _both
            )
        return self.door(_NUMBERS[requirement.protocol], requirement.port, source, destination)

    def door(
        self, protocol: int, port: int | None, source: AddressSet, destination: Address
    ) -> tuple[Judgement, ...]:
        """The judgements of one port, of the echo request, or (TCP without a port) of WMI's dynamic port."""
        traffic, claims = self._claims_on(protocol, port)
        policy = self.snapshot.policy
        # Of what nothing is said, the settings alone decide: alike for every port.
        said = (protocol, port) if claims or policy.legacy else None
        asked = (said, source, destination, self.profiles, self.known)
        known: tuple[Judgement, ...] | None = self.snapshot.judged.get(asked)
        if known is None:
            scene = Scene(policy, self.snapshot.network, traffic, claims, source, destination)
            known = self.snapshot.judged[asked] = self._door(scene)
        return known

    def _door(self, scene: Scene) -> tuple[Judgement, ...]:
        found: tuple[Judgement, ...] = ()
        for profile in self.profiles:
            here = tuple(self._of_profile(piece, profile) for piece in judge_profile(scene, profile))
            found = _combined(found, here, self._agreed) if found else here
        return found

    def _claims_on(self, protocol: int, port: int | None) -> tuple[Traffic, tuple[Claim, ...]]:
        known = self.snapshot.claims.get((protocol, port))
        if known is None:
            traffic = traffic_of(self.snapshot, protocol, port)
            known = traffic, tuple(claims_on(self.snapshot.policy, traffic))
            self.snapshot.claims[protocol, port] = known
        return known

    def _of_profile(self, piece: Piece, profile: Profile) -> Judgement:
        lasts = True if self.snapshot.filters_at_boot and piece.status is not VerdictStatus.UNKNOWN else None
        return Judgement(piece.source, piece.status, piece.reason, piece.decided_by, lasts, ((profile, piece),))

    def _agreed(self, first: Judgement, second: Judgement) -> Judgement:
        """Two profiles that both have to let in: nobody knows which one the destination's network is of."""
        why = "" if self.known else "which profile is active is not known; "
        if first.status is second.status:
            same = first.reason == second.reason
            reason = first.reason if same else f"{_by_profile(first)}; {_by_profile(second)}"
            return _joined(first, second, first.status, reason)
        unsure = VerdictStatus.UNKNOWN in (first.status, second.status)
        status = VerdictStatus.UNKNOWN if unsure else VerdictStatus.PARTIAL
        return _joined(first, second, status, f"{why}{_by_profile(first)}; {_by_profile(second)}")

    def _secured(self, judgement: Judgement, requirement: Requirement, destination: Address) -> Judgement:
        """What lets in clear text is open only where no rule asks for IPsec."""
        if judgement.status not in (VerdictStatus.OPEN, VerdictStatus.PARTIAL):
            return judgement
        demand = self._demand(judgement.source, requirement, destination)
        if demand is None:
            return judgement
        reason = f"IPsec may be asked for, and then clear text is dropped: {demand.text}; else: {judgement.reason}"
        return replace(
            judgement,
            status=VerdictStatus.UNKNOWN,
            reason=reason,
            persistent=None,
            decided_by=(demand, *judgement.decided_by),
        )

    def _demand(self, source: AddressSet, requirement: Requirement, destination: Address) -> Decision | None:
        policy = self.snapshot.policy
        if policy.ipsec is not None:
            return Decision("ipsec_policy", policy.ipsec, f"IPsec policy {policy.ipsec}")
        number = _NUMBERS.get(requirement.protocol, TCP)
        here = AddressSet.of(destination) if int(destination) else AddressSet.any(destination.version)
        for store, rule in policy.security_rules:
            for profile in self.profiles:
                settings = policy.settings[profile]
                is_void = store.value == "local" and not settings.local_security_rules.value
                if not is_void and rule.may_cover(profile, number, source, here):
                    name = f' "{rule.name}"' if rule.name else ""
                    return Decision("connection_security", rule.id, f"connection security rule {rule.id}{name}")
        return None

    def _served(self, judgement: Judgement, requirement: Requirement) -> Judgement:
        """A service behind the port that does not run answers nobody, whatever the firewall lets in."""
        for name in _NEEDED_SERVICES.get(requirement.protocol, ()):
            runs = self.snapshot.runs(name)
            if judgement.status is VerdictStatus.OPEN and runs is not True:
                known = runs is False
                state = "does not run" if known else "is not known to run"
                decision = Decision("service_acl", _SERVICE_NAMES[name], f"the service {_SERVICE_NAMES[name]} {state}")
                status = VerdictStatus.BLOCKED if known else VerdictStatus.UNKNOWN
                return replace(judgement, status=status, reason=f"let in, but {decision.text}", decided_by=(decision,))
        if requirement.protocol is Protocol.SERVICE and self.snapshot.pipes:
            told = ", ".join(f"{name} = {value}" for name, value in self.snapshot.pipes.items())
            return replace(judgement, reason=f"{judgement.reason}; restrictions of pipes: {told}")
        return judgement

    def listener(self, requirement: Requirement, destinations: Sequence[Address]) -> tuple[bool | None, str | None]:
        """Whether something accepts at every destination, and what; ``None`` where the host could not tell."""
        snapshot = self.snapshot
        if requirement.protocol is Protocol.ICMP:
            return True, "the kernel"
        if requirement.protocol in _NEEDED_SERVICES:
            if snapshot.services is None:
                return None, None
            found = {name: snapshot.services.get(name) for name in _NEEDED_SERVICES[requirement.protocol]}
            names = " and ".join(_SERVICE_NAMES[name] for name in found)
            states = [None if service is None else service.running for service in found.values()]
            return (None if None in states else all(states)), f"the service{'s' if len(found) > 1 else ''} {names}"
        if requirement.port is None or snapshot.listeners is None:
            return None, None
        return self._socket(requirement, destinations)

    def _socket(self, requirement: Requirement, destinations: Sequence[Address]) -> tuple[bool, str | None]:
        wire, port = requirement.protocol.value, requirement.port or 0
        sockets = self.snapshot.listeners or ()
        found = [next((item for item in sockets if item.accepts(wire, to, port)), None) for to in destinations]
        if not all(found):
            return False, self._missing(requirement)
        services = self.snapshot.services or {}
        pids = dict.fromkeys(item.pid for item in found if item is not None)
        kernel = {KERNEL_PID: "the kernel"}
        names = [", ".join(services_of(services, pid)) or kernel.get(pid, f"process {pid}") for pid in pids]
        winrm = services.get("winrm")
        if requirement.id == REMOTING_ID and winrm is not None and winrm.running is False:
            return False, "the service WinRM does not run"
        return True, "; ".join(names)

    def _missing(self, requirement: Requirement) -> str | None:
        if requirement.id != REMOTING_ID:
            return None
        why = [] if is_set_up(self.snapshot) is not False else ["the host is not set up for PowerShell remoting"]
        others = [f"{item.transport} at {item.port}" for item in self.snapshot.remoting.listeners]
        return "; ".join([*why, *(f"WinRM is configured to listen on {other}" for other in others)]) or None


def is_set_up(snapshot: Snapshot) -> bool | None:
    """Whether the host is set up for PowerShell remoting, whatever its firewall says: service, listener, policy."""
    if snapshot.services is None:
        return None
    winrm = snapshot.services.get("winrm")
    if winrm is None or winrm.running is not True:
        return False if winrm is None or winrm.running is False else None
    bound = any(item.protocol == "tcp" and item.port == 5985 for item in snapshot.listeners or ())
    if snapshot.remoting.by_policy is False:
        # Then WinRM answers nobody, the policy's own text says; a socket that is there may be a witness against it.
        return None if bound else False
    return bound or snapshot.remoting.listens("http")


def traffic_of(snapshot: Snapshot, protocol: int, port: int | None) -> Traffic:
    """The traffic of one port, of the echo request, or (TCP without a port) of the ports that RPC hands out to WMI."""
    if protocol == ICMP:
        return Traffic(ICMP, PortSet(), _KERNEL)
    if port is None:
        return Traffic(protocol, snapshot.dynamic, WMI, by_rpc=True, dynamic=snapshot.dynamic)
    word = _WORDS[protocol]
    program = KNOWN.get((protocol, port)) or program_at(snapshot.listeners, snapshot.services or {}, word, port)
    last, before = OLDER.get((protocol, port), ((0, 0), None))
    if before is not None and snapshot.policy.version is not None and snapshot.policy.version <= last:
        program = before
    return Traffic(protocol, PortSet([(port, port)]), program, dynamic=snapshot.dynamic, port=port)


Combine = Callable[[Judgement, Judgement], Judgement]


def _combined(first: tuple[Judgement, ...], second: tuple[Judgement, ...], how: Combine) -> tuple[Judgement, ...]:
    """Two partitions of one source, laid over each other."""
    parts = []
    for mine in first:
        for other in second:
            common = mine.source if mine.source == other.source else mine.source & other.source
            if common:
                parts.append(replace(how(mine, other), source=common))
    return tuple(parts)


def _joined(first: Judgement, second: Judgement, status: VerdictStatus, reason: str) -> Judgement:
    lasts = True if first.persistent and second.persistent and status is not VerdictStatus.UNKNOWN else None
    decided = tuple(dict.fromkeys((*first.decided_by, *second.decided_by)))
    return Judgement(first.source, status, reason, decided, lasts, (*first.profiles, *second.profiles))


def _by_profile(judgement: Judgement) -> str:
    names = " and ".join(dict.fromkeys(profile.value for profile, _piece in judgement.profiles))
    if len(judgement.profiles) > 1 and "profile: " in judgement.reason:
        return judgement.reason
    return f"{judgement.status.value} in the {names} profile: {judgement.reason}"


_BEST_FIRST = (VerdictStatus.OPEN, VerdictStatus.PARTIAL, VerdictStatus.UNKNOWN, VerdictStatus.BLOCKED)


def _either(first: Judgement, second: Judgement) -> Judgement:
    """The better of two doors, of which one is enough."""
    return min(first, second, key=lambda item: _BEST_FIRST.index(item.status))


def _both(first: Judgement, second: Judgement) -> Judgement:
    """Two doors that are both needed."""
    statuses = {first.status, second.status}
    if len(statuses) == 1:
        return _joined(first, second, first.status, f"endpoint mapper: {first.reason}; dynamic ports: {second.reason}")
    worst = max(first, second, key=lambda item: _BEST_FIRST.index(item.status))
    which = "endpoint mapper" if worst is first else "dynamic ports"
    return replace(worst, reason=f"{which}: {worst.reason}", profiles=(*first.profiles, *second.profiles))


def evaluate(
    snapshot: Snapshot, request: Request, profiles: Sequence[Profile] | None = None
) -> tuple[Verdict, ...]:
    """A verdict for each requirement of the request, in its order; ``profiles`` are judged in place of the active
    ones.
    """
    evaluation = Evaluation(snapshot, profiles)
    told = with_roles(snapshot, request)
    return verdicts_of(
        told, evaluation.judge, lambda requirement, _judged: evaluation.listener(requirement, request.destinations)
    )


def with_roles(snapshot: Snapshot, request: Request) -> Request:
    """The request, with what the host itself tells of being a domain controller where the inventory did not."""
    controller = snapshot.is_domain_controller
    if controller is None:
        return request
    homes = {row.id: row for row in request.requirements if row.listener_home is ListenerHome.DOMAIN_CONTROLLER}
    asked = {name: row for name, row in homes.items() if name in request.undetermined}
    left = {name: why for name, why in request.undetermined.items() if name not in asked}
    elsewhere = {} if controller else {
        name: f"{row.wire} is needed of a domain controller, which this host is not (ProductType is {snapshot.product})"
        for name, row in asked.items()
    }  # fmt: skip
    return replace(request, undetermined=left, not_applicable={**request.not_applicable, **elsewhere})


ANY_DESTINATION = {4: ip_address("0.0.0.0"), 6: ip_address("::")}
