# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""ESXi hosts over SSH: Ansible and OpenSSH against stand-ins from captured data, many hosts in each play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.esxi.fleets import AUDIT, Fleet, close_all
from tests.standins.esxi.model import Host, RefusedError
from tests.tools.cores import Core

pytestmark = pytest.mark.timeout(300)
PLUGIN = "agentless.audit_ports.esxi_firewall"
JUDGE: dict[str, Any] = {PLUGIN: {}, "register": "result", "ignore_errors": True, "ignore_unreachable": True}
WITHDRAW: dict[str, Any] = {PLUGIN: {"state": "absent"}, "register": "result", "ignore_errors": True}
FORMS = {"json": ("debug json",), "csv": ("csv", "text"), "text": ("text",)}
READ = [
    "system version get",
    "network firewall get",
    "network firewall ruleset list",
    "network firewall ruleset rule list",
    "network firewall ruleset allowedip list",
    "network ip connection list",
]


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {verdict["requirement"]: verdict["status"] for verdict in result["verdicts"]}


def test_reading(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    """Each form of output gives the same verdicts, by one command; what is no answer claims nothing."""
    for name, forms in FORMS.items():
        host = fleet.add(release("8.0.3", name))
        host.forms = forms
        client = host.rulesets["vSphereClient"]
        client.allows_all, client.allowed = False, ["192.0.2.0/28", "2001:db8::/64"]
    fleet.add(release("8.0.3", "bare"))
    (fleet.folder / "root-bare" / "bin" / "esxcli").unlink()
    fleet.add(release("8.0.3", "cut"), cut_after=3000)
    results = fleet.run(newest, [JUDGE], "--check")

    for name in FORMS:
        assert verdicts(results[name]) == {"esxi.http": "open", "esxi.https": "open", "esxi.authd": "open"}
        assert [verdict["listening"] for verdict in results[name]["verdicts"]] == [True] * 3
    assert [" ".join(call[2:]) for call in fleet.shells["json"].calls] == READ
    assert results["bare"]["failed"]
    assert "no esxcli" in results["bare"]["msg"]
    assert results["cut"].get("failed") or results["cut"].get("unreachable")
    assert "verdicts" not in results["cut"]


def test_changing(newest: Core, fleet: Fleet, release: Callable[..., Host]) -> None:
    """What is written and in which order, what is left alone, and how a run that dies half-way is finished."""
    disabled = fleet.add(release("8.0.3", "disabled"))
    disabled.rulesets["webAccess"].enabled = False
    owned = fleet.add(release("8.0.2", "owned"))
    owned.rulesets["vSphereClient"].can_list = False
    owned.rulesets["vSphereClient"].allows_all = owned.rulesets["NFC"].allows_all = False
    dying = close_all(fleet.add(release("8.0.3", "dying")))
    before = {host.name: host.state() for host in (disabled, owned, dying)}
    refuse_enabling(dying)
    results = fleet.run(newest, [JUDGE])

    # Enabled as it is, a disabled ruleset with an "all" list would let everyone in, if only for a moment.
    assert disabled.journal[-2:] == [f"list webAccess: {AUDIT}", "enable webAccess"], disabled.journal
    assert results["owned"]["failed"]
    assert not results["owned"]["changed"]
    assert owned.journal == []
    https = next(verdict for verdict in results["owned"]["verdicts"] if verdict["requirement"] == "esxi.https")
    assert https["paths"][0]["decided_by"][0]["kind"] == "managed_policy"
    assert results["dying"]["failed"]
    assert dying.state() != before["dying"], "what came before the refusal stands"

    del dying.switch  # type: ignore[attr-defined]
    again = fleet.run(newest, [JUDGE])["dying"]
    assert not again["failed"], again["msg"]

    # Nor is anything forgotten of a withdrawal that dies, of this ruleset or of the other.
    refuse_enabling(dying)
    http = fleet.run(newest, [{**WITHDRAW, PLUGIN: {"state": "absent", "requirements": ["esxi.http"]}}])
    assert http["dying"]["failed"], http
    assert not http["disabled"]["failed"], http
    assert disabled.state() == before["disabled"]
    assert dying.admits(AUDIT, 443)
    del dying.switch  # type: ignore[attr-defined]

    unrecorded = fleet.add(release("8.0.3", "unrecorded"))
    client = unrecorded.rulesets["vSphereClient"]
    client.allows_all, client.allowed = False, [AUDIT, "203.0.113.9"]
    withdrawn = fleet.run(newest, [WITHDRAW])
    assert {host.name: host.state() for host in (disabled, owned, dying)} == before
    assert client.allowed == ["203.0.113.9"]
    assert "no record of ours" in withdrawn["unrecorded"]["msg"]


def refuse_enabling(host: Host) -> None:
    """Let every switch of a ruleset fail, as where the connection to hostd is lost in between."""

    def switch(key: str, _enabled: bool) -> None:
        raise RefusedError(f"Connection failed: {key}")

    host.switch = switch  # type: ignore[method-assign]
