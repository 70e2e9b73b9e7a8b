# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random configurations in a real firewalld and a real ufw: what the packets meet must be what the verdicts say.

Each configuration is judged twice, by the kernel's rules and by the files alone (what the host does after a reboot);
the manager has just loaded exactly those files, so the same packets decide about both.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tests.truth.field import SOURCES, Probe
from tests.truth.random_run import KEPT, Summary, turn
from tests.truth.random_state import Draw

from . import random_firewalld, random_ufw
from .configuration import Configuration
from .product import Product
from .stage import FIREWALLD_STATE, MissingImageError, Stage, probes_of

MANAGERS = ("firewalld", "ufw")
FEATURES = {"firewalld": random_firewalld.FEATURES, "ufw": random_ufw.FEATURES}
PANEL = ("tcp/22", "tcp/443", "udp/161", "icmp")
SHRINK_S = 60.0
_ALL = (*SOURCES[4], *SOURCES[6])
_NETWORKS = ("192.0.2.0/27", "2001:db8:1::/64")
_FOLDERS = ("zones", "policies", "services", "ipsets")
_STATUS = {"passes": "open", "dropped": "blocked", "rejected": "blocked"}
# What nobody can tell of a new packet: chance, history, the client's port, a hardware address, what others fill.
_UNDECIDABLE = re.compile(
    r"\blimit|recent|source-port|sport|from \S+ port|\bmac\b|ether saddr|hardware address|expire|timeout|@set\d|"
    r"nobody on the link|releases differ|whether policy|among firewalld's own"
)
_RELOAD = (
    "busctl --timeout=30 call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1"
    " org.fedoraproject.FirewallD1 reload"
)
# With a configuration that it does not take, it goes on with other rules or none.
_RUNNING = f"{FIREWALLD_STATE} | grep RUNNING"
# ufw's own program, which stores each rule; one start of Python for all of them.
_UFW_COMMANDS = """python3 - <<'THE_END'
import runpy, sys
for arguments in {commands}:
    sys.argv = ["ufw", *arguments]
    try:
        runpy.run_path("/usr/sbin/ufw", run_name="__main__")
    except SystemExit as end:
        if end.code:
            sys.exit(f"ufw {{arguments}}: {{end.code}}")
THE_END"""


class RefusedError(Exception):
    """The manager does not load the configuration."""


def draw_configuration(manager: str, seed: int) -> Configuration:
    """The configuration of a seed. Consecutive seeds take turns in what they want, so that each feature is there."""
    chance = Draw(seed, ())
    draw = Draw(chance.chance.getrandbits(40), turn(FEATURES[manager], seed, 6))
    make = {"firewalld": random_firewalld.draw_firewalld, "ufw": random_ufw.draw_ufw}[manager]
    return make(draw, seed)


class Stages:
    """Stages by name, each made when it is first asked for, until ``close``."""

    def __init__(self) -> None:
        self._made: dict[str, Stage] = {}
        self._shipped: dict[tuple[str, str], str] = {}
        self._direct: dict[str, str] = {}

    def close(self) -> None:
        """Take all of them away."""
        for stage in self._made.values():
            stage.close()

    def stage(self, name: str) -> Stage:
        """A stage, with the managers off that no case is about."""
        if name not in self._made:
            self._made[name] = Stage(name)
        return self._made[name]

    def load(self, configuration: Configuration) -> None:
        """Have the manager load exactly these files and no other rules. Raises RefusedError."""
        stage = self.stage(configuration.stage)
        files = configuration.files(lambda path: self._text(stage, path))
        try:
            if configuration.stage == random_ufw.STAGE:
                _load_ufw(stage, files, configuration)
            else:
                self._load_firewalld(stage, files)
        except subprocess.CalledProcessError as error:
            raise RefusedError(" ".join(map(str, error.__notes__))) from error
        except subprocess.TimeoutExpired as error:
            self._made.pop(stage.name).close()
            self._direct.pop(stage.name, None)
            raise RefusedError(f"not loaded within {error.timeout:g} s; its container is made anew") from error

    def _text(self, stage: Stage, path: str) -> str:
        """The image's own text of a path; empty where it has none."""
        key = stage.name, path
        if key not in self._shipped:
            self._shipped[key] = stage.run(f"tar -xOf {stage.kept} {shlex.quote(path.lstrip('/'))} 2>/dev/null || true")
        return self._shipped[key]

    def _load_firewalld(self, stage: Stage, files: dict[str, str]) -> None:
        conf, direct = "/etc/firewalld/firewalld.conf", "/etc/firewalld/direct.xml"
        for folder in _FOLDERS:
            stage.remove(f"/etc/firewalld/{folder}", "*.xml*")
        stage.remove("/etc/firewalld", "direct.xml*")
        stage.write({conf: self._text(stage, conf), **files})
        # Tables of iptables outlive a reload: where there were or will be some, firewalld starts from nothing.
        outliving = files.get(direct, "") + ("iptables" if "Backend=iptables" in files.get(conf, "") else "")
        if outliving == self._direct.get(stage.name, "none") == "":
            try:
                stage.run(f"{_RELOAD} && {_RUNNING}")
            except subprocess.CalledProcessError:
                self._direct[stage.name] = "refused"
                raise
            return
        self._direct[stage.name] = outliving
        stage.run(
            "systemctl stop firewalld; nft flush ruleset; ipset destroy 2>/dev/null; systemctl reset-failed;"
            f" systemctl start firewalld && {_RUNNING}"
        )

    def compare(self, configuration: Configuration, only: Probe | None = None) -> Iterator[tuple[str, str, Probe]]:
        """What each packet shows of what is loaded: right, unknown, unexplained or wrong; in words; the packet."""
        stage = self.stage(configuration.stage)
        product = Product(stage, PANEL)
        probes = [probe for source in _ALL for probe in probes_of(source, PANEL) if only in (None, probe)]
        snapshot = product.snapshot()
        met = {probe: _STATUS[fate] for probe, fate in stage.observe(probes).items()}
        judged = [*product.judgements(snapshot, _ALL), *product.judgements(snapshot, _NETWORKS, parts_of=_ALL)]
        for probe, judgement in judged:
            if probe not in met:
                continue
            boot = judgement.boot.status.value if judgement.boot else "unknown"
            told = judgement.boot.decided_by.text if judgement.boot else judgement.reason
            for when, said, why in (
                ("now", judgement.status.value, judgement.reason),
                ("at boot", boot, told),
            ):
                kind = "right" if said == met[probe] else "wrong"
                if said == "unknown":
                    kind = "unknown" if _UNDECIDABLE.search(why) else "unexplained"
                yield kind, f"{probe} {when}: packet {met[probe]}, verdict {said}: {why}", probe


