# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Several audit hosts and networks: opened, narrowed, judged in parts, and withdrawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.configuration import Configuration, configurations
from tests.integration.playing import Run, play
from tests.integration.private import inventory, private_hosts
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)

HOSTS = ("debian13-firewalld-sources", "debian12-ufw-sources")
ONE, SITE, ALL = "192.0.2.10", "192.0.2.32/28", "192.0.2.0/24"


@dataclass(frozen=True)
class Story:
    untouched: Mapping[str, Configuration]
    two: Run
    narrowed: Run
    judged: Run
    widened: Run
    withdraw: Run
    end: Mapping[str, Configuration]


@pytest.fixture(scope="module")
def story(newest: Core, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two audit hosts of the inventory first, the second one a whole site; then the list of sources is written out."""
    directory = tmp_path_factory.mktemp("fleet")
    with private_hosts(HOSTS) as names:
        second = {"audit1": {}, "audit2": {"ansible_host": "203.0.113.250", "audit_ports_source": SITE}}
        two_hosts = inventory(directory / "two.yml", {name: {} for name in names}, audit_hosts=second)

        def run(playbook: str, fleet: Path) -> Run:
            return play(newest, playbook, "--limit", "audit_targets,localhost", inventory=fleet)

        def listed(sources: list[str]) -> Path:
            variables = {"audit_ports_sources": sources}
            return inventory(directory / "listed.yml", {name: {} for name in names}, variables=variables)

        untouched = configurations(names)
        two = run("prepare", two_hosts)
        narrowed = run("prepare", listed([ONE]))
        judged = run("check", listed([ALL]))
        widened = run("prepare", listed([ALL]))
        withdraw = run("withdraw", two_hosts)
        yield Story(untouched, two, narrowed, judged, widened, withdraw, configurations(names))


def _paths(run: Run, host: str) -> dict[str, str]:
    paths: list[Mapping[str, Any]] = run.verdict(host, "linux.ssh")["paths"]
    return {path["source"]: path["status"] for path in paths}


@pytest.mark.parametrize("host", HOSTS)
def test_every_audit_host_is_let_in(story: Story, host: str) -> None:
    assert _paths(story.two, host) == {ONE: "open", SITE: "open"}
    assert len(story.two.firewall(host)["changes"]) == 4


@pytest.mark.parametrize("host", HOSTS)
def test_a_source_that_left_the_list_is_withdrawn_and_the_others_are_left_alone(story: Story, host: str) -> None:
    changes = story.narrowed.firewall(host)["changes"]
    assert {change["kind"] for change in changes} == {"remove_rule"}
    assert {change["before"] for change in changes} == {f"allow tcp/22 from {SITE}", f"allow udp/161 from {SITE}"}
    assert _paths(story.narrowed, host) == {ONE: "open"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_network_that_is_let_in_by_half_is_partial_with_its_parts(story: Story, host: str) -> None:
    verdict = story.judged.verdict(host, "linux.ssh")
    assert verdict["status"] == "partial"
    parts = _paths(story.judged, host)
    assert parts.pop(ONE) == "open"
    assert set(parts.values()) == {"blocked"}
    assert story.judged.readiness()[host] == "not_ready"


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_missing_of_a_network_is_opened(story: Story, host: str) -> None:
    verdict = story.widened.verdict(host, "linux.ssh")
    assert (verdict["status"], verdict["persistent"]) == ("open", True)


@pytest.mark.parametrize("host", HOSTS)
def test_all_of_it_is_withdrawn(story: Story, host: str) -> None:
    assert story.end[host].files == story.untouched[host].files
    assert story.end[host].rules == story.untouched[host].rules
    assert story.end[host].record == ()
