# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Large rule sets as hosts print them, and what judging one of them costs.

    PYTHONPATH=build/collections python -m tests.bench.large FILE

judges the host whose read command's output is in FILE, and prints {"seconds": ..., "mebibytes": ..., "statuses": [...]}:
the time from the text to the verdicts (rules, sets and JSON parsed, three requirements judged for an address and a
network) and the highest memory of the whole process.
"""

from __future__ import annotations

import ipaddress
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet, parse_address
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.selection import select_requirements
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.platform import LinuxPlatform
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts

from tests.lab.shell import run

RULES, ELEMENTS, CHAINS = 10_000, 100_000, 20
MARK = "@@bench"
_NAMESPACE = "audit-ports-bench-rules"
_ADDRESS = "192.0.2.2"
_ADDRESSES = json.dumps(
    [{"ifname": "audit0", "ifindex": 2, "addr_info": [{"family": "inet", "local": _ADDRESS, "prefixlen": 24}]}]
)
_ROUTES = json.dumps([{"dst": "192.0.2.0/24", "dev": "audit0"}])


def cases(folder: Path) -> dict[str, Path]:
    """Write the outputs of the read command of hosts with large rule sets; name -> file."""
    listed = "--set of"
    made = {
        f"nft, {RULES:,} rules, a set of {ELEMENTS:,} addresses": {"nft": _from_kernel(_nft(networks=False))},
        f"nft, {RULES:,} rules, a set of {ELEMENTS:,} networks": {"nft": _from_kernel(_nft(networks=True))},
        f"iptables, {RULES:,} rules, an ipset of {ELEMENTS:,} networks": {
            "nft": '{"nftables": []}',
            "xtables": "\n".join(_iptables()),
            "ipset": "\n".join(_ipset()),
        },
    }
    found = {}
    for number, (name, parts) in enumerate(made.items()):
        found[name] = folder / f"large-{number}.txt"
        found[name].write_text(_output(parts), encoding="utf-8")
    return found
