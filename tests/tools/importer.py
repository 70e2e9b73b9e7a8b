# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Build the collection into build/dist and import it as Galaxy does; any warning of galaxy-importer is a failure.

    python -m tests.tools.importer
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools.environments import BUILD, ENVIRONMENTS, ROOT

DIST = BUILD / "dist"
SETTINGS = {
    "GALAXY_IMPORTER_RUN_ANSIBLE_TEST": "false",  # the sanity suite does, for each ansible-core
    "GALAXY_IMPORTER_RUN_FLAKE8": "false",  # ruff does
    "GALAXY_IMPORTER_CHECK_CHANGELOG": "false",  # written by a release, from the fragments
}


def build_collection(ansible_galaxy: Path) -> Path:
    """Return the archive that `ansible-galaxy collection build` makes, the only one in build/dist."""
    shutil.rmtree(DIST, ignore_errors=True)
    command = [str(ansible_galaxy), "collection", "build", str(ROOT), "--output-path", str(DIST)]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)
    return next(DIST.glob("*.tar.gz"))


def main() -> int:
    """Build and import; return the exit code."""
    directory = ENVIRONMENTS["importer"].bin
    scratch = BUILD / "importer"  # galaxy-importer leaves its result where it is started
    scratch.mkdir(parents=True, exist_ok=True)
    archive = build_collection(directory / "ansible-galaxy")
    result = subprocess.run(
        [directory / "python", "-m", "galaxy_importer.main", archive],
        cwd=scratch,
        env={
            **os.environ,
            **SETTINGS,
            "GALAXY_IMPORTER_TMP_ROOT_DIR": str(scratch),
            "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400, check=False,
    )
    print(result.stdout, end="")
    warned = any(line.startswith(("WARNING:", "ERROR:")) for line in result.stdout.splitlines())
    return int(result.returncode != 0 or warned)


if __name__ == "__main__":
    sys.exit(main())
