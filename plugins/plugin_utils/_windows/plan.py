# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From verdicts to steps: which allow rules of ours a Windows host needs, and which of them have to go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...module_utils._core.addressset import Address, AddressSet
from ...module_utils._core.catalog import REMOTING_ID
from ...module_utils._core.changes import Change, ChangeSet
from ...module_utils._core.records import Requirement, Verdict
from ...module_utils._core.vocabulary import Protocol, PsRemoting, VerdictStatus
from .._platform.interface import Plan, Request
from .advice import NOT_ELEVATED, NOT_SET_UP, obstacle_advice, other_profile
from .evaluate import Evaluation, Judgement, is_set_up
from .listeners import ICMP, TCP, UDP
from .opening import SVCHOST, Details, Opening, opening_name, requirement_of
from .rule import Rule
from .snapshot import Snapshot
from .words import Profile

_PARTS_AT_MOST = 64
_WHOLE = (
    (AddressSet.any(4), "0.0.0.0-255.255.255.255"),
    (AddressSet.any(6), "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
)
_WIRES = {TCP: "tcp", UDP: "udp", ICMP: "icmp"}
_NUMBERS = {Protocol.TCP: TCP, Protocol.UDP: UDP, Protocol.ICMP: ICMP}
_LACKING = (VerdictStatus.BLOCKED, VerdictStatus.PARTIAL)
_WINRM_ON_PUBLIC = (
    "winrm: configure is refused on a Public network, as 'winrm quickconfig' refuses it; make the network Private,"
    " or name it by profiles: [public]"
)


@dataclass(frozen=True)
class Own:
    """A rule of ours as the registry holds it."""

    rule: Rule
    requirement: str
    remote: AddressSet

    @property
    def opening(self) -> Opening:
        """The rule as one that can be deleted."""
        wire = _WIRES.get(self.rule.protocol or 0, "tcp")
        ports = self.rule.local_ports.numbers.ranges if self.rule.local_ports else ()
        single = len(ports) == 1 and ports[0][0] == ports[0][1]
        return Opening(
            name=self.rule.name,
            requirement=self.requirement,
            protocol=wire,
            port=ports[0][0] if single else None,
            remote=",".join(_texts(self.remote)),
            profiles=tuple(sorted(profile.value for profile in self.rule.profiles)),
            program=self.rule.app,
            service=self.rule.service,
        )


def plan(snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> Plan:
    """The plan for ``state: present`` (open what is missing, withdraw sources that left) or ``absent`` (withdraw)."""
    wishes = _Wishes(snapshot, verdicts, request)
    if request.state == "present":
        wishes.collect()
    own = tuple(own_rules(snapshot))
    gone = [item for item in own if _is_outdated(item, request)]
    refused = [item for item in gone if not request.force and _holds_connection(snapshot, item)]
    gone = [item for item in gone if item not in refused]
    kept = [item for item in own if item not in gone]
    doubles = _doubles(kept) if request.state == "present" else []
    taken = {item.rule.name for item in own}
    added = [(_fresh(opening, taken), names) for opening, names in wishes.openings()]
    added += [(_fresh(item.opening, taken), (item.requirement,)) for item in doubles]
    removed = [*dict.fromkeys(item.opening for item in (*gone, *doubles))]
    details = Details(tuple(opening for opening, _names in added), tuple(removed), wishes.configure)
    steps = [Change("add_rule", _TARGET, "", f"{item} as '{item.name}'", names) for item, names in added]
    steps += [Change("remove_rule", _TARGET, f"{item} as '{item.name}'", "", (item.requirement,)) for item in removed]
    if wishes.configure:
        steps.insert(0, _SET_UP)
    refusals = [*wishes.refusals, *(_refusal(item) for item in refused)]
    if steps and snapshot.elevated is False:
        advice = {**wishes.advice, **{name: NOT_ELEVATED for step in steps for name in step.requirements}}
        return Plan(ChangeSet(), Details(), advice, (*refusals, NOT_ELEVATED))
    return Plan(ChangeSet(tuple(steps)), details, wishes.advice, tuple(refusals))


_TARGET = "Windows firewall (local policy)"
_SET_UP = Change("configure_winrm", "WinRM", "not set up", "service started, HTTP listener", (REMOTING_ID,))


class _Wishes:
    """What has to be opened, and why some of it cannot be."""

    def __init__(self, snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> None:
        self.snapshot = snapshot
        self.request = request
        self.judged = {verdict.requirement: verdict for verdict in verdicts}
        self.evaluation = Evaluation(snapshot)
        self.profiles = opened_profiles(snapshot, request)
        self.wanted: dict[tuple[object, ...], tuple[Opening, list[str]]] = {}
        self.advice: dict[str, str] = {}
        self.refusals: list[str] = []
        self.configure = False

    def collect(self) -> None:
        """Go through what is asked for and may be opened."""
        for requirement in self.request.requirements:
            openable = requirement.id in self.request.openable and self._may_open(requirement)
            if openable and self.judged[requirement.id].status in _LACKING:
                self._open(requirement)

    def openings(self) -> Iterator[tuple[Opening, tuple[str, ...]]]:
        """The rules to add, each with the requirements that need it."""
        return ((opening, tuple(dict.fromkeys(names))) for opening, names in self.wanted.values())

    def _may_open(self, requirement: Requirement) -> bool:
        """Whether remoting is wanted at all: where the host is not set up for it, an open port helps nobody."""
        if requirement.id != REMOTING_ID or self.request.psremoting is PsRemoting.FALSE:
            return True
        verdict = self.judged[requirement.id]
        if verdict.status is VerdictStatus.NOT_APPLICABLE or is_set_up(self.snapshot) is not False:
            return True
        if self.request.winrm == "configure":
            public = Profile.PUBLIC in self.evaluation.profiles and "public" not in self.request.profiles
            if public:
                self.refusals.append(f"{self.request.host}: {_WINRM_ON_PUBLIC}")
            self.configure = not public
            return self.configure
        if self.request.psremoting is PsRemoting.AUTO:
            self.advice[requirement.id] = NOT_SET_UP
            self.refusals.append(f"{self.request.host}: {NOT_SET_UP}")
            return False
        return True

    def _open(self, requirement: Requirement) -> None:
        for number, port in _doors(requirement):
            for source in self.request.sources[requirement.source_role]:
                for destination in self.request.destinations:
                    addresses = source.addresses.family(destination.version)
                    if addresses and not (number == ICMP and destination.version != 4):
                        everybody = source.text == "any"
                        self._door(requirement.id, number, port, addresses, destination, everybody=everybody)

    def _door(
        self,
        requirement_id: str,
        number: int,
        port: int | None,
        addresses: AddressSet,
        destination: Address,
        *,
        everybody: bool,
    ) -> None:
        """Open one port (``None`` with TCP: WMI's dynamic ones) where a profile's piece of the source is blocked."""
        for judgement in self.evaluation.door(number, port, addresses, destination):
            texts = ["any"] if everybody and judgement.source == addresses else _texts(judgement.source)
            if len(texts) > _PARTS_AT_MOST:
                self.advice[requirement_id] = (
                    f"the blocked part of the source falls into {len(texts)} networks; open it by hand, or give"
                    " smaller sources"
                )
                continue
            for text in texts if judgement.status in _LACKING else ():
                self._piece(requirement_id, number, port, judgement, text)

    def _piece(self, requirement_id: str, number: int, port: int | None, judgement: Judgement, text: str) -> None:
        wire = _WIRES[number]
        by_service = port is None and number == TCP
        for profile, piece in judgement.profiles:
            if piece.status not in _LACKING:
                continue
            name = opening_name(requirement_id, wire, port, (profile.value,), text)
            service = ("winmgmt" if by_service else "", SVCHOST if by_service else "")
            opening = Opening(name, requirement_id, wire, port, text, (profile.value,), service[1], service[0])
            if piece.obstacles:
                self.advice[requirement_id] = obstacle_advice(piece.obstacles, opening)
            elif profile.value not in self.profiles:
                self.advice[requirement_id] = other_profile(profile.value)
            else:
                same = (number, port, text, profile)  # one rule, maybe under the names of two requirements
                self.wanted.setdefault(same, (opening, []))[1].append(requirement_id)


def _doors(requirement: Requirement) -> tuple[tuple[int, int | None], ...]:
    """The ports that a requirement needs opened: for named pipes that of SMB, for RPC the mapper and WMI's own."""
    if requirement.protocol is Protocol.SERVICE:
        return ((TCP, 445),)
    if requirement.protocol is Protocol.RPC:
        return (TCP, 135), (TCP, None)
    return ((_NUMBERS[requirement.protocol], requirement.port),)


def opened_profiles(snapshot: Snapshot, request: Request) -> tuple[str, ...]:
    """The profiles that our rules are made for: those that are named, else Domain on members and Private elsewhere."""
    if request.profiles:
        return request.profiles
    return ("domain",) if snapshot.is_domain_member else ("private",)


def own_rules(snapshot: Snapshot) -> Iterator[Own]:
    """The rules of ours in the local store, by their names."""
    for rule in snapshot.policy.marked:
        requirement = requirement_of(rule.name)
        if requirement is None or rule.direction != "in":
            continue
        remote = AddressSet.any()
        if rule.remote is not None:
            remote = rule.remote.v4.addresses | rule.remote.v6.addresses
        yield Own(rule, requirement, remote)


def _doubles(own: Sequence[Own]) -> list[Own]:
    """One of each set of rules of the same name, which two controllers at once may make."""
    count = Counter(item.rule.name for item in own)
    return [*{item.rule.name: item for item in own if count[item.rule.name] > 1}.values()]


def _fresh(opening: Opening, taken: set[str]) -> Opening:
    """The opening under a name that no rule has yet, so that deleting an old one does not delete it."""
    words = (opening.requirement, opening.protocol, opening.port, opening.profiles, opening.remote)
    number = 1
    while (name := opening_name(*words, number=number)) in taken:
        number += 1
    taken.add(name)
    return opening if name == opening.name else replace(opening, name=name)


def _is_outdated(own: Own, request: Request) -> bool:
    row = next((item for item in request.requirements if item.id == own.requirement), None)
    if row is None or row.id in request.not_applicable:
        return False
    if request.state == "absent":
        return True
    if row.port is not None and own.opening.port != row.port:
        return True
    wanted = AddressSet()
    for source in request.sources[row.source_role]:
        wanted = wanted | source.addresses
    return not wanted.covers(own.remote)


def _holds_connection(snapshot: Snapshot, own: Own) -> bool:
    """Whether somebody whom the rule lets in is connected to its port now: that may be Ansible itself."""
    port = own.opening.port
    return any(item.port == port and item.peer in own.remote for item in snapshot.connections)


def _refusal(own: Own) -> str:
    return (
        f"refused to withdraw '{own.rule.name}': somebody is connected to port {own.opening.port} by it now, and that"
        " may be Ansible's own connection; set force: true if another rule lets it in"
    )


def _texts(source: AddressSet) -> list[str]:
    """The source as netsh takes it: networks and addresses; a whole family as a range, which every build accepts."""
    for whole, text in _WHOLE:
        if source == whole:
            return [text]
    return list(source.texts())
