# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The only other module for this, unmodified, and ours on the same stand-in: asked to open a port, it closes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bench.site import ENVIRONMENTS
from tests.esxi.fleets import AUDIT, World
from tests.standins.esxi.model import Host
from tests.standins.esxi.vsphere import PASSWORD, USER, Member
from tests.tools.cores import Core
from tests.tools.environments import prepare

pytestmark = pytest.mark.timeout(600)
_PEER = "community.vmware.vmware_host_firewall_manager"


def test_asked_to_open_the_peer_closes_and_ours_opens(world: World, release: Callable[..., Host]) -> None:
    prepare(["peers"])
    core = Core("peers", ENVIRONMENTS["peers"].bin)
    host = release("8.0.3")
    server = world.serve([Member(host, cluster="C0")])
    assert host.admits(AUDIT, 80)

    login = {"hostname": "localhost", "port": server.port, "username": USER, "password": PASSWORD}
    rules = [{"name": "webAccess", "enabled": True}]
    peer = world.task(core, {**login, "validate_certs": False, "cluster_name": "C0", "rules": rules}, module=_PEER)
    assert peer["changed"], peer
    assert not peer.get("failed")
    assert not host.admits(AUDIT, 80), "enabled, with a list that has nobody on it"

    ours = world.task(core, {})
    assert ours["changed"], ours
    assert host.admits(AUDIT, 80)
    assert [verdict["status"] for verdict in ours["verdicts"]] == ["open"] * 3
