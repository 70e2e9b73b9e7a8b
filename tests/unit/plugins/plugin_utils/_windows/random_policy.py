# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random Windows policies, and the two evaluators on them: the real one and the naive one.

``python -m tests.unit.plugins.plugin_utils._windows.random_policy SEED N`` runs N policies from SEED on, prints how
often each key, store and setting came, and for each disagreement its seed and the smallest policy that still shows it.
Exit code 1 where there is one, or where something came in less than 2% of the policies.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

# The checkout under the name that its modules import each other by, for a run outside of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "build" / "collections"))

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.addressset import AddressSet
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.evaluate import Evaluation
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.network import Network
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry import Registry, Value
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.registry_text import parse_registry
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.snapshot import read_snapshot
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.words import Profile

from tests.unit.plugins.plugin_utils._windows import naive
from tests.unit.plugins.plugin_utils._windows.naive import Host, Ip, Packet

QUOTA = 0.02
LEAST_POLICIES = 1000  # with fewer, chance alone leaves something out
LOCAL = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
ROOTS = {
    "local": LOCAL,
    "gpo": r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\WindowsFirewall",
    "mdm": rf"{LOCAL}\Mdm",
}
HERE: dict[int, Ip] = {4: ip_address("192.0.2.5"), 6: ip_address("2001:db8::5")}
SOURCES: dict[int, tuple[Ip, ...]] = {
    4: tuple(map(ip_address, ("192.0.2.10", "192.0.2.77", "198.51.100.9", "10.1.2.3", "169.254.7.7"))),
    6: tuple(map(ip_address, ("2001:db8::10", "2001:db8:1::9", "fe80::7"))),
}
INTERFACE = "{08BA0CD8-E98C-475C-BADF-65130C043BD6}"
SUBNETS = ("192.0.2.0/26", "2001:db8::/64")
DNS = "198.51.100.9"
WIRES: tuple[tuple[str, int | None], ...] = (
    ("tcp", 5985), ("tcp", 135), ("tcp", 445), ("tcp", 139), ("tcp", 88), ("udp", 137), ("udp", 135), ("icmp", None),
    ("rpc", None), ("tcp", 8080), ("tcp", 50000),
)  # fmt: skip
PROFILES = ("Domain", "Private", "Public")
ADDRESSES = {
    4: ("192.0.2.10", "192.0.2.0/24", "192.0.2.64/255.255.255.192", "10.0.0.0-10.255.255.255", "198.51.100.0/24",
        "0.0.0.0/0", "LocalSubnet", "LocalSubnet", "DNS", "DefaultGateway", "203.0.113.9"),
    6: ("2001:db8::/64", "2001:db8::10", "fe80::/64", "2001:db8::-2001:db8::ff", "::/0", "LocalSubnet", "LocalSubnet"),
}  # fmt: skip
BAD_VALUES = (
    ("Protocol", "tcp"), ("Dir", "Up"), ("Active", "maybe"), ("Action", "Ask"), ("LPort", "70000"), ("LPort", "9-1"),
    ("Profile", "Work"), ("LA4", "here.example"), ("ICMP4", "echo"),
)  # fmt: skip
BAD_ADDRESSES = ("10.0.0.0/0.0.0.255", "300.1.1.1", "9-1", "fe80::1/200")
# A key that limits or says nothing, its values, and how many of 1,000 rules have it.
EXTRA: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("Name", ("Web (80)", "@FirewallAPI.dll,-30253", "all ports, really"), 300),
    ("Desc", ("text", "@x.dll,-1"), 100),
    ("EmbedCtxt", ("@FirewallAPI.dll,-30267",), 100),
    ("Edge", ("TRUE", "FALSE"), 30),
    ("Defer", ("App", "User"), 15),
    *((key, ("TRUE",), 12) for key in ("LSM", "LOM", "PCross", "AuthByPassOut")),
    ("IFType", ("Lan", "Wireless", "RemoteAccess"), 12),
    ("Security", ("Authenticate", "AuthenticateEncrypt"), 12),
    ("Security2_9", ("An-NoEncap",), 8),
    ("Security2", ("AnE-Nego",), 8),
    ("RMAuth", ("O:LSD:(A;;CC;;;S-1-5-21-1-2-3-515)",), 8),
    ("RUAuth", ("O:LSD:(A;;CC;;;S-1-5-21-1-2-3-513)",), 8),
    ("LUAuth", ("O:LSD:(A;;CC;;;S-1-15-3-1)",), 8),
    ("LUAuth2_24", ("TzpMU0Q6",), 8),
    ("LUOwn", ("S-1-5-18", "S-1-5-21-1-2-3-1001"), 8),
    ("AppPkgId", ("S-1-15-2-2434737943-167758768",), 12),
    ("PFN", ("Microsoft.Todos_8wekyb3d8bbwe",), 8),
    ("TTK", ("Proximity", "ProxSharing"), 8),
    ("TTK2_22", ("WFDPrint", "WFDDevices"), 8),
    ("TTK2_27", ("WFDKmDriver", "UPnP"), 8),
    ("TTK2_28", ("WFDCDPSvc",), 8),
    ("NNm", ("Corp",), 8),
    ("SecurityRealmId", ("1",), 8),
    ("Hologram", ("7",), 8),  # a key of the future
    ("RPort2_10", ("1024-65535", "1-65535", "IPTLSOut"), 15),
    ("RPort2_28", ("CortanaOut",), 8),
    ("ICMP6", ("128:*", "135:*"), 10),
    ("SkipVer", ("2.0", "2.27", "2.99"), 12),
)
OS_WORDS = (("2:6:2", "GTEQ"), ("2:6:1", ""), ("2:10:0", ""), ("2:10:0", "GTEQ"), ("10:6:0", "GTEQ"))
PORT_WORDS = (
    ("LPort2_20", ("DHCP", "Ply2Disc")), ("LPort2_24", ("mDNS",)), ("LPort2_25", ("mDNS",)),
    ("LPort2_29", ("TcpCDPSvc",)),
)  # fmt: skip
SETTINGS = (
    "EnableFirewall", "DoNotAllowExceptions", "DefaultInboundAction", "AllowLocalPolicyMerge", "DisabledInterfaces",
)  # fmt: skip
FEATURES = (
    *("Action", "Active", "Dir", "Profile", "Protocol", "LPort", "LPort2_10", *(key for key, _values in PORT_WORDS)),
    *("RPort", "ICMP4", "RA4", "RA6", "RA42", "RA62", "LA4", "LA6", "App", "Svc", "IF", "Platform", "Platform2"),
    *(key for key, _values, _share in EXTRA),
    *("store local", "store gpo", "store mdm", "gpo StandardProfile alone", "mdm StandardProfile"),
    *(f"setting {name}" for name in SETTINGS),
    *(f"setting AllowUserPrefMerge of {below[1:]}" for below in naive.OLD_KINDS.values()),
    *("a value that cannot be read", "a string that is cut off", "subnets unknown", "version unknown", "two profiles"),
)


