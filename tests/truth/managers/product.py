# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The product on a stage: the Linux platform's own commands, run in the stage's container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Path, Requirement, Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import Protocol, SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.evaluate import judged_paths
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.judge import Judgement
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.platform import LinuxPlatform
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.snapshot import Snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import (
    Command,
    NamedSource,
    Part,
    Plan,
    Request,
    Written,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts

from tests.truth.field import HOST, Probe

from .stage import Stage


@dataclass(frozen=True)
class Seen:
    """One reading of a host: the snapshot, its verdicts, and what would be written."""

    snapshot: Snapshot
    verdicts: tuple[Verdict, ...]
    plan: Plan

    def paths(self) -> Iterator[tuple[Probe, Path]]:
        """Each judged path with the packet that it speaks of; only for requests whose sources are single addresses."""
        for verdict in self.verdicts:
            for path in verdict.paths:
                yield Probe(path.source, path.destination, verdict.protocol.value, verdict.port), path


class Product:
    """What the action does with a host, for the ports of a panel (``tcp/22``, ``icmp``)."""

    def __init__(self, stage: Stage, panel: Sequence[str]) -> None:
        self._stage = stage
        self._platform = LinuxPlatform()
        self._requirements = tuple(map(_requirement, panel))

    def request(self, sources: Sequence[str], **changes: object) -> Request:
        """What is asked for these sources: all ports of the panel, all to be opened."""
        asked = Request(
            host=self._stage.name,
            systems=("linux",),
            requirements=self._requirements,
            openable=frozenset(item.id for item in self._requirements),
            sources={SourceRole.AUDIT_HOST: tuple(NamedSource(text, AddressSet.parse(text)) for text in sources)},
            destinations=tuple(map(ip_address, HOST.values())),
        )
        return replace(asked, **changes)  # type: ignore[arg-type]

    def look(self, request: Request) -> Seen:
        """Read, judge and plan."""
        snapshot = self._platform.parse(self._run(self._platform.read(request)), request)
        verdicts = self._platform.evaluate(snapshot, request)
        return Seen(snapshot, verdicts, self._platform.plan(snapshot, verdicts, request))

    def snapshot(self) -> Snapshot:
        """One reading of the host."""
        request = self.request(())
        return self._platform.parse(self._run(self._platform.read(request)), request)

    def judgements(
        self, snapshot: Snapshot, sources: Sequence[str], parts_of: Sequence[str] = ()
    ) -> Iterator[tuple[Probe, Judgement]]:
        """What is judged of each source's packets; with ``parts_of`` of these addresses as parts of the sources."""
        request = self.request(sources)
        for requirement in self._requirements:
            for judgement, path in judged_paths(snapshot, request, requirement):
                for source in parts_of or (path.source,):
                    if ip_address(source) in judgement.source:
                        yield Probe(source, path.destination, requirement.protocol.value, requirement.port), judgement

    def parts(self, snapshot: Snapshot, networks: Sequence[str]) -> Iterator[tuple[AddressSet, Probe, Path]]:
        """How networks are judged: each part that is treated alike, with a packet that it sends and its path."""
        request = self.request(networks)
        for requirement in self._requirements:
            for judgement, path in judged_paths(snapshot, request, requirement):
                probe = Probe("", path.destination, requirement.protocol.value, requirement.port)
                yield judgement.source, probe, path

    def write(self, seen: Seen) -> None:
        """Carry the plan out, if there is one. Raises AssertionError with what the host said."""
        if seen.plan.changes.changed:
            written = self._platform.written(self._run(self._platform.write(seen.snapshot, seen.plan)))
            assert not written.stale, "stale"
            assert not written.errors, written.errors

    def write_script(self, seen: Seen) -> Command:
        """The command that carries the plan out."""
        return self._platform.write(seen.snapshot, seen.plan)

    def answered(self, output: str, command: Command) -> Written:
        """How a command that was run ended."""
        return self._platform.written(split_parts(output, command.mark))

    def _run(self, command: Command) -> Mapping[str, Part]:
        assert command.program == "/bin/sh"
        return split_parts(self._stage.run(command.body), command.mark)


def _requirement(target: str) -> Requirement:
    protocol, _slash, port = target.partition("/")
    if protocol == "icmp":
        return get_requirement("network_scan.icmp_echo")
    name = f"truth.{protocol}_{port}"
    return replace(get_requirement("linux.ssh"), id=name, protocol=Protocol(protocol), port=int(port), service="none")
