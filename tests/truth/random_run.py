# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random firewall states in a real kernel: what the packets meet must be what the simulator says.

``python -m tests.truth.random_run SEED N`` runs the seeds from SEED on and prints what was covered and found.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._netfilter.model import Fate, Outcome

from . import random_nft, random_xtables
from .connections import flush_connections
from .field import HOST, SOURCES, Field, Probe
from .judge import current_rules, host_view, judge
from .random_state import (
    Draw,
    Line,
    Part,
    State,
    nft_lines,
    smaller_states,
    text_of,
    without_line,
    without_way_out,
    xtables_lines,
)

QUOTA = 0.02  # the share of the cases that each feature must appear in
LEAST_CASES = 200  # with fewer, chance alone leaves something out
SHRINK_S = 25.0
KEPT = Path("build/truth")
PANEL = (("tcp", 22), ("tcp", 80), ("udp", 161), ("icmp", None))
PROBES = tuple(
    Probe(source, HOST[version], protocol, port)
    for version, sources in SOURCES.items()
    for source in sources
    for protocol, port in PANEL
)
FEATURES = tuple(dict.fromkeys((*random_nft.FEATURES, *random_xtables.FEATURES)))
# What a rule has to hold where nobody can tell what it does: history, chance, time, load, programs, packet content.
UNDECIDABLE = re.compile(
    r"\blimit\b|quota|recent|hashlimit|numgen|statistic|string|\bu32\b|\bbpf\b|time\b|\bhour\b|\bday\b|\bcpu\b|connlimit|"
    r"connbytes|ct (original )?(bytes|packets|avgpkt|count|label|helper|expiration)|connlabel|helper|cluster|hash|"
    r"random|osf|\brt\b|realm|socket|ttl|hoplimit|\bhl\b|dscp|tos|ecn|length|tcp option|tcpmss|@th,|@nh,|priority|"
    r"ipsec|policy|iiftype|40000|@seen|seen\d|queue|NFQUEUE|tproxy|TPROXY|synproxy|HMARK|ether saddr|--mac-source|"
    r"skuid|owner|eui64|this version of nft does not tell|"
    r"follow connections|tcp flags (\{|[!=]= syn\b)|([sd]addr|[sd]port) set|--ports|\bth [sd]port"
)
_TABLES = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}


@dataclass
class Summary:
    """What a run of seeds has found; ``wanted`` are the features that there are to cover."""

    wanted: tuple[str, ...] = FEATURES
    cases: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    redrawn: int = 0
    unsteady: int = 0
    features: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        """How many packets were judged wrong."""
        return self.verdicts["wrong"]

    @property
    def unknown(self) -> int:
        """How many packets nobody can tell about, with or without a reason."""
        return self.verdicts["unknown"] + self.verdicts["unexplained"]

    def short(self) -> list[str]:
        """The features that appear in too few of the cases."""
        return [name for name in self.wanted if self.features[name] < QUOTA * self.cases]

    def text(self) -> str:
        """The table of what was covered, and the closing lines."""
        shares = [f"{self.features[name] / max(1, self.cases):6.1%} {name}" for name in self.wanted]
        width = max(len(share) for share in shares) + 2
        table = [
            "".join(share.ljust(width) for share in shares[at : at + 4]).rstrip() for at in range(0, len(shares), 4)
        ]
        lines = ["share of the cases that hold each feature", *table]
        short = ", ".join(self.short()) or "none"
        lines.append(f"in fewer than {QUOTA:.0%} of the cases: {short}")
        known = self.verdicts["right"]
        total = max(1, sum(self.verdicts.values()))
        lines.append(
            f"verdicts {total}: right {known}, unknown with a reason {self.verdicts['unknown']}"
            f" ({self.verdicts['unknown'] / total:.1%}), unknown without {self.verdicts['unexplained']},"
            f" wrong {self.wrong}; statements the kernel refused {self.refused}, states drawn again {self.redrawn},"
            f" unsteady packets {self.unsteady}; {self.seconds / max(1, self.cases):.2f} s a case"
        )
        lines += self.notes
        lines += [f"seed {seed}: {problem}" for seed, problems in self.failures.items() for problem in problems]
        seeds = " ".join(map(str, self.failures)) or "none"
        lines.append(f"cases {self.cases}, wrong {self.wrong}, unknown {self.unknown}, seeds that fail: {seeds}")
        return "\n".join(lines)


