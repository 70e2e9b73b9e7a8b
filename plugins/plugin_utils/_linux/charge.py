# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in charge of a Linux host's rules: the manager that a change goes to, or what to do where there is none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from ...module_utils._core.addressset import AddressSet
from ...module_utils._core.vocabulary import VerdictStatus
from .._platform.interface import Request
from .judge import Judgement
from .manager import Manager, Opening
from .native import STORED_IN, Native, is_iptables
from .snapshot import Snapshot

_FIREWALLD = "/etc/firewalld"
_WHITELIST = '<user id="0"/>'  # what is shipped lets root in
_UFW_CHAIN = ("ip", "filter", "ufw-user-input")


def manager_in_charge(snapshot: Snapshot, request: Request, judgement: Judgement) -> Manager | str:
    """The manager that the change goes to, or the sentence that says why there is none."""
    manager = _responsible(snapshot, request, judgement)
    if manager is snapshot.managers.get("firewalld") and snapshot.active("firewalld"):
        return _why_firewalld_takes_nothing(snapshot) or manager
    return manager


def _why_firewalld_takes_nothing(snapshot: Snapshot) -> str:
    if snapshot.firewalld_state == "silent":
        return "firewalld runs and does not answer on D-Bus; restart it and run again"
    if snapshot.firewalld_state == "FAILED":
        return "firewalld could not load its configuration (state FAILED; 'journalctl -u firewalld' says why)"
    if is_locked(snapshot.files):
        return "firewalld is locked down and root is not on its lockdown-whitelist: it refuses every change"
    return ""


def _responsible(snapshot: Snapshot, request: Request, judgement: Judgement) -> Manager | str:
    if request.manager in STORED_IN:
        return Native(request.manager, snapshot.ruleset)
    running = [name for name in snapshot.managers if is_running(snapshot, name)]
    if request.manager != "auto":
        if request.manager in running:
            return snapshot.managers[request.manager]
        return f"manager: {request.manager} is asked for and {state_of(snapshot, request.manager)} on this host"
    if judgement.status is VerdictStatus.OPEN and judgement.boot is not None:  # only what is stored has to change
        stored = judgement.boot.decided_by.kind
        if stored in running or stored == "firewalld":  # whose files can be changed while it does not run
            return snapshot.managers[stored]
    owner = next((decision.kind for decision in reversed(judgement.decided_by) if decision.kind in running), None)
    if owner or len(running) == 1:
        return snapshot.managers[owner or running[0]]
    if running:
        return f"{' and '.join(running)} both run here; say by the option manager which one is to be changed"
    at_boot = [name for name in snapshot.managers if snapshot.enabled(name)]
    if at_boot:
        return f"{at_boot[0]} is started at boot and {state_of(snapshot, at_boot[0])} now; start it and run again"
    return _without_manager(snapshot, judgement)


def state_of(snapshot: Snapshot, name: str) -> str:
    """What is the matter with a manager that does not run, as the end of a sentence."""
    unit = snapshot.units.get(name)
    if name not in snapshot.managers:
        return "is not installed"
    if unit is None:
        return "is not in charge"
    states = {"masked": "is masked", "failed": "has failed", "inactive": "is stopped"}
    return states.get(unit.load) or states.get(unit.active, f"is {unit.active or 'not in charge'}")


def _without_manager(snapshot: Snapshot, judgement: Judgement) -> str:
    """What to do where nobody manages the rules: the very commands, if there is a place for them."""
    packet, outcome = judgement.packet, judgement.outcome
    if packet is None or outcome is None or not outcome.decided_by:
        return "no firewall manager (firewalld, ufw) runs here; the rule has to be changed where it was made"
    name = "iptables" if is_iptables(outcome.decided_by[-1]) else "nftables"
    native = Native(name, snapshot.ruleset)
    place = native.place(outcome, packet)
    version = packet.destination.version
    openings = [Opening(packet.protocol, packet.port, text, version, place) for text in source_texts(judgement)]
    commands = [shlex.join(action.argv) for action in native.add(openings[:1], runtime=True, permanent=False)]
    return (
        f"no firewall manager (firewalld, ufw) runs here; '{commands[0]}' would open it (manager: {name} does that), "
        f"and has to be stored in {STORED_IN[name]}"
    )


def is_locked(files: Mapping[str, str]) -> bool:
    """Whether firewalld's lockdown keeps root from changing anything (firewalld.conf(5), lockdown-whitelist(5))."""
    settings = files.get(f"{_FIREWALLD}/firewalld.conf", "")
    if not re.search(r"^\s*Lockdown\s*=\s*(?:yes|true)\s*$", settings, re.MULTILINE | re.IGNORECASE):
        return False
    listed = files.get(f"{_FIREWALLD}/lockdown-whitelist.xml", _WHITELIST)
    return re.search(r"""<user\s+(?:id=["']0["']|name=["']root["'])|<command\s[^>]*firewall-cmd""", listed) is None


def is_running(snapshot: Snapshot, name: str) -> bool:
    """Whether a manager is in charge of rules now: firewalld as a service, ufw as the chains that it loaded."""
    return _UFW_CHAIN in snapshot.ruleset.chains if name == "ufw" else snapshot.active(name)


def source_texts(judgement: Judgement) -> list[str]:
    """The addresses and networks that a judgement's source is, ``any`` for a whole family."""
    version = judgement.packet.destination.version if judgement.packet else 4
    return ["any"] if judgement.source == AddressSet.any(version) else list(judgement.source.texts())


def all_managers(snapshot: Snapshot) -> dict[str, Manager]:
    """Everything that openings of ours can be recorded for, by name."""
    return {**snapshot.managers, **{name: Native(name, snapshot.ruleset) for name in STORED_IN}}
