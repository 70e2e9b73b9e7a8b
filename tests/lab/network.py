# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The networks, made by hand: a namespace for each host and one for the bridges. The machine itself is on none."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from .fleet import HOSTS, PREFIX, SEGMENTS, SWITCH, Host
from .shell import RUN_DIR, run, say

_NETNS_DIR = Path("/run/netns")
_MOUNT_MARK = RUN_DIR / "made-netns-mount"
_STOP_S = 3


def namespace_path(host: Host) -> Path:
    return _NETNS_DIR / host.namespace


def namespaces() -> list[str]:
    """The lab's namespaces that exist now."""
    if not _NETNS_DIR.is_dir():
        return []
    return sorted(path.name for path in _NETNS_DIR.iterdir() if path.name.startswith(f"{PREFIX}-"))


def create_all() -> None:
    if not _NETNS_DIR.is_mount():
        RUN_DIR.mkdir(exist_ok=True)
        _MOUNT_MARK.touch()
    run(["ip", "netns", "add", SWITCH])
    lines = []
    for segment in SEGMENTS:
        # Snooping off: neighbour discovery must not wait for group membership reports.
        lines += [f"link add br-{segment} type bridge mcast_snooping 0", f"link set br-{segment} up"]
    _sysctl(SWITCH, "net.ipv6.conf.default.disable_ipv6=1")
    _batch(SWITCH, lines)
    for host in HOSTS.values():
        create(host)


def create(host: Host) -> None:
    """The host's namespace, its interfaces with addresses and routes, and their other ends in the switch."""
    run(["ip", "netns", "add", host.namespace])
    if host.forwards:
        _sysctl(host.namespace, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    inside, outside = ["link set lo up"], []
    for link in host.links:
        port = _port(host, link.segment)
        mac = _mac(host, link.segment)
        inside.append(f"link add {link.interface} address {mac} type veth peer name {port} netns {SWITCH}")
        inside += [f"address add {address} dev {link.interface} nodad" for address in link.addresses]
        inside.append(f"link set {link.interface} up")
        outside += [f"link set {port} master br-{link.segment}", f"link set {port} up"]
    inside += [f"route add default via {gateway}" for gateway in host.gateways]
    _batch(host.namespace, inside)
    _batch(SWITCH, outside)


def remove(host: Host) -> None:
    """The host's namespace with all its rules and interfaces, and every process that still runs in it."""
    for link in host.links:
        run(["ip", "-n", SWITCH, "link", "del", _port(host, link.segment)], check=False)
    _remove_namespace(host.namespace)


def remove_all() -> None:
    if SWITCH in namespaces():
        for host in HOSTS.values():
            for link in host.links:
                run(["ip", "-n", SWITCH, "link", "del", _port(host, link.segment)], check=False)
    for name in namespaces():
        _remove_namespace(name)
    if _MOUNT_MARK.exists():
        if _NETNS_DIR.is_mount() and not any(_NETNS_DIR.iterdir()):
            run(["umount", str(_NETNS_DIR)], check=False)
        _MOUNT_MARK.unlink()
    if RUN_DIR.is_dir():
        RUN_DIR.rmdir()


def complete(host: Host) -> bool:
    """Whether every interface of the host is up with all its addresses."""
    shown = run(["ip", "-n", host.namespace, "-j", "address"], check=False)
    if shown.returncode != 0:
        return False
    up = {
        entry["ifname"]: {f"{address['local']}/{address['prefixlen']}" for address in entry["addr_info"]}
        for entry in json.loads(shown.stdout)
        if entry.get("operstate") == "UP"
    }
    return all(set(link.addresses) <= up.get(link.interface, set()) for link in host.links)


def listening(host: Host) -> set[str]:
    """What listens in the host's namespace on an address other than loopback: {"tcp/22", ...}."""
    shown = run(["ip", "netns", "exec", host.namespace, "ss", "-Hltun"], check=False).stdout
    found = set()
    for line in shown.splitlines():
        protocol, _state, _receive, _send, local = line.split()[:5]
        address, _colon, port = local.rpartition(":")
        if not address.startswith(("127.", "[::1]")):
            found.add(f"{protocol}/{port}")
    return found


def exec_argv(host: Host, argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` on this machine, in the host's network."""
    return ["ip", "netns", "exec", host.namespace, *argv]


def _port(host: Host, segment: str) -> str:
    """The switch's end of a link; interface names have 15 characters at most."""
    return f"{segment}-{list(HOSTS).index(host.name)}"


def _mac(host: Host, segment: str) -> str:
    """The same at every start, or the neighbours would not find a host again after its reboot."""
    return f"02:00:00:00:{SEGMENTS.index(segment):02x}:{list(HOSTS).index(host.name):02x}"


def _batch(namespace: str, lines: Sequence[str]) -> None:
    if lines:
        run(["ip", "-n", namespace, "-batch", "-"], input_text="\n".join(lines) + "\n")


def _sysctl(namespace: str, *settings: str) -> None:
    run(["ip", "netns", "exec", namespace, "sysctl", "-q", "-w", *settings])


def _remove_namespace(name: str) -> None:
    _stop_processes(name)
    run(["ip", "netns", "del", name], check=False)


def _stop_processes(name: str) -> None:
    """End what still runs there (masters of SSH connections for instance): TERM, then KILL. A namespace lives as long
    as a process in it does."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_S
        pids = _pids(name)
        for pid in pids:
            say(f"ending process {pid} in {name}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        while _pids(name) and time.monotonic() < deadline:
            time.sleep(0.1)


def _pids(name: str) -> list[int]:
    shown = run(["ip", "netns", "pids", name], check=False).stdout
    return [int(word) for word in shown.split() if int(word) != os.getpid()]
