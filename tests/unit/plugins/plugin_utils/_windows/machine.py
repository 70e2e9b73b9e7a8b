# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A small Windows machine for tests: what its own commands print, and requests about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.catalog import get_requirement
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import PsRemoting, SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import (
    NamedSource,
    Part,
    Request,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import (
    FIREWALL_POLICY,
    POLICIES,
    SERVICES,
    WSMAN,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import Snapshot, parse_snapshot

LOCAL = FIREWALL_POLICY.replace("HKLM", "HKEY_LOCAL_MACHINE")
POLICY = POLICIES.replace("HKLM", "HKEY_LOCAL_MACHINE") + r"\WindowsFirewall"
AUDIT = "198.51.100.10"
HERE = ip_address("192.0.2.5")
RUNNING = {"MpsSvc": 1104, "BFE": 1104, "WinRM": 1240, "LanmanServer": 1412, "RpcSs": 812, "Winmgmt": 1412}
WINRM_RULE = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|Name=winrm|"
HEADINGS = ("Domänenprofil-Einstellungen:", "Privates Profil-Einstellungen:", "Öffentliches Profil-Einstellungen:")
NETSTAT = """
Aktive Verbindungen

  Proto  Lokale Adresse         Remoteadresse          Status           PID
  TCP    0.0.0.0:135            0.0.0.0:0              ABHÖREN          812
  TCP    0.0.0.0:445            0.0.0.0:0              ABHÖREN          4
  TCP    0.0.0.0:5985           0.0.0.0:0              ABHÖREN          4
  TCP    192.0.2.5:139          0.0.0.0:0              ABHÖREN          4
  TCP    192.0.2.5:5985         198.51.100.10:50123    HERGESTELLT      4
  TCP    192.0.2.5:5985         203.0.113.77:50123     WARTEND          0
  TCP    [::]:135               [::]:0                 ABHÖREN          812
  UDP    0.0.0.0:137            *:*                                     4
  UDP    [fe80::5%12]:546       *:*                                     1500
"""
ROUTES = """
===========================================================================
Schnittstellenliste
 12...00 0c 29 aa bb cc ......Intel(R) 82574L-Gigabit-Netzwerkverbindung
===========================================================================

IPv4-Routentabelle
===========================================================================
Aktive Routen:
     Netzwerkziel    Netzwerkmaske          Gateway    Schnittstelle Metrik
          0.0.0.0          0.0.0.0        192.0.2.1        192.0.2.5     25
        127.0.0.0        255.0.0.0   Auf Verbindung         127.0.0.1    331
        192.0.2.0  255.255.255.192   Auf Verbindung         192.0.2.5    281
        192.0.2.5  255.255.255.255   Auf Verbindung         192.0.2.5    281
       192.0.2.63  255.255.255.255   Auf Verbindung         192.0.2.5    281
     198.18.0.0        255.254.0.0        192.0.2.2         192.0.2.5     26
        224.0.0.0        240.0.0.0   Auf Verbindung         192.0.2.5    281
===========================================================================

IPv6-Routentabelle
===========================================================================
Aktive Routen:
 If Metrik Netzwerkziel             Gateway
 12    281 ::/0                     fe80::1
  1    331 ::1/128                  Auf Verbindung
 12    281 2001:db8::/64            Auf Verbindung
 12    281 2001:db8::5/128          Auf Verbindung
 12    281 fe80::/64                Auf Verbindung
 12    281 ff00::/8                 Auf Verbindung
"""


def printed(keys: Mapping[str, Mapping[str, str | int]]) -> str:
    """Keys as ``reg query`` prints them."""
    lines = []
    for path, values in keys.items():
        lines += ["", path]
        for name, value in values.items():
            kind, data = ("REG_DWORD", f"{value:#x}") if isinstance(value, int) else ("REG_SZ", value)
            lines.append(f"    {name}    {kind}    {data}")
    return "\r\n".join([*lines, ""])


def services_text(running: Mapping[str, int], stopped: Sequence[str] = ()) -> str:
    """Services as a German ``sc queryex`` prints them."""
    states = [(name, "4  RUNNING", pid) for name, pid in running.items()]
    states += [(name, "1  STOPPED", 0) for name in stopped]
    return "".join(
        f"\r\nSERVICE_NAME: {name}\r\nDISPLAY_NAME: Dienst: {name}\r\n"
        f"        TYP                : 20  WIN32_SHARE_PROCESS  \r\n"
        f"        STATUS             : {state}\r\n                                (STOPPABLE, NOT_PAUSABLE)\r\n"
        f"        WIN32_BEENDCODE    : 0  (0x0)\r\n        PRÜFPUNKT          : 0x0\r\n"
        f"        PID                : {pid}\r\n        FLAGS              : \r\n"
        for name, state, pid in states
    )


def netsh_text(*headings: str) -> str:
    """Profiles as a German ``netsh advfirewall show ... state`` prints them."""
    return "".join(f"\r\n{heading} \r\n{'-' * 70}\r\nStatus            EIN\r\n" for heading in headings)


def parts(
    rules: Mapping[str, str] | None = None,
    *,
    gpo: Mapping[str, Mapping[str, str | int]] | None = None,
    active: Sequence[int] = (0,),
    running: Mapping[str, int] | None = None,
    stopped: Sequence[str] = (),
    kind: str = "ServerNT",
    **changed: Part | None,
) -> dict[str, Part]:
    """The parts of a read. ``gpo`` holds keys below Group Policy's own; a part that is ``None`` is left out."""
    listener = WSMAN.replace("HKLM", "HKEY_LOCAL_MACHINE") + r"\Listener\*+HTTP"
    given = {f"{POLICY}\\{name}".rstrip("\\"): values for name, values in (gpo or {}).items()}
    found: dict[str, Part | None] = {
        "elevated": Part(0, "\r\n", ""),
        "local_root": ok(printed({LOCAL: {"PolicyVersion": 0x21F}, rf"{LOCAL}\FirewallRules": {}})),
        "local_rules": ok(printed({rf"{LOCAL}\FirewallRules": rules or {}})),
        "local_domain": ok(printed({rf"{LOCAL}\DomainProfile": {"EnableFirewall": 1}})),
        "local_standard": ok(printed({rf"{LOCAL}\StandardProfile": {"EnableFirewall": 1}})),
        "local_public": ok(printed({rf"{LOCAL}\PublicProfile": {"EnableFirewall": 1}})),
        "local_consec": MISSING,
        "mdm": MISSING,
        "policies_root": ok(printed({POLICIES: {}, **({POLICY: {}} if given else {})})),
        "policy": ok(printed(given)) if given else MISSING,
        "policies_windows": ok(printed({rf"{POLICIES}\Windows": {}})),
        "ipsec": MISSING,
        "winrm_policy": MISSING,
        "winrm_listeners": ok(printed({listener: {"Port": 5985}})),
        "mpssvc_start": ok(printed({rf"{SERVICES}\MpsSvc": {"Start": 2}})),
        "netlogon_start": ok(printed({rf"{SERVICES}\Netlogon": {"Start": 3}})),
        "lanman": ok(printed({rf"{SERVICES}\LanmanServer\Parameters": {"RestrictNullSessAccess": 1}})),
        "product": ok(printed({r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions": {"ProductType": kind}})),
        "services": ok(services_text(RUNNING if running is None else running, stopped)),
        "netstat": ok(NETSTAT),
        "routes": ok(ROUTES),
        "allprofiles": ok(netsh_text(*HEADINGS)),
        "currentprofile": ok(netsh_text(*(HEADINGS[number] for number in active))),
        "dynamic_ports": ok("\r\nProtokoll tcp\r\n----\r\nStartport   : 50000\r\nAnzahl   : 1000\r\n"),
        **changed,
    }
    return {name: part for name, part in found.items() if part is not None}


MISSING = Part(1, "", "FEHLER: Der angegebene Registrierungsschlüssel wurde nicht gefunden.")


def ok(text: str) -> Part:
    """A part that succeeded."""
    return Part(0, text, "")


def snapshot(rules: Mapping[str, str] | None = None, **options: Any) -> Snapshot:
    """The snapshot of such parts."""
    return parse_snapshot(parts(rules, **options))


def request(*ids: str, source: str = AUDIT, **options: Any) -> Request:
    """A request for these requirements, all of them openable."""
    rows = tuple(get_requirement(name) for name in ids)
    sources = (NamedSource(source, AddressSet.parse(source)),)
    return Request(
        host="host",
        systems=("windows",),
        requirements=rows,
        openable=options.pop("openable", frozenset(ids)),
        sources=dict.fromkeys(SourceRole, sources),
        destinations=options.pop("destinations", (HERE,)),
        psremoting=options.pop("psremoting", PsRemoting.FALSE),
        **options,
    )
