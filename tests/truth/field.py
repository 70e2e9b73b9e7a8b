# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A field for packets: a client, a host with a firewall and a host behind it, each in a network namespace of its own.

The client has two IPv4 and two IPv6 addresses. The host and the one behind it listen on every port of PORTS. Rules are
loaded into the host's namespace alone; what becomes of a packet is seen from the client. A TCP port is open where a
connection carries a byte to the listener and back: a handshake alone is nothing to an audit.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import selectors
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PORTS = (22, 80, 161, 443, 5353, 8080)
SOURCES = {4: ("192.0.2.10", "192.0.2.20"), 6: ("2001:db8:1::10", "2001:db8:1::20")}
HOST = {4: "192.0.2.1", 6: "2001:db8:1::1"}
HOST_INSIDE = {4: "198.51.100.1", 6: "2001:db8:2::1"}
BEHIND = {4: "198.51.100.2", 6: "2001:db8:2::2"}
LAN, DMZ = "lan0", "dmz0"
BYTE = b"?"
SILENCE_S = 0.12  # on a wire of memory, what has not come by then was dropped
_CLONE_NEWNET = 0x40000000
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_REFUSALS = {
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH),
    *(errno.EACCES, errno.EPERM, errno.EPIPE, errno.ENOPROTOOPT),
}
_MACS = {
    "client": "02:00:00:00:01:10",
    LAN: "02:00:00:00:01:01",
    DMZ: "02:00:00:00:02:01",
    "behind": "02:00:00:00:02:02",
}


@dataclass(frozen=True)
class Probe:
    """One packet to send: ``protocol`` is tcp, udp or icmp; ``port`` None for icmp."""

    source: str
    destination: str
    protocol: str
    port: int | None

    def __str__(self) -> str:
        target = self.protocol if self.port is None else f"{self.protocol}/{self.port}"
        return f"{self.source} {target}"


