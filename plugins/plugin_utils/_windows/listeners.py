# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on a Windows host: the programs that answer on well-known ports, and what ``netstat`` and ``sc`` show.

A rule may be for one program or service alone; it opens a port only where that is the one which listens there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...module_utils._core.addressset import Address, parse_address
from ...module_utils._core.errors import InputError

KERNEL_PID = 4
SYSTEM = "system"
_SYSTEM32 = "%systemroot%\\system32\\"
_WINDOWS = re.compile(r"\A(?:\\\?\?\\)?(?:[a-z]:\\windows|%windir%|\\systemroot|%systemdrive%\\windows)(?=\\)")

TCP, UDP, ICMP = 6, 17, 1


@dataclass(frozen=True, slots=True)
class Program:
    """A listening program: its path as ``normal_path`` writes it (empty: not known) and the services that it runs."""

    path: str
    services: frozenset[str] = frozenset()


def normal_path(path: str) -> str:
    """A program's path, so that two spellings of one compare equal: small letters, one name for the Windows folder."""
    text = path.strip().strip('"').lower().replace("/", "\\")
    return _WINDOWS.sub("%systemroot%", text)


def _svchost(*services: str) -> Program:
    return Program(f"{_SYSTEM32}svchost.exe", frozenset(services))


_KERNEL = Program(SYSTEM)
_LSASS = f"{_SYSTEM32}lsass.exe"
RPCSS = _svchost("rpcss", "rpceptmapper")
WMI = _svchost("winmgmt")

# What answers there on Windows itself. The kernel is the program of SMB (srv2.sys, netbt.sys) and of everything behind
# http.sys. Nothing listens on 135/udp and 139/udp; the rules that could mean them are those of the TCP ports.
KNOWN: Mapping[tuple[int, int], Program] = {
    (TCP, 22): Program("%systemroot%\\system32\\openssh\\sshd.exe", frozenset({"sshd"})),
    (TCP, 53): Program(f"{_SYSTEM32}dns.exe", frozenset({"dns"})),
    (UDP, 53): Program(f"{_SYSTEM32}dns.exe", frozenset({"dns"})),
    (TCP, 80): _KERNEL,
    (TCP, 88): Program(_LSASS, frozenset({"kdc"})),
    (UDP, 88): Program(_LSASS, frozenset({"kdc"})),
    (UDP, 123): _svchost("w32time"),
    (TCP, 135): RPCSS,
    (UDP, 135): RPCSS,
    (UDP, 137): _KERNEL,
    (UDP, 138): _KERNEL,
    (TCP, 139): _KERNEL,
    (UDP, 139): _KERNEL,
    (UDP, 161): Program(f"{_SYSTEM32}snmp.exe", frozenset({"snmp"})),
    (UDP, 162): Program(f"{_SYSTEM32}snmptrap.exe", frozenset({"snmptrap"})),
    (TCP, 389): Program(_LSASS, frozenset({"ntds"})),
    (UDP, 389): Program(_LSASS, frozenset({"ntds"})),
    (TCP, 443): _KERNEL,
    (TCP, 445): _KERNEL,
    (TCP, 464): Program(_LSASS, frozenset({"kdc"})),
    (UDP, 464): Program(_LSASS, frozenset({"kdc"})),
    (TCP, 593): RPCSS,
    (TCP, 636): Program(_LSASS, frozenset({"ntds"})),
    (TCP, 3268): Program(_LSASS, frozenset({"ntds"})),
    (TCP, 3269): Program(_LSASS, frozenset({"ntds"})),
    (TCP, 3389): _svchost("termservice"),
    (UDP, 3389): _svchost("termservice"),
    (UDP, 5353): _svchost("dnscache"),
    (UDP, 5355): _svchost("dnscache"),
    (TCP, 5357): _KERNEL,
    (TCP, 5358): _KERNEL,
    (TCP, 5985): _KERNEL,
    (TCP, 5986): _KERNEL,
    (TCP, 47001): _KERNEL,
}


# Where an older Windows listened otherwise: up to this policy version, this program.
OLDER: Mapping[tuple[int, int], tuple[tuple[int, int], Program]] = {(TCP, 3389): ((2, 10), _KERNEL)}


