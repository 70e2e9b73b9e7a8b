# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of a fleet: each host's systems, platform, address, roles and sources.

Reads plain mappings (``hostvars`` and ``groups`` as Ansible hands them to plugins), which hold every host of the
inventory whatever ``--limit`` says, so that sources never depend on it. For the host that a task runs for, variables
are those that the task itself sees, with the ones of its play and its role.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._core.addressset import Address, AddressSet, parse_address
from ...module_utils._core.errors import InputError, choices
from ...module_utils._core.selection import Roles
from ...module_utils._core.vocabulary import SourceRole, System
from .._platform.interface import NamedSource

Resolver = Callable[[str], Sequence[str]]

PLATFORMS = ("windows", "linux", "macos", "esxi", "vsphere", "none")
_HOSTS_KEPT = 64  # hosts whose variables are kept at hand; those of a whole fleet would be large
_API_OF_ESXI = ("audit_ports_vcenter", "audit_ports_vsphere_username")  # either says that the API is the way in
_FIREWALL_OF = {System.WINDOWS: "windows", System.LINUX: "linux", System.MACOS: "macos", System.ESXI: "esxi"}


def resolve_name(name: str) -> Sequence[str]:
    """The addresses of a host name as the controller resolves it. Raises OSError when it does not."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Templated(Mapping[str, Any]):
    """Variables that are templated when somebody first asks for them."""

    def __init__(self, written: Mapping[str, Any], templar: Any) -> None:
        self._written = written
        self._templar = templar
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._templar.template(self._written[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)


@dataclass(frozen=True)
class Fleet:
    """The inventory, as far as an audit is concerned. ``own`` are the variables of the host that a task runs for, as
    the task sees them. All methods raise InputError that names the host and the variable.
    """

    hostvars: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Sequence[str]]
    resolve: Resolver = resolve_name
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _known: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of_task(cls, variables: Mapping[str, Any], templar: Any) -> Fleet:
        """The inventory as a task sees it, by the variables that Ansible hands to a plugin, which are not templated.

        ``templar`` is the plugin's; ``None`` where there is nothing to template.
        """
        seen = variables if templar is None else _Templated(variables, templar)
        own = {str(variables.get("inventory_hostname")): seen}
        return cls(variables.get("hostvars") or {}, variables.get("groups") or {}, own=own)

    def variable(self, host: str, name: str, default: Any = None) -> Any:
        """A host's variable, ``default`` where the host or the variable is not there."""
        known = self.own.get(host) or self._known.get(host)
        if known is None:
            if host not in self.hostvars:
                return default
            # Ansible puts a host's variables together anew whenever they are asked for, a millisecond each time.
            known = self.hostvars[host]
            if len(self._known) >= _HOSTS_KEPT:
                self._known.clear()
            self._known[host] = known
        return known.get(name, default)

    def members(self, group: str) -> tuple[str, ...]:
        """The hosts of a group, in inventory order; none where there is no such group."""
        return tuple(self.groups.get(group) or ())

    def systems(self, host: str) -> tuple[str, ...]:
        """The systems whose requirements the host must meet: ``audit_ports_systems``, else its ``audit_<system>``
        groups.
        """
        known = [system.value for system in System]
        named = self.variable(host, "audit_ports_systems")
        if named is None:
            return tuple(name for name in known if host in self.members(f"audit_{name}"))
        systems = [named] if isinstance(named, str) else list(named)
        wrong = [str(name) for name in systems if name not in known]
        if wrong:
            raise InputError(f"{host}: audit_ports_systems holds {', '.join(wrong)}; the systems are {choices(known)}")
        return tuple(str(name) for name in systems)

    def platform(self, host: str) -> str:
        """The firewall that judges the host: ``audit_ports_platform``, else what its systems tell, else ``none``."""
        named = self.variable(host, "audit_ports_platform")
        if named is not None:
            if named not in PLATFORMS:
                raise InputError(f"{host}: audit_ports_platform is {named!r}; the platforms are {choices(PLATFORMS)}")
            return str(named)
        systems = self.systems(host)
        if System.ESXI.value in systems and any(self.variable(host, name) for name in _API_OF_ESXI):
            return "vsphere"
        return next((name for system, name in _FIREWALL_OF.items() if system.value in systems), "none")

    def address_text(self, host: str) -> str:
        """The address or name that the audit will use for the host."""
        for name in ("audit_ports_address", "ansible_host"):
            if self.variable(host, name):
                return str(self.variable(host, name))
        return host

    def addresses(self, text: str, what: str) -> tuple[Address, ...]:
        """The address that ``text`` is, or all that it resolves to here. ``what`` says in the error what it was meant
        to be.
        """
        try:
            return (parse_address(text),)
        except InputError:
            pass
        try:
            found = self.resolve(text)
        except (OSError, UnicodeError) as error:
            raise InputError(
                f"{what} {text!r} is no IP address and does not resolve on the controller ({error}); "
                "write an address, or make the name resolvable"
            ) from error
        return tuple(dict.fromkeys(parse_address(item) for item in found))

    def roles(self, host: str) -> Roles:
        """What the host is for the network, by its groups; a Windows host outside of them may still be a domain
        controller.
        """
        controller = host in self.members("audit_domain_controllers")
        return Roles(
            is_domain_controller=True
            if controller
            else (None if System.WINDOWS.value in self.systems(host) else False),
            is_dns_server=host in self.members("audit_dns_servers"),
            is_audit_host=host in self.members("audit_hosts"),
        )

    def audit_hosts(self, host: str) -> tuple[str, ...]:
        """The audit hosts that audit this host: those of its ``audit_ports_site`` where both name one, else all."""
        everyone = self.members("audit_hosts")
        site = self.variable(host, "audit_ports_site")
        here = tuple(name for name in everyone if site and self.variable(name, "audit_ports_site") == site)
        return here or everyone

    def sources(self, host: str, role: SourceRole, asked: Sequence[str] | None) -> tuple[NamedSource, ...]:
        """Where the audit of ``host`` comes from, in the documented order: task, host or site, audit hosts' own
        variables.

        ``asked`` is the task's list (``None``: not given). An empty list, or nothing to be found anywhere, is an
        InputError.
        """
        if role is SourceRole.DEVICE:
            return self._device_sources(host)
        if asked is None:
            asked = self.variable(host, "audit_ports_sources")
        if asked is not None:
            texts = [asked] if isinstance(asked, str) else [str(text) for text in asked]
            if not texts:
                raise InputError(f"{host}: the list of sources is empty; name the audit host's address, or write [any]")
            return tuple(self._named(text, f"{host}: source") for text in texts)
        found = tuple(self._audit_host_source(name) for name in self.audit_hosts(host))
        if not found:
            raise InputError(
                f"{host}: nobody to open for: give sources, set audit_ports_sources, "
                "or put the audit host into the inventory group audit_hosts"
            )
        return found

    def _audit_host_source(self, name: str) -> NamedSource:
        for variable in ("audit_ports_source", "ansible_host"):
            if self.variable(name, variable):
                return self._named(str(self.variable(name, variable)), f"audit host {name}: {variable}")
        return self._named(name, f"audit host {name}: its inventory name")

    def _device_sources(self, host: str) -> tuple[NamedSource, ...]:
        asked = self.variable(host, "audit_ports_trap_sources")
        if asked:
            return tuple(self._named(str(text), f"{host}: audit_ports_trap_sources") for text in asked)
        devices = [name for name in self.hostvars if System.SNMP.value in self.systems(name) and name != host]
        if not devices:
            raise InputError(
                f"{host}: nobody sends traps to it: no host has the system snmp; "
                "set audit_ports_trap_sources to the devices' addresses"
            )
        return tuple(self._named(self.address_text(name), f"device {name}: address") for name in devices)

    def _named(self, text: str, what: str) -> NamedSource:
        try:
            return NamedSource(text, AddressSet.parse(text))
        except InputError:
            if "/" in text or text.lower() == "any":
                raise
        return NamedSource(text, AddressSet.of(*self.addresses(text, what)))
