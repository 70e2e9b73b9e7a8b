# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The main job on the lab's fleet, on each ansible-core: before, prepared, prepared again, rebooted, withdrawn.

The runs are made once for each core; the tests look at what they returned, at the hosts' files, and at real packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.integration.configuration import Configuration, configurations
from tests.integration.playing import Run, play, warnings_of
from tests.lab.fixture import INVENTORY, reboot, run_in
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)

FIREWALLED = ("debian12-firewalld", "debian12-ufw", "debian13-firewalld")
TARGETS = (*FIREWALLED, "services")
CLOSED = {
    *((host, requirement) for host in FIREWALLED for requirement in ("linux.ssh", "snmp.agent")),
    ("debian12-firewalld", "network_scan.icmp_echo"),
    ("debian13-firewalld", "network_scan.icmp_echo"),
}
"""What the hosts' own firewalls block before; ufw lets pings in by default."""
MUTE = {("services", "network_scan.netbios_datagram")}
"""What answers nobody by protocol, so that no probe can prove it."""
BEHIND_THE_ROUTER = ("debian13-firewalld", "linux.ssh")
CAME_THROUGH = "open"


@dataclass(frozen=True)
class Story:
    """The runs in their order, and the hosts' configurations between them."""

    untouched: Mapping[str, Configuration]
    before: Run
    would: Run
    enforced: Run
    checked: Mapping[str, Configuration]
    prepare: Run
    prepared: Mapping[str, Configuration]
    again: Run
    after: Run
    rebooted: Run
    withdraw: Run
    withdrawn: Mapping[str, Configuration]
    end: Run

    def runs(self) -> dict[str, Run]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Run)}


@pytest.fixture(scope="module")
def story(core: Core, lab: None) -> Story:
    """Run everything once. What the lab's hosts were is what they are at the end, also when something failed."""
    play(core, "withdraw", inventory=INVENTORY)
    untouched = configurations(TARGETS)
    try:
        before = play(core, "verify", inventory=INVENTORY)
        would = play(core, "prepare", "--check", "--diff", inventory=INVENTORY)
        enforced = play(
            core, "check", "--limit", "debian12-ufw,services,localhost", "-e", "audit_ports_enforce=true",
            inventory=INVENTORY,
        )  # fmt: skip
        checked = configurations(TARGETS)
        prepare = play(core, "prepare", "--diff", inventory=INVENTORY)
        prepared = configurations(TARGETS)
        again = play(core, "prepare", inventory=INVENTORY)
        after = play(core, "verify", inventory=INVENTORY)
        for host in FIREWALLED:
            reboot(host)
        rebooted = play(core, "verify", inventory=INVENTORY)
    finally:
        withdraw = play(core, "withdraw", inventory=INVENTORY)
    withdrawn = configurations(TARGETS)
    end = play(core, "verify", inventory=INVENTORY)
    return Story(
        untouched, before, would, enforced, checked, prepare, prepared, again, after, rebooted, withdraw, withdrawn, end
    )


def observed(run: Run, key: tuple[str, str]) -> str:
    """What the one probe of a row saw on the wire."""
    (observation,) = run.rows()[key]["observations"]
    return str(observation["status"])


def applying(run: Run) -> dict[tuple[str, str], Mapping[str, object]]:
    """The rows that apply; traps are for the audit host to receive."""
    return {key: row for key, row in run.rows().items() if row["status"] != "not_applicable" and key not in MUTE}


def verdicts(run: Run) -> dict[tuple[str, str], str]:
    return {key: row["verdict"]["status"] for key, row in applying(run).items()}  # type: ignore[index]


def test_every_run_ends_well_and_without_a_warning(story: Story) -> None:
    for name, run in story.runs().items():
        assert warnings_of(run) == [] or name == "enforced", (name, run.said)
        assert run.returncode == 0 or name == "enforced", (name, run.said)


def test_no_target_has_the_python_that_the_inventory_names(story: Story) -> None:
    for host in TARGETS:
        assert run_in(host, "test", "-e", "/no/python/here", check=False).returncode == 1
    ran = {result.action for run in story.runs().values() for result in run.results if result.host in TARGETS}
    assert ran <= {
        "ansible.builtin.include_role", "ansible.builtin.include_tasks", "ansible.builtin.validate_argument_spec",
        "ansible.builtin.debug", "ansible.builtin.fail", "agentless.audit_ports.linux_firewall",
    }  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after", "rebooted", "end"])
def test_no_row_of_the_lab_is_unknown(story: Story, when: str) -> None:
    run: Run = getattr(story, when)
    assert [key for key, row in run.rows().items() if row["status"] == "unknown"] == []
    assert {key for key, row in run.rows().items() if row["status"] == "unverified"} == MUTE
    assert {key for key, status in verdicts(run).items() if status not in ("open", "blocked")} == set()
    assert {host for host, _requirement in applying(run)} == set(TARGETS)


