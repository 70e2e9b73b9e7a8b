# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The machines that are played. Their registries are captured ones where these are at hand, else a small one."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.standins.captures import captured
from tests.standins.winrm.machine import FIREWALL, LISTENER, RULES, SERVICES, Interface, Machine, Service, Socket
from tests.standins.winrm.registry import Registry

POLICY = r"HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall"
_INTERFACES = rf"{SERVICES}\Tcpip\Parameters\Interfaces"
_CARD = "{4C9E3A52-7A0B-4F6B-9D4E-0C5B7A1D2E3F}"
_SVCHOST = r"%SystemRoot%\system32\svchost.exe"
# The rules that a small registry has: those of the page's ports, switched off as Windows delivers most of them.
_RULES = {
    "WINRM-HTTP-In-TCP-NoScope": r"Active=FALSE|Dir=In|Protocol=6|Profile=Domain|Profile=Private|LPort=5985|App=System",
    "WINRM-HTTP-In-TCP": "Active=FALSE|Dir=In|Protocol=6|Profile=Public|LPort=5985|RA4=LocalSubnet|App=System",
    "FPS-SMB-In-TCP": "Active=FALSE|Dir=In|Protocol=6|LPort=445|App=System",
    "FPS-NB_Session-In-TCP": "Active=FALSE|Dir=In|Protocol=6|LPort=139|App=System",
    "WMI-RPCSS-In-TCP": rf"Active=FALSE|Dir=In|Protocol=6|LPort=135|App={_SVCHOST}|Svc=rpcss",
    "WMI-WINMGMT-In-TCP": rf"Active=FALSE|Dir=In|Protocol=6|App={_SVCHOST}|Svc=winmgmt",
}
# What domain controllers have beside them, switched on.
_CONTROLLER_RULES = {
    "ADDS-Kerberos-TCP-In": ("6", "88"),
    "ADDS-Kerberos-UDP-In": ("17", "88"),
    "ADDS-LDAP-TCP-In": ("6", "389"),
    "ADDS-LDAP-UDP-In": ("17", "389"),
}
_LSASS = r"%systemroot%\System32\lsass.exe"
# Short name, what it is called, process id while it runs, start type.
_SERVICES = (
    ("MpsSvc", "Windows Defender Firewall", 1180, 2),
    ("BFE", "Base Filtering Engine", 1180, 2),
    ("WinRM", "Windows Remote Management (WS-Management)", 1320, 2),
    ("RpcSs", "Remote Procedure Call (RPC)", 908, 2),
    ("RpcEptMapper", "RPC Endpoint Mapper", 908, 2),
    ("LanmanServer", "Server", 1432, 2),
    ("Winmgmt", "Windows Management Instrumentation", 1500, 2),
    ("SamSs", "Security Accounts Manager", 680, 2),
    ("Netlogon", "Netlogon", 0, 3),
)
_LISTENING = (("0.0.0.0:135", 908), ("0.0.0.0:445", 4), ("0.0.0.0:5985", 4), ("0.0.0.0:47001", 4))


