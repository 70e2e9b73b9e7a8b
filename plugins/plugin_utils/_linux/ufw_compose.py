# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ufw loads at boot, composed from its files in the order of ufw-init, in the form of iptables-save.

ufw-init feeds its own chains and then the files before, after and user to ``iptables-restore --noflush``, and sets the
policies last (ufw-framework(8)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .iptables_restore import Tables
from .ufw_config import UfwConfig

_SIDES = ("input", "output", "forward")
_USER = (*_SIDES, "limit", "limit-accept", *(f"logging-{side}" for side in _SIDES))
_STAGES = ("before-logging", "before", "after", "after-logging", "reject", "track")


@dataclass(frozen=True)
class Composed:
    """What ufw loads: one text per family, and sentences about what could not be followed, for all packets."""

    texts: tuple[str, ...]
    problems: tuple[str, ...]


def compose(config: UfwConfig) -> Composed:
    """The tables of both families after ufw-init has run; nothing where ufw is not enabled."""
    if not config.enabled:
        return Composed((), ())
    v4 = _loaded(config, 4)
    v6 = _loaded(config, 6) if config.ipv6 else _closed_ipv6()
    texts = (v4.text("iptables"), v6.text("ip6tables"))
    return Composed(texts, (*config.gaps, *v4.problems, *v6.problems))


def _closed_ipv6() -> Tables:
    """With IPV6=no, ufw-init lets nothing of IPv6 through but the loopback interface."""
    closed = (":INPUT DROP", ":FORWARD DROP", ":OUTPUT DROP", "-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT")
    tables = Tables()
    tables.restore(_filter(closed), "ufw-init")
    return tables


def _loaded(config: UfwConfig, version: int) -> Tables:
    ufw, suffix = ("ufw", "") if version == 4 else ("ufw6", "6")
    tables = Tables()
    tables.restore(_filter(_primary(config, ufw)), "ufw-init")
    for name in ("before", "after", "user"):
        path = f"/etc/ufw/{name}{suffix}.rules"
        if not config.files.get(path, "").strip():
            tables.problems.append(f"{path} is missing, and ufw stops half-way without it")
        if name == "user":
            tables.restore(_filter(f":{ufw}-user-{kind} - [0:0]" for kind in _USER), "ufw-init")
        tables.restore(config.files.get(path, ""), path)
    tables.restore(_filter(f"-A {ufw}-before-{side} -j {ufw}-user-{side}" for side in _SIDES), "ufw-init")
    policies = (f":{side.upper()} {_kernel_policy(config.policy(side))}" for side in _SIDES)
    tables.restore(_filter(policies), "ufw-init")
    return tables


def _kernel_policy(policy: str) -> str:
    """REJECT is a rule at the end of the chain; the kernel's policy is then DROP."""
    return "DROP" if policy == "REJECT" else policy


def _primary(config: UfwConfig, ufw: str) -> Iterator[str]:
    for stage in _STAGES:
        yield from (f":{ufw}-{stage}-{side} - [0:0]" for side in _SIDES)
    for side in _SIDES:
        yield from (f"-A {side.upper()} -j {ufw}-{stage}-{side}" for stage in _STAGES)
    for side in _SIDES:
        policy = config.policy(side)
        if policy == "REJECT":
            yield f"-A {ufw}-reject-{side} -j REJECT"
        if policy == "ACCEPT":
            yield from (
                f"-A {ufw}-track-{side} -p {name} -m conntrack --ctstate NEW -j ACCEPT" for name in ("tcp", "udp")
            )
    yield from (f":{ufw}-logging-{kind} - [0:0]" for kind in ("deny", "allow"))
    for side in _SIDES:
        yield f":{ufw}-skip-to-policy-{side} - [0:0]"
        yield f"-A {ufw}-skip-to-policy-{side} -j {config.policy(side)}"


def _filter(lines: Iterable[str]) -> str:
    return "\n".join(("*filter", *lines, "COMMIT"))
