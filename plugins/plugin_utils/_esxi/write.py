# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that changes an ESXi host's rulesets by ``esxcli``.

esxcli is not idempotent ("Already use allowed ip list" is a failure), so it only gets steps that a fresh read says are
needed. It cannot replace a list at once, so the list of an enabled ruleset is only added to, or rid of ours. Right
before the first step the host must print what it printed when it was read, else nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...module_utils._esxi.openings import RulesetChange
from .._platform import sh
from .._platform.interface import Command, Part, Written
from .read import LISTS
from .snapshot import Snapshot

_STALE_RC = 75  # sysexits.h EX_TEMPFAIL
_FUNCTIONS = f"""\
audit_ports_unchanged() {{
    audit_ports_expected=$1
    shift
    [ "$(esxcli "$@")" = "$audit_ports_expected" ] || return {_STALE_RC}
}}
"""
_RULESET = ("esxcli", "network", "firewall", "ruleset")


def write_command(snapshot: Snapshot, changes: Sequence[RulesetChange]) -> Command:
    """The command. Every step is a part of its output; the first that fails ends it."""
    asked = {name: [*snapshot.form.split(), *LISTS[name].split()] for name in snapshot.guard}
    guards = [
        sh.part(f"unchanged {name}", ["audit_ports_unchanged", text, *asked[name]])
        for name, text in snapshot.guard.items()
    ]
    steps = [sh.part(f"{' '.join(argv[4:])}", argv) for change in changes for argv in _steps(change)]
    return sh.script(_FUNCTIONS, " &&\n".join([*guards, *steps]))


def command_lines(change: RulesetChange) -> Iterator[str]:
    """The same steps as lines of a shell, for people."""
    return (sh.words(argv) for argv in _steps(change))


def _steps(change: RulesetChange) -> Iterator[list[str]]:
    """The steps of one ruleset: off first, on last, and its list in between, while nobody depends on it."""
    before, after = change.before, change.after
    if before.enabled and not after.enabled:
        yield _set(after.key, "--enabled", "false")
    if before.allows_all and not (after.allows_all and not change.added and not change.removed):
        yield _set(after.key, "--allowed-all", "false")
    for verb, entries in (("add", change.added), ("remove", change.removed)):
        for entry in entries:
            yield [*_RULESET, "allowedip", verb, "--ruleset-id", after.key, "--ip-address", entry]
    if after.allows_all and (not before.allows_all or change.added or change.removed):
        yield _set(after.key, "--allowed-all", "true")
    if after.enabled and not before.enabled:
        yield _set(after.key, "--enabled", "true")


def _set(key: str, option: str, value: str) -> list[str]:
    return [*_RULESET, "set", "--ruleset-id", key, option, value]


def written(parts: Mapping[str, Part]) -> Written:
    """How the command ended, of its parts. esxcli tells its faults on standard output."""
    failed = [(name, part) for name, part in parts.items() if part.rc != 0]
    if failed and all(name.startswith("unchanged ") and part.rc == _STALE_RC for name, part in failed):
        return Written(stale=True)
    return Written(stale=False, errors=tuple(_error(name, part) for name, part in failed))


def _error(name: str, part: Part) -> str:
    said = " ".join(f"{part.out} {part.err}".split())[:300] or "no message"
    return f"the step '{name}' failed on the host with return code {part.rc}: {said}"
