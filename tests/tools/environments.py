# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The virtual environments of tools and tests: one table, made once, completed when their requirements change.

    tests/tools/run environments [NAME ...]

Needs a standard library only, for it is what makes the environments; tests on Python 3.8 import it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
COLLECTION = BUILD / "collections" / "ansible_collections" / "agentless" / "audit_ports"
PROBE = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
PIP_TIMEOUT_S = 600


@dataclass(frozen=True)
class Environment:
    """A virtual environment: the Pythons that will do, best first, and its files of tests/requirements."""

    path: Path
    pythons: tuple[str, ...]
    requirements: tuple[str, ...]

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def stamp(self) -> Path:
        return self.path / ".made-from"


ENVIRONMENTS = {
    "tools": Environment(BUILD / "venv", ("3.11", "3.12", "3.13"), ("core-2.19", "test", "runtime", "tools")),
    "core-2.16": Environment(BUILD / "venvs/core-2.16", ("3.11", "3.12", "3.10"), ("core-2.16", "test", "runtime")),
    "core-2.21": Environment(BUILD / "venvs/core-2.21", ("3.13", "3.12"), ("core-2.21", "test", "runtime")),
    "py38": Environment(BUILD / "venvs/py38", ("3.8",), ("test",)),
    "importer": Environment(BUILD / "venvs/importer", ("3.11", "3.12", "3.13"), ("importer",)),
}
# The tools' own ansible-core is the middle one of those that are tested.
CORES = {"2.16": "core-2.16", "2.19": "tools", "2.21": "core-2.21"}


@lru_cache(maxsize=None)
def find_python(version: str) -> str | None:
    """Return the path of a CPython `version` ("3.11") that can make virtual environments, or None.

    Looks in PATH, then among pyenv's versions: a pyenv shim is in PATH for versions that are not switched on.
    """
    in_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [Path(in_path)] if in_path else []
    candidates += sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
    for candidate in candidates:
        probe = subprocess.run([candidate, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
        found = probe.stdout.splitlines()
        if probe.returncode == 0 and found[0] == version:
            return found[1]
    return None


def missing(name: str) -> str | None:
    """Return why the environment `name` can't be made here, or None."""
    wanted = ENVIRONMENTS[name].pythons
    if any(find_python(version) for version in wanted):
        return None
    return f"no Python {' or '.join(wanted)} with ensurepip in PATH or among pyenv's versions"


def version_of(name: str) -> str:
    """Return the version of the Python that the environment `name` has or would have."""
    wanted = ENVIRONMENTS[name].pythons
    return next(filter(find_python, wanted), wanted[0])


def make(name: str) -> str:
    """Make or complete the environment `name`; return a line that says what was done, empty if nothing was.

    Raises LookupError where its Python is missing, RuntimeError where pip fails.
    """
    environment = ENVIRONMENTS[name]
    python = find_python(version_of(name))
    if python is None:
        raise LookupError(missing(name))
    files = [ROOT / "tests/requirements" / f"{requirement}.txt" for requirement in environment.requirements]
    wanted = f"{python} {hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()}\n"
    if environment.stamp.is_file() and environment.stamp.read_text() == wanted:
        return ""
    started = time.monotonic()
    _run([python, "-m", "venv", *_clear(environment, python), str(environment.path)])
    pip = [str(environment.bin / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, *(argument for file in files for argument in ("-r", str(file)))])
    environment.stamp.write_text(wanted)
    return f"{name}: {environment.path.relative_to(ROOT)} ({python}) in {time.monotonic() - started:.0f} s"


def _clear(environment: Environment, python: str) -> list[str]:
    """Return the option that empties an environment of another Python; one of the same Python is completed."""
    old = environment.bin / "python"
    same = old.exists() and old.resolve() == Path(python).resolve()
    return [] if same else ["--clear"]


def _run(command: list[str]) -> None:
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with {result.returncode}:\n{result.stdout}{result.stderr}")


def link_collection() -> None:
    """Make the checkout importable as ansible_collections.agentless.audit_ports below build/collections."""
    if COLLECTION.resolve() != ROOT:
        COLLECTION.parent.mkdir(parents=True, exist_ok=True)
        COLLECTION.unlink(missing_ok=True)
        COLLECTION.symlink_to(os.path.relpath(ROOT, COLLECTION.parent))


def prepare(names: Iterable[str]) -> None:
    """Make those environments `names` that this machine has a Python for, one process at a time in this checkout.

    Raises RuntimeError where pip fails.
    """
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        link_collection()
        with ThreadPoolExecutor(max_workers=2) as pool:
            for line in pool.map(make, [name for name in names if missing(name) is None]):
                if line:
                    print(f"setup: {line}", flush=True)


def main(names: list[str]) -> int:
    """Make the environments `names`, all without a name; return 1 if one that is named, or the tools, can't be made."""
    chosen = names or list(ENVIRONMENTS)
    left_out = {name: reason for name in chosen if (reason := missing(name))}
    prepare(chosen)
    for name, reason in left_out.items():
        print(f"setup: {name}: not made, {reason}", file=sys.stderr)
    return int("tools" in left_out or bool(names and left_out))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
