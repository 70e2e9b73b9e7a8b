# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Hosts of a test's own: made from the lab's images, plugged into the lab's networks, and gone when the test ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.lab import hosts, network
from tests.lab.fixture import HOSTS, KEY, KNOWN_HOSTS, Host
from tests.lab.fleet import CONTROL_DIR
from tests.lab.shell import podman

_FIRST_NUMBER = 100
_AUDIT = HOSTS["audit1"]
_TARGETS = {"ansible_python_interpreter": "/no/python/here", "audit_ports_systems": ["linux", "snmp"]}


@contextmanager
def private_hosts(names: Sequence[str]) -> Iterator[list[str]]:
    """Start hosts that are named IMAGE-SUFFIX ("debian12-ufw-killed"); they are reached and audited as the lab's are.

    The lab has to be up. What there is of the same name, from a test that was killed, is removed first.
    """
    made = [_host(name, number) for number, name in enumerate(names)]
    HOSTS.update({host.name: host for host in made})
    try:
        for host in made:
            _remove(host)
            network.create(host)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(hosts._start, made))
        hosts.wait_until_up(made)
        hosts.trust(HOSTS.values())
        yield list(names)
    finally:
        for host in made:
            _remove(host)
        for host in made:
            del HOSTS[host.name]


def inventory(
    path: Path,
    targets: Mapping[str, Mapping[str, Any]],
    audit_hosts: Mapping[str, Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Path:
    """Write an inventory of hosts with their own variables; what reaches the lab's and private hosts is added.

    The audit host is the lab's, unless `audit_hosts` says otherwise; `variables` are all targets'. Returns `path`.
    """
    groups = {
        "audit_hosts": {"hosts": audit_hosts if audit_hosts is not None else {"audit1": {}}},
        "audit_targets": {"hosts": targets, "vars": {**_TARGETS, **(variables or {})}},
    }
    for group in groups.values():
        group["hosts"] = {name: {**_address(name), **values} for name, values in group["hosts"].items()}
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_args": (
            f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={CONTROL_DIR}/%h"
            f" -o UserKnownHostsFile={KNOWN_HOSTS} -o GlobalKnownHostsFile=/dev/null"
            " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=3"
        ),
    }
    # JSON is YAML: the YAML plugin reads it, and writing it needs no library.
    path.write_text(json.dumps({"all": {"vars": shared, "children": groups}}, indent=1), encoding="utf-8")
    return path


def _address(name: str) -> dict[str, str]:
    if name == _AUDIT.name:
        return {"ansible_host": _AUDIT.management, "audit_ports_source": _AUDIT.address4}
    if name in HOSTS:
        return {"ansible_host": HOSTS[name].management, "audit_ports_address": HOSTS[name].address4}
    return {}


def _host(name: str, number: int) -> Host:
    image = max((known for known in HOSTS if name.startswith(f"{known}-")), key=len)
    last = str(_FIRST_NUMBER + number)
    links = tuple(
        replace(link, addresses=tuple(_renumbered(address, last) for address in link.addresses))
        for link in HOSTS[image].links
    )
    model = HOSTS[image]
    return replace(
        model,
        name=name,
        address4=_renumbered(model.address4, last),
        address6=_renumbered(model.address6, last),
        management=_renumbered(model.management, last),
        links=links,
    )


def _renumbered(address: str, last: str) -> str:
    """The address with another last part: 198.51.100.12/24 becomes 198.51.100.100/24."""
    plain, slash, length = address.partition("/")
    separator = ":" if ":" in plain else "."
    return f"{plain.rpartition(separator)[0]}{separator}{last}{slash}{length}"


def _remove(host: Host) -> None:
    hosts._close_connections(host)
    podman("rm", "--force", "--volumes", "--ignore", "--time", "0", host.container)
    network.remove(host)