def draw_state(seed: int) -> State:
    """The state of a seed. Consecutive seeds take turns in what they want, so that each feature has its share."""
    chance = Draw(seed, ())
    kind = ("nft", "xt", "nft", "both")[seed % 4]
    wanted = []
    if kind != "xt":
        wanted += turn(random_nft.FEATURES, seed, 5)
    if kind != "nft":
        wanted += turn(random_xtables.FEATURES, seed, 7)
    draw = Draw(chance.chance.getrandbits(40), wanted)
    state = State()
    if kind != "xt":
        state = replace(state, nft=random_nft.nft_tables(draw))
    if kind != "nft":
        ipsets: list[Part] = []
        which = "46" if {"xt match eui64", "xt match frag6"} & set(wanted) else draw.one(["4", "4", "6", "46"])
        four = random_xtables.xtables(draw, 4, ipsets) if "4" in which else ()
        six = random_xtables.xtables(draw, 6, ipsets) if "6" in which else ()
        state = replace(state, iptables=four, ip6tables=six, legacy=draw.often(0.25), ipsets=tuple(ipsets))
    return state


def turn(features: tuple[str, ...], seed: int, count: int) -> list[str]:
    """What the configuration of a seed has to hold: consecutive seeds take turns in all features."""
    return [features[(seed // 2 * count + number) % len(features)] for number in range(count)]


class Bench:
    """A field whose host takes one state after the other."""

    def __init__(self, field_of_packets: Field) -> None:
        self.field = field_of_packets
        self.host = host_view(field_of_packets)
        self._legacy: set[str] = set()

    def load(self, state: State) -> tuple[State, int]:
        """Load a state into the kernel: what it took, and how many statements it refused."""
        self.clear()
        taken = tuple(part for part in state.ipsets if self._takes_set(part))
        refused = len(state.ipsets) - len(taken)
        state = replace(state, ipsets=taken)
        for name in ("nft", "iptables", "ip6tables"):
            for _try in range(30):
                tables = getattr(state, name)
                lines = nft_lines(tables) if name == "nft" else xtables_lines(tables)
                if not tables:
                    break
                try:
                    self.field.run(*self._loader(name, legacy=state.legacy), text=text_of(lines))
                    break
                except subprocess.CalledProcessError as error:
                    for line in _refused(error.stderr, lines):
                        tables = without_line(tables, line)
                        refused += 1
                    state = replace(state, **{name: tables})
            else:
                raise RuntimeError(f"the kernel takes nothing of {name}")
        flush_connections(self.field)
        return state, refused

    def _takes_set(self, part: Part) -> bool:
        try:
            self.field.run("ipset", "-exist", "restore", text=f"{part.text}\n")
        except subprocess.CalledProcessError:
            return False
        return True

    def clear(self) -> None:
        """Take all rules and sets away."""
        self.field.run("nft", "flush", "ruleset")
        for command in sorted(self._legacy):
            self.field.run(f"{command}-legacy-restore", text=_nothing())
        self._legacy.clear()
        self.field.run("ipset", "flush")
        # The kernel frees the rules that name a set some time after they are gone: what stays is empty.
        with contextlib.suppress(subprocess.CalledProcessError):
            self.field.run("ipset", "destroy")

    def _loader(self, name: str, *, legacy: bool) -> tuple[str, ...]:
        if name == "nft":
            return "nft", "-f", "-"
        if legacy:
            self._legacy.add(name)
        return (f"{name}{'-legacy' if legacy else '-nft'}-restore",)

    def compare(self, state: State, only: Probe | None = None) -> Iterator[tuple[str, str, Probe, Outcome | None]]:
        """What each packet shows of the loaded state: right, unknown, unexplained or wrong, and what is wrong."""
        probes = PROBES if only is None else (only,)
        rules = current_rules(self.field, iptables=bool(state.iptables or state.ip6tables), ipset=bool(state.ipsets))
        seen = self.field.observe(probes)
        for probe in probes:
            try:
                outcome = judge(rules, self.host, probe)
            except Exception as error:
                yield "wrong", f"{probe}: packet {seen[probe]}, the simulator raised {error!r}", probe, None
                continue
            kind = self._kind(state, probe, outcome, seen[probe])
            yield kind, f"{probe}: packet {seen[probe]}, verdict {outcome.fate.value}: {outcome.reason}", probe, outcome

    def _kind(self, state: State, probe: Probe, outcome: Outcome, seen: str) -> str:
        if outcome.fate is Fate.UNDECIDED:
            explained = any(UNDECIDABLE.search(step.text) for step in outcome.decided_by)
            # Source nat keeps a port unless another connection has it.
            explained = explained or "comes from the address and port" in outcome.reason
            return "unknown" if explained else "unexplained"
        if outcome.fate.value == seen or (outcome.reason.endswith(", or rejected before") and seen == "rejected"):
            return "right"
        if state.legacy and state.nft and {outcome.fate.value, seen} == {"dropped", "rejected"}:
            # Which of two chains of one priority comes first is their history, which no listing shows.
            return "right"
        if outcome.fate is Fate.REJECTED and seen == "dropped":
            inward = without_way_out(state)
            # Was it rejected, and do the rules on the way out keep the client from hearing of it?
            self.load(inward)
            lost = self.field.observe([probe])[probe] == "rejected"
            self.load(state)
            # No ICMP message answers a packet that is not for this host (icmp_send).
            return "right" if lost or "nft statement pkttype set" in state.features() else "wrong"
        return "wrong"


def _refused(errors: str, lines: list[Line]) -> list[Line]:
    """What to leave out of a text that was not taken: the lines that the error names, else the last rule."""
    numbers = {int(number) for number in re.findall(r"^/dev/stdin:(\d+):", errors, re.MULTILINE)}
    numbers |= {int(number) for number in re.findall(r"line:? (\d+)", errors)}
    named = [lines[number - 1] for number in sorted(numbers) if 0 < number <= len(lines)]
    rules = [line for line in named if line.table >= 0 and line.rule >= 0]
    if rules:
        # One at a time: what else is named is often refused only because of the first.
        return rules[:1]
    others = [line for line in named if line.table >= 0] or [line for line in lines if line.rule >= 0]
    return others[-1:] or lines[-1:]


def _nothing() -> str:
    tables = []
    for table, chains in _TABLES.items():
        tables += [f"*{table}", *(f":{chain} ACCEPT" for chain in chains), "COMMIT"]
    return "\n".join(tables) + "\n"


def run_seed(bench: Bench, seed: int, summary: Summary) -> None:
    """Run one seed and add what it shows to the summary; a disagreement is shrunk and kept."""
    started = time.monotonic()
    state, refused = bench.load(draw_state(seed))
    summary.refused += refused
    summary.cases += 1
    summary.features.update(state.features())
    problems = []
    for kind, problem, probe, _outcome in list(bench.compare(state)):
        verdict = kind
        if kind == "wrong" and not _steady(bench, state, probe):
            summary.unsteady += 1
            verdict = "right"
        summary.verdicts[verdict] += 1
        if verdict in ("wrong", "unexplained"):
            problems.append((verdict, problem, probe))
    summary.seconds += time.monotonic() - started
    if problems:
        kind, problem, probe = problems[0]
        smallest = shrunk(bench, state, probe, kind)
        path = keep(bench, smallest, seed, probe, kind)
        summary.failures[seed] = [f"{text} ({path})" for _kind, text, _probe in problems[:3]]


def _steady(bench: Bench, state: State, probe: Probe) -> bool:
    """Whether a packet that was judged wrong is so again, alone and with the connections forgotten."""
    for _time in range(2):
        bench.load(state)
        time.sleep(0.05)
        if all(kind != "wrong" for kind, _problem, _probe, _outcome in bench.compare(state, probe)):
            return False
    return True


def shrunk(bench: Bench, state: State, probe: Probe, kind: str) -> State:
    """The smallest state found in a bounded time that still shows this disagreement."""
    deadline = time.monotonic() + SHRINK_S
    found = True
    while found:
        found = False
        for smaller in smaller_states(state):
            if time.monotonic() > deadline:
                return state
            try:
                taken, refused = bench.load(smaller)
            except (subprocess.CalledProcessError, RuntimeError):
                continue
            if not refused and any(item[0] == kind for item in bench.compare(taken, probe)):
                state, found = smaller, True
                break
    return state


def keep(bench: Bench, state: State, seed: int, probe: Probe, kind: str) -> Path:
    """Write a state as a scenario, for a person to look at and to keep."""
    scenario: dict[str, object] = {"what": f"seed {seed}, {kind}: {probe}"}
    if state.ipsets:
        scenario["ipset"] = "".join(f"{part.text}\n" for part in state.ipsets)
    if state.nft:
        scenario["nft"] = text_of(nft_lines(state.nft)[1:])
    for name in ("iptables", "ip6tables"):
        if getattr(state, name):
            scenario[name] = text_of(xtables_lines(getattr(state, name)))
    if state.legacy and (state.iptables or state.ip6tables):
        scenario["legacy"] = True
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"seed_{seed}.yml"
    header = "# SPDX-License-Identifier: GPL-3.0-or-later\n# Copyright: agentless.audit_ports contributors\n"
    bench.load(state)
    notes = "".join(f"# {problem}\n" for _kind, problem, _probe, _outcome in bench.compare(state, probe))
    path.write_text(header + notes + yaml.dump(scenario, sort_keys=False, width=10000), encoding="utf-8")
    return path


def run(field_of_packets: Field, seed: int, count: int) -> Summary:
    """Run ``count`` seeds from ``seed`` on."""
    bench, summary = Bench(field_of_packets), Summary()
    for number in range(seed, seed + count):
        try:
            run_seed(bench, number, summary)
        except (subprocess.CalledProcessError, RuntimeError) as error:
            summary.redrawn += 1
            print(f"seed {number}: {error} {getattr(error, 'stderr', '')}", file=sys.stderr)
    bench.clear()
    return summary


def run_all(seed: int, count: int) -> Iterator[tuple[str, Summary]]:
    """Run ``count`` cases: of ten, six are rules in the kernel, two configure firewalld and two ufw; kind by kind."""
    from .managers import random_managers

    kernel = count - 2 * (count // 5)
    made = Field()
    try:
        rules = run(made, seed, kernel)
    finally:
        made.close()
    yield "rules", rules
    for manager in random_managers.MANAGERS:
        yield manager, random_managers.run(manager, range(seed, seed + count // 5))


def main(arguments: list[str]) -> int:
    """Run the cases that the command line names. Exit code 1 where a verdict is wrong or unknown without a reason."""
    seed, count = (int(argument) for argument in arguments)
    found: dict[str, Summary] = {}
    for name, summary in run_all(seed, count):
        print(f"{name}\n{summary.text()}\n", flush=True)
        found[name] = summary
    unknown = sum(summary.unknown for summary in found.values())
    failing = " ".join(f"{name} {seed}" for name, summary in found.items() for seed in summary.failures) or "none"
    cases, wrong = (sum(getattr(item, name) for item in found.values()) for name in ("cases", "wrong"))
    print(f"cases {cases}, wrong {wrong}, unknown {unknown}, seeds that fail: {failing}")
    return 1 if any(summary.failures for summary in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
