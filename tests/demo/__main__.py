# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The main job on the lab's fleet, from nothing: before, prepare, after, prepare again, withdraw.

Ends with 0 only if everything that it claims holds. `make demo` calls it.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.integration.configuration import Configuration, configurations  # noqa: E402  (below the project's root)
from tests.integration.playing import COLLECTION, REPORT, Run, play, warnings_of  # noqa: E402
from tests.lab.fixture import HOSTS, INVENTORY, LabError, ensure_up  # noqa: E402
from tests.tools.cores import Core  # noqa: E402
from tests.tools.environments import ENVIRONMENTS  # noqa: E402

LAB = ROOT / "tests" / "lab" / "lab"
CORE = Core("2.19", ENVIRONMENTS["tools"].bin)
FIREWALLED = ("debian12-firewalld", "debian12-ufw", "debian13-firewalld")
TARGETS = (*FIREWALLED, "services")
BEHIND_THE_ROUTER = "debian13-firewalld"
"""Its own firewall is opened, and the router still drops SSH to it."""


class Demo:
    """Steps with their headings and times, and what was claimed and did not hold."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.broken: list[str] = []

    @contextmanager
    def step(self, heading: str) -> Iterator[None]:
        print(f"\n{'=' * 100}\n{heading}\n{'=' * 100}", flush=True)
        started = time.monotonic()
        yield
        print(f"-- {time.monotonic() - started:.1f} s", flush=True)

    def claim(self, text: str, holds: bool) -> None:
        print(f"   [{'holds' if holds else 'DOES NOT HOLD'}] {text}", flush=True)
        if not holds:
            self.broken.append(text)

    def run(self, playbook: str) -> Run:
        """Run a playbook of the collection on the lab's fleet; show what it said where it failed."""
        print(f"$ ansible-playbook {COLLECTION}.{playbook} -i {INVENTORY.relative_to(ROOT)}\n", flush=True)
        run = play(CORE, playbook, inventory=INVENTORY)
        self.claim("Ansible warned of nothing", not warnings_of(run))
        if run.returncode != 0:
            print(run.said)
        self.claim(f"{playbook} ended with 0", run.returncode == 0)
        if not run.of(REPORT):
            sys.exit(f"demo: {playbook} came to no report; what it said is above")
        return run

    def end(self, *, was_up: bool) -> int:
        print(f"\n{'=' * 100}")
        print(f"{len(self.broken)} claims do not hold" if self.broken else "every claim holds", end="")
        print(f"; {time.monotonic() - self.started:.0f} s together")
        for text in self.broken:
            print(f"  does not hold: {text}")
        kept = "as it was before" if was_up else "was not up before, and is now"
        print(f"The lab stays up ({kept}). `make lab-down` stops it and leaves nothing but its images.")
        return 1 if self.broken else 0


def indented(lines: Sequence[str]) -> str:
    return textwrap.indent("\n".join(lines), "   ")


def blocked(run: Run, cause: str) -> set[tuple[str, str]]:
    """The rows, host and requirement, that are blocked for this cause."""
    return {key for key, row in run.rows().items() if (row["status"], row["cause"]) == ("blocked", cause)}


def show_before(demo: Demo) -> None:
    run = demo.run("verify")
    print(indented(run.report["table"]))
    closed = blocked(run, "host_firewall")
    expected = {(host, requirement) for host in FIREWALLED for requirement in ("linux.ssh", "snmp.agent")}
    demo.claim("SSH and SNMP of every host with a firewall are blocked by that firewall", closed >= expected)
    seen = [run.rows()[key]["observations"][0]["status"] for key in sorted(closed)]
    demo.claim(f"no packet came through there: {', '.join(seen)}", "open" not in seen)


def show_prepare(demo: Demo) -> None:
    run = demo.run("prepare")
    for host in TARGETS:
        result = run.firewall(host)
        print(f"   {host} ({result['firewall']['kind']}): {result['msg']}")
    print(f"\n{indented(run.recap.splitlines())}")
    demo.claim("what was blocked was opened", all(run.changed()[host] == 1 for host in FIREWALLED))
    demo.claim("a host without a firewall was left alone", run.changed()["services"] == 0)


