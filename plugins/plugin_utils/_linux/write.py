# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that carries a plan out on a Linux host: under a lock, against the fingerprint it was made from,
record first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._platform import sh
from .._platform.interface import Command, Part, Written
from .firewalld import REREAD
from .journal import print_journal
from .manager import COPY
from .plan import EDITED, Details, backup_name
from .read import GUARD_FUNCTIONS, LOCK_FILE, STATE_DIRECTORY

_JOURNAL = f"{STATE_DIRECTORY}/journal.json"
_LOCK_WAIT_S = 60
_REREAD_TRIES = 50  # ten seconds; firewalld reads a changed file five to six seconds later
_STALE_RC = 75  # sysexits.h EX_TEMPFAIL
_TEMPORARY = ".agentless-audit"  # what is put back is completed under this name first; a killed run may leave it

_FIREWALLD = "org.fedoraproject.FirewallD1"  # firewalld.dbus(5)
_PATH = "/org/fedoraproject/FirewallD1"
_CONFIG_PATH = f"{_PATH}/config"
# What firewall-cmd does with the same options. It is a program of Python, which costs more to start than all the rest.
_QUICKLY = {"firewall-cmd": "audit_ports_firewall_cmd"}

_FUNCTIONS = f"""\
audit_ports_lock() {{
    audit_ports_waited=0
    until flock -n 9; do
        [ "$audit_ports_waited" -lt {_LOCK_WAIT_S} ] || {{ echo 'another run holds the lock' >&2; return 1; }}
        audit_ports_waited=$((audit_ports_waited + 1))
        sleep 1
    done
}}
audit_ports_unchanged() {{
    [ "$(audit_ports_fingerprint)" = "$1" ] || return {_STALE_RC}
}}
audit_ports_keep() {{
    printf '%s\n' "$2" >"$1.new" && mv -f "$1.new" "$1"
}}
audit_ports_backup() {{
    if [ -f "$1" ]; then
        cp -p "$1" "$2.new" && mv -f "$2.new" "$2"
    else
        : >"$2.absent"
    fi
}}
audit_ports_put_back() {{
    if [ -f "$2.absent" ]; then
        rm -f "$1"
    else
        cp -p "$2" "$1{_TEMPORARY}" && mv -f "$1{_TEMPORARY}" "$1"
    fi
}}
audit_ports_put_copy_back() {{
    if cmp -s "$3" "$4" || {{ [ -f "$4.absent" ] && [ ! -e "$3" ]; }}; then audit_ports_put_back "$1" "$2"; fi
}}
audit_ports_bus() {{
    audit_ports_rc=0
    audit_ports_said=$(busctl call {_FIREWALLD} "$@" 2>&1) || audit_ports_rc=$?
    case $audit_ports_said in
        *ALREADY_ENABLED* | *NOT_ENABLED*) return 0 ;;
    esac
    [ "$audit_ports_rc" -eq 0 ] || printf '%s\n' "$audit_ports_said" >&2
    return "$audit_ports_rc"
}}
audit_ports_firewall_cmd() {{
    if command -v busctl >/dev/null 2>&1; then
        audit_ports_by_bus "$@"
        audit_ports_rc=$?
        case $audit_ports_said in
            *ACCESS_DENIED*) ;; # a lockdown may still let firewall-cmd through
            *) return "$audit_ports_rc" ;;
        esac
    fi
    firewall-cmd "$@"
}}
audit_ports_by_bus() {{
    audit_ports_stored=
    for audit_ports_option in "$@"; do
        audit_ports_value=${{audit_ports_option#*=}}
        case $audit_ports_stored$audit_ports_option in
            --permanent) audit_ports_stored=zone ;;
            --zone=*) audit_ports_zone=$audit_ports_value ;;
            zone--zone=*)
                audit_ports_bus {_CONFIG_PATH} {_FIREWALLD}.config getZoneByName s "$audit_ports_value" &&
                    audit_ports_stored=${{audit_ports_said#*\\"}} && audit_ports_stored=${{audit_ports_stored%\\"*}}
                ;;
            --add-rich-rule=*)
                audit_ports_bus {_PATH} {_FIREWALLD}.zone addRichRule ssi "$audit_ports_zone" "$audit_ports_value" 0
                ;;
            --remove-rich-rule=*)
                audit_ports_bus {_PATH} {_FIREWALLD}.zone removeRichRule ss "$audit_ports_zone" "$audit_ports_value"
                ;;
            /*--add-rich-rule=*)
                audit_ports_bus "$audit_ports_stored" {_FIREWALLD}.config.zone addRichRule s "$audit_ports_value"
                ;;
            /*--remove-rich-rule=*)
                audit_ports_bus "$audit_ports_stored" {_FIREWALLD}.config.zone removeRichRule s "$audit_ports_value"
                ;;
            *) false ;;
        esac || return
    done
}}
audit_ports_stores() {{
    if ! command -v busctl >/dev/null 2>&1; then
        firewall-cmd --permanent "--zone=$1" "--query-rich-rule=$2" >/dev/null 2>&1
        return
    fi
    audit_ports_bus {_CONFIG_PATH} {_FIREWALLD}.config getZoneByName s "$1" || return
    audit_ports_stored=${{audit_ports_said#*\\"}} && audit_ports_stored=${{audit_ports_stored%\\"*}}
    audit_ports_bus "$audit_ports_stored" {_FIREWALLD}.config.zone queryRichRule s "$2" &&
        [ "$audit_ports_said" = 'b true' ]
}}
{REREAD}() {{
    audit_ports_zone=$1
    shift
    for audit_ports_rule in "$@"; do
        audit_ports_waited=0
        while audit_ports_stores "$audit_ports_zone" "$audit_ports_rule" 2>/dev/null &&
            [ "$audit_ports_waited" -lt {_REREAD_TRIES} ]; do
            audit_ports_waited=$((audit_ports_waited + 1))
            sleep 0.2 2>/dev/null || sleep 1
        done
    done
}}
audit_ports_hashes() {{
    for audit_ports_file in "$@"; do
        if [ -f "$audit_ports_file" ]; then
            sha256sum -- "$audit_ports_file"
        else
            printf '%s  %s\n' - "$audit_ports_file"
        fi
    done
}}
audit_ports_keep_left() {{
    audit_ports_edited=$1
    shift
    audit_ports_keep {STATE_DIRECTORY}/left "$audit_ports_edited$(audit_ports_hashes "$@")"
}}
"""


