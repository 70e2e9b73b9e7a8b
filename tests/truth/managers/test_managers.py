# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""firewalld and ufw: verdict and packet agree before and after a change and a reboot, and a withdrawal leaves no trace.

A scenario is a file: ``manager`` (the stage), ``files`` that are there when the managers start, ``setup`` commands,
``panel`` of ports, ``sources`` of the audit. What it says about the outcome:

- ``expect``: what packets meet before the change (``SOURCE PORT: passes``); ``reasons``: words of the verdict's reason
  for the audit's first source; ``undecided``: ports about which no verdict can be given.
- ``changes``: false where nothing is to be done; ``stays_blocked``: ports that no change of ours opens, with words of
  the advice; every other port of the panel is open for the audit's sources afterwards.
- ``meanwhile``: what somebody else does before the withdrawal; ``left``: commands that must succeed after it.
- ``then``: the sources of a second run, in place of the first ones.
- ``reboot: true`` (``soak``: in long runs alone): the managers start anew with no rule in the kernel, before and after
  the change; ``unknown_at_boot``: packets (``SOURCE PORT``) about which nothing can be told then.
- ``undo``: commands at the end, where the setup changed more than what a stage puts back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet

from tests.truth.field import SOURCES, Probe

from .product import Product, Seen
from .stage import MissingImageError, Stage, probes_of

FOLDER = Path(__file__).with_name("scenarios")
PANEL = ("tcp/22", "tcp/443", "udp/161", "icmp")
AUDIT = (SOURCES[4][0], SOURCES[6][0])
ALL = (*SOURCES[4], *SOURCES[6])
NETWORKS = ("192.0.2.0/27", "2001:db8:1::/64")
# A start of the managers anew takes seconds: ``reboot: soak`` is done in long runs alone.
REBOOTS = (True, "soak") if os.environ.get("AUDIT_PORTS_SOAK") else (True,)
_STATUS = {"passes": "open", "dropped": "blocked", "rejected": "blocked"}
_OTHER = {"open": "blocked", "blocked": "open"}
_ALLOWED = {"what", "manager", "files", "setup", "panel", "sources", "expect", "reasons", "undecided", "changes"}
_ALLOWED |= {"stays_blocked", "meanwhile", "left", "then", "reboot", "override", "asked_manager"}
_ALLOWED |= {"unknown_at_boot", "undo"}


def _scenarios() -> list[Path]:
    """All scenarios, those of one stage together."""
    return sorted(FOLDER.glob("*.yml"), key=lambda path: (_read(path)["manager"], path.name))


def _read(path: Path) -> dict[str, Any]:
    scenario: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert scenario.keys() <= _ALLOWED, f"{path.name}: {scenario.keys() - _ALLOWED}"
    return scenario


pytestmark = [pytest.mark.timeout(150), pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")]


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[str, Stage]]:
    """Stages by name, each made when it is first asked for; the scenarios of one share its container."""
    made: dict[str, Stage] = {}
    yield made
    for stage in made.values():
        stage.close()


@pytest.mark.parametrize("path", _scenarios(), ids=lambda path: path.stem)
def test_verdicts_are_what_packets_meet(stages: dict[str, Stage], path: Path) -> None:
    """Before, after ``present``, after ``absent``, and where the scenario asks for it, after a reboot of both."""
    scenario = _read(path)
    name = scenario["manager"]
    for other in [other for other in stages if other != name]:
        stages.pop(other).close()
    if name not in stages:
        try:
            stages[name] = Stage(name)
        except MissingImageError as error:
            pytest.skip(str(error))
    Play(stages[name], scenario).run()


