# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Lay the collection containers.podman, whose connection plugin molecule needs, below build/molecule/collections.

    python -m tests.tools.podman_connection

It comes out of the package `ansible`, from the index that everything else comes from: Galaxy need not be in reach.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.tools.environments import BUILD, ENVIRONMENTS, ROOT

COLLECTIONS = BUILD / "molecule" / "collections"
REQUIREMENT = ROOT / "tests" / "requirements" / "molecule.txt"
WANTED = "ansible_collections/containers/podman/"


def main() -> int:
    """Download and unpack, unless it is there of the version that is asked for; return the exit code."""
    stamp = COLLECTIONS / ".made-from"
    if stamp.is_file() and stamp.read_text() == REQUIREMENT.read_text():
        return 0
    shutil.rmtree(COLLECTIONS, ignore_errors=True)
    COLLECTIONS.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        python = str(ENVIRONMENTS["tools"].bin / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        # It asks for a newer Python than the tools', to run; to be unpacked it needs none.
        options = ["--no-deps", "--python-version", "3.13", "--only-binary", ":all:", "--dest", scratch]
        subprocess.run([*pip, *options, "-r", str(REQUIREMENT)], timeout=300, check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("ansible-*.whl"))) as wheel:
            wheel.extractall(COLLECTIONS, [name for name in wheel.namelist() if name.startswith(WANTED)])
    stamp.write_text(REQUIREMENT.read_text())
    print(f"containers.podman: {COLLECTIONS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