def write_command(details: Details, fingerprint: str) -> Command:
    """The command. Every step is a part of its output; the first that fails ends it, the record of what was meant
    stays.
    """
    files = f"{STATE_DIRECTORY}/files"
    steps = [
        # Opened by the script's own shell: a part is a shell of its own, and the lock would end with it.
        f"mkdir -p {LOCK_FILE.rpartition('/')[0]} && exec 9>{LOCK_FILE}",
        sh.part("lock", ["audit_ports_lock"]),
        sh.part("unchanged", ["audit_ports_unchanged", fingerprint]),
        sh.part("directory", ["mkdir", "-p", files]),
        *(sh.part(f"backup {path}", ["audit_ports_backup", path, _backup(path)]) for path in details.backup),
        sh.part("intent", ["audit_ports_keep", _JOURNAL, print_journal(details.intent)]),
        *(_put_back(path) for path in details.early),
        *(f"{sh.part(f'run {number}', _quickly(action.argv))} 9>&-" for number, action in enumerate(details.actions)),
        *(_put_back(path) for path in details.late),
        *(_put_copy_back(path) for path in details.copies),
        *_closing(details),
    ]
    body = " &&\n".join(steps)
    return sh.script(GUARD_FUNCTIONS + _FUNCTIONS, body)


def _quickly(argv: Sequence[str]) -> Sequence[str]:
    return (_QUICKLY.get(argv[0], argv[0]), *argv[1:])


def _closing(details: Details) -> list[str]:
    """Our record as it is to be after the change; no trace is left where nothing of ours is."""
    if not details.final.entries:
        temporary = [f"{path}{_TEMPORARY}" for path in details.intent.files]
        return [sh.part("forget", ["rm", "-rf", STATE_DIRECTORY, *temporary])]
    untouched = [path for path in details.final.files if path not in details.edited]
    edited = "".join(f"{EDITED}  {path}\n" for path in details.final.files if path in details.edited)
    return [
        sh.part("left", ["audit_ports_keep_left", edited, *untouched]),
        sh.part("record", ["audit_ports_keep", _JOURNAL, print_journal(details.final)]),
    ]


def _backup(path: str) -> str:
    return f"{STATE_DIRECTORY}/files/{backup_name(path)}"


def _put_back(path: str) -> str:
    return sh.part(f"put back {path}", ["audit_ports_put_back", path, _backup(path)])


def _put_copy_back(path: str) -> str:
    of = path.removesuffix(COPY)
    return sh.part(f"put back {path}", ["audit_ports_put_copy_back", path, _backup(path), of, _backup(of)])


def written(parts: Mapping[str, Part]) -> Written:
    """How the command ended, of its parts."""
    if "unchanged" in parts and parts["unchanged"].rc == _STALE_RC:
        return Written(stale=True)
    return Written(stale=False, errors=tuple(_error(name, part) for name, part in parts.items() if part.rc != 0))


def _error(name: str, part: Part) -> str:
    said = " ".join((part.err or part.out).split())[:300] or "no message"
    return f"the step '{name}' failed on the host with return code {part.rc}: {said}"
