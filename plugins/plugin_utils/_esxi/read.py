# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that reads an ESXi host: five lists of ``esxcli`` in one go, whatever the number of rulesets.

The debug formatter's JSON is asked for first, then CSV; where a host has neither, it prints text for people.
"""

from __future__ import annotations

from .._platform import sh
from .._platform.interface import Command

_FUNCTIONS = """\
audit_ports_version() {
    printf '%s\\n' "$audit_ports_said"
    return "$audit_ports_said_rc"
}
audit_ports_connection() {
    printf '%s\\n' "$SSH_CONNECTION"
}
audit_ports_print_form() {
    printf '%s\\n' "$audit_ports_form"
}
audit_ports_esxcli() {
    esxcli $audit_ports_form "$@"
}
"""
LISTS = {
    "firewall": "network firewall get",
    "rulesets": "network firewall ruleset list",
    "rules": "network firewall ruleset rule list",
    "allowed": "network firewall ruleset allowedip list",
    "connections": "network ip connection list",
}


def read_command() -> Command:
    """The command; parts are named version, form, firewall, rulesets, rules, allowed, connections and connection."""
    lines = [
        # The first read is the question for the form, too: a formatter that a host does not have is refused. Asked in
        # the script's own shell, as a part is a shell of its own, and the answer would be lost with it.
        "for audit_ports_form in '--debug --formatter=json' '--formatter=csv' ''; do",
        "    audit_ports_said=$(esxcli $audit_ports_form system version get 2>/dev/null </dev/null)",
        "    audit_ports_rc=$?",
        '    [ "$audit_ports_rc" -ne 0 ] || break',
        "done",
        "audit_ports_said_rc=$audit_ports_rc",
        sh.part("version", ["audit_ports_version"]),
        sh.part("form", ["audit_ports_print_form"]),
        *(sh.part(name, ["audit_ports_esxcli", *command.split()]) for name, command in LISTS.items()),
        sh.part("connection", ["audit_ports_connection"]),
    ]
    return sh.script(_FUNCTIONS, "\n".join(lines))
