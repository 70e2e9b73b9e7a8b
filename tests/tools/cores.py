# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The versions of ansible-core that integration tests run on, and how they run its commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.tools.environments import BUILD, CORES, ENVIRONMENTS, ROOT

LAB = ROOT / "tests" / "lab" / "lab"


@dataclass(frozen=True)
class Core:
    """One ansible-core: its version ("2.19") and the directory of its commands."""

    label: str
    bin: Path

    def environ(self, collections: Path) -> dict[str, str]:
        """Return the environment of its commands: nobody's own settings, collections only from `collections`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_CONFIG": str(ROOT / "tests" / "tools" / "ansible.cfg"),
            "ANSIBLE_HOME": str(BUILD / "ansible" / self.label),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "PATH": f"{self.bin}{os.pathsep}{kept['PATH']}",
        }

    def run(
        self,
        *argv: str,
        in_lab: bool = True,
        collections: Path = BUILD / "collections",
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        timeout_s: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this core, `ansible-playbook` say, and return what it said and its return code.

        It runs in the network namespace of the lab's controller, or with `in_lab=False` where the tests run. By default
        it finds the collection's checkout. `environ` adds to its environment. Raises subprocess.TimeoutExpired.
        """
        place = [str(LAB), "controller"] if in_lab else []
        return subprocess.run(
            [*place, str(self.bin / argv[0]), *argv[1:]],
            cwd=cwd,
            env={**self.environ(collections), **(environ or {})},
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=timeout_s, check=False,
        )


def cores() -> list[Core]:
    """Return the cores whose environments are made; AUDIT_PORTS_CORES ("2.16,2.21") names those that are wanted."""
    wanted = os.environ.get("AUDIT_PORTS_CORES", ",".join(CORES)).split(",")
    unknown = sorted(set(wanted) - set(CORES))
    if unknown:
        raise ValueError(f"AUDIT_PORTS_CORES names {', '.join(unknown)}; there are {', '.join(CORES)}")
    made = {label: ENVIRONMENTS[name] for label, name in CORES.items() if ENVIRONMENTS[name].stamp.is_file()}
    return [Core(label, made[label].bin) for label in wanted if label in made]
