# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up host, judged before Ansible starts a process for each real one.

Such a process begins with the memory of the one that it is forked from: with what that has cached, and with functions
that Python has adapted to their work already (PEP 659), which it does where they ran a few times. Else each process
would do that anew, and copy every page of memory that it does it in: a fifth of the time that judging a host takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ...module_utils._core.readiness import assess_host
from ...module_utils._core.records import to_result
from .._fleet.inventory import Fleet
from .._platform.arguments import build_request
from .._platform.sections import split_parts
from .network import INTERFACES
from .parts import PARTS, RULES, is_registry
from .platform import WindowsPlatform

_HOST, _MARK = "host", "@@"
_SOURCES = ["198.51.100.10"]
_VARIABLES = {"audit_ports_systems": ["windows", "network_scan"], "audit_ports_address": "192.0.2.5"}
_ROUNDS = 3

_RULE_TEXTS = (
    "Profile=Private|LPort=445|RA4=LocalSubnet|RA6=LocalSubnet|App=System|Name=a|",
    r"LPort=RPC|RA4=192.0.2.0/255.255.255.0|App=%SystemRoot%\system32\svchost.exe|Svc=winmgmt|Name=@b.dll,-1|",
    r"App=%SystemRoot%\system32\svchost.exe|Svc=rpcss|Name=c|",
    r"App=C:\d.exe|Name=d|",
    "Profile=Domain|LPort=5985|App=System|Name=e|",
)
_RULES = "\n".join(
    f"    {number}    REG_SZ    v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|{text}"
    for number, text in enumerate(_RULE_TEXTS)
)
_VALUES = {
    RULES: _RULES,
    "local_root": "    PolicyVersion    REG_DWORD    0x21f",
    "mpssvc_start": "    Start    REG_DWORD    0x2",
    "product": "    ProductType    REG_SZ    WinNT",
    "tcpip": (
        f"{INTERFACES}\\1\n    IPAddress    REG_MULTI_SZ    192.0.2.5\n"
        "    SubnetMask    REG_MULTI_SZ    255.255.255.0\n    NameServer    REG_SZ    192.0.2.1"
    ),
}
_HEADINGS = [f"{name}:\n{'-' * 70}\n" for name in ("Domain", "Private", "Public")]
_OUTPUTS = {
    "services": "\n\n".join(
        f"SERVICE_NAME: {name}\n        TYPE  : 20  WIN32\n        STATE  : 4  RUNNING\n        PID  : 1000"
        for name in ("MpsSvc", "BFE", "WinRM", "LanmanServer", "RpcSs", "Winmgmt")
    ),
    "netstat": "\n".join(
        f"  {protocol}    {address}:{port}    {other}    {state}    4"
        for protocol, other, state in (("TCP", "0.0.0.0:0", "LISTENING"), ("UDP", "*:*", ""))
        for address in ("0.0.0.0", "192.0.2.5", "[::]")
        for port in (135, 445, 5985)
    ),
    "routes": (
        "    0.0.0.0    0.0.0.0    192.0.2.1    192.0.2.5    25\n"
        "    127.0.0.0    255.0.0.0    On-link    127.0.0.1    331\n"
        "    192.0.2.0    255.255.255.0    On-link    192.0.2.5    281\n"
        "    192.0.2.5    255.255.255.255    On-link    192.0.2.5    281\n"
        "    224.0.0.0    240.0.0.0    On-link    192.0.2.5    281\n"
        "    1    331    ::1/128    On-link\n    1    331    fe80::/64    On-link\n"
    ),
    "allprofiles": "".join(_HEADINGS),
    "currentprofile": _HEADINGS[1],
    "dynamic_ports": "Start Port  : 49152\nNumber of Ports  : 16384\n",
}


def rehearse(argument_spec: Mapping[str, Mapping[str, Any]]) -> None:
    """Read, judge and plan the made-up host by the defaults of these options, and turn it into a result."""
    output = "".join(_output())
    platform = WindowsPlatform()
    for _round in range(_ROUNDS):
        options = ArgumentSpecValidator(argument_spec).validate({"sources": _SOURCES}).validated_parameters
        fleet = Fleet({_HOST: _VARIABLES}, {"audit_domain_controllers": [_HOST]})
        request = build_request(options, fleet, _HOST)
        platform.read(request)
        snapshot = platform.parse(split_parts(output, _MARK), request)
        verdicts = platform.evaluate(snapshot, request)
        plan = platform.plan(snapshot, verdicts, request)
        assess_host(verdicts, request.psremoting)
        to_result([platform.firewall(snapshot), verdicts, plan.changes.to_result()])


def _output() -> Iterator[str]:
    for name, argv in PARTS:
        text = f"\n{argv[2]}\n{_VALUES.get(name, '')}\n" if is_registry(argv) else _OUTPUTS.get(name, "")
        yield f"{_MARK} begin {name}\n{text}\n{_MARK} errors\n\n{_MARK} end {name} 0\n"
    yield f"{_MARK} done\n"
