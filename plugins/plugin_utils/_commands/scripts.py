# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that opens what is needed on a host that nobody can reach yet, by platform and manager.

Each is put together of what the platform's own plan and write functions make; nothing is rendered a second time here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...module_utils._core.errors import InputError, choices
from .._fleet.inventory import Fleet
from .._platform.interface import Request
from .esxi import esxcli_script
from .linux import firewalld_script, iptables_script, nftables_script, ufw_script
from .wanted import make_request
from .windows import netsh_script, powershell_script


@dataclass(frozen=True)
class Options:
    """What shapes a script beside the request. ``policy_store`` (PowerShell): of Group Policy; none: the local one.

    ``zone`` (firewalld), ``chain`` (nftables: ``inet filter input``; iptables: ``INPUT``): where the rules go.
    """

    policy_store: str = ""
    zone: str = "public"
    chain: str = ""


Script = Callable[[Request, Options], str]
# By platform: the managers, that which is meant where none is named first.
SCRIPTS: Mapping[str, Mapping[str, Script]] = {
    "windows": {
        "netsh": lambda request, options: netsh_script(request),
        "powershell": lambda request, options: powershell_script(request, policy_store=options.policy_store),
    },
    "linux": {
        "firewalld": lambda request, options: firewalld_script(request, zone=options.zone),
        "ufw": lambda request, options: ufw_script(request),
        "nftables": lambda request, options: nftables_script(request, chain=options.chain or "inet filter input"),
        "iptables": lambda request, options: iptables_script(request, chain=options.chain or "INPUT"),
    },
    "esxi": {"esxcli": lambda request, options: esxcli_script(request)},
}
MANAGERS = tuple(name for managers in SCRIPTS.values() for name in managers)


def render(platform: str, given: Mapping[str, Any], fleet: Fleet) -> str:
    """The script. ``given`` holds the options of the lookup. Raises InputError that names the choices."""
    managers = SCRIPTS.get(platform)
    if managers is None:
        raise InputError(f"{platform!r} is no platform with commands; there are {choices(SCRIPTS)}")
    name = given["manager"] or next(iter(managers))
    if name not in managers:
        raise InputError(f"manager: {name} is none of {platform}; there are {choices(managers)}")
    if given["policy_store"] and name != "powershell":
        raise InputError(f"policy_store goes with manager: powershell, not with {name}")
    for option in ("policy_store", "zone", "chain"):
        if not str(given[option] or "").isprintable():
            raise InputError(f"{option}: {given[option]!r} holds control characters")
    options = Options(given["policy_store"] or "", given["zone"], given["chain"] or "")
    return managers[name](make_request(platform, given, fleet), options)
