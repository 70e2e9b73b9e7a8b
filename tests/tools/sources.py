# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Check what no linter checks: licence headers, paths of one machine, and the sizes that CONTRIBUTING names.

Prints `file:line: what is wrong` for each finding and exits 1 where there is one.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.tools.environments import ROOT

HEADERS = ("SPDX-License-Identifier: GPL-3.0-or-later", "Copyright: agentless.audit_ports contributors")
HEADER_LINES = 12
# Names by suffix, or by the whole name for files without one.
SOURCES = {
    ".Containerfile", ".cfg", ".css", ".j2", ".js", ".ps1", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml",
    ".ansible-lint", ".gitattributes", ".gitignore", ".yamllint", "Makefile", "demo", "lab", "run",
}  # fmt: skip
# Texts of others, what antsibull-changelog writes, and what tests feed to parsers as it was captured.
NOT_OURS = re.compile(r"^(LICENSE|CHANGELOG\.rst|changelogs/changelog\.yaml|tests/.*/fixtures\w*/.*)$")
# /root/.ssh is the same on every machine: root's own place in a host of the lab.
MACHINE_PATH = re.compile(r"(?<![\w.}/])/(?:root/(?!\.ssh\b)|work/|home/\w+/)")
PLUGIN_FILE_LINES = 400
FUNCTION_LINES = 60


def tracked() -> Iterator[Path]:
    """Yield the project's files, relative to its root: those that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not NOT_OURS.match(name):
            yield Path(name)


def check_header(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield a finding for each header that is not among the first lines."""
    for header in HEADERS:
        if not any(header in line for line in lines[:HEADER_LINES]):
            yield 1, f"no header {header!r}"


def check_paths(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield a finding for each line that names a path of one machine."""
    for number, line in enumerate(lines, 1):
        if found := MACHINE_PATH.search(line):
            yield number, f"names {found[0]}, a path of one machine"


def check_sizes(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield a finding for a plugin file or a function that is too long, a function without its docstring."""
    count = text.count("\n")
    if path.parts[:2] in {("plugins", "module_utils"), ("plugins", "plugin_utils")} and count > PLUGIN_FILE_LINES:
        yield 1, f"{count} lines, over {PLUGIN_FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = (node.end_lineno or 0) - first.lineno + 1
            if length > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines, over {FUNCTION_LINES}"


def check(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the findings of one file; a file that is no text is nobody's source."""
    try:
        text = (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    lines = text.splitlines()
    if text.strip() and (path.suffix or path.name) in SOURCES:
        yield from check_header(lines)
    if path != Path("tests/tools/sources.py"):
        yield from check_paths(lines)
    if path.suffix == ".py":
        yield from check_sizes(path, text)


def main() -> int:
    """Check every file; return the exit code."""
    findings = [f"{path}:{line}: {what}" for path in tracked() for line, what in check(path)]
    print("\n".join(findings or ["sources: every header is there, no path of one machine, no size over its limit"]))
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