class Play:
    """One scenario on its stage."""

    def __init__(self, stage: Stage, scenario: Mapping[str, Any]) -> None:
        self.stage = stage
        self.scenario = scenario
        panel = scenario.get("panel", PANEL)
        self.product = Product(stage, panel)
        self.sources: Sequence[str] = scenario.get("sources", AUDIT)
        self.options = {"override": scenario.get("override", False), "manager": scenario.get("asked_manager", "auto")}
        self.probes = [probe for source in ALL for probe in probes_of(source, panel)]

    def run(self) -> None:
        try:
            self.stage.begin(self.scenario.get("files", {}), self.scenario.get("setup", ()))
            self.play()
        finally:
            self.stage.run("\n".join(self.scenario.get("undo", ())))

    def play(self) -> None:
        untouched = self.stage.state()
        before = self.agree("before")
        self.meant(before)
        self.present(before)
        self.absent(before, untouched)
        if self.scenario.get("reboot") in REBOOTS:
            self.reboot(before)

    def agree(self, when: str) -> dict[Probe, str]:
        """What packets meet now. Fails where a verdict says something else."""
        met, problems = self.compared()
        assert not problems, "\n".join([f"{when}:", *problems])
        return met

    def compared(self) -> tuple[dict[Probe, str], list[str]]:
        """What packets meet, and where a verdict says something else."""
        seen = self.product.look(self.product.request(ALL))
        met = {probe: _STATUS[fate] for probe, fate in self.stage.observe(self.probes).items()}
        return met, [*self.differences(seen, met), *self.network_differences(seen, met)]

    def differences(self, seen: Seen, met: Mapping[Probe, str]) -> list[str]:
        """Where a verdict is not what the packet met; every packet must have one verdict."""
        undecided = set(self.scenario.get("undecided", ()))
        judged = list(seen.paths())
        assert {probe for probe, _path in judged} == set(met)
        assert len(judged) == len(met)
        return [
            f"{probe}: packet {met[probe]}, verdict {path.status.value}: {path.reason}"
            for probe, path in judged
            if path.status.value != ("unknown" if _target(probe) in undecided else met[probe])
        ]

    def network_differences(self, seen: Seen, met: Mapping[Probe, str]) -> list[str]:
        """Where a source is judged otherwise as a part of its network."""
        undecided = set(self.scenario.get("undecided", ()))
        problems = []
        for part, sent, path in self.product.parts(seen.snapshot, NETWORKS):
            for source in ALL:
                single = replace(sent, source=source)
                if ip_address(source) not in part:
                    continue
                if path.status.value != ("unknown" if _target(single) in undecided else met[single]):
                    problems.append(
                        f"{single}: packet {met[single]}, in its network {path.status.value}: {path.reason}"
                    )
        return problems

    def meant(self, met: Mapping[Probe, str]) -> None:
        """The scenario is about what it says."""
        actual = {str(probe): status for probe, status in met.items()}
        assert {name: actual[name] for name in self.scenario.get("expect", {})} == self.scenario.get("expect", {})
        reasons = {str(probe): path.reason for probe, path in self.look().paths()}
        for name, words in self.scenario.get("reasons", {}).items():
            full = name if " " in name else f"{self.sources[0]} {name}"
            assert words in reasons[full], f"{full}: {reasons[full]}"

    def look(self, sources: Sequence[str] | None = None, **changes: Any) -> Seen:
        """What the audit's own request sees and plans."""
        return self.product.look(self.product.request(sources or self.sources, **{**self.options, **changes}))

    def present(self, before: Mapping[Probe, str]) -> None:
        """After the change the ports are open for the audit's sources and no others; another run has nothing to do."""
        seen = self.look()
        assert seen.plan.changes.changed is self.scenario.get("changes", True), seen.plan.changes.messages()
        self.told(seen)
        self.product.write(seen)
        self.opened(before, self.sources)
        again = self.look()
        assert not again.plan.changes.changed, f"a second run would write: {again.plan.changes.messages()}"
        if "then" in self.scenario:
            self.product.write(self.look(self.scenario["then"]))
            self.opened(before, self.scenario["then"])

    def told(self, seen: Seen) -> None:
        """What no change of ours opens is told, with the rule that is in the way."""
        texts = {
            _wire(verdict): f"{verdict.reason}: {seen.plan.advice.get(verdict.requirement)}"
            for verdict in seen.verdicts
        }
        for target, words in self.scenario.get("stays_blocked", {}).items():
            assert words in texts[target], texts[target]

    def opened(self, before: Mapping[Probe, str], sources: Sequence[str]) -> None:
        """Packets agree with verdicts; what was asked for is open, and nothing else changed."""
        after = self.agree("after present")
        wanted = AddressSet.parse(sources)
        closed, undecided = set(self.scenario.get("stays_blocked", ())), set(self.scenario.get("undecided", ()))
        expected = {
            probe: "open" if ip_address(probe.source) in wanted and _target(probe) not in closed else status
            for probe, status in before.items()
            if _target(probe) not in undecided
        }
        assert _shown(after, expected) == {}, "after present: SOURCE PORT: (is, should be)"

    def absent(self, before: Mapping[Probe, str], untouched: str) -> None:
        """After the withdrawal packets, files and kernel rules are as they were; what others did in between stays."""
        meanwhile = self.scenario.get("meanwhile", ())
        if meanwhile:
            self.stage.run("\n".join(["set -e", *meanwhile]))
        self.product.write(self.look(state="absent"))
        for command in self.scenario.get("left", ()):
            self.stage.run(command)
        if not meanwhile:
            assert self.stage.state().splitlines() == untouched.splitlines()
        undecided = self.scenario.get("undecided", ())
        decided = {probe: status for probe, status in before.items() if _target(probe) not in undecided}
        assert _shown(self.agree("after absent"), decided) == {}, "after absent: SOURCE PORT: (is, should be)"

    def reboot(self, before: Mapping[Probe, str]) -> None:
        """What the verdicts say about the time after a reboot is what packets meet then."""
        self.survives("before")
        self.stage.begin(self.scenario.get("files", {}), self.scenario.get("setup", ()))
        self.product.write(self.look())
        self.survives("after present")

    def survives(self, when: str) -> None:
        """Each path's ``persistent`` is true of a restart of the managers with an empty kernel."""
        judged = list(self.product.look(self.product.request(ALL)).paths())
        self.stage.restart()
        met = {probe: _STATUS[fate] for probe, fate in self.stage.observe(self.probes).items()}
        unknown = set(self.scenario.get("unknown_at_boot", ()))
        problems = []
        for probe, path in judged:
            said = {True: path.status.value, False: _OTHER.get(path.status.value), None: "unknown"}[path.persistent]
            if said != ("unknown" if str(probe) in unknown else met[probe]):
                problems.append(f"{probe}: packet {met[probe]}, verdict {said}: {path.reason}")
        assert not problems, "\n".join([f"{when}, after a reboot:", *problems])


def _target(probe: Probe) -> str:
    return str(probe).split()[1]


def _wire(verdict: Any) -> str:
    return verdict.protocol.value if verdict.port is None else f"{verdict.protocol.value}/{verdict.port}"


def _shown(actual: Mapping[Probe, str], expected: Mapping[Probe, str]) -> dict[str, tuple[str, str]]:
    """Where two tables differ."""
    return {str(probe): (actual[probe], expected[probe]) for probe in expected if actual[probe] != expected[probe]}