@dataclass(frozen=True)
class Case:
    """A machine and what is asked of it."""

    rules: dict[str, dict[str, str]]
    settings: dict[str, dict[str, dict[str, int | str]]]
    host: Host
    wire: str
    port: int | None
    family: int
    sources: tuple[Ip, ...]
    profiles: tuple[str, ...]
    features: frozenset[str] = field(default=frozenset(), compare=False)


class Maker:
    """Makes one case of one seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.features: set[str] = set()
        self.wire, self.port = self.draw.choice(WIRES)
        self.family = 4 if self.wire == "icmp" or self.chance(700) else 6

    def chance(self, of_thousand: int) -> bool:
        return self.draw.random() * 1000 < of_thousand

    def case(self) -> Case:
        rules: dict[str, dict[str, str]] = {"local": {}, "gpo": {}, "mdm": {}}
        for number in range(self.draw.randint(1, 8)):
            store = self.draw.choices(("local", "gpo", "mdm"), (5, 3, 2))[0]
            self.features.add(f"store {store}")
            rules[store][f"rule {number}"] = self.rule()
        host = Host(
            INTERFACE,
            None if self.noted("subnets unknown", 60) else SUBNETS,
            None if self.noted("version unknown", 60) else (2, self.draw.choice((0, 10, 20, 22, 27, 33))),
            None if self.chance(300) else (DNS,),
        )
        two = self.noted("two profiles", 60)
        profiles = tuple(self.draw.sample(PROFILES, 2 if two else 1))
        settings = self.settings()
        sources = tuple(self.draw.sample(SOURCES[self.family], 2))
        features = frozenset(self.features)
        return Case(rules, settings, host, self.wire, self.port, self.family, sources, profiles, features)

    def noted(self, feature: str, of_thousand: int) -> bool:
        found = self.chance(of_thousand)
        if found:
            self.features.add(feature)
        return found

    def settings(self) -> dict[str, dict[str, dict[str, int | str]]]:
        found: dict[str, dict[str, dict[str, int | str]]] = {"local": {}, "gpo": {}, "mdm": {}}
        for store, keys in found.items():
            names = ("DomainProfile", "PrivateProfile", "PublicProfile")
            if store == "local" or (store == "gpo" and self.noted("gpo StandardProfile alone", 120)):
                names = ("DomainProfile", "StandardProfile", *(("PublicProfile",) if store == "local" else ()))
            if store == "mdm" and self.noted("mdm StandardProfile", 120):
                names = ("DomainProfile", "StandardProfile", "PublicProfile")
            for name in names:
                if self.chance(400):
                    keys[name] = {}
                    for setting, values, share in (
                        ("EnableFirewall", (1, 1, 1, 0), 150),
                        ("DoNotAllowExceptions", (0, 0, 1), 100),
                        ("DefaultInboundAction", (1, 1, 0), 200),
                        ("AllowLocalPolicyMerge", (1, 0), 150),
                        ("DisabledInterfaces", (INTERFACE.lower(), "{00000000-0000-0000-0000-000000000001}"), 50),
                    ):
                        if self.noted(f"setting {setting}", share):
                            keys[name][setting] = self.draw.choice(values)
                for below in naive.OLD_KINDS.values():
                    if self.noted(f"setting AllowUserPrefMerge of {below[1:]}", 15):
                        keys[name + below] = {"AllowUserPrefMerge": self.draw.choice((0, 0, 1))}
        return found

    def rule(self) -> str:
        pairs = [*self.head(), *self.traffic(), *self.ends(), *self.program()]
        roll = self.draw.random
        pairs += [(key, self.draw.choice(values)) for key, values, share in EXTRA if roll() * 1000 < share]
        if self.chance(30):
            word, later = self.draw.choice(OS_WORDS)
            pairs += [("Platform", word), *([("Platform2", later)] if later else [])]
        if self.noted("a value that cannot be read", 15):
            pairs.append(self.draw.choice((*BAD_VALUES, ("RA4", self.draw.choice(BAD_ADDRESSES)))))
        if self.chance(200):
            self.draw.shuffle(pairs)
        self.features.update(key for key, _value in pairs)
        twist = self.draw.choice((str, str, str, str.upper, str.lower)) if self.chance(150) else str
        version = self.draw.choice(("v2.0", "V2.0", "v2.10", "v2.27", "v2.31", "v2.33"))
        text = "|".join((version, *(f"{twist(key)}={value}" for key, value in pairs))) + "|"
        return text[: -self.draw.randint(1, 12)] if self.noted("a string that is cut off", 10) else text

    def head(self) -> Iterator[tuple[str, str]]:
        yield "Action", self.draw.choices(("Allow", "Block", "ByPass"), (75, 20, 5))[0]
        if self.chance(970):
            yield "Active", "FALSE" if self.chance(60) else "TRUE"
        yield "Dir", "Out" if self.chance(60) else self.draw.choice(("In", "in"))
        if self.chance(400):
            for profile in self.draw.sample(PROFILES, self.draw.randint(1, 2)):
                yield "Profile", profile

    def traffic(self) -> Iterator[tuple[str, str]]:
        if self.chance(80):
            return
        if self.chance(850):
            yield "Protocol", naive.NUMBERS[self.wire]
        elif self.chance(800):
            yield "Protocol", self.draw.choice(("6", "17", "1", "58", "256"))
        if self.wire == "icmp":
            if self.chance(600):
                yield "ICMP4", self.draw.choice(("8:*", "8:0", "3:4", "0:*"))
            return
        if self.chance(300):
            return
        port = self.port or 49200
        near = (str(port), str(port), str(port), "443", "RPC", "RPC-EPMap", "Teredo", f"80,{port}")
        yield self.draw.choice(("LPort", "LPORT")), self.draw.choice(near)
        if self.chance(120):
            ranges = (f"{port}-{port + 9}", "1-65535", "49152-65535", "50000-60000", "IPTLSIn")
            yield "LPort2_10", self.draw.choice(ranges)
        if self.chance(60):
            key, values = self.draw.choice(PORT_WORDS)
            yield key, self.draw.choice(values)
        if self.chance(40):
            yield "RPort", self.draw.choice(("1234", "1-65535", "0-65535"))

    def ends(self) -> Iterator[tuple[str, str]]:
        for version in (4, 6):
            if self.chance(350 if version == self.family else 120):
                for _number in range(self.draw.randint(1, 2)):
                    yield f"RA{version}", self.draw.choice(ADDRESSES[version])
        if self.chance(15):
            yield "RA42", self.draw.choice(("IntErnet", "IntrAnet", "Ply2Renders"))
        if self.chance(15):
            yield "RA62", "RmtIntrAnet"
        if self.chance(25):
            yield "LA4", self.draw.choice(("192.0.2.5", "192.0.2.0/24", "203.0.113.1"))
        if self.chance(15):
            yield "LA6", self.draw.choice(("2001:db8::/32", "fe80::/64"))
        if self.chance(20):
            yield "IF", self.draw.choice((INTERFACE, "{00000000-0000-0000-0000-000000000001}"))

    def program(self) -> Iterator[tuple[str, str]]:
        if self.chance(550):
            return
        if self.chance(850):
            yield self.draw.choice(("App", "app")), self.draw.choice(
                ("System", "SYSTEM", r"%SystemRoot%\system32\svchost.exe", r"C:\Windows\System32\svchost.exe",
                 r"%windir%\System32\lsass.exe", r"C:\Program Files\app.exe")
            )  # fmt: skip
        if self.chance(350):
            yield "Svc", self.draw.choice(("rpcss", "RPCSS", "winmgmt", "kdc", "*", "spooler"))


def registry_of(case: Case, *, as_text: bool) -> Registry:
    """The case as a machine's registry, in one case of two as ``reg query`` prints it."""
    keys: dict[str, dict[str, Value]] = {}
    for store, root in ROOTS.items():
        values = {text_id: Value(text_id, "REG_SZ", text) for text_id, text in case.rules[store].items()}
        if values or store == "local":
            keys[rf"{root}\FirewallRules"] = values
        for name, settings in case.settings[store].items():
            keys[rf"{root}\{name}"] = {
                key.lower(): Value(key, "REG_SZ" if isinstance(value, str) else "REG_DWORD", value)
                for key, value in settings.items()
            }
    if case.host.version is not None:
        number = (case.host.version[0] << 8) + case.host.version[1]
        keys[LOCAL] = {"policyversion": Value("PolicyVersion", "REG_DWORD", number)}
    if as_text:
        return parse_registry("\r\n".join(_printed(keys)))
    return Registry({path.lower(): values for path, values in keys.items()})


