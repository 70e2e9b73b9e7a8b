# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of ``netsh advfirewall firewall`` for rules of ours. Its tokens are the same in every language.

Words only: how they become part of a command line is a matter of the shell's quoting file.
"""

from __future__ import annotations

from .opening import Opening

_ECHO = "icmpv4:8,any"
_FIREWALL = ("advfirewall", "firewall")


def add_arguments(opening: Opening) -> tuple[str, ...]:
    """The arguments after ``netsh.exe`` that add the rule."""
    words = [f"name={opening.name}", "dir=in", "action=allow", *_traffic(opening)]
    if opening.program:
        words.append(f"program={opening.program}")
    if opening.service:
        words.append(f"service={opening.service}")
    words.append(f"remoteip={opening.remote}")
    words.append(f"profile={','.join(opening.profiles)}")
    return (*_FIREWALL, "add", "rule", *words)


def show_arguments(opening: Opening) -> tuple[str, ...]:
    """The arguments that show the rule by its name; netsh fails where there is none."""
    return (*_FIREWALL, "show", "rule", f"name={opening.name}", "dir=in")


def delete_arguments(opening: Opening) -> tuple[str, ...]:
    """The arguments that delete every rule of this name, direction, protocol and port: ours and its doubles."""
    return (*_FIREWALL, "delete", "rule", f"name={opening.name}", "dir=in", *_traffic(opening))


def _traffic(opening: Opening) -> tuple[str, ...]:
    if opening.protocol == "icmp":
        return (f"protocol={_ECHO}",)
    port = () if opening.port is None else (f"localport={opening.port}",)
    return (f"protocol={opening.protocol}", *port)
