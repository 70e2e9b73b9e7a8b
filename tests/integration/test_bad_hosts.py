# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Hosts on which something is missing, forbidden, broken or in another encoding: named, and nothing half-written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.integration import sabotage
from tests.integration.configuration import Configuration, configurations
from tests.integration.playing import Run, play
from tests.integration.private import inventory, private_hosts
from tests.lab.fixture import run_in
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)

NO_NFT = "debian12-ufw-nonft"
NO_ROOT = "debian12-ufw-noroot"
HALF_WAY = "debian12-firewalld-halfway"
LATIN = "debian12-firewalld-latin"
HOSTS = (NO_NFT, NO_ROOT, HALF_WAY, LATIN)

# ISO 8859-1 in the greeting of a login and in a file that is read.
_LATIN = r"""
printf 'printf "caf\\351\\n"\n' | cat - ~/.bashrc >~/.bashrc.new && mv ~/.bashrc.new ~/.bashrc
printf '# caf\351\n' >>/etc/firewalld/firewalld.conf
"""
_NO_ROOT = r"""
useradd --create-home auditor && cp -r ~/.ssh ~auditor/ && chown -R auditor: ~auditor/.ssh
"""


@dataclass(frozen=True)
class Story:
    untouched: Mapping[str, Configuration]
    broken: Run
    left: Mapping[str, Configuration]
    without_become: Run
    mended: Run
    withdraw: Run
    end: Mapping[str, Configuration]


@pytest.fixture(scope="module")
def story(newest: Core, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with private_hosts(HOSTS) as names:
        for host, script in ((LATIN, _LATIN), (NO_ROOT, _NO_ROOT)):
            run_in(host, "sh", "-s", input_text=script)
        untouched = configurations(names)
        run_in(NO_NFT, "mv", "/usr/sbin/nft", "/usr/sbin/nft.away")
        sabotage.fail(HALF_WAY, "busctl", call=4)  # its state, two rules for now, and then what is stored
        variables: dict[str, dict[str, str]] = {host: {} for host in names} | {NO_ROOT: {"ansible_user": "auditor"}}
        fleet = inventory(tmp_path_factory.mktemp("fleet") / "hosts.yml", variables)
        limit = ("--limit", "audit_targets,localhost")
        broken = play(newest, "prepare", *limit, inventory=fleet)
        run_in(NO_NFT, "mv", "/usr/sbin/nft.away", "/usr/sbin/nft")
        left = configurations(names)
        without_become = play(
            newest, "check", "--limit", f"{NO_ROOT},localhost", "-e", "target_become=false", inventory=fleet
        )
        sabotage.repair(HALF_WAY, "busctl")
        mended = play(newest, "prepare", *limit, inventory=fleet)
        withdraw = play(newest, "withdraw", *limit, inventory=fleet)
        yield Story(untouched, broken, left, without_become, mended, withdraw, configurations(names))


def test_without_nft_nothing_is_guessed(story: Story) -> None:
    verdict = story.broken.verdict(NO_NFT, "linux.ssh")
    assert verdict["status"] == "unknown"
    assert "install the package nftables" in verdict["reason"]
    assert story.broken.failed(NO_NFT)
    assert story.left[NO_NFT] == story.untouched[NO_NFT]


def test_without_sudo_it_is_said(story: Story) -> None:
    assert story.broken.failed(NO_ROOT)
    assert "sudo" in story.broken.firewall(NO_ROOT)["msg"]
    assert story.broken.readiness()[NO_ROOT] == "unknown"


def test_without_root_nothing_is_guessed(story: Story) -> None:
    verdict = story.without_become.verdict(NO_ROOT, "linux.ssh")
    assert verdict["status"] == "unknown"
    assert "become: true" in verdict["reason"]


def test_a_tool_that_fails_half_way_is_named_and_what_was_written_is_known(story: Story) -> None:
    message = story.broken.firewall(HALF_WAY)["msg"]
    assert story.broken.failed(HALF_WAY)
    assert "return code 13" in message
    assert "out of order" in message
    assert story.left[HALF_WAY].files == story.untouched[HALF_WAY].files
    assert story.left[HALF_WAY].record
    verdict = story.broken.verdict(HALF_WAY, "linux.ssh")
    assert (verdict["status"], verdict["persistent"]) == ("open", False)


@pytest.mark.parametrize("host", [NO_NFT, HALF_WAY, LATIN])
def test_mended_it_works(story: Story, host: str) -> None:
    assert not story.mended.failed(host), story.mended.firewall(host)["msg"]
    for requirement in ("linux.ssh", "snmp.agent"):
        verdict = story.mended.verdict(host, requirement)
        assert (verdict["status"], verdict["persistent"]) == ("open", True), verdict


def test_another_encoding_is_no_hindrance(story: Story) -> None:
    assert not story.broken.failed(LATIN), story.broken.firewall(LATIN)["msg"]
    assert story.broken.verdict(LATIN, "linux.ssh")["status"] == "open"


@pytest.mark.parametrize("host", [NO_NFT, HALF_WAY, LATIN])
def test_every_byte_is_as_it_was(story: Story, host: str) -> None:
    assert story.end[host].files == story.untouched[host].files
    assert story.end[host].rules == story.untouched[host].rules
    assert story.end[host].record == ()
