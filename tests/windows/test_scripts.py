# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The scripts as sent, in the real engine: what they are made of, and that nothing changes on the way."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import CATALOG
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError, ReadError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Requirement
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform import powershell
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command, Part
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import evaluate
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.needless import NEEDLESS, is_usual
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.opening import Details
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import (
    IF_LISTED,
    LISTINGS,
    PARTS,
    RULES,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.plan import plan
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.policy import MDM
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.read import read_command
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import parse_snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import Profile
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.write import write_command, written

from tests.standins.engine import CONSTRAINED, FULL, Engines, Work, find_engine, run_cold
from tests.standins.winrm.answer import Answer
from tests.standins.winrm.cmdshell import Cmd
from tests.standins.winrm.machine import LISTENER, SERVICES
from tests.standins.winrm.machine import RULES as LOCAL_RULES
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.natives import Natives
from tests.unit.plugins.plugin_utils._windows.machine import request
from tests.windows.scripts import ADD, OPENINGS, REMOVE, commands

pytestmark = pytest.mark.timeout(180)
LISTED_ON_WINDOWS_10 = [name for name, _argv in PARTS if name not in IF_LISTED or name == "mdm"]
TREE = Path(__file__).with_name("allowed.ps1").read_text(encoding="utf-8")
# What Windows PowerShell 3.0 to 7 have in common and Constrained Language Mode allows, and no more than is needed.
ALLOWED = {
    "ScriptBlockAst", "NamedBlockAst", "StatementBlockAst", "PipelineAst", "ScriptBlockExpressionAst",
    "CommandExpressionAst", "CommandParameterAst", "StringConstantExpressionAst", "ExpandableStringExpressionAst",
    "ConstantExpressionAst", "ArrayExpressionAst", "IfStatementAst", "ReturnStatementAst", "ParenExpressionAst",
    "UnaryExpressionAst",
}  # fmt: skip
NAMED = {
    "CommandAst": re.compile(r"[a-z]+\.(?:exe|com)|ForEach-Object|\{[\s\S]*\}"),
    "VariableExpressionAst": re.compile(r"[mekus]|_|LASTEXITCODE|global:LASTEXITCODE|ErrorActionPreference|input"),
    "TypeExpressionAst": re.compile(r"System\.Management\.Automation\.ErrorRecord"),
    "BinaryExpressionAst": re.compile("Is|Ine|Join|And|Or|Ilike|Inotlike|Cmatch|Cnotmatch|Creplace"),
    "AssignmentStatementAst": re.compile("Equals|PlusEquals"),
    "MergingRedirectionAst": re.compile("2>&1"),
}


def run(engines: Engines, command: Command, environment: Mapping[str, str], mode: str = FULL) -> Mapping[str, Part]:
    answer = engines.run(Work(powershell.BOOTSTRAP, command.body, environment, mode))
    assert answer.err == b""
    return split_parts(answer.out.decode(), command.mark)


def tree(engines: Engines, script: str) -> list[str]:
    """The nodes of a script's syntax tree, as the real parser reads it."""
    lines = engines.run(Work(TREE, script, {})).out.decode().splitlines()
    nodes, current = [], ""
    for line in lines:  # the text of a script block runs over several lines
        if re.match(r"(?:\w+Ast|error) ", line):
            nodes.append(current)
            current = line
        else:
            current += "\n" + line
    return [*nodes[1:], current]


def foreign(nodes: list[str]) -> list[str]:
    """The nodes that are not in the allow-list."""
    found = []
    for node in nodes:
        kind, _blank, name = node.partition(" ")
        if not (kind in ALLOWED or (kind in NAMED and NAMED[kind].fullmatch(name))):
            found.append(node)
    return found


@pytest.mark.parametrize("name", commands("powershell"))
def test_scripts_hold_only_what_every_powershell_has(engines: Engines, name: str) -> None:
    nodes = tree(engines, commands("powershell")[name].body)
    assert len(nodes) > 50
    assert foreign(nodes) == []


def test_the_bootstrap_holds_only_what_every_powershell_has(engines: Engines) -> None:
    nodes = tree(engines, powershell.BOOTSTRAP)
    assert foreign(nodes) == ["CommandAst iex"]


@pytest.mark.parametrize(
    "script",
    ["$a ??= 1", "[Console]::Out", "Get-Content x", "sc query", "$x.Length", "1 -eq 1 && 2", "reg.exe a | iex"],
)
def test_the_allow_list_finds_what_is_foreign(engines: Engines, script: str) -> None:
    assert foreign(tree(engines, script))


def test_the_program_is_what_connections_take_for_encoded() -> None:
    program = read_command().program
    assert program.startswith("PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand ")
    assert base64.b64decode(program.rpartition(" ")[2]).decode("utf-16-le") == powershell.BOOTSTRAP
    assert len(program) < 500  # cmd.exe stands in between


@pytest.mark.parametrize("mode", [FULL, CONSTRAINED])
@pytest.mark.parametrize("natives", ["win10", "dc2022"], indirect=True)
@pytest.mark.parametrize("rows", [(), CATALOG], ids=["usual", "every port"])
def test_reading_in_each_language_mode(
    engines: Engines, natives: Natives, environment: Mapping[str, str], mode: str, rows: tuple[Requirement, ...]
) -> None:
    parts = run(engines, read_command(rows), environment, mode)
    there = [(name, argv) for name, argv in PARTS if name not in IF_LISTED or natives.run(argv).rc == 0]
    assert 0 < len(PARTS) - len(there) < len(IF_LISTED)
    assert list(parts) == [name for name, _argv in there]
    for (name, argv), part in zip(there, parts.values(), strict=True):
        answer = natives.run(argv)
        assert (name, part.rc) == (name, answer.rc)
        lines = answer.out.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
        assert part.out == "\n".join(needed(name, lines, usual=is_usual(rows)))
        assert part.err == answer.err.decode().strip()


def needed(name: str, lines: list[str], *, usual: bool) -> Iterator[str]:
    """The lines that are printed of a part; of a rule that is not, its head alone, where no value comes after it."""
    pattern = NEEDLESS[usual].get(name, r"\A(?!)")
    for before, line in pairwise(["", *lines]):
        if not re.search(pattern, line):
            if name == RULES and re.search(pattern, before) and not line.startswith("    "):
                yield before.partition("|")[0] + "|"
            yield line


def test_only_what_is_there_is_asked_for(engines: Engines, natives: Natives, environment: Mapping[str, str]) -> None:
    """A list that cannot be read tells nothing of what there is: then everything is asked for."""
    natives.machine.registry.delete_tree(MDM)
    run(engines, read_command(), environment)
    assert natives.calls == [argv for name, argv in PARTS if name not in IF_LISTED]
    natives.calls.clear()
    for key in LISTINGS:
        natives.machine.registry.deny(key)
    run(engines, read_command(), environment)
    assert natives.calls == [argv for _name, argv in PARTS]


# Two rules over two lines each, an idle one between their halves: its head is needed to keep the halves apart.
_HALVES = {
    "{A}": "v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|Desc=first",
    "{B}": "v2.30|Action=Allow|Active=FALSE|Dir=In|Protocol=6|LPort=22|\r\nName=second|",
}


@pytest.mark.parametrize("natives", sorted(MACHINES), indirect=True)
@pytest.mark.parametrize("rules", [{}, _HALVES], ids=["as it is", "halves"])
@pytest.mark.parametrize("usual", [True, False], ids=["usual", "every port"])
def test_what_is_left_out_changes_no_verdict(
    engines: Engines, natives: Natives, environment: Mapping[str, str], rules: Mapping[str, str], usual: bool
) -> None:
    for name, text in rules.items():
        natives.machine.registry.set(LOCAL_RULES, name, text)
    asked = request(*(row.id for row in CATALOG if not usual or is_usual([row])))
    assert is_usual(asked.requirements) == usual
    less = run(engines, read_command(asked.requirements), environment)
    command = read_command(transport="cmd")
    answer = Cmd(natives.run).script(command.body)
    everything = split_parts(answer.out.decode(), command.mark)
    assert list(everything) == [name for name, _argv in PARTS]
    if natives.machine.rules():
        many = len(natives.machine.rules()) > 100
        assert len(less[RULES].out) < len(everything[RULES].out) / (20 if usual and many else 1)
    for profile in Profile:
        snapshots = [replace(parse_snapshot(parts), active=(profile,)) for parts in (less, everything)]
        judged = [evaluate(snapshot, asked) for snapshot in snapshots]
        assert judged[0] == judged[1]
        plans = [plan(snapshot, judged[0], asked) for snapshot in snapshots]
        assert plans[0] == plans[1]
    assert bool(rules) == any(item.rule.unclear for item in parse_snapshot(less).policy.rules if not item.rule.limits)


@pytest.mark.parametrize("natives", ["win7"], indirect=True)
def test_a_warm_engine_answers_as_a_cold_one(engines: Engines, environment: Mapping[str, str]) -> None:
    command = read_command()
    for mode in (FULL, CONSTRAINED):
        work = Work(powershell.BOOTSTRAP, command.body, environment, mode)
        assert run_cold(work) == engines.run(work)


def test_an_engine_in_an_engine_hands_the_input_on(
    engines: Engines, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """ansible-core 2.16 to 2.18 wrap what is encoded already: PowerShell starts PowerShell, which reads the body."""
    program = find_engine()
    assert program is not None
    (tmp_path / "PowerShell").write_text(f'#!/bin/sh\nexec "{program}" "$@"\n', encoding="utf-8")
    (tmp_path / "PowerShell").chmod(0o755)
    command = read_command()
    path = {**environment, "PATH": f"{tmp_path}:{environment['PATH']}"}
    answer = run_cold(Work(command.program, command.body, path))
    assert list(split_parts(answer.out.decode(), command.mark)) == LISTED_ON_WINDOWS_10


@dataclass(frozen=True)
class Sender:
    """Sends details to the natives' machine through one of the shells."""

    transport: str
    start: Callable[[Command], Answer]

    def __call__(self, details: Details) -> Mapping[str, Part]:
        command = write_command(details, transport=self.transport)
        return split_parts(self.start(command).out.decode(), command.mark)


@pytest.fixture(params=["powershell", "cmd"])
def send(request: pytest.FixtureRequest, natives: Natives, environment: Mapping[str, str]) -> Sender:
    if request.param == "cmd":
        return Sender("cmd", lambda command: Cmd(natives.run).script(command.body))
    engines: Engines = request.getfixturevalue("engines")
    return Sender("powershell", lambda command: engines.run(Work(powershell.BOOTSTRAP, command.body, environment)))


def test_writing_and_taking_back(send: Sender, natives: Natives) -> None:
    before = natives.machine.registry.text("HKLM")
    assert written(send(ADD)).errors == ()
    ours = [rule for rule in natives.machine.rules().values() if "agentless-audit" in rule]
    assert len(ours) == len(OPENINGS)
    assert written(send(REMOVE)).errors == ()
    assert natives.machine.registry.text("HKLM") == before


def test_the_first_failing_step_ends_a_write(send: Sender, natives: Natives) -> None:
    """What cannot be added must not lead to something being removed."""
    assert written(send(ADD)).errors == ()
    natives.machine.elevated = False
    parts = send(Details(add=OPENINGS[:1], remove=OPENINGS[1:]))
    assert list(parts) == ["add 1"]
    [error] = written(parts).errors
    assert "return code 1" in error
    assert "requires elevation" in error


def test_winrm_is_set_up_as_quickconfig_does(send: Sender, natives: Natives) -> None:
    machine = natives.machine
    machine.registry.delete_tree(LISTENER)
    machine.registry.set_number(rf"{SERVICES}\WinRM", "Start", 3)
    machine.services["winrm"].pid = 0
    parts = send(Details(configure_winrm=True))
    assert written(parts).errors == ()
    assert "create a listener" in parts
    assert machine.services["winrm"].running
    assert machine.registry.get(rf"{SERVICES}\WinRM", "Start") == "0x2"
    assert machine.registry.get(LISTENER, "Port") == "0x1761"
    if send.transport == "cmd":  # a return code above 255 is lost in the engine's own processes here
        again = send(Details(configure_winrm=True))
        assert written(again).errors == ()
        assert "create a listener" not in again


@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_a_cut_off_script_does_nothing(
    engines: Engines, natives: Natives, environment: Mapping[str, str], share: float
) -> None:
    command = write_command(ADD)
    lines = command.body.splitlines()
    cut = "\n".join(lines[: int(len(lines) * share)])  # between statements, where the rest alone would do something
    answer = engines.run(Work(powershell.BOOTSTRAP, cut, environment))
    assert natives.calls == []
    with pytest.raises(ReadError):
        split_parts(answer.out.decode(), command.mark)
    lines = write_command(ADD, transport="cmd").body.splitlines()
    Cmd(natives.run).script("\n".join(lines[: int(len(lines) * share)]))
    assert natives.calls == []


HOSTILE = (
    "it's", "\u2018single\u2019 \u201adouble\u201b", 'a "b" c', "%PATH% ^& | > < ;", "$(exit 3) $env:PATH `n", "a\nb",
    "'; reg.exe query 'x", "{0} @{a=1} @(1)", "\u201cquotes\u201d", "tab\tend", "--% rest", "#comment", "",
)  # fmt: skip


@pytest.mark.parametrize("mode", [FULL, CONSTRAINED])
def test_hostile_literals_survive(engines: Engines, mode: str) -> None:
    for text in HOSTILE:
        answer = engines.run(Work(powershell.BOOTSTRAP, powershell.quote(text), {}, mode))
        assert (answer.out.decode(), answer.err) == (text + "\r\n", b"")


def test_hostile_arguments_reach_the_program_or_are_refused(
    engines: Engines, natives: Natives, environment: Mapping[str, str]
) -> None:
    """Empty ones, double quotes and control characters are refused: PowerShell's versions differ about them."""
    for text in (*HOSTILE, "C:\\a b\\"):
        try:
            command = powershell.script(powershell.part("one", ("reg.exe", "query", text)))
        except InputError:
            assert not text or '"' in text or text.endswith("\\") or re.search(r"[\n\t]", text)
            continue
        natives.calls.clear()
        run(engines, command, environment)
        assert natives.calls == [("reg.exe", "query", text)]


@pytest.mark.parametrize("text", ["a\0b", "a\rb"])
def test_what_no_script_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        powershell.quote(text)


@pytest.mark.parametrize("argv", [("sc", "query"), ("reg.exe; x",), ("Reg Query",), ("",)])
def test_only_full_names_of_programs_are_called(argv: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        powershell.words(argv)


def test_a_program_that_is_not_there_is_told(engines: Engines, environment: Mapping[str, str]) -> None:
    wanted = {"one": ("nothere.exe", "x"), "two": ("sc.exe", "start")}
    command = powershell.script("".join(powershell.part(name, argv) for name, argv in wanted.items()))
    answer = engines.run(Work(powershell.BOOTSTRAP, command.body, environment))
    parts = split_parts(answer.out.decode(), command.mark)
    assert parts["one"].rc == powershell.NOT_STARTED
    assert parts["two"].rc != powershell.NOT_STARTED
