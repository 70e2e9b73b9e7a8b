# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import sources

HEADER = "".join(f"# {header}\n" for header in sources.HEADERS)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return tmp_path


def findings(root: Path, name: str, text: str) -> list[str]:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [f"{line}: {what}" for line, what in sources.check(Path(name))]


@pytest.mark.parametrize("name", ["plugins/a.py", "roles/target/tasks/main.yml", "Makefile", ".ci/run"])
def test_a_source_without_headers(root: Path, name: str) -> None:
    assert len(findings(root, name, "a = 1\n")) == len(sources.HEADERS)
    assert findings(root, name, HEADER) == []


def test_a_header_far_below_is_none(root: Path) -> None:
    assert findings(root, "a.yml", "\n" * sources.HEADER_LINES + HEADER)


def test_an_empty_file_needs_no_header(root: Path) -> None:
    assert findings(root, "tests/lab/__init__.py", "") == []


@pytest.mark.parametrize("directory", ["/root", "/home/somebody", "/work"])
def test_a_path_of_one_machine(root: Path, directory: str) -> None:
    for line in (f"cd {directory}/project", f"open('{directory}/data')", f"PATH={directory}/bin"):
        assert findings(root, "notes", f"first\n{line}\n") == [f"2: names {directory}/, a path of one machine"]


@pytest.mark.parametrize("line", ["mkdir /root/.ssh", "https://example.com/work/on", "docs/work/in", "{{ x }}/work/y"])
def test_what_is_the_same_everywhere_is_no_path_of_one_machine(root: Path, line: str) -> None:
    assert findings(root, "notes", f"{line}\n") == []


def test_a_plugin_file_that_is_too_long(root: Path) -> None:
    text = HEADER + "A = 1\n" * sources.PLUGIN_FILE_LINES
    assert findings(root, "plugins/plugin_utils/_x/a.py", text) == [
        f"1: {sources.PLUGIN_FILE_LINES + 2} lines, over {sources.PLUGIN_FILE_LINES}"
    ]
    assert findings(root, "plugins/modules/a.py", text) == []


def test_a_function_that_is_too_long_without_its_docstring(root: Path) -> None:
    body = "    a = 1\n" * sources.FUNCTION_LINES
    docstring = '    """' + "What it does.\n" * sources.FUNCTION_LINES + '    """\n'
    assert findings(root, "a.py", f"{HEADER}def f():\n{docstring}{body}") == []
    assert findings(root, "a.py", f"{HEADER}def f():\n{body}    a = 2\n") == [
        f"3: f has {sources.FUNCTION_LINES + 1} lines, over {sources.FUNCTION_LINES}"
    ]