def _printed(keys: dict[str, dict[str, Value]]) -> Iterator[str]:
    for path, values in keys.items():
        yield ""
        yield path
        for value in values.values():
            data = f"{value.data:#x}" if isinstance(value.data, int) else str(value.data)
            yield f"    {value.name}    {value.kind}    {data}"


def disagreements(case: Case, *, as_text: bool = False) -> Iterator[str]:
    """What the two evaluators say differently of the case's sources, each asked about alone and all at once."""
    known = None if case.host.subnets is None else AddressSet.parse(case.host.subnets)
    network = Network(
        {address: INTERFACE.lower() for address in HERE.values()},
        known,
        {} if case.host.dns is None else {"dns": AddressSet.parse(case.host.dns)},
    )
    snapshot = read_snapshot(registry_of(case, as_text=as_text), network=network)
    evaluation = Evaluation(snapshot, [Profile(profile.lower()) for profile in case.profiles])
    sources = case.sources
    found = evaluation.door(
        {"tcp": 6, "rpc": 6, "udp": 17, "icmp": 1}[case.wire], case.port, AddressSet.of(*sources), HERE[case.family]
    )
    for source in sources:
        told = [judgement.status.value for judgement in found if source in judgement.source]
        packets = [Packet(case.wire, case.port, source, HERE[case.family], profile) for profile in case.profiles]
        expected = joined({naive.status(case.rules, case.settings, packet, case.host) for packet in packets})
        if told != [expected]:
            yield f"{case.wire}/{case.port} from {source} in {case.profiles}: real {told}, naive {expected}"


