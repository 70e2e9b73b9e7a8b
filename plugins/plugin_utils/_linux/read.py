# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command that reads a Linux host: kernel rules, managers' files, addresses, routes, listeners, our own
records.

A few short processes in all, whatever the number of ports. Nothing is written.
"""

from __future__ import annotations

from .._platform import sh
from .._platform.interface import Command
from .service_acl import ACL_UNITS

STATE_DIRECTORY = "/var/lib/agentless-audit"
LOCK_FILE = "/run/lock/agentless-audit.lock"

# What else can load or replace rules at boot; where one of them is enabled, nobody here knows what holds after a
# reboot.
BOOT_LOADERS = (
    "nftables",
    "iptables",
    "ip6tables",
    "netfilter-persistent",
    "shorewall",
    "shorewall6",
    "ferm",
    "firehol",
    "awall",
    "csf",
    "apf",
)
UNITS = ("firewalld", "ufw", *BOOT_LOADERS)
WRAPPERS = ("/etc/hosts.allow", "/etc/hosts.deny")

# Changing files: the managers' own configuration and our records. A write is only made when these are as they were
# read.
_GUARDED = (
    "/etc/firewalld/*.conf /etc/firewalld/*.xml /etc/firewalld/*/*.xml "
    "/etc/ufw/*.rules /etc/ufw/*.conf /etc/ufw/*.init /etc/default/ufw"
)
_SHIPPED = " ".join(
    f"/usr/lib/firewalld/{folder}/*.xml" for folder in ("zones", "services", "policies", "ipsets", "icmptypes")
)
_HASHED = f"/etc/firewalld/zones/*.xml /etc/firewalld/zones/*.xml.old /etc/ufw/user*.rules {STATE_DIRECTORY}/files/*"
_RECORDS = f"{STATE_DIRECTORY}/journal.json {STATE_DIRECTORY}/left"
_KERNEL = (
    "/proc/sys/net/ipv4/icmp_echo_ignore_all /proc/sys/net/ipv6/icmp/echo_ignore_all /proc/sys/net/ipv4/ip_forward "
    "/proc/sys/net/ipv4/conf/*/rp_filter /proc/modules /proc/net/ip_tables_names /proc/net/ip6_tables_names"
)
_SOCKETS = "/proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6"

GUARD_FUNCTIONS = f"""\
audit_ports_existing() {{
    for audit_ports_file in "$@"; do
        [ -f "$audit_ports_file" ] && printf '%s\\n' "$audit_ports_file"
    done
}}
audit_ports_fingerprint() {{
    set -- $(audit_ports_existing {_GUARDED} {STATE_DIRECTORY}/journal.json)
    {{ printf '%s\\n' "$@"; [ $# -eq 0 ] || cat -- "$@"; }} | sha256sum
}}
"""

_FUNCTIONS = f"""\
audit_ports_files() {{
    set -- $(audit_ports_existing "$@")
    [ $# -eq 0 ] || \\
    awk -v mark="$audit_ports_mark" 'FNR == 1 {{printf "\\n%s:file %s\\n", mark, FILENAME}} {{print}}' "$@"
}}
audit_ports_tables() {{
    audit_ports_some=1
    for audit_ports_tool in iptables-nft-save ip6tables-nft-save; do
        command -v "$audit_ports_tool" >/dev/null 2>&1 && {{ audit_ports_some=0; "$audit_ports_tool"; }}
    done
    for audit_ports_family in ip ip6; do
        [ -s "/proc/net/${{audit_ports_family}}_tables_names" ] || continue
        "${{audit_ports_family}}tables-legacy-save" && audit_ports_some=0
    done
    [ "$audit_ports_some" -eq 0 ] && return
    iptables-save && ip6tables-save
}}
audit_ports_connection() {{
    audit_ports_process=$$
    while [ -z "$SSH_CONNECTION" ] && [ "${{audit_ports_process:-0}}" -gt 1 ]; do
        SSH_CONNECTION=$(tr '\\0' '\\n' <"/proc/$audit_ports_process/environ" | sed -n 's/^SSH_CONNECTION=//p')
        audit_ports_process=$(awk '/^PPid:/ {{print $2}}' "/proc/$audit_ports_process/status")
    done
    printf '%s' "$SSH_CONNECTION"
}}
audit_ports_hashes() {{
    set -- $(audit_ports_existing {_HASHED})
    [ $# -eq 0 ] || sha256sum -- "$@"
}}
audit_ports_wrapped() {{
    for audit_ports_maps in $(grep -l libwrap /proc/[0-9]*/maps 2>/dev/null); do
        cat "${{audit_ports_maps%maps}}comm"
    done
}}
audit_ports_builtin() {{
    grep -c -F nf_tables.ko "/lib/modules/$(uname -r)/modules.builtin"
}}
audit_ports_sockets() {{
    if command -v ss >/dev/null 2>&1; then ss -H -l -t -u -n -p; else audit_ports_files {_SOCKETS}; fi
}}
"""

_PARTS = (
    ("user", ["id", "-u"]),
    ("fingerprint", ["audit_ports_fingerprint"]),
    ("nft", ["nft", "-j", "list", "ruleset"]),
    ("xtables", ["audit_ports_tables"]),
    ("address", ["ip", "-j", "-d", "address"]),
    ("route4", ["ip", "-j", "-4", "route", "show", "table", "main"]),
    ("route6", ["ip", "-j", "-6", "route", "show", "table", "main"]),
    ("rule", ["ip", "-j", "rule"]),
    ("sockets", ["audit_ports_sockets"]),
)


def read_command(*, withdrawing: bool) -> Command:
    """The command. ``withdrawing``: also find out whose connection this is, through ``sudo`` too."""
    lines = [sh.part(name, argv) for name, argv in _PARTS]
    lines.append("audit_ports_part kernel audit_ports_files " + _KERNEL)
    lines.append("audit_ports_part files audit_ports_files " + f"{_GUARDED} {_SHIPPED} {_RECORDS} {' '.join(WRAPPERS)}")
    lines.append("command -v ipset >/dev/null 2>&1 && audit_ports_part ipset ipset save")
    lines.append("command -v nft >/dev/null 2>&1 || audit_ports_part builtin audit_ports_builtin")
    units = " ".join(f"{unit}.service" for unit in dict.fromkeys((*UNITS, *ACL_UNITS)))
    properties = "--property=Id,LoadState,ActiveState,UnitFileState,IPAddressAllow,IPAddressDeny"
    lines.append(f"audit_ports_part units systemctl show {properties} {units}")
    lines.append("grep -qs '^[^#]' /etc/hosts.deny && audit_ports_part wrapped audit_ports_wrapped")
    lines.append(f"[ -f {STATE_DIRECTORY}/journal.json ] && audit_ports_part hashes audit_ports_hashes")
    if withdrawing:
        lines.append("audit_ports_part connection audit_ports_connection")
    return sh.script(GUARD_FUNCTIONS + _FUNCTIONS, "\n".join(lines))
