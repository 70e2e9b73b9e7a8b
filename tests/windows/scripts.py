# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Every script that is sent to Windows, with openings of each kind."""

from __future__ import annotations

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.opening import SVCHOST, Details, Opening
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.read import read_command
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.write import write_command

OPENINGS = (
    Opening("agentless-audit windows.winrm tcp 5985 domain 192.0.2.10", "windows.winrm", "tcp", 5985, "192.0.2.10",
            ("domain",)),
    Opening("agentless-audit windows.rpc_dynamic tcp private 198.51.100.0-24 (2)", "windows.rpc_dynamic", "tcp", None,
            "198.51.100.0/24", ("domain", "private"), SVCHOST, "winmgmt"),
    Opening("agentless-audit network_scan.icmp_echo icmp private", "network_scan.icmp_echo", "icmp", None,
            "192.0.2.1-192.0.2.9", ("private",)),
    Opening("agentless-audit snmp.agent udp 161 public any", "snmp.agent", "udp", 161, "2001:db8::/32", ("public",)),
)  # fmt: skip
ADD, REMOVE = Details(add=OPENINGS), Details(remove=OPENINGS)
BOTH = Details(add=OPENINGS[:1], remove=OPENINGS[1:], configure_winrm=True)


def commands(transport: str) -> dict[str, Command]:
    """The commands by what they do."""
    writes = {"add": ADD, "remove": REMOVE, "configure, add and remove": BOTH}
    written = {name: write_command(details, transport=transport) for name, details in writes.items()}
    read = {"read": read_command(transport=transport), "read of every port": read_command(CATALOG, transport=transport)}
    return {**read, **written}
