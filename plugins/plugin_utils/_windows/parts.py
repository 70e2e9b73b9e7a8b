# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The native commands whose output a snapshot is made of: the one table that the reader walks and the parser knows."""

from __future__ import annotations

from collections.abc import Sequence

FIREWALL_POLICY = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
POLICIES = r"HKLM\SOFTWARE\Policies\Microsoft"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
WSMAN = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN"
RPC_INTERNET = r"HKLM\SOFTWARE\Microsoft\Rpc\Internet"
TOKEN_POLICY = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"
PRODUCT_OPTIONS = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions"


def _query(key: str, *more: str) -> tuple[str, ...]:
    return ("reg.exe", "query", key, *more)


# Administrators with their full token alone may read the registry of the system's own accounts.
ELEVATED = _query(r"HKU\S-1-5-19")

# The long part: most rules of the local store need not be printed (see ``needless``).
RULES = "local_rules"

# Every command is one process. The firewall's keys are asked for one by one, because the whole tree holds the rules of
# every app package as well (half a megabyte). A key without /s lists the names of its sub-keys: a sub-key that is
# listed and could not be read was denied, not missing.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("elevated", ELEVATED),
    ("local_root", _query(FIREWALL_POLICY)),
    (RULES, _query(rf"{FIREWALL_POLICY}\FirewallRules")),
    ("local_domain", _query(rf"{FIREWALL_POLICY}\DomainProfile", "/s")),
    ("local_standard", _query(rf"{FIREWALL_POLICY}\StandardProfile", "/s")),
    ("local_public", _query(rf"{FIREWALL_POLICY}\PublicProfile", "/s")),
    ("local_consec", _query(rf"{FIREWALL_POLICY}\ConSecRules")),
    ("mdm", _query(rf"{FIREWALL_POLICY}\Mdm", "/s")),
    ("policies_root", _query(POLICIES)),
    ("policy", _query(rf"{POLICIES}\WindowsFirewall", "/s")),
    ("policies_windows", _query(rf"{POLICIES}\Windows")),
    ("ipsec", _query(rf"{POLICIES}\Windows\IPSec", "/s")),
    ("winrm_policy", _query(rf"{POLICIES}\Windows\WinRM", "/s")),
    ("winrm_listeners", _query(rf"{WSMAN}\Listener", "/s")),
    ("mpssvc_start", _query(rf"{SERVICES}\MpsSvc", "/v", "Start")),
    ("netlogon_start", _query(rf"{SERVICES}\Netlogon", "/v", "Start")),
    ("lanman", _query(rf"{SERVICES}\LanmanServer\Parameters")),
    ("product", _query(PRODUCT_OPTIONS, "/v", "ProductType")),
    ("token_policy", _query(TOKEN_POLICY, "/v", "LocalAccountTokenFilterPolicy")),
    ("rpc_internet", _query(RPC_INTERNET)),
    ("tcpip", _query(rf"{SERVICES}\Tcpip\Parameters\Interfaces", "/s")),
    ("services", ("sc.exe", "queryex", "type=", "service", "state=", "all", "bufsize=", "250000")),
    ("netstat", ("netstat.exe", "-ano")),
    ("routes", ("netstat.exe", "-rn")),
    ("allprofiles", ("netsh.exe", "advfirewall", "show", "allprofiles", "state")),
    ("currentprofile", ("netsh.exe", "advfirewall", "show", "currentprofile", "state")),
    ("global", ("netsh.exe", "advfirewall", "show", "global")),
    ("dynamic_ports", ("netsh.exe", "interface", "ipv4", "show", "dynamicport", "tcp")),
)

# The parts that list a key's sub-keys, by that key.
LISTINGS = {FIREWALL_POLICY: "local_root", POLICIES: "policies_root", rf"{POLICIES}\Windows": "policies_windows"}

# What most hosts do not have. It is asked for where the listing of the key above, right before it, names it or failed;
# here by the key's name there.
IF_LISTED = {
    "local_consec": "ConSecRules", "mdm": "Mdm", "policy": "WindowsFirewall", "ipsec": "IPSec", "winrm_policy": "WinRM",
}  # fmt: skip


# Without these nothing can be judged. They are there on every Windows since Vista, whoever reads them.
NEEDED = ("local_root", RULES)


def is_registry(argv: Sequence[str]) -> bool:
    """Whether the command prints keys of the registry."""
    return argv[0] == "reg.exe"