def _machine(name: str, address: str, *, language: str = "en", product: str = "WinNT", version: int = 0x21E) -> Machine:
    """A machine with its services, one network card and the least of a registry that the firewall's service keeps."""
    registry = Registry()
    services = {short.lower(): Service(short, display, pid) for short, display, pid, _start in _SERVICES}
    for short, _display, _pid, start in _SERVICES:
        registry.set_number(rf"{SERVICES}\{short}", "Start", start)
    registry.set_number(rf"{SERVICES}\LanmanServer\Parameters", "EnableSecuritySignature", 1)
    registry.set(r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions", "ProductType", product)
    registry.key(r"HKU\S-1-5-19")
    registry.set_number(FIREWALL, "PolicyVersion", version)
    registry.key(RULES)
    for profile in ("DomainProfile", "StandardProfile", "PublicProfile"):
        registry.set_number(rf"{FIREWALL}\{profile}", "EnableFirewall", 1)
    for key in (r"SOFTWARE\Policies\Microsoft\Windows", r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"):
        registry.key(rf"HKLM\{key}")
    registry.set_number(LISTENER, "Port", 5985)
    registry.set(LISTENER, "uriprefix", "wsman")
    subnet = address.rpartition(".")[0]
    sockets = [Socket("TCP", local, pid) for local, pid in _LISTENING]
    sockets += [Socket("TCP", f"{address}:139", 4), Socket("UDP", f"{address}:137", 4)]
    sockets.append(Socket("TCP", f"{address}:5985", 4, "198.51.100.9:51000", "ESTABLISHED"))
    return Machine(
        name, registry, language=language, services=services, sockets=tuple(sockets),
        interfaces=(Interface(_CARD, address, "255.255.255.0", f"{subnet}.1"),),
    )  # fmt: skip


def _load(machine: Machine, *files: str) -> bool:
    """Load captured registries; the network cards and services stay this machine's own. False where there are none."""
    texts = [captured(file) for file in files]
    for text in texts:
        if text is not None:
            machine.registry.load(text)
    return texts[0] is not None


def _finish(machine: Machine, *, loaded: bool) -> Machine:
    registry = machine.registry
    registry.delete_tree(_INTERFACES)
    for card in machine.interfaces:
        key = rf"{_INTERFACES}\{card.guid}"
        registry.set_number(key, "EnableDHCP", 0)
        registry.set(key, "IPAddress", card.address, kind="REG_MULTI_SZ")
        registry.set(key, "SubnetMask", card.mask, kind="REG_MULTI_SZ")
        registry.set(key, "DefaultGateway", card.gateway, kind="REG_MULTI_SZ")
        registry.set(key, "NameServer", f"{card.address.rpartition('.')[0]}.53")
    if not loaded:
        for name, fields in _RULES.items():
            registry.set(RULES, name, f"v{machine.policy_version}|Action=Allow|{fields}|Name=@FirewallAPI.dll,-1|")
    else:
        _close(machine)
    return machine


def _close(machine: Machine) -> None:
    """Switch the captured inbound allow rules of the page's ports off: every machine begins with them closed."""
    wanted = re.compile(r"\|LPort=(?:135|139|445|5985|RPC-EPMap)\|", re.IGNORECASE)
    for name, rule in machine.rules().items():
        if wanted.search(rule) and "|Dir=In|" in rule:
            machine.registry.set(RULES, name, rule.replace("|Active=TRUE|", "|Active=FALSE|"))


def win7() -> Machine:
    """Windows 7, German, in a private network."""
    machine = _machine("win7", "192.0.2.7", language="de", version=0x20A)
    return _finish(machine, loaded=_load(machine, "win7_v2.10.regquery.txt"))


def win10() -> Machine:
    """Windows 10, in a private network."""
    machine = _machine("win10", "192.0.2.10", version=0x21B)
    return _finish(machine, loaded=_load(machine, "win10_1703_v2.27.regquery.txt"))


def win11() -> Machine:
    """Windows 11, a member of a domain, in French, with a second address family."""
    machine = _machine("win11", "192.0.2.11", language="fr", version=0x220)
    machine.active = ("Domain",)
    card = machine.interfaces[0]
    machine.interfaces = (Interface(card.guid, card.address, card.mask, card.gateway, "2001:db8::11/64"),)
    machine.services["netlogon"].pid = 680
    loaded = _load(machine, "win10_1803_v2.28.export.txt")
    machine.registry.set_number(rf"{SERVICES}\Netlogon", "Start", 2)
    machine.registry.set_number(FIREWALL, "PolicyVersion", 0x220)
    return _finish(machine, loaded=loaded)


def dc2022() -> Machine:
    """A domain controller, Server 2022, whose Group Policy makes local rules void in the domain."""
    machine = _machine("dc2022", "192.0.2.22", product="LanmanNT", version=0x21F)
    machine.active = ("Domain",)
    machine.services["netlogon"].pid = 680
    machine.services["ntds"] = Service("NTDS", "Active Directory Domain Services", 680)
    registry = machine.registry
    registry.set_number(rf"{SERVICES}\Netlogon", "Start", 2)
    registry.set_number(rf"{SERVICES}\NTDS", "Start", 2)
    for name, (protocol, port) in _CONTROLLER_RULES.items():
        fields = f"Active=TRUE|Dir=In|Protocol={protocol}|LPort={port}|App={_LSASS}|Name=@ntdsmsg.dll,-1"
        registry.set(RULES, name, f"v2.31|Action=Allow|{fields}|")
    policy = captured("server2022_dc_gpo_v2.31.regquery.txt")
    if policy is not None:
        registry.load(policy.replace(r"HKEY_LOCAL_MACHINE\Software\Policies", r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies"))
    registry.set_number(rf"{POLICY}\DomainProfile", "EnableFirewall", 1)
    registry.set_number(rf"{POLICY}\DomainProfile", "AllowLocalPolicyMerge", 0)
    for name in ("ADDS-Kerberos-TCP-In", "ADDS-LDAP-TCP-In"):
        registry.set(rf"{POLICY}\FirewallRules", name, registry.get(RULES, name) or "")
    machine.sockets += (Socket("TCP", "0.0.0.0:88", 680), Socket("TCP", "0.0.0.0:389", 680))
    return _finish(machine, loaded=False)


def third_party() -> Machine:
    """A host whose firewall is another product."""
    machine = _machine("third_party", "192.0.2.33")
    machine.third_party = "Example Endpoint Security"
    return _finish(machine, loaded=False)


MACHINES: dict[str, Callable[[], Machine]] = {
    make.__name__: make for make in (win7, win10, win11, dc2022, third_party)
}