def _load_ufw(stage: Stage, files: dict[str, str], configuration: Configuration) -> None:
    commands = json.dumps([shlex.split(part.text) for part in configuration.commands])
    stage.reset()
    stage.run("sed -i s/^ENABLED=yes/ENABLED=no/ /etc/ufw/ufw.conf")
    # Rules first, with ufw off: then it only writes its files.
    stage.write({path: text for path, text in files.items() if path != "/etc/default/ufw"})
    stage.run(_UFW_COMMANDS.format(commands=commands))
    stage.write(files)
    stage.run("sed -i s/^ENABLED=no/ENABLED=yes/ /etc/ufw/ufw.conf; nft flush ruleset; /lib/ufw/ufw-init start")


def run_seed(stages: Stages, manager: str, seed: int, summary: Summary) -> None:
    """Run one seed and add what it shows to the summary; a disagreement is shrunk and kept."""
    started = time.monotonic()
    configuration = draw_configuration(manager, seed)
    try:
        stages.load(configuration)
    except MissingImageError as error:
        summary.notes.append(f"not run: {manager} seed {seed}: {error}")
        return
    except RefusedError as error:
        summary.redrawn += 1
        summary.notes.append(f"{manager} seed {seed} is not loaded: {str(error).strip()[-300:]}")
        return
    summary.cases += 1
    summary.features.update(configuration.covered())
    found = list(stages.compare(configuration))
    summary.verdicts.update(kind for kind, _problem, _probe in found)
    summary.seconds += time.monotonic() - started
    problems = [item for item in found if item[0] in ("wrong", "unexplained")]
    if problems:
        kind, _problem, probe = problems[0]
        path = keep(stages, shrunk(stages, configuration, probe, kind), seed, problems[0])
        summary.failures[seed] = [f"{text} ({path})" for _kind, text, _probe in problems[:3]]


def shrunk(stages: Stages, configuration: Configuration, probe: Probe, kind: str) -> Configuration:
    """The smallest configuration found in a bounded time that still shows this disagreement."""
    deadline = time.monotonic() + SHRINK_S
    found = True
    while found:
        found = False
        for smaller in configuration.smaller():
            if time.monotonic() > deadline:
                return configuration
            try:
                stages.load(smaller)
            except RefusedError:
                continue
            if any(item[0] == kind for item in stages.compare(smaller, probe)):
                configuration, found = smaller, True
                break
    return configuration


def keep(stages: Stages, configuration: Configuration, seed: int, problem: tuple[str, str, Probe]) -> Path:
    """Write a configuration as a scenario of this folder, for a person to look at and to keep."""
    kind, text, _probe = problem
    stage = stages.stage(configuration.stage)
    files = configuration.files(lambda path: stages._text(stage, path))
    setup = [f"ufw {part.text}" for part in configuration.commands]
    scenario = {"what": f"seed {seed}, {kind}", "manager": configuration.stage, "files": files, "setup": setup}
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{configuration.stage}_seed_{seed}.yml"
    header = "# SPDX-License-Identifier: GPL-3.0-or-later\n# Copyright: agentless.audit_ports contributors\n"
    path.write_text(f"{header}# {text}\n{yaml.dump(scenario, sort_keys=False, width=10000)}", encoding="utf-8")
    return path


def run(manager: str, seeds: Sequence[int]) -> Summary:
    """Run these seeds of one manager, those of one stage together."""
    stages, summary = Stages(), Summary(wanted=FEATURES[manager])
    try:
        for seed in sorted(seeds, key=lambda seed: (draw_configuration(manager, seed).stage, seed)):
            run_seed(stages, manager, seed, summary)
    finally:
        stages.close()
    return summary
