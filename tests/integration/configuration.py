# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Everything that a run could have left on a host: its firewall's files, the kernel's rules, our own record."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.lab.fixture import run_in

_SCRIPT = r"""
for place in /etc/firewalld /etc/ufw /etc/default/ufw; do
    [ -e "$place" ] && find "$place" -type f -exec stat -c '%n %a %U:%G' {} + -exec sha256sum {} +
done | sort
echo @@
nft --stateless list ruleset
echo @@
find /var/lib/agentless-audit /run/lock/agentless-audit.lock 2>/dev/null
true
"""


@dataclass(frozen=True)
class Configuration:
    """A host's firewall: its managers' files (mode, owner and SHA-256 of each), the kernel's rules, what is ours.

    The rules are nft's own listing without handles and counters; `ours` are the paths of our record and our lock.
    """

    files: tuple[str, ...]
    rules: str
    ours: tuple[str, ...]

    @property
    def record(self) -> tuple[str, ...]:
        """The paths of our record of what was opened."""
        return tuple(path for path in self.ours if path.startswith("/var/lib/"))


def configuration(host: str) -> Configuration:
    """Read a host's configuration, past everything that is tested."""
    try:
        text = run_in(host, "sh", "-s", input_text=_SCRIPT).stdout
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{host}: its configuration cannot be read: {error.stderr}") from error
    files, rules, ours = text.split("@@\n")
    return Configuration(tuple(files.splitlines()), rules, tuple(ours.split()))


def configurations(hosts: Iterable[str]) -> dict[str, Configuration]:
    """The configurations of several hosts, two at a time."""
    names = list(hosts)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(configuration, names), strict=True))
