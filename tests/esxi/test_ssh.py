# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""ESXi hosts over SSH, end to end: real Ansible and OpenSSH against stand-ins from captured data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.esxi.fleets import AUDIT, Fleet
from tests.standins.esxi.model import Host
from tests.standins.esxi.ssh import PASSWORD
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)
JUDGE: dict[str, Any] = {"agentless.audit_ports.esxi_firewall": {}, "register": "result", "ignore_errors": True}


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {verdict["requirement"]: verdict["status"] for verdict in result["verdicts"]}


def close_all(host: Host) -> None:
    """A host whose ports are shut in the three ways there are: disabled, another's list, nobody's list."""
    host.rulesets["webAccess"].enabled = False
    host.rulesets["vSphereClient"].allows_all, host.rulesets["vSphereClient"].allowed = False, ["203.0.113.9"]
    host.rulesets["NFC"].allows_all = False


def test_check_prepare_verify_withdraw(core: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    hosts = [fleet.add(release(version, f"esx{version.replace('.', '')}")) for version in ("6.5", "8.0.2", "8.0.3")]
    before = {}
    for host in hosts:
        close_all(host)
        before[host.name] = host.state()

    checked = fleet.play(core, "check")
    assert "changed=0" in checked.stdout, checked.stdout + checked.stderr
    assert all(host.journal == [] for host in hosts)

    prepared = fleet.play(core, "prepare")
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    for host in hosts:
        assert [host.admits(AUDIT, port) for port in (80, 443, 902)] == [True] * 3
        assert not any(host.admits("192.0.2.11", port) for port in (80, 443, 902))
        assert host.admits("203.0.113.9", 443), "who was let in before still is"

    again = fleet.play(core, "prepare")
    assert again.stdout.count("changed=0") == again.stdout.count("changed=") > 0

    withdrawn = fleet.play(core, "withdraw")
    assert withdrawn.returncode == 0, withdrawn.stdout + withdrawn.stderr
    assert {host.name: host.state() for host in hosts} == before
    assert list((fleet.folder / "state").glob("*.json")) == []


def test_a_list_is_set_before_the_ruleset_is_enabled(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    """Enabled as it is, a disabled ruleset with an "all" list would let everyone in, if only for a moment."""
    host = fleet.add(release("8.0.3"))
    host.rulesets["webAccess"].enabled = False
    fleet.run(newest, [JUDGE])
    assert host.journal[-1] == "enable webAccess"
    assert f"list webAccess: {AUDIT}" in host.journal


@pytest.mark.parametrize("forms", [("debug json",), ("csv", "text"), ("text",)])
def test_every_form_of_output_gives_the_same_verdicts(
    newest: Core, fleet: Fleet, release: Callable[..., Host], forms: tuple[str, ...]
) -> None:
    host = fleet.add(release("8.0.3"))
    host.forms = forms
    host.rulesets["vSphereClient"].allows_all, host.rulesets["vSphereClient"].allowed = (
        False,
        ["192.0.2.0/28", "2001:db8::/64"],
    )
    result = fleet.run(newest, [JUDGE], "--check")["esx1"]
    assert verdicts(result) == {"esxi.http": "open", "esxi.https": "open", "esxi.authd": "open"}
    assert [verdict["listening"] for verdict in result["verdicts"]] == [True] * 3


def test_one_command_reads_a_host(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    host = fleet.add(release("8.0.3"))
    fleet.run(newest, [JUDGE], "--check")
    assert [" ".join(call[2:]) for call in fleet.shells[host.name].calls] == [
        "system version get",
        "network firewall get",
        "network firewall ruleset list",
        "network firewall ruleset rule list",
        "network firewall ruleset allowedip list",
        "network ip connection list",
    ]


def test_a_host_without_esxcli_is_told(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    fleet.add(release("8.0.3"))
    (fleet.folder / "root-esx1" / "bin" / "esxcli").unlink()
    result = fleet.run(newest, [JUDGE], "--check")["esx1"]
    assert result["failed"]
    assert "no esxcli" in result["msg"]


def test_an_answer_that_is_cut_off_claims_nothing(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    fleet.add(release("8.0.3"), cut_after=3000)
    result = fleet.run(newest, [{**JUDGE, "ignore_unreachable": True}], "--check")["esx1"]
    assert result.get("failed") or result.get("unreachable")
    assert "verdicts" not in result


def test_a_ruleset_of_the_system_is_managed_policy(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    host = fleet.add(release("8.0.2"))
    host.rulesets["vSphereClient"].can_list = False
    host.rulesets["vSphereClient"].allows_all = False
    host.rulesets["NFC"].allows_all = False
    result = fleet.run(newest, [JUDGE])["esx1"]
    assert result["failed"]
    assert not result["changed"]
    https = next(verdict for verdict in result["verdicts"] if verdict["requirement"] == "esxi.https")
    assert https["paths"][0]["decided_by"][0]["kind"] == "managed_policy"
    assert host.journal == []


def test_a_run_that_dies_half_way_is_finished_by_the_next(
    newest: Core, fleet: Fleet, release: Callable[..., Host]
) -> None:
    """The host refuses the last step: what came before stands, the record knows of it, and both ways on work."""
    host = fleet.add(release("8.0.3"))
    close_all(host)
    before = host.state()
    host.rulesets["webAccess"].can_enable = None
    host.rulesets["webAccess"].required = True  # so that enabling fails after its list was set
    result = fleet.run(newest, [JUDGE])["esx1"]
    assert result["failed"]
    assert host.state() != before
    host.rulesets["webAccess"].required = False
    again = fleet.run(newest, [JUDGE])["esx1"]
    assert not again["failed"], again["msg"]
    absent = {"agentless.audit_ports.esxi_firewall": {"state": "absent"}, "register": "result"}
    fleet.run(newest, [absent])
    assert host.state() == before


def test_without_a_record_exactly_the_named_addresses_go(
    newest: Core, fleet: Fleet, release: Callable[..., Host]
) -> None:
    host = fleet.add(release("8.0.3"))
    client = host.rulesets["vSphereClient"]
    client.allows_all, client.allowed = False, [AUDIT, "203.0.113.9"]
    absent = {"agentless.audit_ports.esxi_firewall": {"state": "absent"}, "register": "result"}
    result = fleet.run(newest, [absent])["esx1"]
    assert client.allowed == ["203.0.113.9"]
    assert "no record of ours" in result["msg"]


def test_a_password_by_keyboard_interactive(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    """ESXi has no password method; from core 2.19 on Ansible answers its question without sshpass."""
    fleet.add(release("8.0.3"))
    result = fleet.run(
        newest,
        [JUDGE],
        "--check",
        ansible_ssh_private_key_file=None,
        ansible_password=PASSWORD,
        ansible_ssh_common_args="-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no",
    )["esx1"]
    assert set(verdicts(result).values()) == {"open"}
