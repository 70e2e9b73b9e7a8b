# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.read import SHOW
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import split_files

AWKS = (("awk",), ("mawk",), ("gawk",), ("gawk", "--posix"), ("busybox", "awk"), ("original-awk",))


@pytest.mark.parametrize("awk", [awk for awk in AWKS if shutil.which(awk[0])], ids=" ".join)
def test_the_services_come_along_that_a_file_of_firewalld_names(awk: tuple[str, ...], tmp_path: Path) -> None:
    """By any attribute, in either kind of quotes, and those that these include; no other, and of no other's naming."""
    shipped, own = tmp_path / "shipped", tmp_path / "etc/firewalld"
    shipped.mkdir()
    own.mkdir(parents=True)
    included, last = '<service><include service="c"/></service>\n', '<port port="1"/><include service="a"/>\n'
    for name, text in {"a": included, "b-1": "B\n", "c": last, "d": "D\n", "e": "E\n"}.items():
        (shipped / f"{name}.xml").write_text(text)
    zone = '<zone><service name="a"/><service\n name=\'b-1\'/><x y="../e" z="192.0.2.0/24"/></zone>\n'
    (own / "z.xml").write_text(zone)
    (tmp_path / "hosts").write_text('"d"\n')
    files = [str(own / "z.xml"), str(tmp_path / "hosts")]
    variables = ("-v", "mark=@@0123456789abcdef01234567", "-v", f"services={shipped}/")
    answer = subprocess.run([*awk, *variables, SHOW, *files], capture_output=True, text=True, timeout=10, check=True)
    assert {path: text.rstrip() + "\n" for path, text in split_files(answer.stdout).items()} == {
        str(own / "z.xml"): zone,
        str(tmp_path / "hosts"): '"d"\n',
        f"{shipped}/a.xml": included,
        f"{shipped}/b-1.xml": "B\n",
        f"{shipped}/c.xml": last,
    }