@pytest.mark.parametrize("when", ["before", "end"])
def test_blocked_is_what_no_packet_passes(story: Story, when: str) -> None:
    """The packet proof, closed: what the rules are said to block does not answer, and all else does."""
    run: Run = getattr(story, when)
    assert {key for key, status in verdicts(run).items() if status == "blocked"} == CLOSED
    for key, row in applying(run).items():
        assert (observed(run, key) == CAME_THROUGH) == (key not in CLOSED), row
        assert row["cause"] == ("host_firewall" if key in CLOSED else "ready"), row
    ready = {host for host, readiness in run.readiness().items() if readiness == "ready"}
    assert ready == {"services"}


@pytest.mark.parametrize("when", ["after", "rebooted"])
def test_open_is_what_packets_pass_but_where_the_router_drops_them(story: Story, when: str) -> None:
    """The packet proof, open: now and after a reboot."""
    run: Run = getattr(story, when)
    assert set(verdicts(run).values()) == {"open"}
    for key, row in applying(run).items():
        verdict = row["verdict"]
        assert verdict["persistent"] is True, row  # type: ignore[index]
        if key == BEHIND_THE_ROUTER:
            assert (observed(run, key), row["status"], row["cause"]) == ("filtered", "blocked", "path_blocked"), row
        else:
            assert (observed(run, key), row["status"], row["cause"]) == (CAME_THROUGH, "fine", "ready"), row
    not_ready = {host for host, readiness in run.readiness().items() if readiness != "ready"}
    assert not_ready == {BEHIND_THE_ROUTER[0]}


def test_the_services_are_the_right_ones(story: Story) -> None:
    for host in ("debian12-firewalld", "debian12-ufw", "services"):
        for requirement in ("linux.ssh", "snmp.agent"):
            (observation,) = story.after.rows()[host, requirement]["observations"]
            assert observation["service"] == "confirmed", observation


def test_a_verdict_names_the_rule_in_the_words_of_its_manager(story: Story) -> None:
    blocked = {host: story.before.verdict(host, "linux.ssh") for host in FIREWALLED}
    opened = {host: story.after.verdict(host, "linux.ssh") for host in FIREWALLED}
    for host in FIREWALLED:
        manager = host.partition("-")[2]
        for verdict in (blocked[host], opened[host]):
            assert verdict["paths"][0]["decided_by"][-1]["kind"] == manager, verdict
    assert "zone public" in blocked["debian12-firewalld"]["reason"]
    assert "192.0.2.10" in opened["debian12-firewalld"]["reason"]
    assert "deny (incoming)" in blocked["debian12-ufw"]["reason"]
    assert "no rule stands in the way" in story.before.verdict("services", "linux.ssh")["reason"]


def test_check_mode_tells_what_would_change_and_changes_nothing(story: Story) -> None:
    assert story.checked == story.untouched
    for host in FIREWALLED:
        would, did = story.would.firewall(host), story.prepare.firewall(host)
        assert would["changed"] is True
        assert would["changes"] == did["changes"], host
        assert would["diff"] == did["diff"], host
        assert "+allow tcp/22 from 192.0.2.10" in _diff_text(story.would, host)
    assert story.would.firewall("services")["changes"] == []


def test_enforce_fails_in_check_mode_for_what_is_not_open(story: Story) -> None:
    assert story.enforced.failed("debian12-ufw")
    assert "linux.ssh (tcp/22) is blocked" in story.enforced.firewall("debian12-ufw")["msg"]
    assert not story.enforced.failed("services")


def test_a_limit_does_not_hide_the_sources(story: Story) -> None:
    """The audit host is in no play of a limited run, and its address is the source all the same."""
    verdict = story.enforced.verdict("debian12-ufw", "linux.ssh")
    assert [path["source"] for path in verdict["paths"]] == ["192.0.2.10"]
    assert {result.host for result in story.enforced.results} == {"debian12-ufw", "services", "localhost"}


def test_prepare_opens_for_the_audit_host_alone(story: Story) -> None:
    for host in FIREWALLED:
        changes = story.prepare.firewall(host)["changes"]
        opened = {(host, requirement) for change in changes for requirement in change["requirements"]}
        assert opened == {key for key in CLOSED if key[0] == host}
        assert {change["scope"] for change in changes} == {"both"}
        assert all("from 192.0.2.10" in change["after"] and not change["before"] for change in changes)
    assert story.prepared["services"] == story.untouched["services"]


def test_prepare_again_changes_nothing(story: Story) -> None:
    assert story.prepare.changed() == {**dict.fromkeys(FIREWALLED, 1), "services": 0, "audit1": 0, "localhost": 0}
    assert set(story.again.changed().values()) == {0}


def test_withdraw_leaves_every_host_as_it_was(story: Story) -> None:
    assert story.prepared != story.untouched
    for host in TARGETS:
        assert story.withdrawn[host].files == story.untouched[host].files, host
        assert story.withdrawn[host].rules == story.untouched[host].rules, host
        assert story.withdrawn[host].record == (), host


def test_the_audit_host_is_opened_for_traps(story: Story) -> None:
    verdict = story.prepare.verdict("audit1", "snmp.trap")
    assert verdict["status"] == "open", verdict
    assert {path["source"] for path in verdict["paths"]} == {
        "198.51.100.12", "198.51.100.13", "198.51.100.14", "198.51.100.20"
    }  # fmt: skip


def _diff_text(run: Run, host: str) -> str:
    """What `--diff` showed for a host."""
    return run.stdout.partition(f"changed: [{host}]")[0]