def joined(statuses: set[str]) -> str:
    """Two profiles, of which nobody knows the right one."""
    if len(statuses) == 1:
        return statuses.pop()
    return "unknown" if "unknown" in statuses else "partial"


def smaller(case: Case) -> Iterator[Case]:
    """The case without one rule, one pair of a rule, or one setting."""
    for store, rules in case.rules.items():
        for name, text in rules.items():
            rest = {key: value for key, value in rules.items() if key != name}
            yield replace(case, rules={**case.rules, store: rest})
            pieces = text.split("|")
            for place in range(1, len(pieces) - 1):
                shorter = "|".join(pieces[:place] + pieces[place + 1 :])
                yield replace(case, rules={**case.rules, store: {**rules, name: shorter}})
    for store, keys in case.settings.items():
        for name in keys:
            rest_keys = {key: value for key, value in keys.items() if key != name}
            yield replace(case, settings={**case.settings, store: rest_keys})


def shrunk(case: Case) -> Case:
    """The smallest case found that still shows a disagreement."""
    going = True
    while going:
        found = next((one for one in smaller(case) if any(disagreements(one))), None)
        case, going = (found, True) if found is not None else (case, False)
    return case


@dataclass
class Run:
    """What a run of policies came to."""

    policies: int = 0
    features: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def missing(self) -> list[str]:
        """The features that came too rarely; in a short run, none at all are asked for."""
        least = self.policies * QUOTA if self.policies >= LEAST_POLICIES else 0
        return [f"{name}: {self.features[name]} of {self.policies}" for name in FEATURES if self.features[name] < least]

    def table(self) -> str:
        """How often each feature came."""
        width = max(map(len, FEATURES))
        lines = ((name, self.features[name]) for name in FEATURES)
        return "\n".join(f"{name:{width}} {number:8} {number / self.policies:7.1%}" for name, number in lines)


