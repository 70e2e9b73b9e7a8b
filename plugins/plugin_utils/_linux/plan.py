# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From verdicts to steps: what a Linux host's manager has to add, and which of our own openings have to go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.changes import Change, ChangeSet, Scope
from ...module_utils._core.records import Decision, Requirement, Verdict
from ...module_utils._core.vocabulary import VerdictStatus
from .._platform.interface import Plan, Request
from .charge import all_managers, manager_in_charge, source_texts
from .evaluate import judged_paths
from .journal import ABSENT, Entry, Journal
from .judge import Judgement, told
from .manager import COPY, Action, Opening
from .native import STORED_IN
from .read import STATE_DIRECTORY
from .snapshot import Snapshot
from .trial import met_next

EDITED = (
    "edited"  # in the place of a hash: somebody else wrote the file since, so its backup is no longer what to put back
)
_PARTS_AT_MOST = 64
# firewalld watches its files, so they can be put back first; ufw deletes a rule only where its file still holds it.
_PUT_BACK_FIRST = frozenset({"firewalld"})


@dataclass(frozen=True)
class Details:
    """What the write command is made of. ``early`` and ``late`` are the files to be put back before and after the
    actions, ``copies`` those that a manager made of another one: to be put back if that one is as it was.
    """

    actions: tuple[Action, ...] = ()
    intent: Journal = field(default_factory=Journal)
    final: Journal = field(default_factory=Journal)
    backup: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wish:
    """An opening that a requirement needs, in which states, or the reason why it cannot be had."""

    entry: Entry | None = None
    advice: str = ""


