# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""reg.exe, sc.exe, netstat.exe and chcp.com. An unknown word is an error."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, ip_address, ip_interface

from tests.standins.winrm.answer import Answer, error, lines
from tests.standins.winrm.machine import SERVICES, START_TYPES, Interface, Machine, Service
from tests.standins.winrm.registry import AccessDeniedError, Key, full_path
from tests.standins.winrm.texts import TEXTS

_USERS = r"HKEY_USERS\S-1-5-19"  # only an elevated token may open the keys of LocalService


def reg(machine: Machine, argv: Sequence[str]) -> Answer:
    """`reg.exe query KEY [/s | /v NAME]`."""
    texts = TEXTS[machine.language]
    options = [word.lower() for word in argv[2:]]
    if len(argv) < 2 or argv[0].lower() != "query" or not (options in ([], ["/s"]) or options[:1] == ["/v"] != options):
        return error("ERROR: Invalid syntax.")
    if len(options) > 2 or argv[1].partition("\\")[0].upper() not in ("HKLM", "HKU"):
        return error("ERROR: Invalid syntax.")
    try:
        key = machine.registry.find(argv[1])
    except AccessDeniedError:
        return error(texts.denied)
    if full_path(argv[1]).upper() == _USERS and not machine.elevated:
        return error(texts.denied)
    if key is None or (options[:1] == ["/v"] and options[1] not in key.values):
        return error(texts.key_missing)
    if options == ["/s"]:
        keys = list(machine.registry.walk(argv[1]))
        return lines(*(line for each in keys for line in ["", *_shown(each)]), "")
    if options:
        value = key.values[options[1]]
        return lines("", key.path, f"    {value.name}    {value.type}    {value.data}", "")
    values = [*_shown(key), ""] if key.values else []
    return lines("", *values, *(child.path for child in machine.registry.children(argv[1])))


def _shown(key: Key) -> list[str]:
    return [key.path, *(f"    {value.name}    {value.type}    {value.data}" for value in key.values.values())]


def sc(machine: Machine, argv: Sequence[str]) -> Answer:
    """`sc.exe query[ex] NAME`, `queryex type= service state= all bufsize= N`, `start NAME`, `config NAME start= X`."""
    words = [word.lower() for word in argv]
    if words[:5] == ["queryex", "type=", "service", "state=", "all"] and words[5:6] in ([], ["bufsize="]):
        return lines(*(line for service in machine.services.values() for line in _service(service, pid=True)))
    service = machine.service(words[1]) if len(words) > 1 else None
    if words[:1] not in (["query"], ["queryex"], ["start"], ["config"]):
        return lines("ERROR:  Unrecognized command", rc=1639)
    if service is None:
        return lines(f"[SC] {argv[0]} FAILED 1060:", "", rc=1060)
    if words[0].startswith("query") and len(words) == 2:
        return lines(*_service(service, pid=words[0] == "queryex"))
    if not machine.elevated:
        return lines("[SC] OpenService FAILED 5:", "", TEXTS[machine.language].denied, "", rc=5)
    if words[0] == "start" and len(words) == 2:
        return _start(machine, service)
    if words[0] == "config" and len(words) == 4 and words[2] == "start=" and words[3] in START_TYPES:
        machine.registry.set_number(rf"{SERVICES}\{service.name}", "Start", START_TYPES[words[3]])
        return lines("[SC] ChangeServiceConfig SUCCESS")
    return lines("ERROR:  Invalid Option", rc=1639)


def _start(machine: Machine, service: Service) -> Answer:
    if service.running:
        return lines("[SC] StartService FAILED 1056:", "", rc=1056)
    if machine.registry.get(rf"{SERVICES}\{service.name}", "Start") == "0x4":
        return lines("[SC] StartService FAILED 1058:", "", rc=1058)
    service.pid = 2000 + len(machine.services)
    return lines(*_service(service, pid=True))


def _service(service: Service, *, pid: bool) -> list[str]:
    state = "4  RUNNING " if service.running else "1  STOPPED "
    accepts = ["                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)"] if service.running else []
    shown = [
        "", f"SERVICE_NAME: {service.name}", f"DISPLAY_NAME: {service.display}",
        "        TYPE               : 20  WIN32_SHARE_PROCESS  ", f"        STATE              : {state}", *accepts,
        "        WIN32_EXIT_CODE    : 0  (0x0)", "        SERVICE_EXIT_CODE  : 0  (0x0)",
        "        CHECKPOINT         : 0x0", "        WAIT_HINT          : 0x0",
    ]  # fmt: skip
    return [*shown, f"        PID                : {service.pid}", "        FLAGS              : "] if pid else shown


def netstat(machine: Machine, argv: Sequence[str]) -> Answer:
    """`netstat.exe -ano` and `netstat.exe -rn`."""
    words = [word.lower() for word in argv]
    if words == ["-ano"]:
        texts = TEXTS[machine.language]
        rows = ["", texts.connections[0], "", texts.connections[1]]
        for socket in machine.sockets:
            state = texts.listening if socket.state == "LISTENING" else socket.state
            remote, state = ("*:*", "") if socket.protocol == "UDP" else (socket.remote, state)
            rows.append(f"  {socket.protocol:<6} {socket.local:<22} {remote:<22} {state:<15} {socket.pid}")
        return lines(*rows)
    if words == ["-rn"]:
        return lines(*_routes(machine.interfaces))
    return lines("", "Displays protocol statistics and current TCP/IP network connections.", rc=1)


def _routes(interfaces: Sequence[Interface]) -> list[str]:
    line = "=" * 75
    names = [f" {number:>2}...00 0c 29 00 00 {number:02x} ......Adapter {number}" for number in _numbers(interfaces)]
    v4, v6 = [_v4("127.0.0.0", "255.0.0.0", "On-link", "127.0.0.1")], ["  1    331 ::1/128                  On-link"]
    for number, card in zip(_numbers(interfaces), interfaces, strict=True):
        if card.gateway:
            v4.append(_v4("0.0.0.0", "0.0.0.0", card.gateway, card.address))
        network = IPv4Network(f"{card.address}/{card.mask}", strict=False)
        v4.append(_v4(str(network.network_address), card.mask, "On-link", card.address))
        v4.append(_v4(card.address, "255.255.255.255", "On-link", card.address))
        if card.v6:
            v6.append(f" {number:>2}    281 {ip_interface(card.v6).network!s:<24} On-link")
            v6.append(f" {number:>2}    281 {str(ip_address(card.v6.partition('/')[0])) + '/128':<24} On-link")
    last = "  1...........................Software Loopback Interface 1"
    heading = "Network Destination        Netmask          Gateway       Interface  Metric"
    return [
        line, "Interface List", *names, last, line, "", "IPv4 Route Table", line, "Active Routes:", heading, *v4, line,
        "Persistent Routes:", "  None", "", "IPv6 Route Table", line, "Active Routes:",
        " If Metric Network Destination      Gateway", *v6, line, "Persistent Routes:", "  None",
    ]  # fmt: skip


def _numbers(interfaces: Sequence[Interface]) -> list[int]:
    return [10 + number for number, _card in enumerate(interfaces)]


def _v4(network: str, mask: str, gateway: str, interface: str) -> str:
    return f"{network:>17} {mask:>16} {gateway:>16} {interface:>16} {25:>6}"


def chcp(argv: Sequence[str]) -> Answer:
    """`chcp.com 65001`."""
    return lines("Active code page: 65001") if list(argv) == ["65001"] else lines("Invalid code page", rc=1)
