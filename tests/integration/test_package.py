# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The collection as a user gets it: built, installed, and used by its full name from another directory."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.tools.cores import Core
from tests.tools.environments import BUILD, ROOT
from tests.tools.importer import build_collection

NAME = "agentless.audit_ports"
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
SHIPPED = {"CODE_OF_CONDUCT.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "changelogs", "meta", "plugins"}
NOT_SHIPPED = {"Makefile", "build", "noxfile.py", "pyproject.toml", "tests"}


@pytest.fixture(scope="module")
def archive(core: Core) -> Path:
    """Build the collection; return its archive."""
    return build_collection(core.bin / "ansible-galaxy")


@pytest.fixture(scope="module")
def installed(core: Core, archive: Path) -> Path:
    """Install the archive below build/installed; return the path for ANSIBLE_COLLECTIONS_PATH."""
    path = BUILD / "installed" / core.label
    shutil.rmtree(path, ignore_errors=True)
    install = core.run(
        "ansible-galaxy", "collection", "install", str(archive), "--collections-path", str(path), "--offline",
        in_lab=False, collections=path,
    )
    assert install.returncode == 0, install.stderr
    return path


def test_the_archive_holds_the_collection_and_not_its_workshop(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = {name.split("/")[0] for name in tar.getnames()}
    assert names >= SHIPPED
    assert not names & NOT_SHIPPED
    assert not {name for name in names if name.startswith(".")}


def test_the_lookup_is_found_from_anywhere(core: Core, installed: Path, tmp_path: Path) -> None:
    expression = f"{{{{ query('{NAME}.requirements', 'linux') | map(attribute='id') }}}}"
    result = core.run(
        "ansible", "localhost", "-i", "localhost,", "-m", "ansible.builtin.debug", "-a", f"msg={expression}",
        in_lab=False, collections=installed, cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "linux.ssh" in json.loads(result.stdout.partition("=>")[2])["msg"]
    assert result.stderr == ""


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_is_found_from_anywhere(core: Core, installed: Path, tmp_path: Path, playbook: str) -> None:
    result = core.run(
        "ansible-playbook", f"{NAME}.{playbook}", "-i", "localhost,", "--list-tasks",
        in_lab=False, collections=installed, cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert str(installed / "ansible_collections/agentless/audit_ports/playbooks" / f"{playbook}.yml") in result.stdout


def test_module_defaults_reach_every_action(core: Core, installed: Path, tmp_path: Path) -> None:
    """The action group names each action plugin, and Ansible takes it."""
    actions = sorted(path.stem for path in (ROOT / "plugins" / "action").glob("*.py"))
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["all"]) == actions
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {f"group/{NAME}.all": {"no_such_option": True}},
        "tasks": [{f"{NAME}.{action}": {}, "ignore_errors": True} for action in actions],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    result = core.run(
        "ansible-playbook", "play.yml", "-i", "localhost,", "-c", "local", "--check",
        in_lab=False, collections=installed, cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("Unsupported parameters") >= len(actions), result.stdout
    assert "no_such_option" in result.stdout
