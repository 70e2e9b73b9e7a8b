# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A manager's configuration as a record: its files and commands in parts, and every way to leave one of them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.truth.random_state import Part


@dataclass(frozen=True)
class Document:
    """A file. Where ``before`` is empty the parts are all of it, else they go before the first such line of the file
    that the image ships; ``settings`` tells whether a part replaces the shipped line of the same setting (``NAME=``).
    """

    path: str
    parts: tuple[Part, ...]
    head: str = ""
    tail: str = ""
    feature: str = ""
    before: str = ""
    settings: bool = False

    def text(self, shipped: str) -> str:
        """The file's text; ``shipped`` is the image's own."""
        if self.settings:
            names = {part.text.partition("=")[0] for part in self.parts}
            kept = [line for line in shipped.splitlines() if line.partition("=")[0].strip() not in names]
            return "\n".join([*kept, *(part.text for part in self.parts)]) + "\n"
        inner = "".join(f"{part.text}\n" for part in self.parts)
        if self.before:
            start, marker, rest = shipped.partition(self.before)
            return start + inner + marker + rest
        return f"{self.head}\n{inner}{self.tail}\n"


@dataclass(frozen=True)
class Configuration:
    """All that a case configures on a stage; ``commands`` are the arguments of the manager's own command."""

    stage: str
    documents: tuple[Document, ...] = ()
    commands: tuple[Part, ...] = ()
    features: frozenset[str] = frozenset()

    def covered(self) -> set[str]:
        """What this configuration holds of all that there is to cover."""
        found = {document.feature for document in self.documents} | self.features
        for document in self.documents:
            found |= {name for part in document.parts for name in part.feature.split("|")}
        found |= {name for part in self.commands for name in part.feature.split("|")}
        return found - {""}

    def files(self, shipped: Callable[[str], str]) -> dict[str, str]:
        """Path to text; ``shipped`` gives the image's own text of a path."""
        return {document.path: document.text(shipped(document.path)) for document in self.documents}

    def smaller(self) -> Iterator[Configuration]:
        """Every configuration with one thing less: documents first, then commands and parts."""
        for number in range(len(self.documents)):
            yield replace(self, documents=_without(self.documents, number))
        for number in range(len(self.commands)):
            yield replace(self, commands=_without(self.commands, number))
        for number, document in enumerate(self.documents):
            for place in range(len(document.parts)):
                smaller = replace(document, parts=_without(document.parts, place))
                yield replace(self, documents=(*self.documents[:number], smaller, *self.documents[number + 1 :]))


def _without(things: tuple[object, ...], number: int) -> tuple:  # type: ignore[type-arg]
    return things[:number] + things[number + 1 :]
