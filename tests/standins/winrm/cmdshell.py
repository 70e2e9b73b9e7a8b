# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""cmd.exe: a script on standard input, a file, or one command behind /c. Only what ours use; the rest is an error.

The parser knows words in double quotes, the redirections `<nul`, `2>nul`, `>nul`, delayed and plain variables, `echo`,
`set`, `exit`, blocks in parentheses and `if [not] WORD == WORD (`. As in cmd.exe, plain `%NAME%` is expanded when a
block is read and `!NAME!` when a command is run; it asks for `More?` at each line of a block, and a block that is not
closed is never run. Of a file it knows, beyond that, `rem`, `||`, `&` behind `if errorlevel N`, and `exit /b CODE`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.standins.winrm.answer import Answer

Run = Callable[[Sequence[str]], Answer]
_BANNER = "Microsoft Windows [Version 10.0.17763.1]\r\n(c) Microsoft Corporation. All rights reserved.\r\n\r\n"
_NAME = re.compile(r"%([A-Za-z0-9_]+)%")
_DELAYED = re.compile(r"!([A-Za-z0-9_]+)!")
_IF = re.compile(r"if (?P<no>not )?(?P<left>\S+) == (?P<right>\S+) \(", re.IGNORECASE)
_IF_ERROR = re.compile(r"if errorlevel (\d+) (.+)")
_WORD = re.compile(r'(?:"[^"]*"|[^\s"])+')
_SPECIAL = re.compile(r"[&|<>^()]")
_ENVIRONMENT = {"systemroot": r"C:\Windows", "path": r"C:\Windows\system32"}


class CmdSyntaxError(Exception):
    """A line that this cmd.exe does not know."""


@dataclass
class Cmd:
    """One cmd.exe, its variables and what it has printed."""

    run: Run
    variables: dict[str, str] = field(default_factory=lambda: dict(_ENVIRONMENT))
    code: int = 0
    out: list[bytes] = field(default_factory=list)
    err: list[bytes] = field(default_factory=list)

    def script(self, text: str) -> Answer:
        """Run a script as it comes on standard input; the banner is printed first."""
        self.out.append(_BANNER.encode())
        rest = iter(text.split("\n"))
        for line in rest:
            if line.strip().lower() == "exit":
                break
            if line.strip():
                try:
                    self._execute(line, rest)
                except CmdSyntaxError as error:
                    self._say_error(str(error))
                except StopIteration:
                    break  # the input ended within a block: cmd.exe leaves without having run any of it
        return Answer(self.code, b"".join(self.out), b"".join(self.err))

    def file(self, text: str) -> Answer:
        """Run a .cmd file, which is without echo and has the line ends of Windows."""
        *lines, last = text.split("\r\n")
        if lines[:1] != ["@echo off"] or last or any("\n" in line for line in lines):
            raise CmdSyntaxError("no file of lines without echo")
        for line in lines[1:]:
            found = _IF_ERROR.fullmatch(line)
            if line.startswith("rem ") or (found and self.code < int(found[1])):
                continue
            for command in found[2].split("& ") if found else [line]:
                if command.startswith("exit /b "):
                    self.code = int(self._plain(command.removeprefix("exit /b ")))
                    return Answer(self.code, b"".join(self.out), b"".join(self.err))
                self._alternatives(command)
        raise CmdSyntaxError("the file does not end with exit")

    def _alternatives(self, command: str) -> None:
        """Commands with `||` between them, up to the first that succeeds."""
        for number, part in enumerate(command.split(" || ")):
            if number == 0 or self.code:
                self._simple(part)

    def command(self, line: str) -> Answer:
        """Run one command line, as `cmd.exe /c` does."""
        try:
            self._simple(line)
        except CmdSyntaxError as error:
            self._say_error(str(error))
        return Answer(self.code, b"".join(self.out), b"".join(self.err))

    def _say_error(self, text: str) -> None:
        self.err.append(f"{text}\r\n".encode())
        self.code = 1

    def _execute(self, line: str, rest: Iterator[str]) -> None:
        if line.strip() == "(":
            for command in self._block(rest):
                command()
        else:
            self._simple(line)

    def _block(self, rest: Iterator[str]) -> list[Callable[[], None]]:
        """The commands up to the closing parenthesis, not yet run. Raises StopIteration at the end of the input."""
        commands: list[Callable[[], None]] = []
        while True:
            self.out.append(b"More? ")
            line = next(rest).strip()
            if line == ")":
                return commands
            if found := _IF.fullmatch(line):
                commands.append(self._condition(found, self._block(rest)))
            elif line == "(" or line.lower().startswith("if "):
                raise CmdSyntaxError(f"{line} was unexpected at this time.")
            elif line:
                commands.append(partial(self._simple, self._plain(line), plain=False))

    def _condition(self, found: re.Match[str], then: list[Callable[[], None]]) -> Callable[[], None]:
        def run() -> None:
            equal = self._delayed(found["left"]) == self._delayed(found["right"])
            if equal != bool(found["no"]):
                for command in then:
                    command()

        return run

    def _plain(self, line: str) -> str:
        return _NAME.sub(lambda name: self.variables.get(name[1].lower(), name[0]), line)

    def _delayed(self, text: str) -> str:
        known = {**self.variables, "errorlevel": str(self.code)}
        return _DELAYED.sub(lambda name: known.get(name[1].lower(), ""), text)

    def _simple(self, line: str, *, plain: bool = True) -> None:
        text = self._delayed(self._plain(line) if plain else line)
        word, _blank, rest = text.partition(" ")
        if len(text) > 8191:
            return  # cut off without a word, as seen on real systems
        if word.lower() in ("echo", "echo."):
            self._refuse_special(rest)
            self.out.append(f"{rest}\r\n".encode())
        elif word.lower() == "set":
            name, equals, value = rest.partition("=")
            if not equals:
                raise CmdSyntaxError(f"Environment variable {rest} not defined")
            self.variables[name.lower()] = value
        else:
            self._program(text)

    def _refuse_special(self, text: str) -> None:
        if found := _SPECIAL.search(re.sub(r'"[^"]*"', "", text)):
            raise CmdSyntaxError(f"{found[0]} was unexpected at this time.")

    def _program(self, text: str) -> None:
        hidden = {"<nul": False, "2>nul": False, ">nul": False}
        for redirection in hidden:
            stripped = re.sub(rf"(?<=\s){re.escape(redirection)}(?=\s|$)", "", text)
            hidden[redirection], text = stripped != text, stripped
        self._refuse_special(text)
        words = [word.replace('"', "") for word in _WORD.findall(text)]
        answer = self.run(words)
        self.code = answer.rc
        self.out += [] if hidden[">nul"] else [answer.out]
        self.err += [] if hidden["2>nul"] else [answer.err]
