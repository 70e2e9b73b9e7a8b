# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The shell scripts and the splitting of their output, run by real shells."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import InputError, ReadError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform import sh
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command, Part
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts
from hypothesis import given
from hypothesis import strategies as st

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]


def run(command: Command, shell: list[str]) -> str:
    done = subprocess.run(shell, input=command.body, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_parts_keep_output_errors_and_return_codes(shell: list[str]) -> None:
    functions = "audit_ports_test() { printf 'out\\n\\nlast'; echo bad >&2; return 3; }"
    body = "\n".join(
        [sh.part("first", ["audit_ports_test"]), sh.part("second /etc/a b", ["printf", "%s", "it's $HOME\nb"])]
    )
    command = sh.script(functions, body)
    assert split_parts(run(command, shell), command.mark) == {
        "first": Part(3, "out\n\nlast", "bad"),
        "second /etc/a b": Part(0, "it's $HOME\nb", ""),
    }


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_cut_off_script_does_nothing(shell: list[str], tmp_path: object) -> None:
    witness = f"{tmp_path}/witness"
    command = sh.script("", "\n".join([sh.part("write", ["touch", witness]), sh.part("end", ["true"])]))
    for length in range(0, len(command.body) - len("audit_ports_main\n"), 97):
        subprocess.run(shell, input=command.body[:length], capture_output=True, text=True, timeout=20, check=False)
        assert not shutil.os.path.exists(witness)
    run(command, shell)
    assert shutil.os.path.exists(witness)


def test_commands_do_not_read_the_script_from_standard_input() -> None:
    command = sh.script("", "\n".join([sh.part("greedy", ["cat"]), sh.part("after", ["echo", "here"])]))
    assert split_parts(run(command, ["dash"]), command.mark)["after"].out == "here\n"


def test_noise_before_the_first_marker_is_dropped_and_a_terminal_line_end_too() -> None:
    command = sh.script("", sh.part("one", ["echo", "x"]), mark="@@abc")
    output = "Welcome!\n@@other begin one\n" + run(command, ["dash"]).replace("\n", "\r\n")
    assert split_parts(output, "@@abc") == {"one": Part(0, "x\n", "")}


def test_marks_differ_from_script_to_script() -> None:
    assert len({sh.script("", "true").mark for _number in range(50)}) == 50


@pytest.mark.parametrize(("keep", "says"), [(0.3, "begin"), (0.7, "two")])
def test_a_broken_off_output_names_the_part(keep: float, says: str) -> None:
    command = sh.script("", "\n".join(sh.part(name, ["echo", "x" * 40]) for name in ("begin", "two", "three")))
    whole = run(command, ["dash"])
    with pytest.raises(ReadError, match="broke off"):
        split_parts(whole[: int(len(whole) * keep)], command.mark)
    with pytest.raises(ReadError, match="not with the output"):
        split_parts("This account is currently not available.", command.mark)


@given(st.text())
def test_any_output_is_parts_or_an_error(noise: str) -> None:
    command = sh.script("", "", mark="@@m")
    for text in (noise, f"\n@@m begin a\n{noise}", f"\n@@m begin a\nx\n@@m errors\n{noise}\n@@m end a 0\n\n@@m done\n"):
        try:
            parts = split_parts(text, command.mark)
        except ReadError:
            continue
        assert all(isinstance(part, Part) for part in parts.values())


@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40))
def test_every_argument_arrives_as_it_is(text: str) -> None:
    done = subprocess.run(["dash", "-c", f"printf %s {sh.quote(text)}"], capture_output=True, timeout=20, check=True)
    assert done.stdout == text.encode()


def test_a_nul_is_refused() -> None:
    with pytest.raises(InputError, match="NUL"):
        sh.quote("a\0b")
