# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to tell whom where a rule of ours would not help, with ready lines for those who may change the policy."""

from __future__ import annotations

from collections.abc import Sequence

from ...module_utils._core.causes import MANAGED_KINDS
from ...module_utils._core.records import Decision
from .._platform import powershell
from .netsh import add_arguments
from .opening import Opening

_PLACE = (
    "Computer Configuration > Policies > Windows Settings > Security Settings > Windows Defender Firewall with Advanced"
    " Security > Inbound Rules"
)
_STORE = r"example.com\NAME-OF-THE-GPO"

NOT_ELEVATED = (
    "the account is not elevated on the host (no administrator, or a local one over the network without"
    " LocalAccountTokenFilterPolicy): sign in with an administrator's full token"
)
NOT_SET_UP = (
    "the host is not set up for PowerShell remoting (service WinRM, HTTP listener), so nothing is opened for it:"
    " set winrm: configure to do what 'winrm quickconfig' does, or psremoting: false to be audited by RPC and SMB"
)


def other_profile(profile: str) -> str:
    """Where the blocked profile is not one that we open for."""
    return f"the network is {profile}, for which nothing is opened unless it is named: set profiles: [{profile}]"


def obstacle_advice(obstacles: Sequence[Decision], opening: Opening) -> str:
    """Why an allow rule of ours would not win, who has to act, and the lines that do it."""
    first = obstacles[0]
    if not any(item.kind in MANAGED_KINDS for item in obstacles):
        return f"an allow rule would not win over {first.text}: remove or narrow that rule"
    managed = next(item for item in obstacles if item.kind in MANAGED_KINDS)
    if "AllowLocalPolicyMerge" in managed.id:
        what = f"rules of the host are void ({managed.text}; {managed.id})"
        how = "let the domain administrator add the rule to the policy itself"
    elif "DoNotAllowExceptions" in managed.id:
        what = f"all exceptions are switched off ({managed.text}; {managed.id})"
        how = "let the domain administrator switch that off in the policy, and add the rule to it"
    else:
        what = f"an allow rule would not win over {managed.text}"
        how = "let the domain administrator remove or narrow that rule; an allow rule in the policy alone does not win"
    return f"{what}: {how}. {gpo_lines(opening)}"


def gpo_lines(opening: Opening) -> str:
    """The rule as lines for a Group Policy store: PowerShell's cmdlet, and a script for ``netsh -f``."""
    script = f'advfirewall set store gpo="{_STORE}"; {" ".join(_quoted(word) for word in add_arguments(opening))}'
    cmdlet = cmdlet_line(opening, store=_STORE)
    return f"In {_PLACE}; as PowerShell: {cmdlet} - as lines of a file for 'netsh -f': {script}"


def cmdlet_line(opening: Opening, *, store: str = "") -> str:
    """The rule as a line with New-NetFirewallRule, into the local store or a Group Policy's."""
    words = ["New-NetFirewallRule"]
    if store:
        words.append(f"-PolicyStore {powershell.quote(store)}")
    words += [f"-DisplayName {powershell.quote(opening.name)}", "-Direction Inbound", "-Action Allow"]
    if opening.protocol == "icmp":
        words += ["-Protocol ICMPv4", "-IcmpType 8"]
    else:
        words.append(f"-Protocol {opening.protocol.upper()}")
        if opening.port is not None:
            words.append(f"-LocalPort {opening.port}")
    if opening.program:
        words.append(f"-Program {powershell.quote(opening.program)}")
    if opening.service:
        words.append(f"-Service {opening.service}")
    words += [f"-RemoteAddress {opening.remote.capitalize() if opening.remote == 'any' else opening.remote}"]
    words += [f"-Profile {','.join(profile.capitalize() for profile in opening.profiles)}"]
    return " ".join(words)


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    return f'{key}="{value}"' if equals and " " in value else word
