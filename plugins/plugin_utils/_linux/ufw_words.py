# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a rule of the kernel back to what made it in ufw: a numbered rule, a default, one of the files of rules."""

from __future__ import annotations

import re

from ...module_utils._core.records import Decision
from .._netfilter.model import Step
from .firewalld_words import essence_of_text
from .ufw_config import Tuple, UfwConfig

_CHAIN = re.compile(
    r"ufw6?-(?P<part>before-logging|after-logging|user-logging|before|after|user|reject|track|skip-to-policy)"
    r"-(?P<side>input|output|forward)"
)
_SIDES = {"input": "incoming", "output": "outgoing", "forward": "routed"}
_DEFAULTS = {"ACCEPT": "allow", "DROP": "deny", "REJECT": "reject"}
_LIMIT = re.compile(r"ufw6?-user-limit(?:-accept)?")
_TARGET = re.compile(r" -[jg] (\S+)")


def position_words(config: UfwConfig, step: Step) -> Decision | None:
    """A step in ufw's own words; None when it is not ufw's."""
    if step.table != "filter" or step.family not in ("ip", "ip6"):
        return None
    suffix = "6" if step.family == "ip6" else ""
    if step.kind == "policy" and step.chain.lower() in _SIDES:
        if suffix and not config.ipv6:
            return Decision("ufw", "IPV6", "ufw: IPV6=no, all of IPv6 is dropped")
        return _default(config, step.chain.lower())
    found = _CHAIN.fullmatch(step.chain)
    if found is None:
        return _miscellaneous(step)
    part, side = found["part"], found["side"]
    if part in ("reject", "track", "skip-to-policy"):
        return _default(config, side)
    if part == "user":
        rule = _rule_of(config, step)
        if rule is not None:
            return Decision("ufw", f"rule {rule.number}", f"ufw rule {rule.number}: {rule}")
        text = f"a rule in ufw's list that its files do not hold: {step.text}"
        return Decision("ufw", f"{step.chain} {step.text}", text)
    file = f"/etc/ufw/{part}{suffix}.rules" if part in ("before", "after") else f"/etc/ufw/user{suffix}.rules"
    return Decision("ufw", f"{step.chain} {step.text}", f"ufw {file.rpartition('/')[2]}: {step.text}")


def _default(config: UfwConfig, side: str) -> Decision:
    policy = config.policy(side)
    return Decision("ufw", f"default {_SIDES[side]}", f"ufw default: {_DEFAULTS.get(policy, policy)} ({_SIDES[side]})")


def _miscellaneous(step: Step) -> Decision | None:
    if _LIMIT.fullmatch(step.chain):
        return Decision("ufw", step.chain, "ufw: a limit rule (six connections in 30 seconds)")
    if step.chain in ("ufw-not-local", "ufw6-not-local"):
        return Decision("ufw", step.chain, "ufw before.rules: packets to addresses that are not this host's")
    return Decision("ufw", step.chain, f"ufw: {step.text}") if step.chain.startswith(("ufw-", "ufw6-")) else None


def _rule_of(config: UfwConfig, step: Step) -> Tuple | None:
    """The rule at the step's place in its chain where files and kernel agree, else the first that says the same."""
    version = 6 if step.family == "ip6" else 4
    lines = [
        (line, rule)
        for rule in config.of_version(version)
        for line in rule.kernel
        if line.startswith(f"-A {step.chain} ")
    ]
    wanted = _sense(step.text)
    at_place = lines[step.position - 1] if 0 < step.position <= len(lines) else None
    if at_place is not None and _sense(at_place[0]) == wanted:
        return at_place[1]
    return next((rule for line, rule in lines if _sense(line) == wanted), None)


def _sense(text: str) -> tuple[object, ...]:
    """What a rule compares and does, however it is spelled."""
    interfaces = tuple(sorted(re.findall(r"-([io]) (\S+)", text)))
    several = tuple(re.findall(r"--(dports|sports) (\S+)", text))
    target = _TARGET.search(text)
    return (essence_of_text(text), interfaces, several, target[1] if target else "", "--update" in text)