class Field:
    """The namespaces, their links and their listeners, until ``close``; ``name`` tells fields of one process apart."""

    def __init__(self, name: str = "field", ports: Sequence[int] = PORTS) -> None:
        self._names = {role: f"ap-truth-{os.getpid()}-{name}-{role}" for role in ("client", "host", "behind")}
        self._ports = ports
        self._listeners: list[socket.socket] = []
        self._connections: list[socket.socket] = []
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take everything away again."""
        for endpoint in (*self._listeners, *self._connections):
            endpoint.close()
        for name in self._names.values():
            if Path("/run/netns", name).exists():
                subprocess.run(["ip", "netns", "delete", name], check=False)
        os.close(self._home)

    def namespace(self, role: str) -> Path:
        """Where the role's network namespace can be joined."""
        return Path("/run/netns", self._names[role])

    @contextlib.contextmanager
    def inside(self, role: str) -> Iterator[None]:
        """Within: sockets and processes of this thread are made in the role's namespace."""
        handle = os.open(self.namespace(role), os.O_RDONLY)
        try:
            self._enter(handle)
            yield
        finally:
            self._enter(self._home)
            os.close(handle)

    def run(self, *command: str, text: str | None = None) -> str:
        """The output of a command in the host's namespace. Raises CalledProcessError with its errors as a note."""
        with self.inside("host"):
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def observe(self, probes: Sequence[Probe], sender_role: str = "client") -> dict[Probe, str]:
        """What became of each packet: ``passes``, ``rejected`` or ``dropped``. All are sent at once."""
        with self.inside(sender_role):
            sockets = {_send(probe): probe for probe in probes}
        seen = dict.fromkeys(probes, "dropped")
        watch = selectors.EpollSelector()
        for listener in self._listeners:
            watch.register(listener, selectors.EVENT_READ)
        for sender, probe in sockets.items():
            watch.register(sender, selectors.EVENT_WRITE if probe.protocol == "tcp" else selectors.EVENT_READ, probe)
        missing, deadline = len(probes), time.monotonic() + SILENCE_S
        while missing and (left := deadline - time.monotonic()) > 0:
            for key, _events in watch.select(left):
                endpoint = key.fileobj
                assert isinstance(endpoint, socket.socket)
                if not isinstance(key.data, Probe):
                    self._serve(endpoint, watch)
                    continue
                verdict = _speak(endpoint, watch) if key.events == selectors.EVENT_WRITE else _heard(endpoint, key.data)
                if verdict:
                    seen[key.data] = verdict
                    watch.unregister(endpoint)
                    missing -= 1
                if verdict or key.events == selectors.EVENT_WRITE:
                    deadline = max(deadline, time.monotonic() + SILENCE_S)
        watch.close()
        for sender in sockets:
            sender.close()
        self._drain()
        return seen

    def _enter(self, handle: int) -> None:
        if self._libc.setns(handle, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def _build(self) -> None:
        for name in self._names.values():
            _ip("netns", "add", name)
        client, host, behind = (self._names[role] for role in ("client", "host", "behind"))
        _ip("link", "add", "c0", "netns", client, "address", _MACS["client"],
            "type", "veth", "peer", "name", LAN, "netns", host, "address", _MACS[LAN])  # fmt: skip
        _ip("link", "add", "b0", "netns", behind, "address", _MACS["behind"],
            "type", "veth", "peer", "name", DMZ, "netns", host, "address", _MACS[DMZ])  # fmt: skip
        for role in self._names:
            self._settings(role)
        batch = {
            "client": [*_addresses("c0", *SOURCES[4], *SOURCES[6]), *_defaults(HOST)],
            "host": [*_addresses(LAN, *HOST.values()), *_addresses(DMZ, *HOST_INSIDE.values())],
            "behind": [*_addresses("b0", *BEHIND.values()), *_defaults(HOST_INSIDE)],
        }
        # Neighbours are known, so that rules which drop neighbour discovery do not blur what is asked here.
        batch["client"] += [_neighbour(address, "c0", _MACS[LAN]) for address in HOST.values()]
        batch["host"] += [
            _neighbour(address, LAN, _MACS["client"]) for version in SOURCES for address in SOURCES[version]
        ]
        batch["host"] += [_neighbour(address, DMZ, _MACS["behind"]) for address in BEHIND.values()]
        batch["behind"] += [_neighbour(address, "b0", _MACS[DMZ]) for address in HOST_INSIDE.values()]
        for role, lines in batch.items():
            _ip("-n", self._names[role], "-batch", "-", text="\n".join(["link set lo up", *lines]) + "\n")
        for role in ("host", "behind"):
            with self.inside(role):
                for port in self._ports:
                    self._listeners += _listen(port)

    def _settings(self, role: str) -> None:
        values = {
            "net/ipv4/ping_group_range": "0 2147483647",
            "net/ipv4/icmp_ratelimit": "0",
            "net/ipv6/icmp/ratelimit": "0",
            "net/ipv4/ip_forward": "1",
            "net/ipv6/conf/all/forwarding": "1",
            "net/ipv6/conf/all/accept_dad": "0",
            "net/ipv4/conf/all/rp_filter": "0",
            "net/ipv4/conf/default/rp_filter": "0",
        }
        with self.inside(role):
            for name, value in values.items():
                Path("/proc/sys", name).write_text(value, encoding="ascii")

    def _serve(self, endpoint: socket.socket, watch: selectors.BaseSelector) -> None:
        """Take a connection, or send back what has come: to a connection, or to whom a datagram is from."""
        if endpoint.type == socket.SOCK_DGRAM:
            data, peer = endpoint.recvfrom(512)
            with contextlib.suppress(OSError):
                endpoint.sendto(data, peer)
        elif endpoint in self._listeners:
            connection, _peer = endpoint.accept()
            connection.setblocking(False)
            self._connections.append(connection)
            watch.register(connection, selectors.EVENT_READ)
        else:
            with contextlib.suppress(OSError):
                endpoint.send(endpoint.recv(512))
            watch.unregister(endpoint)

    def _drain(self) -> None:
        """Take what comes late, so that it is not taken for the next packet's, and end all connections."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                while True:
                    if listener.type == socket.SOCK_STREAM:
                        self._connections.append(listener.accept()[0])
                    else:
                        listener.recv(512)
        for connection in self._connections:
            connection.close()
        self._connections.clear()


def _ip(*arguments: str, text: str | None = None) -> None:
    subprocess.run(["ip", *arguments], input=text, text=True, check=True, timeout=20)


def _addresses(interface: str, *addresses: str) -> list[str]:
    lines = [f"link set {interface} up"]
    for address in addresses:
        lines.append(f"addr add {address}/{'64' if ':' in address else '24'} dev {interface} nodad")
    return lines


def _defaults(gateways: dict[int, str]) -> list[str]:
    return [f"route add default via {gateway}" for gateway in gateways.values()]


def _neighbour(address: str, interface: str, mac: str) -> str:
    return f"neigh replace {address} dev {interface} lladdr {mac} nud permanent"


def _listen(port: int) -> list[socket.socket]:
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            listener = socket.socket(family, kind)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setblocking(False)
            listener.bind(("", port))
            if kind == socket.SOCK_STREAM:
                # Its connections end at once, without a farewell that would be a packet of its own.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                listener.listen(64)
            found.append(listener)
    return found


def _send(probe: Probe) -> socket.socket:
    family = socket.AF_INET6 if ":" in probe.destination else socket.AF_INET
    kind = socket.SOCK_STREAM if probe.protocol == "tcp" else socket.SOCK_DGRAM
    protocol = 0
    if probe.protocol == "icmp":
        protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    sender = socket.socket(family, kind, protocol)
    sender.setblocking(False)
    level, option = (
        (socket.IPPROTO_IPV6, _IPV6_RECVERR) if family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_RECVERR)
    )
    sender.setsockopt(level, option, 1)
    sender.bind((probe.source, 0))
    if probe.protocol == "tcp":
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.connect_ex((probe.destination, probe.port))
        return sender
    sender.connect((probe.destination, probe.port or 0))
    echo = struct.pack("!BBHHH", 128 if family == socket.AF_INET6 else 8, 0, 0, 0, 1)
    sender.send(echo if probe.protocol == "icmp" else BYTE)
    return sender


def _speak(sender: socket.socket, watch: selectors.BaseSelector) -> str | None:
    """Send the byte over a connection that has been made; what has become of one that has not."""
    error: int = sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        return _refused(error)
    try:
        sender.send(BYTE)
    except OSError as problem:
        return _refused(problem.errno or errno.EIO)
    watch.modify(sender, selectors.EVENT_READ, watch.get_key(sender).data)
    return None


def _heard(sender: socket.socket, probe: Probe) -> str | None:
    """What a socket that has something to say has seen."""
    error: int = sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    try:
        # An answer that has come is one, whatever came after it.
        answer = sender.recv(512)
    except BlockingIOError:
        return _refused(error) if error else None
    except OSError as problem:
        return _refused(error or problem.errno or errno.EIO)
    return "passes" if answer else _refused(errno.ECONNRESET)


def _refused(error: int) -> str:
    if error in _REFUSALS:
        return "rejected"
    raise OSError(error, os.strerror(error))
