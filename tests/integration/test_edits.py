# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What others do on a host stays, whether before, between or after ours, and exactly ours goes.

Each host has a twin that gets the same edits and never one of ours: at the end both are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.integration.configuration import Configuration, configurations
from tests.integration.playing import Run, play
from tests.integration.private import inventory, private_hosts
from tests.lab.fixture import run_in
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)

EDITED = {"debian12-firewalld-edited": "debian12-firewalld-twin", "debian12-ufw-edited": "debian12-ufw-twin"}
# Both into the configuration, and into the running state alone, as one does to try something.
EDITS_BEFORE = {
    "firewalld": ("firewall-cmd --zone=public --add-service=http",),
    "ufw": ("iptables -I INPUT 1 -p tcp --dport 9443 -j ACCEPT",),
}
EDITS_BETWEEN = {
    "firewalld": (
        "firewall-cmd --permanent --zone=public --add-port=8443/tcp",
        "firewall-cmd --zone=public --add-port=9443/tcp",
        "firewall-cmd --zone=internal --add-port=9444/tcp",
    ),
    "ufw": ("ufw allow 8443/tcp", "ufw deny from 192.0.2.99", "iptables -A OUTPUT -p tcp --dport 6666 -j DROP"),
}


@dataclass(frozen=True)
class Story:
    prepare: Run
    opened: Mapping[str, Configuration]
    withdraw: Run
    end: Mapping[str, Configuration]


@pytest.fixture(scope="module")
def story(newest: Core, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with private_hosts([*EDITED, *EDITED.values()]) as names:
        fleet = inventory(tmp_path_factory.mktemp("fleet") / "hosts.yml", {name: {} for name in EDITED})
        _edit(names, EDITS_BEFORE)
        prepare = play(newest, "prepare", inventory=fleet)
        opened = configurations(EDITED)
        _edit(names, EDITS_BETWEEN)
        withdraw = play(newest, "withdraw", inventory=fleet)
        yield Story(prepare, opened, withdraw, configurations(names))


def _edit(names: list[str], edits: Mapping[str, tuple[str, ...]]) -> None:
    for name in names:
        for command in edits[name.split("-")[1]]:
            run_in(name, *command.split())


def _stored(configuration: Configuration) -> tuple[str, ...]:
    """The files without the managers' own copies of what was before the last write."""
    return tuple(line for line in configuration.files if ".old" not in line)


@pytest.mark.parametrize("host", EDITED)
def test_runtime_state_of_others_survives_our_opening(story: Story, host: str) -> None:
    assert story.prepare.firewall(host)["changed"] is True
    word = "80" if "firewalld" in host else "9443"
    assert f"dport {word} " in story.opened[host].rules


@pytest.mark.parametrize(("host", "twin"), EDITED.items())
def test_what_others_did_stays_and_exactly_ours_goes(story: Story, host: str, twin: str) -> None:
    result = story.withdraw.firewall(host)
    assert (result["changed"], story.withdraw.failed(host)) == (True, False), result["msg"]
    assert _stored(story.end[host]) == _stored(story.end[twin])
    assert sorted(story.end[host].rules.splitlines()) == sorted(story.end[twin].rules.splitlines())
    assert story.end[host].record == ()


@pytest.mark.parametrize("host", EDITED)
def test_it_is_blocked_again(story: Story, host: str) -> None:
    for requirement in ("linux.ssh", "snmp.agent"):
        assert story.withdraw.verdict(host, requirement)["status"] == "blocked"