@dataclass(frozen=True)
class Listener:
    """A bound socket; ``address`` ``None`` is every address of its family."""

    protocol: str
    version: int
    address: Address | None
    port: int
    pid: int

    def accepts(self, protocol: str, destination: Address, port: int) -> bool:
        """Whether a packet to this destination reaches the socket."""
        same = self.port == port and self.protocol == protocol and self.version == destination.version
        return same and self.address in (None, destination)


@dataclass(frozen=True)
class Connection:
    """A TCP connection that is there: own port and the other end's address."""

    port: int
    peer: Address


def parse_netstat(text: str) -> tuple[tuple[Listener, ...], tuple[Connection, ...]]:
    """Listeners and connections of ``netstat -ano``: columns protocol, local, foreign, state (TCP alone), pid.

    States are words of the machine's language: a listener is told by the foreign port 0.
    """
    listeners, connections = [], []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4 or words[0].upper() not in ("TCP", "UDP") or not words[-1].isdigit():
            continue
        local, foreign = _end(words[1]), _end(words[2])
        if local is None:
            continue
        address, port = local
        if words[0].upper() == "UDP" or (foreign is not None and foreign[1] == 0):
            bound = None if int(address) == 0 else address
            listeners.append(Listener(words[0].lower(), address.version, bound, port, int(words[-1])))
        elif foreign is not None and words[-1] != "0":  # 0: closed, and lingering
            connections.append(Connection(port, foreign[0]))
    return tuple(dict.fromkeys(listeners)), tuple(dict.fromkeys(connections))


def _end(text: str) -> tuple[Address, int] | None:
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isdigit() and len(port) <= 5 and port.isascii()):
        return None
    try:
        return parse_address(host.strip("[]")), int(port)
    except InputError:
        return None


@dataclass(frozen=True)
class Service:
    """A service: whether it runs (``None``: on its way), and its process, 0 where it has none."""

    running: bool | None
    pid: int = 0


_BLANK_LINES = re.compile(r"\n\s*\n")
_STATES = {"RUNNING": True, "STOPPED": False}
_STATE = re.compile(r"\A\s+[^:]+:\s*\d\s+([A-Z_]+)\s*\Z")
_NUMBER = re.compile(r"\A\s+[^:]+:\s*(\d{1,10})\s*\Z")
_STATE_WORDS = frozenset(
    {*_STATES, "START_PENDING", "STOP_PENDING", "CONTINUE_PENDING", "PAUSE_PENDING", "PAUSED"}
)


def parse_services(text: str) -> dict[str, Service]:
    """Services by name in small letters, of ``sc queryex``: labels are localised, numbers and constants are not."""
    found: dict[str, Service] = {}
    for block in _BLANK_LINES.split(text.replace("\r\n", "\n")):
        lines = [line for line in block.split("\n") if line.strip()]
        if len(lines) < 3 or lines[0][:1].isspace() or ":" not in lines[0]:
            continue
        states = (match.group(1) for match in map(_STATE.match, lines) if match)
        state = next((word for word in states if word in _STATE_WORDS), "")
        if state:
            pid = next((int(match.group(1)) for match in map(_NUMBER.match, lines) if match), 0)
            found[lines[0].partition(":")[2].strip().lower()] = Service(_STATES.get(state), pid)
    return found


def program_at(
    listeners: tuple[Listener, ...] | None, services: Mapping[str, Service], protocol: str, port: int
) -> Program | None:
    """The program behind a port that no table knows, by the services of the process that listens there."""
    pids = {item.pid for item in listeners or () if (item.protocol, item.port) == (protocol, port)}
    if len(pids) != 1:
        return None
    pid = next(iter(pids))
    if pid == KERNEL_PID:
        return _KERNEL
    names = frozenset(services_of(services, pid))
    return Program("", names) if names else None


def services_of(services: Mapping[str, Service], pid: int) -> Iterator[str]:
    """The names of the services that a process runs."""
    return (name for name, service in services.items() if service.pid == pid and pid != 0)
