# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Large rule sets, loaded into a kernel and read as a host's are, and what judging one of them costs.

    python -m tests.bench.large FILE SOURCE...

judges the host whose answer to the read command is in FILE (its first line is the word that marks the answer's parts),
and prints {"seconds", "processor_seconds", "mebibytes", "verdicts"}: the time from the text to the verdicts, JSON and
all, on three requirements for the sources, by the wall's clock and by the processor's; the highest memory of the whole
process; and the verdicts.
"""

from __future__ import annotations

import ipaddress
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet, parse_address
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import Verdict
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.selection import select_requirements
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.vocabulary import SourceRole
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._linux.platform import LinuxPlatform
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.collector import collector_paused
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import NamedSource, Request
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts

from tests.lab.shell import run

RULES, ELEMENTS, CHAINS = 10_000, 100_000, 20
_NAMESPACE = "audit-ports-bench-rules"
_ADDRESS = "192.0.2.2"
_REQUEST = Request(
    host="large",
    systems=("linux", "snmp", "network_scan"),
    requirements=select_requirements(ids=["linux.ssh", "snmp.agent", "network_scan.icmp_echo"]),
    openable=frozenset(),
    sources={},
    destinations=(parse_address(_ADDRESS),),
)
SOURCES = {"an address and a network": ("192.0.2.1", "192.0.2.64/26"), "every address": ("any",)}
EXPECTED = {"linux.ssh": "partial", "snmp.agent": "blocked", "network_scan.icmp_echo": "blocked"}


def cases(folder: Path) -> dict[str, Path]:
    """Write what hosts with large rule sets answer to the read command; name -> file."""
    loads = {
        f"{RULES:,} rules of nft, a set of {ELEMENTS:,} addresses": (
            ["nft", "-f", "-"],
            _nft("ipv4_addr", _addresses()),
        ),
        f"{RULES:,} rules of nft, a set of {ELEMENTS:,} networks": (
            ["nft", "-f", "-"],
            _nft("ipv4_addr; flags interval", _networks()),
        ),
        f"{RULES:,} rules of iptables, an ipset of {ELEMENTS:,} networks": (["iptables-restore"], _iptables()),
    }
    found = {}
    for number, (name, (loader, lines)) in enumerate(loads.items()):
        found[name] = folder / f"large-{number}.txt"
        found[name].write_text(_read(loader, "\n".join(lines) + "\n"), encoding="utf-8")
    return found


def _read(loader: list[str], rules: str) -> str:
    """The answer of a namespace with those rules, below the word that marks its parts."""
    inside = ["ip", "netns", "exec", _NAMESPACE]
    run(["ip", "netns", "delete", _NAMESPACE], check=False)
    run(["ip", "netns", "add", _NAMESPACE])
    try:
        run([*inside, "ip", "link", "add", "audit0", "type", "veth", "peer", "name", "audit1"])
        run([*inside, "ip", "address", "add", f"{_ADDRESS}/24", "dev", "audit0"])
        run([*inside, "ip", "link", "set", "audit0", "up"])
        if loader[0] == "iptables-restore":
            run([*inside, "ipset", "restore"], input_text="\n".join(_ipset()) + "\n")
        run([*inside, *loader], input_text=rules)
        command = LinuxPlatform().read(_REQUEST)
        return f"{command.mark}\n{run([*inside, command.program], input_text=command.body).stdout}"
    finally:
        run(["ip", "netns", "delete", _NAMESPACE])


def _addresses() -> Iterator[str]:
    """Addresses that are not next to each other, so that none melt into a range."""
    return (str(ipaddress.ip_address((10 << 24) + 3 * number)) for number in range(ELEMENTS))


def _networks() -> Iterator[str]:
    return (f"{ipaddress.ip_address((10 << 24) + 64 * number)}/{27 + number % 4}" for number in range(ELEMENTS))


def _nft(kind: str, elements: Iterator[str]) -> Iterator[str]:
    """An input chain that jumps through chains of rules, none of which is about the audit host, and drops the rest."""
    yield "table inet filter {"
    yield f"set banned {{ type {kind}; elements = {{ {', '.join(elements)} }}; }}"
    for chain in range(CHAINS):
        yield f"chain part{chain} {{"
        yield from (_nft_rule(number) for number in range(chain, RULES, CHAINS))
        yield "}"
    yield "chain input { type filter hook input priority 0; policy drop;"
    yield "ct state established,related accept"
    yield "ip saddr @banned counter drop"
    yield from (f"jump part{chain}" for chain in range(CHAINS))
    yield "ip saddr 192.0.2.64/27 tcp dport 22 accept"
    yield "}"
    yield "}"


def _nft_rule(number: int) -> str:
    address = ipaddress.ip_address((172 << 24) + (16 << 16) + number)
    return (
        f"ip saddr {address} tcp dport {1024 + number} counter accept",
        f"ip saddr {address}/24 udp dport {{ 53, {1024 + number} }} drop",
        f'iifname "eth{number % 8}" ip saddr {address} accept comment "user {number}"',
        f"ip saddr {address} ip daddr 198.51.100.0/24 tcp dport 1-{1024 + number} reject",
    )[number % 4]


def _iptables() -> Iterator[str]:
    yield "*filter"
    yield ":INPUT DROP [0:0]"
    yield from (f":part{chain} - [0:0]" for chain in range(CHAINS))
    yield "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    yield "-A INPUT -m set --match-set banned src -j DROP"
    yield from (f"-A INPUT -j part{chain}" for chain in range(CHAINS))
    yield "-A INPUT -s 192.0.2.64/27 -p tcp -m tcp --dport 22 -j ACCEPT"
    yield from (f"-A part{number % CHAINS} {_iptables_rule(number)}" for number in range(RULES))
    yield "COMMIT"


def _iptables_rule(number: int) -> str:
    address = ipaddress.ip_address((172 << 24) + (16 << 16) + number)
    return (
        f"-s {address} -p tcp -m tcp --dport {1024 + number} -j ACCEPT",
        f"-s {address} -p udp -m multiport --dports 53,{1024 + number} -j DROP",
        f'-s {address} -i eth{number % 8} -m comment --comment "user {number}" -j ACCEPT',
        f"-s {address} -d 198.51.100.0/24 -p tcp -m tcp --dport 1:{1024 + number} -j REJECT",
    )[number % 4]


def _ipset() -> Iterator[str]:
    yield f"create banned hash:net family inet hashsize 65536 maxelem {2 * ELEMENTS}"
    yield from (f"add banned {network}" for network in _networks())


def main(path: Path, sources: Sequence[str]) -> None:
    named = tuple(NamedSource(text, AddressSet.parse(text)) for text in sources)
    request = replace(_REQUEST, sources={SourceRole.AUDIT_HOST: named})
    mark, _line_end, answer = path.read_text(encoding="utf-8").partition("\n")
    started, started_cpu = time.perf_counter(), time.process_time()
    with collector_paused():  # as the action does it
        verdicts = _judged(answer, mark, request)
        found = {
            "seconds": time.perf_counter() - started,
            "processor_seconds": time.process_time() - started_cpu,
            "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "verdicts": {verdict.requirement: verdict.status.value for verdict in verdicts},
        }
    print(json.dumps(found))


def _judged(answer: str, mark: str, request: Request) -> tuple[Verdict, ...]:
    platform = LinuxPlatform()
    snapshot = platform.parse(split_parts(answer, mark), request)
    return platform.evaluate(snapshot, request)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
