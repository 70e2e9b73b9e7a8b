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
UNITS = ("firewalld", "ufw", "NetworkManager", *BOOT_LOADERS)
CONTAINER = "/run/systemd/container"  # systemd says here that it runs in one, and in which kind
WRAPPERS = ("/etc/hosts.allow", "/etc/hosts.deny")

# Changing files: the managers' own configuration and our records. A write is only made when these are as they were
# read.
_GUARDED = (
    "/etc/firewalld/*.conf /etc/firewalld/*.xml /etc/firewalld/*/*.xml /etc/firewalld/zones/*/*.xml "
    "/etc/ufw/*.rules /etc/ufw/*.conf /etc/ufw/*.init /etc/default/ufw"
)
_SHIPPED = " ".join(f"/usr/lib/firewalld/{folder}/*.xml" for folder in ("zones", "policies", "ipsets"))
_RECORDS = f"{STATE_DIRECTORY}/journal.json {STATE_DIRECTORY}/left"
# Whose content alone is compared: what a manager keeps of a file that was, and what we keep.
_KEPT = f"/etc/firewalld/zones/*.xml.old {STATE_DIRECTORY}/files/* {STATE_DIRECTORY}/journal.json"
_KERNEL = (
    "/proc/sys/net/ipv4/icmp_echo_ignore_all /proc/sys/net/ipv6/icmp/echo_ignore_all /proc/sys/net/ipv4/ip_forward "
    "/proc/sys/net/ipv6/conf/all/forwarding "
    "/proc/sys/net/ipv4/conf/*/rp_filter /proc/modules /proc/net/ip_tables_names /proc/net/ip6_tables_names"
)
# systemd.unit(5), "Unit File Load Path"; /lib is a folder of its own on older systems. To be asked of a unit that is in
# none of them costs systemd as much as one that is there, and most of those below are in none.
_UNIT_FOLDERS = (
    "/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system "
    "/etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early "
    "/etc/systemd/system.attached /run/systemd/system.attached /run/systemd/generator /run/systemd/generator.late"
)
_UNIT_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,IPAddressAllow,IPAddressDeny"
_ANY_UNIT = "basic.target"  # on every host: that systemd answers is to be seen where none of the others is there
# By the call that get-property makes, which has a time-out of its own (busctl(1)).
_FIREWALLD_STATE = (
    "org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 org.freedesktop.DBus.Properties Get ss "
    "org.fedoraproject.FirewallD1 state"
)
_BUS_WAIT_S = 3
_SOCKETS = "/proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6"

GUARD_FUNCTIONS = f"""\
audit_ports_find() {{
    audit_ports_found=
    for audit_ports_file in "$@"; do
        [ -f "$audit_ports_file" ] && audit_ports_found="$audit_ports_found $audit_ports_file"
    done
}}
audit_ports_sums() {{
    audit_ports_find "$@"
    [ -z "$audit_ports_found" ] || exec sha256sum -- $audit_ports_found
}}
audit_ports_fingerprint() {{
    audit_ports_sums {_GUARDED} {_KEPT}
}}
"""

# Files, each under its name; then those of firewalld's shipped services (there are hundreds) that some file of its
# names: any attribute's value may be the name of one.
_SERVICES = "/usr/lib/firewalld/services/"
SHOW = """
FNR == 1 { printf "\\n%s:file %s\\n", mark, FILENAME; naming = FILENAME ~ /firewalld.*xml$/ }
{ print }
naming { note($0) }
END { while (shown < noted) show(services names[shown++] ".xml") }
function note(text, name) {
    while (match(text, /["\\047][^"\\047\\/<>= ]+["\\047]/)) {
        name = substr(text, RSTART + 1, RLENGTH - 2)
        text = substr(text, RSTART + RLENGTH)
        if (!(name in known)) { known[name]; names[noted++] = name }
    }
}
function show(path, line, found) {
    while ((getline line < path) > 0) {
        if (!found++) printf "\\n%s:file %s\\n", mark, path
        print line
        note(line)
    }
    close(path)
}
"""

