# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What a Windows machine is, as far as its native programs show it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from uuid import uuid4

from tests.standins.winrm.registry import Registry

FIREWALL = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
RULES = rf"{FIREWALL}\FirewallRules"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
LISTENER = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN\Listener\*+HTTP"
START_TYPES = {"boot": 0, "system": 1, "auto": 2, "demand": 3, "disabled": 4, "delayed-auto": 2}


@dataclass
class Service:
    """A service and the process it runs in; `pid` is 0 while it is stopped."""

    name: str
    display: str
    pid: int = 0

    @property
    def running(self) -> bool:
        return self.pid != 0


@dataclass(frozen=True)
class Interface:
    """A network card."""

    guid: str
    address: str
    mask: str
    gateway: str = ""
    v6: str = ""  # address and prefix length


@dataclass(frozen=True)
class Socket:
    """A socket as netstat shows it; `state` is LISTENING, ESTABLISHED or nothing (UDP)."""

    protocol: str
    local: str
    pid: int
    remote: str = "0.0.0.0:0"
    state: str = "LISTENING"


@dataclass
class Machine:
    """One machine. `active` are the profiles of its networks; `third_party` is the product that took the firewall
    over; without `elevated`, the account may read and not write.
    """

    name: str
    registry: Registry
    language: str = "en"
    active: tuple[str, ...] = ("Private",)
    services: dict[str, Service] = field(default_factory=dict)
    interfaces: tuple[Interface, ...] = ()
    sockets: tuple[Socket, ...] = ()
    third_party: str = ""
    elevated: bool = True
    lock: threading.RLock = field(default_factory=threading.RLock)

    def service(self, name: str) -> Service | None:
        """A service by its short name."""
        return self.services.get(name.lower())

    @property
    def policy_version(self) -> str:
        """The version that new rules are written in, such as 2.30."""
        number = int(self.registry.get(FIREWALL, "PolicyVersion") or "0x21e", 16)
        return f"{number >> 8}.{number & 0xFF}"

    def firewall_runs(self) -> bool:
        """Whether netsh finds its service."""
        service = self.service("mpssvc")
        return service is not None and service.running

    def add_rule(self, fields: str) -> str:
        """Store a rule as netsh does, under a new GUID in capital letters; return the GUID."""
        guid = "{" + str(uuid4()).upper() + "}"
        self.registry.set(RULES, guid, f"v{self.policy_version}|{fields}|")
        return guid

    def rules(self) -> dict[str, str]:
        """The rules of the local store by id."""
        return {value.name: value.data for value in self.registry.key(RULES).values.values()}