def plan(snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> Plan:
    """The plan for ``state: present`` (open what is missing, withdraw sources that left) or ``absent`` (withdraw)."""
    if snapshot.problem is not None:
        return Plan(ChangeSet())
    wishes = list(_wishes(snapshot, verdicts, request)) if request.state == "present" else []
    advice: dict[str, str] = {}
    for requirement, wish in wishes:
        if wish.advice:
            advice.setdefault(requirement.id, wish.advice)
    added = Journal().with_entries(wish.entry for _requirement, wish in wishes if wish.entry).entries
    kept, gone = _outdated(snapshot.journal, request)
    again = tuple(_still_wanted(snapshot, gone, (*kept, *added), request))
    added = Journal(added).with_entries(again).entries
    safe = request.force or any(_holds_connection(snapshot, entry) for entry in (*kept, *again))
    refused = tuple(entry for entry in gone if not safe and _holds_connection(snapshot, entry))
    gone = tuple(entry for entry in gone if entry not in refused)
    details = _details(snapshot, added, gone, replace(snapshot.journal, entries=kept + refused))
    changes = ChangeSet((*map(_added, added), *map(_removed, gone)))
    return Plan(changes, details, advice, tuple(_refusal(snapshot, entry) for entry in refused))


def _wishes(snapshot: Snapshot, verdicts: Sequence[Verdict], request: Request) -> Iterator[tuple[Requirement, _Wish]]:
    judged = {verdict.requirement: verdict for verdict in verdicts}
    for requirement in request.requirements:
        verdict = judged[requirement.id]
        if requirement.id not in request.openable or not _lacks_something(verdict, request):
            continue
        for judgement, _path in judged_paths(snapshot, request, requirement):
            for wish in _wishes_of(snapshot, request, requirement, judgement):
                yield requirement, wish


def _lacks_something(verdict: Verdict, request: Request) -> bool:
    if verdict.status in (VerdictStatus.BLOCKED, VerdictStatus.PARTIAL):
        return True
    return request.persistent and verdict.status is VerdictStatus.OPEN and verdict.persistent is False


def _wishes_of(snapshot: Snapshot, request: Request, requirement: Requirement, judgement: Judgement) -> Iterator[_Wish]:
    runtime = judgement.status is VerdictStatus.BLOCKED
    boot = judgement.boot
    permanent = request.persistent and boot is not None and boot.status is VerdictStatus.BLOCKED
    if judgement.status is VerdictStatus.UNKNOWN or not (runtime or permanent):
        return
    if judgement.packet is None or judgement.outcome is None or boot is None:
        yield _Wish(advice="no firewall rule changes that")
        return
    manager = manager_in_charge(snapshot, request, judgement)
    if isinstance(manager, str):
        yield _Wish(advice=manager)
        return
    obstacle = manager.obstacle(judgement.outcome) if runtime else None
    refusal = _in_vain(snapshot, request, judgement, manager.name, obstacle) if runtime else ""
    if refusal:
        yield _Wish(advice=refusal)
        return
    texts = source_texts(judgement)
    if len(texts) > _PARTS_AT_MOST:
        yield _Wish(
            advice=f"the blocked part of the source falls into {len(texts)} networks; "
            "open it by hand, or give smaller sources"
        )
        return
    places: dict[str, tuple[bool, bool]] = {}
    if runtime:
        places[manager.place(judgement.outcome, judgement.packet)] = (True, False)
    if permanent:
        now = places.get(boot.place, (False, False))[0]
        places[boot.place] = (now, True)
    for place, (now, stored) in places.items():
        for text in texts:
            opening = Opening(
                requirement.protocol.value,
                requirement.port,
                text,
                judgement.packet.destination.version,
                place,
                obstacle is not None,
            )
            yield _Wish(Entry(manager.name, opening, (requirement.id,), now, stored))


def _in_vain(
    snapshot: Snapshot, request: Request, judgement: Judgement, manager: str, obstacle: Decision | None
) -> str:
    """Why an allow rule of the manager would not let the packet in; empty where it would."""
    if obstacle is not None and not (request.override and obstacle.kind == manager):
        hint = "; override: true puts the rule ahead of it" if obstacle.kind == manager else ""
        return f"an allow rule of {manager} would not win over {obstacle.text}{hint}"
    rest = None
    if judgement.outcome is not None and judgement.packet is not None:
        rest = met_next(snapshot, judgement.outcome, judgement.packet)
    return f"an allow rule of {manager} alone opens nothing: then it is {told(snapshot, rest)}" if rest else ""


def _outdated(journal: Journal, request: Request) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Our entries as they stay, and those that no requirement needs any more."""
    kept, gone = [], []
    for entry in journal.entries:
        left = tuple(name for name in entry.requirements if not _is_outdated(name, entry.opening, request))
        if left:
            kept.append(replace(entry, requirements=left))
        else:
            gone.append(entry)
    return tuple(kept), tuple(gone)


def _still_wanted(
    snapshot: Snapshot, gone: Sequence[Entry], others: Sequence[Entry], request: Request
) -> Iterator[Entry]:
    """What the sources of now still need of openings that go: it was open by them, so no verdict asks for it.

    ``others`` are our openings that stay or are made anyway.
    """
    managers = all_managers(snapshot)
    for entry in gone:
        opening = entry.opening
        asked = {item.id for item in request.requirements if item.port == opening.port} - set(request.not_applicable)
        names = [name for name in entry.requirements if name in asked and request.state == "present"]
        left = source_set(opening) & _wanted(names, request)
        for other in others:
            if _opens_as_much(other, entry):
                left = left - source_set(other.opening)
        texts = list(left.texts())
        manager = managers.get(entry.manager)
        place = manager.place_again(opening, [item.opening for item in gone]) if manager else None
        if place is None or len(texts) > _PARTS_AT_MOST:
            continue
        for text in texts:
            yield replace(entry, opening=replace(opening, source=text, place=place), requirements=tuple(names))


def _opens_as_much(one: Entry, other: Entry) -> bool:
    """Whether an opening is, but for its source, what another is, in all states in which that is."""
    same = replace(one.opening, source="", place="") == replace(other.opening, source="", place="")
    states = (one.runtime or not other.runtime) and (one.permanent or not other.permanent)
    return same and states and one.manager == other.manager


def _is_outdated(name: str, opening: Opening, request: Request) -> bool:
    requirement = next((item for item in request.requirements if item.id == name), None)
    if requirement is None or name in request.not_applicable:
        return False
    if request.state == "absent" or requirement.port != opening.port:
        return True
    return not _wanted([name], request).covers(source_set(opening))


def _wanted(names: Sequence[str], request: Request) -> AddressSet:
    """All that these requirements are to be opened for."""
    wanted = AddressSet()
    for requirement in request.requirements:
        if requirement.id in names:
            for source in request.sources[requirement.source_role]:
                wanted = wanted | source.addresses
    return wanted


def source_set(opening: Opening) -> AddressSet:
    """The addresses of an opening's source."""
    return AddressSet.any(opening.version) if opening.source == "any" else AddressSet.parse(opening.source)


def _holds_connection(snapshot: Snapshot, entry: Entry) -> bool:
    if snapshot.peer is None:
        return False
    address, port = snapshot.peer
    opening = entry.opening
    return opening.protocol == "tcp" and opening.port == port and address in source_set(opening)


def _refusal(snapshot: Snapshot, entry: Entry) -> str:
    peer = snapshot.peer[0] if snapshot.peer else "the controller"
    return (
        f"refused to withdraw '{_text(entry.opening)}' ({entry.manager}): "
        f"Ansible's own connection from {peer} comes in by that port; "
        "set force: true if another rule lets it in"
    )


def _details(snapshot: Snapshot, added: tuple[Entry, ...], gone: tuple[Entry, ...], stays: Journal) -> Details:
    """The commands and files of a change: ``stays`` is our record without what goes."""
    final = stays.with_entries(added)
    used = set(_touched(snapshot, final.entries))
    known = stays.files
    put_back = tuple(path for path in known if path not in used and _untouched_since(snapshot, path))
    early = tuple(path for path in put_back if _owner(snapshot, path, gone) in _PUT_BACK_FIRST)
    files = dict.fromkeys((*known, *_touched(snapshot, added)))
    intent_files = {path: known.get(path, backup_name(path)) for path in files}
    return Details(
        actions=(*_removals(snapshot, gone, early), *_additions(snapshot, added)),
        intent=replace(snapshot.journal, files=intent_files).with_entries(added),
        final=replace(final, files={path: name for path, name in intent_files.items() if path in used}),
        backup=tuple(path for path in files if path not in known),
        edited=tuple(path for path in known if not _untouched_since(snapshot, path)),
        early=early,
        late=tuple(path for path in put_back if path not in early),
        copies=tuple(path for path in known if path.endswith(COPY) and path not in (*used, *put_back)),
    )


def backup_name(path: str) -> str:
    """The name of a file's backup within the state directory."""
    return path.strip("/").replace("/", "__")


def _untouched_since(snapshot: Snapshot, path: str) -> bool:
    """Whether the file is byte for byte as our last write left it, or still as it was before the first.

    The latter is what a run that was broken off leaves: its record names the file, and it never came to write it.
    """
    before = snapshot.hashes.get(f"{STATE_DIRECTORY}/files/{backup_name(path)}", ABSENT)
    return snapshot.hashes.get(path, ABSENT) in (snapshot.journal.left.get(path), before)


def _touched(snapshot: Snapshot, entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.permanent and entry.manager in snapshot.managers:
            yield from snapshot.managers[entry.manager].touched([entry.opening])


def _owner(snapshot: Snapshot, path: str, entries: Iterable[Entry]) -> str:
    return next((entry.manager for entry in entries if path in _touched(snapshot, [entry])), "")


def _additions(snapshot: Snapshot, entries: Sequence[Entry]) -> Iterator[Action]:
    for name, manager in all_managers(snapshot).items():
        for permanent, runtime in ((True, True), (True, False), (False, True)):
            openings = [
                entry.opening
                for entry in entries
                if (entry.manager, entry.permanent, entry.runtime) == (name, permanent, runtime)
            ]
            if openings:
                yield from manager.add(openings, runtime=runtime, permanent=permanent)


def _removals(snapshot: Snapshot, entries: Sequence[Entry], put_back: Sequence[str]) -> Iterator[Action]:
    """The commands that take our openings away; what files that are put back do by themselves is left out."""
    for name, manager in all_managers(snapshot).items():
        groups: dict[tuple[bool, bool], list[Opening]] = {}
        unseen: list[Opening] = []
        for entry in entries:
            if entry.manager == name:
                restored = bool(put_back) and set(_touched(snapshot, [entry])) <= set(put_back)
                groups.setdefault((entry.runtime, entry.permanent and not restored), []).append(entry.opening)
                if entry.permanent and restored:
                    unseen.append(entry.opening)
        for (runtime, permanent), openings in groups.items():
            yield from manager.remove(openings, runtime=runtime, permanent=permanent)
        yield from manager.reread(unseen)


def _added(entry: Entry) -> Change:
    return Change("add_rule", _target(entry), "", _text(entry.opening), entry.requirements, _scope(entry))


def _removed(entry: Entry) -> Change:
    return Change("remove_rule", _target(entry), _text(entry.opening), "", entry.requirements, _scope(entry))


def _target(entry: Entry) -> str:
    if entry.manager in STORED_IN:
        return f"{entry.manager} (in the kernel alone; to be stored by hand in {STORED_IN[entry.manager]})"
    return f"{entry.manager} zone {entry.opening.place}" if entry.opening.place else entry.manager


def _text(opening: Opening) -> str:
    wire = "icmp echo-request" if opening.protocol == "icmp" else f"{opening.protocol}/{opening.port}"
    return f"allow {wire} from {opening.source}" + (" (ahead of all others)" if opening.ahead else "")


def _scope(entry: Entry) -> Scope:
    if entry.runtime and entry.permanent:
        return Scope.BOTH
    return Scope.RUNTIME if entry.runtime else Scope.PERMANENT
