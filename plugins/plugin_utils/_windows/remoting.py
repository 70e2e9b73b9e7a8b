# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is set up for PowerShell remoting, whatever its firewall says: WinRM's listeners and policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .parts import POLICIES, WSMAN
from .registry import Registry

_POLICY = rf"{POLICIES}\Windows\WinRM\Service"
_DEFAULT_PORTS = {"http": 5985, "https": 5986}


@dataclass(frozen=True)
class WinrmListener:
    """A listener as WinRM is configured: ``address`` is ``*`` or one of the host's, ``transport`` http or https."""

    address: str
    transport: str
    port: int


@dataclass(frozen=True)
class Remoting:
    """What the registry says of WinRM. ``by_policy``: whether Group Policy makes a listener (``None``: says nothing).

    ``filters`` are the local addresses that such a listener listens on, IPv4 and IPv6, in the policy's words.
    """

    listeners: tuple[WinrmListener, ...] = ()
    by_policy: bool | None = None
    filters: tuple[str, str] = ("", "")

    def listens(self, transport: str = "http") -> bool:
        """Whether some listener of this transport is configured."""
        made = self.by_policy is True and transport == "http" and any(self.filters)
        return made or any(item.transport == transport for item in self.listeners)


def read_remoting(registry: Registry) -> Remoting:
    """What a registry says of WinRM ([MS-WSMV] and the policy's own template, WindowsRemoteManagement.admx)."""
    allowed = registry.number(_POLICY, "AllowAutoConfig")
    filters = (registry.text(_POLICY, "IPv4Filter") or "", registry.text(_POLICY, "IPv6Filter") or "")
    return Remoting(tuple(_listeners(registry)), None if allowed is None else bool(allowed), filters)


def _listeners(registry: Registry) -> Iterator[WinrmListener]:
    for path, values in registry.below(rf"{WSMAN}\Listener"):
        address, _plus, transport = path.rpartition("+")
        if transport not in _DEFAULT_PORTS or ("enabled" in values and values["enabled"].number == 0):
            continue
        port = values["port"].number if "port" in values else None
        yield WinrmListener(address, transport, port or _DEFAULT_PORTS[transport])
