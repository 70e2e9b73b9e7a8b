# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Run `ansible-test sanity` of one ansible-core on a copy of the collection, with nothing ignored.

    python -m tests.tools.sanity 2.19 [ansible-test's own arguments]

ansible-test makes its own virtual environments, for which it fetches pip from a host of its own. Here pip comes from
the package index that everything else comes from, and is laid where ansible-test looks for what it has fetched before.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools.environments import BUILD, CORES, ENVIRONMENTS, ROOT, find_python

HOME = BUILD / "sanity" / "home"
# A sanity test that can't run says so in a warning, and passes.
LEFT_OUT = re.compile(r"^WARNING: ((?:Skipping|Required program) .*)$", re.MULTILINE)
BOOTSTRAP = '''\
import runpy, sys
sys.path.insert(0, {wheel!r})
packages = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--quiet", "--no-index", "--find-links", {wheels!r}, *packages]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
'''


def copy_collection(core: str) -> Path:
    """Lay out the files that git knows or would add as build/sanity/CORE/ansible_collections/agentless/audit_ports.

    A copy, since ansible-test asks for that path and sees through a symbolic link.
    """
    target = BUILD / "sanity" / core / "ansible_collections" / "agentless" / "audit_ports"
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    # Without a repository of its own ansible-test would take the checkout around it, which ignores build/.
    subprocess.run(["git", "init", "--quiet", str(target)], timeout=60, check=True)
    return target


def ansible_test_file(core: str, name: str) -> Path:
    """Return the path of a file of this core's ansible-test; raises StopIteration where there is none."""
    return next(ENVIRONMENTS[CORES[core]].path.glob(f"lib/python*/site-packages/ansible_test/{name}"))


def prepare_pip(core: str) -> None:
    """Lay the pip that this ansible-test wants where it looks before it fetches one."""
    environment = ENVIRONMENTS[CORES[core]]
    requirements = ansible_test_file(core, "_internal/python_requirements.py").read_text()
    version = re.search(r"pip='([\d.]+)'", requirements)
    if version is None:
        raise LookupError(f"the ansible-test of ansible-core {core} names no version of pip")
    wheels = BUILD / "sanity" / "wheels"
    if not list(wheels.glob(f"pip-{version[1]}-*.whl")):
        pip = [str(environment.bin / "python"), "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--dest", str(wheels), f"pip=={version[1]}"], timeout=120, check=True)
    wheel = next(wheels.glob(f"pip-{version[1]}-*.whl"))
    bootstrap = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version[1].replace('.', '_')}.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text(BOOTSTRAP.format(wheel=str(wheel), wheels=str(wheels)))


def sanity_environ(core: str) -> dict[str, str]:
    """Return the environment of ansible-test: all Pythons that there are in PATH, and a home of its own."""
    constants = runpy.run_path(str(ansible_test_file(core, "_util/target/common/constants.py")))
    supported = (*constants["REMOTE_ONLY_PYTHON_VERSIONS"], *constants["CONTROLLER_PYTHON_VERSIONS"])
    pythons = [Path(path) for path in map(find_python, supported) if path]
    # The tools come last: theirs is shellcheck, and not the Python to be tested.
    directories = [ENVIRONMENTS[CORES[core]].bin, *(python.parent for python in pythons), ENVIRONMENTS["tools"].bin]
    cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    return {
        **os.environ,
        "HOME": str(HOME),
        "PATH": os.pathsep.join([*map(str, directories), os.environ["PATH"]]),
        "PIP_CACHE_DIR": cache,
        "PIP_QUIET": "2",
        "LC_ALL": "C.UTF-8",
    }


def main(core: str, arguments: list[str]) -> int:
    """Run ansible-test, print what it says, and after it what it left out."""
    collection = copy_collection(core)
    prepare_pip(core)
    command = [str(ENVIRONMENTS[CORES[core]].bin / "ansible-test"), "sanity", "--color", "no", *arguments]
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=collection, env=sanity_environ(core), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            print(line, end="", flush=True)
    for warning in LEFT_OUT.findall("".join(said)):
        print(f"not run: {warning}")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
