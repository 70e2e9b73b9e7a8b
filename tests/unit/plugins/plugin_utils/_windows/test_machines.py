# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Every captured machine, judged for the whole catalog: the verdicts are those that were written down by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry_text import parse_registry
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.rule import parse_rule, print_rule

from tests.captured import captured
from tests.tools import judge
from tests.tools.judges import windows

SOURCES = {"in": "192.0.2.10", "out": "198.51.100.10"}
PROFILES = ("domain", "private", "public")
Asked = tuple[str, str, str]  # profile, source, requirement


@dataclass
class Machine:
    name: str
    files: tuple[str, ...]
    ordinary: tuple[str, str] = ("", "")
    told: dict[Asked, tuple[str, frozenset[str]]] = field(default_factory=dict)


def machines() -> Iterator[Machine]:
    machine = Machine("", ())
    table = Path(__file__).with_name("expected_verdicts.txt").read_text(encoding="utf-8")
    for line in table.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "machine":
            machine = Machine(words[1], tuple(words[3:]))
            yield machine
        elif words[0] == "else":
            machine.ordinary = (words[1], words[2])
        else:
            profiles = PROFILES if words[0] == "all" else words[:1]
            sources = SOURCES if words[1] == "both" else words[1:2]
            ids = [row.id for row in CATALOG] if words[2] == "*" else [words[2]]
            for asked in ((profile, source, name) for profile in profiles for source in sources for name in ids):
                machine.told.setdefault(asked, (words[3], frozenset(words[4:])))


MACHINES = tuple(machines())


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("source", SOURCES)
def test_verdicts_written_down_by_hand(machine: Machine, source: str) -> None:
    folder = captured("windows")
    found = judged(["--registry", *(str(folder / name) for name in machine.files), "--source", SOURCES[source]])
    assert len(found) == len(PROFILES) * len(CATALOG)
    wrong = []
    for verdict in found:
        asked = (verdict["profile"], source, verdict["requirement"])
        status, rules = machine.told.get(asked, (machine.ordinary[0], frozenset({machine.ordinary[1]}) - {"-"}))
        deciding = {rule["id"].rpartition("\\")[2] for path in verdict["paths"] for rule in path["decided_by"]}
        if verdict["status"] != status or (status != "unknown" and deciding != rules):
            wrong.append(f"{asked}: {verdict['status']} {sorted(deciding)}, written down {status} {sorted(rules)}")
    assert not wrong, "\n".join(wrong)


def judged(arguments: list[str]) -> list[dict[str, Any]]:
    parser = judge.argparse.ArgumentParser()
    windows.add_options(parser)
    options = parser.parse_args([*arguments, "--local", "192.0.2.5/24"])
    options.system = "windows"
    return windows.verdicts(options)


def test_every_rule_of_the_captures_is_printed_as_it_was_read() -> None:
    folder, count = captured("windows"), 0
    for path in sorted(folder.glob("*.txt")):
        if not path.read_bytes().count(b"HKEY_"):
            continue
        registry = parse_registry(path.read_bytes())
        assert registry.gaps == ()
        for values in registry.keys.values():
            for value in values.values():
                if isinstance(value.data, str) and re.match(r"[vV]\d", value.data):
                    rule = parse_rule(value.name, value.data)
                    assert print_rule(rule) == value.data
                    assert rule.unclear == ()
                    count += 1
    lines = (folder / "rules_written_by_netsh_sysmon_v2.32.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        text = line.split("\t")[2]
        assert print_rule(parse_rule("x", text)) == text
    assert count + len(lines) > 1800


def test_every_line_of_a_capture_became_a_value() -> None:
    for path in sorted(captured("windows").glob("*regquery.txt")):
        lines = [line for line in path.read_bytes().decode().splitlines() if line.startswith("    ") and line.strip()]
        registry = parse_registry(path.read_bytes())
        assert sum(len(values) for values in registry.keys.values()) == len(lines), path.name
