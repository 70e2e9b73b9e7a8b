# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The containers: systemd as first process, in the namespace that the network made for each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from . import network
from .fleet import CONTROL_DIR, HOSTS, IMAGES, KEY, KNOWN_HOSTS, PREFIX, Host
from .images import DEFINITION_LABEL, ULIMITS, definition
from .shell import LabError, podman, run, say

_DNS = HOSTS["services"].address4
_START_S = 90
_STOP_S = 4
_SCRIPT_TRUST = r"""
mkdir -p -m 700 /root/.ssh && read -r key || exit 1
grep -qxF "$key" /root/.ssh/authorized_keys 2>/dev/null || echo "$key" >> /root/.ssh/authorized_keys
cat /etc/ssh/ssh_host_ed25519_key.pub
"""


def running() -> dict[str, str]:
    """The lab's running containers, with the digest of the definition that each was made from."""
    shown = podman("ps", "--filter", f"name=^{PREFIX}-", "--format", "json").stdout
    return {entry["Names"][0]: (entry.get("Labels") or {}).get(DEFINITION_LABEL, "") for entry in json.loads(shown)}


def complete(host: Host, containers: dict[str, str]) -> bool:
    """Whether the host's container runs, from the definition as it is now, in its namespace."""
    return containers.get(host.container) == definition(IMAGES[host.image])


def start_all() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_start, HOSTS.values()))


def remove_all() -> None:
    names = podman("ps", "--all", "--filter", f"name=^{PREFIX}-", "--format", "{{.Names}}").stdout.split()
    if names:
        podman("rm", "--force", "--volumes", "--time", "0", *names)


def wait_until_up(hosts: Iterable[Host]) -> None:
    """Until systemd is done and all that should listen does; raises LabError with what is missing."""
    deadline = time.monotonic() + _START_S
    for host in hosts:
        while not _is_up(host):
            if time.monotonic() > deadline:
                raise LabError(_why_not_up(host))
            time.sleep(0.2)


def trust(hosts: Iterable[Host]) -> None:
    """The lab's key becomes each host's root key, each host's key a known one."""
    CONTROL_DIR.mkdir(parents=True, exist_ok=True)
    if not KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", PREFIX, "-f", str(KEY)])
    public = KEY.with_suffix(".pub").read_text(encoding="utf-8")
    lines = []
    for host in hosts:
        key = podman("exec", "-i", host.container, "sh", "-c", _SCRIPT_TRUST, input_text=public).stdout.split()
        names = ",".join(address for address in (host.management, host.address4, host.address6) if address)
        lines.append(f"{names} {key[0]} {key[1]}\n")
    KNOWN_HOSTS.write_text("".join(lines), encoding="utf-8")


def reboot(host: Host) -> None:
    """Stop the container, make its namespace anew (no rule, no route, no connection survives), start it again."""
    _close_connections(host)
    podman("stop", "--time", str(_STOP_S), host.container, timeout_s=_STOP_S + 30)
    network.remove(host)
    network.create(host)
    podman("start", host.container)
    wait_until_up([host])


def _start(host: Host) -> None:
    image = IMAGES[host.image]
    podman(
        "run", "--detach", "--name", host.container, "--hostname", host.name, "--systemd=always",
        "--network", f"ns:{network.namespace_path(host)}", "--cap-add", "NET_ADMIN,NET_RAW", *ULIMITS,
        "--dns", _DNS, "--label", f"{DEFINITION_LABEL}={definition(image)}", image.tag, "/sbin/init",
    )  # fmt: skip
    say(f"{host.name}: started")


def _is_up(host: Host) -> bool:
    return set(host.listens) <= network.listening(host) and _systemd_state(host) in ("running", "degraded")


def _systemd_state(host: Host) -> str:
    return podman("exec", host.container, "systemctl", "is-system-running", check=False).stdout.strip()


def _why_not_up(host: Host) -> str:
    missing = sorted(set(host.listens) - network.listening(host))
    failed = podman("exec", host.container, "systemctl", "--no-pager", "--failed", check=False).stdout
    return (
        f"{host.name} is not up after {_START_S} s: systemd is {_systemd_state(host) or 'not running'}, "
        f"not listening: {', '.join(missing) or 'none'}\n{failed}"
    )


def _close_connections(host: Host) -> None:
    """End the shared SSH connections to a host that goes away, or the next command would hang on a dead one."""
    socket = CONTROL_DIR / host.management
    if host.management and socket.exists():
        run(["ssh", "-O", "exit", "-o", f"ControlPath={socket}", host.management], check=False)