# Each is called in a subshell of its own (sh.part), which its last program may take the place of.
_FUNCTIONS = f"""\
audit_ports_files() {{
    audit_ports_find "$@"
    [ -z "$audit_ports_found" ] && return
    exec awk -v mark="$audit_ports_mark" -v services={_SERVICES} '{SHOW}' $audit_ports_found
}}
audit_ports_user() {{
    while read -r audit_ports_key audit_ports_real audit_ports_effective audit_ports_rest; do
        [ "$audit_ports_key" = Uid: ] || continue
        echo "$audit_ports_effective"
        return
    done </proc/self/status
    id -u
}}
audit_ports_network() {{
    exec ip -j -d -force -batch - <<END
address
rule
route show table main
END
}}
audit_ports_denies() {{
    [ -s /etc/hosts.deny ] || return
    while read -r audit_ports_line || [ -n "$audit_ports_line" ]; do
        case $audit_ports_line in
            '' | '#'*) ;;
            *) return 0 ;;
        esac
    done </etc/hosts.deny
    return 1
}}
audit_ports_tables() {{
    audit_ports_some=1
    audit_ports_missed=0
    for audit_ports_tool in iptables-nft-save ip6tables-nft-save; do
        command -v "$audit_ports_tool" >/dev/null 2>&1 || continue
        audit_ports_some=0
        "$audit_ports_tool"
    done
    for audit_ports_family in ip ip6; do
        audit_ports_names=  # of a file that has no size, whatever is in it
        [ -r "/proc/net/${{audit_ports_family}}_tables_names" ] &&
            read -r audit_ports_names <"/proc/net/${{audit_ports_family}}_tables_names"
        [ -n "$audit_ports_names" ] || continue
        if "${{audit_ports_family}}tables-legacy-save"; then audit_ports_some=0; else audit_ports_missed=1; fi
    done
    [ "$audit_ports_some" -eq 0 ] && return "$audit_ports_missed"
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
audit_ports_wrapped() {{
    for audit_ports_maps in $(grep -l libwrap /proc/[0-9]*/maps 2>/dev/null); do
        cat "${{audit_ports_maps%maps}}comm"
    done
}}
audit_ports_firewalld() {{
    [ -d /usr/lib/firewalld ] && command -v busctl >/dev/null 2>&1 || return 0
    exec busctl --auto-start=no --timeout={_BUS_WAIT_S} call {_FIREWALLD_STATE}
}}
audit_ports_builtin() {{
    grep -c -F nf_tables.ko "/lib/modules/$(uname -r)/modules.builtin"
}}
audit_ports_sockets() {{
    if command -v ss >/dev/null 2>&1; then exec ss -H -l -t -u -n -p; else audit_ports_files {_SOCKETS}; fi
}}
audit_ports_units() {{
    audit_ports_found=
    for audit_ports_unit in "$@"; do
        for audit_ports_folder in {_UNIT_FOLDERS}; do
            [ -e "$audit_ports_folder/$audit_ports_unit.service" ] || continue
            audit_ports_found="$audit_ports_found $audit_ports_unit.service"
            break
        done
    done
    exec systemctl show --property={_UNIT_PROPERTIES} ${{audit_ports_found:-{_ANY_UNIT}}}
}}
"""

# Many small packets cost sshd and Ansible more than waiting for the end does.
_IN_ONE_PIECE = "dd obs=1048576 2>/dev/null"
# In groups that run side by side; the output of each waits in a pipe for the next. What prints little is in the first.
_BESIDE = (
    (
        ("sockets", ["audit_ports_sockets"]),
        ("firewalld", ["audit_ports_firewalld"]),
        ("xtables", ["audit_ports_tables"]),
    ),
    (
        ("units", ["audit_ports_units", *dict.fromkeys((*UNITS, *ACL_UNITS))]),
        ("network", ["audit_ports_network"]),
        ("route6", ["ip", "-j", "-6", "route", "show", "table", "main"]),
    ),
)
_PARTS = (
    ("user", ["audit_ports_user"]),
    ("fingerprint", ["audit_ports_fingerprint"]),
    ("nft", ["nft", "-j", "list", "ruleset"]),
)


def read_command(*, withdrawing: bool) -> Command:
    """The command. ``withdrawing``: also find out whose connection this is, through ``sudo`` too."""
    beside = [[sh.part(name, argv) for name, argv in group] for group in _BESIDE]
    lines = [sh.part(name, argv) for name, argv in _PARTS]
    files = f"{_KERNEL} {_GUARDED} {_SHIPPED} {_RECORDS} {' '.join(WRAPPERS)} {CONTAINER}"
    lines.append(f"audit_ports_part files audit_ports_files {files}")
    lines.append("command -v ipset >/dev/null 2>&1 && audit_ports_part ipset ipset save")
    lines.append("command -v nft >/dev/null 2>&1 || audit_ports_part builtin audit_ports_builtin")
    lines.append("audit_ports_denies && audit_ports_part wrapped audit_ports_wrapped")
    if withdrawing:
        lines.append("audit_ports_part connection audit_ports_connection")
    first, *others = (*beside, lines)
    groups = ["{", *first, *(line for group in others for line in ("} | {", *group, "cat")), f"}} | {_IN_ONE_PIECE}"]
    return sh.script(GUARD_FUNCTIONS + _FUNCTIONS, "\n".join(groups))