def run(first: int, count: int, *, most_failures: int = 5) -> Run:
    """Run the seeds from ``first`` on; it ends early where enough has failed."""
    result = Run()
    for seed in range(first, first + count):
        case = Maker(seed).case()
        result.policies += 1
        result.features.update(case.features)
        told = list(disagreements(case, as_text=seed % 8 == 0))
        if told:
            least = shrunk(case)
            result.failures.append(f"seed {seed}: {told[0]}\n  {next(disagreements(least), told[0])}\n  {least}")
            if len(result.failures) >= most_failures:
                break
    return result


def run_side_by_side(first: int, count: int) -> Run:
    """Run the seeds from ``first`` on, a part of them on each processor."""
    parts = len(os.sched_getaffinity(0))
    bounds = [first + count * part // parts for part in range(parts + 1)]
    with ProcessPoolExecutor(parts) as pool:
        results = list(pool.map(run, bounds[:-1], [end - start for start, end in pairwise(bounds)]))
    return Run(
        sum(result.policies for result in results),
        sum((result.features for result in results), Counter()),
        [failure for result in results for failure in result.failures],
    )


def main(arguments: list[str]) -> int:
    first, count = (int(text) for text in arguments)
    result = run_side_by_side(first, count)
    print(result.table())
    print("\n".join(result.failures))
    missing = result.missing()
    spent = os.times()
    spent_s = spent.children_user + spent.children_system
    print(f"{result.policies} policies, {len(result.failures)} wrong, {spent_s:.0f} s of processor")
    print("\n".join(f"too rare: {line}" for line in missing))
    return 1 if result.failures or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