def show_after(demo: Demo) -> None:
    run = demo.run("verify")
    print(indented(run.report["table"]))
    ready = {host for host, readiness in run.readiness().items() if readiness == "ready"}
    demo.claim(
        "every host is ready but the one behind the router's drop", ready == set(TARGETS) - {BEHIND_THE_ROUTER}
    )
    demo.claim(
        f"SSH of {BEHIND_THE_ROUTER} is diagnosed: the host lets it in, the path does not",
        blocked(run, "path_blocked") == {(BEHIND_THE_ROUTER, "linux.ssh")},
    )
    unknown = [key for key, row in run.rows().items() if row["status"] == "unknown"]
    demo.claim("no row is unknown", not unknown)


def show_again(demo: Demo) -> None:
    run = demo.run("prepare")
    print(indented(run.recap.splitlines()))
    demo.claim("nothing was left to change: changed=0 everywhere", not any(run.changed().values()))


def show_withdraw(demo: Demo, before: Mapping[str, Configuration]) -> None:
    run = demo.run("withdraw")
    for host in FIREWALLED:
        print(f"   {host}: {run.firewall(host)['msg']}")
    after = configurations(TARGETS)
    print(f"\n   {'host':<20} {'files':>6} {'changed':>8}   {'lines of rules':>14} {'changed':>8}   our record")
    for host in TARGETS:
        old, new = before[host], after[host]
        files, rules = set(old.files) ^ set(new.files), _differing(old.rules, new.rules)
        print(
            f"   {host:<20} {len(old.files) // 2:>6} {len(files):>8}   {len(old.rules.splitlines()):>14} {rules:>8}"
            f"   {'LEFT' if new.record else 'gone'}"
        )
    demo.claim("the managers' files are what they were, byte for byte", _same(before, after, "files"))
    demo.claim("the kernel's rules are what they were, but for handles and counters", _same(before, after, "rules"))
    demo.claim("no record of ours is left", not any(item.record for item in after.values()))


def _differing(old: str, new: str) -> int:
    return 0 if old == new else len(set(old.splitlines()) ^ set(new.splitlines())) or 1


def _same(before: Mapping[str, Configuration], after: Mapping[str, Configuration], what: str) -> bool:
    return all(getattr(before[host], what) == getattr(after[host], what) for host in before)


def untouched() -> dict[str, Configuration]:
    """The targets' configurations; what a run that was broken off left open is withdrawn first."""
    found = configurations(TARGETS)
    if any(item.record for item in found.values()):
        print("   withdrawing what an earlier run left open")
        play(CORE, "withdraw", inventory=INVENTORY)
        found = configurations(TARGETS)
    return found


def lab_is_up() -> bool:
    return subprocess.run([LAB, "status"], capture_output=True, timeout=60, check=False).returncode == 0


def main() -> int:
    demo = Demo()
    with demo.step("The lab: an audit host, a router with its own firewall, and four hosts to audit"):
        was_up = lab_is_up()
        try:
            ensure_up()
        except LabError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        for name in ("audit1", "router", *TARGETS):
            print(f"   {name:<20} {HOSTS[name].address4}")
        before = untouched()
        demo.claim("nothing is opened on any of them", not any(item.record for item in before.values()))
    with demo.step("Before: what would the audit meet? (verify: verdicts of the hosts' own rules, and real packets)"):
        show_before(demo)
    with demo.step("Prepare: open what is missing, for the audit host alone"):
        show_prepare(demo)
    with demo.step("After: the same question again"):
        show_after(demo)
    with demo.step("Prepare again: there is nothing left to do"):
        show_again(demo)
    with demo.step("Withdraw: everything as it was before"):
        show_withdraw(demo, before)
    return demo.end(was_up=was_up)


if __name__ == "__main__":
    sys.exit(main())
