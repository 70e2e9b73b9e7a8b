# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What is wrong in options or inventory is refused with what and what next; what cannot be judged is a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.configuration import Configuration, configuration
from tests.integration.playing import FIREWALL, Run, play
from tests.integration.private import inventory
from tests.lab.fixture import INVENTORY
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(180)

PLAY = Path(__file__).resolve().parent / "plays" / "bad_input.yml"
HOST = "debian12-ufw"

REFUSED = {
    "An unknown requirement": ("linux.shh", "linux.ssh"),
    "An unknown system": ("linnux", "linux"),
    "A source that is no address": ("192.0.2.300",),
    "A source that is no network": ("192.0.2.0/33",),
    "A source that does not resolve": ("audit.invalid", "does not resolve"),
    "No source at all": ("empty", "any"),
    "A destination that is not the host's": ("198.51.100.99", "audit_ports_address"),
    "An expression that is none": ("select", "[?"),
    "A port that is none": ("70000", "linux.ssh"),
}

# Hosts of an inventory, what their row says, and what their variables are.
ROWS = {
    "mac1": ("platform macos", {"ansible_host": "203.0.113.240", "audit_ports_systems": ["macos"]}),
    "gone1": ("could not reach", {"ansible_host": "203.0.113.241", "audit_ports_systems": ["linux"]}),
    "nameless1": (
        "audit-host.invalid",
        {"ansible_host": "203.0.113.242", "audit_ports_systems": ["linux"],
         "audit_ports_sources": ["audit-host.invalid"]},
    ),
    "sourceless1": (
        "list of sources is empty",
        {"ansible_host": "203.0.113.243", "audit_ports_systems": ["linux"], "audit_ports_sources": []},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def refused(core: Core, lab: None) -> tuple[Run, Configuration, Configuration]:
    """The play of wrong options, and the host before and after it."""
    before = configuration(HOST)
    return play(core, str(PLAY), inventory=INVENTORY), before, configuration(HOST)


@pytest.mark.parametrize("task", REFUSED)
def test_wrong_options_are_refused_by_name(refused: tuple[Run, Configuration, Configuration], task: str) -> None:
    (result,) = refused[0].of(FIREWALL, task=task)
    assert result.status == "failed"
    message = result.data["msg"]
    assert HOST in message, message
    for word in REFUSED[task]:
        assert word in message, message


def test_nothing_was_written(refused: tuple[Run, Configuration, Configuration]) -> None:
    assert refused[1] == refused[2]


@pytest.fixture(scope="module")
def fleet(core: Core, lab: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A check of a fleet in which one host is sound."""
    hosts = {HOST: {}, **{name: variables for name, (_words, variables) in ROWS.items()}}
    return play(core, "check", inventory=inventory(tmp_path_factory.mktemp("fleet") / "hosts.yml", hosts))


def test_the_run_goes_through_to_the_report(fleet: Run) -> None:
    assert fleet.readiness() == {HOST: "not_ready", **dict.fromkeys(ROWS, "unknown")}
    assert fleet.verdict(HOST, "linux.ssh")["status"] == "blocked"


@pytest.mark.parametrize("host", ROWS)
def test_a_host_that_cannot_be_judged_is_a_row_with_its_reason(fleet: Run, host: str) -> None:
    rows = [row for (name, _requirement), row in fleet.rows().items() if name == host]
    assert rows
    for row in rows:
        assert row["status"] in ("unknown", "not_applicable"), row
    told = " ".join(f"{row['reason']} {row['next_step']}" for row in rows)
    assert ROWS[host][0] in told, told


def test_an_audit_host_that_does_not_resolve_is_named(core: Core, lab: None, tmp_path: Path) -> None:
    nowhere = {"audit9": {"ansible_host": "audit9.invalid"}}
    run = play(core, "check", inventory=inventory(tmp_path / "hosts.yml", {HOST: {}}, audit_hosts=nowhere))
    message = run.firewall(HOST)["msg"]
    assert run.failed(HOST)
    assert "audit9" in message
    assert "audit9.invalid" in message
