# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Random tables of iptables and ip6tables, and sets of ipset. What does not fit a place gives an empty text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .field import BEHIND, HOST, HOST_INSIDE
from .random_state import Chain, Draw, Part, Rule, Table
from .random_values import INTERFACES, LATE_PORTS, RANGES, address, mark, network, port, ports

_CHAINS = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
_LATE = f"{LATE_PORTS[0]}:{LATE_PORTS[1]}"
_HOME = {
    "owner": "filter OUTPUT",
    "TRACE": "raw PREROUTING",
    **dict.fromkeys(("DNAT", "REDIRECT", "NETMAP"), "nat PREROUTING"),
    **dict.fromkeys(("MASQUERADE", "SNAT"), "nat POSTROUTING"),
    **dict.fromkeys(("CT", "NOTRACK", "zone"), "raw PREROUTING"),
    **dict.fromkeys(
        ("TPROXY", "TOS", "TTL", "DSCP", "HMARK", "CHECKSUM", "TCPMSS", "rpfilter", "socket"), "mangle PREROUTING"
    ),
}


@dataclass
class Spot:
    """Where a rule of iptables stands. ``protocol`` is set by the match that asks for one."""

    draw: Draw
    version: int
    table: str
    chain: str
    ipsets: list[Part]
    called: Callable[[Spot], str]
    depth: int = 0
    protocol: str = ""

    @property
    def outward(self) -> bool:
        """Whether what comes by is mostly an answer."""
        return self.chain in ("OUTPUT", "POSTROUTING")

    @property
    def sign(self) -> str:
        """A negation now and then."""
        return "! " if self.draw.often(0.15) else ""


def _address(flag: str, here: bool) -> Callable[[Spot], str]:
    def make(spot: Spot) -> str:
        at_host = here != spot.outward
        value = address(spot.draw, spot.version, here=at_host) if spot.draw.often(0.6) else ""
        return f"{spot.sign}{flag} {value or network(spot.draw, spot.version)}"

    return make


def _protocol(*names: str) -> Callable[[Spot], str]:
    def make(spot: Spot) -> str:
        if spot.protocol:
            return ""
        spot.protocol = spot.draw.one(names)
        icmp = "icmp" if spot.version == 4 else "ipv6-icmp"
        return f"-p {icmp if spot.protocol == 'icmp' else spot.protocol}"

    return make


def _of_protocol(spot: Spot, *names: str) -> str | None:
    """The text that asks for one of the protocols, where the rule does not yet; None where it asks for another."""
    if spot.protocol:
        return "" if spot.protocol in names else None
    return _protocol(*names)(spot) + " "


def _port(flag: str) -> Callable[[Spot], str]:
    def make(spot: Spot) -> str:
        asked = _of_protocol(spot, "tcp", "udp")
        if asked is None:
            return ""
        clients = (flag == "--sport") != spot.outward
        value = spot.draw.one([port(spot.draw), port(spot.draw), ports(spot.draw, ":")])
        if clients:
            value = spot.draw.one(["1024:65535", "0:1023", _LATE])
        return f"{asked}-m {spot.protocol} {spot.sign}{flag} {value}"

    return make


def _multiport(spot: Spot) -> str:
    asked = _of_protocol(spot, "tcp", "udp")
    if asked is None:
        return ""
    flag = spot.draw.one(["--sports" if spot.outward else "--dports", "--ports"])
    return f"{asked}-m multiport {spot.sign}{flag} {port(spot.draw)},{ports(spot.draw, ':')},9000"


def _tcp_flags(spot: Spot) -> str:
    asked = _of_protocol(spot, "tcp")
    if asked is None:
        return ""
    values = ["--syn", "! --syn", "--tcp-flags SYN,ACK SYN,ACK", "--tcp-flags ACK NONE", "! --tcp-flags ALL SYN"]
    return f"{asked}-m tcp {spot.draw.one(values)}"


def _icmp_type(spot: Spot) -> str:
    asked = _of_protocol(spot, "icmp")
    if asked is None:
        return ""
    if spot.version == 4:
        return f"{asked}-m icmp {spot.sign}--icmp-type {spot.draw.one(['8', '0', '8/0', 'any', '3'])}"
    return f"{asked}-m icmp6 {spot.sign}--icmpv6-type {spot.draw.one(['128', '129', '1'])}"


def _tcp_only(*texts: str) -> Callable[[Spot], str]:
    def make(spot: Spot) -> str:
        asked = _of_protocol(spot, "tcp")
        return "" if asked is None else asked + spot.draw.one(texts)

    return make


def _range(spot: Spot) -> str:
    flag = "--dst-range" if spot.outward else "--src-range"
    return f"-m iprange {spot.sign}{flag} {spot.draw.one(RANGES[spot.version])}"


def _marked(name: str) -> Callable[[Spot], str]:
    return lambda spot: f"-m {name} {spot.sign}--mark {mark(spot.draw)}{spot.draw.one(['', '', '/0x1', '/0xf'])}"


def _interface(flag: str) -> Callable[[Spot], str]:
    def make(spot: Spot) -> str:
        wrong = ("OUTPUT", "POSTROUTING") if flag == "-i" else ("INPUT", "PREROUTING")
        return "" if spot.chain in wrong else f"{spot.sign}{flag} {spot.draw.one([*INTERFACES, 'lan+', 'eth+'])}"

    return make


def _fixed(*texts: str) -> Callable[[Spot], str]:
    return lambda spot: spot.draw.one(texts)


def _only(version: int, *texts: str) -> Callable[[Spot], str]:
    return lambda spot: spot.draw.one(texts) if spot.version == version else ""


def _versioned(four: tuple[str, ...], six: tuple[str, ...]) -> Callable[[Spot], str]:
    return lambda spot: spot.draw.one(four if spot.version == 4 else six)


def _before_routing(*texts: str) -> Callable[[Spot], str]:
    return lambda spot: spot.draw.one(texts) if spot.chain == "PREROUTING" and spot.table != "nat" else ""


def _original(spot: Spot) -> str:
    which = spot.draw.one(["--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst"])
    return f"-m conntrack {spot.sign}{which} {address(spot.draw, spot.version)}"


_IPSETS: dict[str, Callable[[Draw, int], tuple[str, int]]] = {
    # The element, and how many directions a match has to name.
    "hash:ip": lambda draw, version: (address(draw, version), 1),
    "hash:net": lambda draw, version: (network(draw, version), 1),
    "hash:net nomatch": lambda draw, version: (f"{address(draw, version)} nomatch", 1),
    "hash:ip timeout": lambda draw, version: (f"{address(draw, version)} timeout 600", 1),
    "hash:ip,port": lambda draw, version: (f"{address(draw, version)},{draw.one(['tcp', 'udp'])}:{port(draw)}", 2),
    "hash:net,port": lambda draw, version: (f"{network(draw, version)},{draw.one(['tcp', 'udp'])}:{port(draw)}", 2),
    "hash:net,iface": lambda draw, version: (f"{network(draw, version)},{draw.one(INTERFACES)}", 2),
    "hash:ip,port,ip": lambda draw, version: (f"{address(draw, version)},tcp:{port(draw)},{HOST[version]}", 3),
    "bitmap:ip": lambda draw, version: (address(draw, 4), 1) if version == 4 else ("", 0),
    "bitmap:port": lambda draw, _version: (draw.one(["22", "80", "161"]), 1),
    "list:set": lambda draw, version: (address(draw, version), 1),
}


def _ipset(spot: Spot) -> str:
    draw = spot.draw
    kind = draw.name("ipset ", _IPSETS)
    element, directions = _IPSETS[kind](draw, spot.version)
    if not element:
        return ""
    # The name tells all that a set cannot change: one of an earlier case may still be there, empty.
    name = f"s{len(spot.ipsets)}-{kind.replace(' ', '-').replace(':', '-').replace(',', '-')}-{spot.version}"
    family = "" if kind.startswith(("bitmap", "list")) else (" family inet6" if spot.version == 6 else "")
    options = {"bitmap:ip": " range 192.0.2.0/24", "bitmap:port": " range 0-1000", "hash:ip timeout": " timeout 900"}
    base = kind.split(" ")[0]
    lines = [f"create {name} {base}{family}{options.get(kind, '')}"]
    if kind == "list:set":
        inner = "inet6" if spot.version == 6 else "inet"
        lines = [f"create {name}i hash:ip family {inner}", f"add {name}i {element}", *lines, f"add {name} {name}i"]
    else:
        if kind == "hash:net nomatch":
            lines.append(f"add {name} {network(draw, spot.version)}")
        lines.append(f"add {name} {element}")
    spot.ipsets.append(Part("\n".join(lines), f"ipset {kind}"))
    draw.done(f"ipset {kind}")
    way = {1: "dst" if base == "bitmap:port" and not spot.outward else "src", 2: "src,dst", 3: "src,dst,dst"}[
        directions
    ]
    if spot.outward:
        way = way.replace("src", "x").replace("dst", "src").replace("x", "dst")
    if "iface" in kind:
        way = "src,src" if not spot.outward else "dst,dst"
    return f"-m set {spot.sign}--match-set {name} {way}"


_USUAL_MATCHES = ("-s", "-p", "--dport", "--dport", "ctstate", "-i", "icmp type", "-d", "set")
_MATCHES: dict[str, Callable[[Spot], str]] = {
    "-s": _address("-s", False),
    "-d": _address("-d", True),
    "-p": _protocol("tcp", "udp", "icmp"),
    "-i": _interface("-i"),
    "-o": _interface("-o"),
    "--dport": _port("--dport"),
    "--sport": _port("--sport"),
    "tcp flags": _tcp_flags,
    "icmp type": _icmp_type,
    "-f": _only(4, "-f", "! -f"),
    "multiport": _multiport,
    "state": lambda spot: f"-m state {spot.sign}--state {spot.draw.one(['NEW', 'ESTABLISHED,RELATED', 'INVALID'])}",
    "ctstate": lambda spot: (
        f"-m conntrack {spot.sign}--ctstate "
        + spot.draw.one(["NEW", "ESTABLISHED,RELATED", "INVALID", "UNTRACKED", "NEW,DNAT", "DNAT", "SNAT"])
    ),
    "ctstatus": _fixed(
        "-m conntrack --ctstatus SEEN_REPLY",
        "-m conntrack --ctstatus NONE",
        "-m conntrack ! --ctstatus CONFIRMED",
        "-m conntrack --ctstatus ASSURED",
    ),
    "ctdir": _fixed("-m conntrack --ctdir ORIGINAL", "-m conntrack --ctdir REPLY"),
    "ctproto": _fixed("-m conntrack --ctproto 6", "-m conntrack ! --ctproto 17"),
    "ct address": _original,
    "ct port": _fixed("-m conntrack --ctproto 6 --ctorigdstport 22", "-m conntrack --ctproto 17 --ctreplsrcport 161"),
    "addrtype": _fixed(
        "-m addrtype --dst-type LOCAL",
        "-m addrtype ! --src-type LOCAL",
        "-m addrtype --dst-type UNICAST",
        "-m addrtype --src-type UNICAST --dst-type BROADCAST",
        "-m addrtype --dst-type LOCAL --limit-iface-in",
    ),
    "iprange": _range,
    "set": _ipset,
    "mark": _marked("mark"),
    "connmark": _marked("connmark"),
    "comment": _fixed('-m comment --comment "for the audit"'),
    "pkttype": _fixed("-m pkttype --pkt-type unicast", "-m pkttype ! --pkt-type broadcast"),
    "mac": _fixed("-m mac --mac-source 02:00:00:00:01:10", "-m mac ! --mac-source 02:00:00:00:99:99"),
    "physdev": _fixed("-m physdev --physdev-in lan0", "-m physdev ! --physdev-is-bridged"),
    "devgroup": _fixed("-m devgroup --src-group 0", "-m devgroup --src-group 7"),
    "rpfilter": _before_routing("-m rpfilter", "-m rpfilter --invert", "-m rpfilter --loose"),
    "policy": _fixed("-m policy --dir in --pol none", "-m policy --dir in --pol ipsec"),
    "owner": lambda spot: "-m owner --uid-owner 0" if spot.outward else "",
    "socket": _before_routing("-m socket", "-m socket --transparent"),
    "eui64": _only(6, "-m eui64"),
    "frag6": _only(6, "-m frag --fragid 0", "-m ipv6header --header none --soft", "-m rt --rt-type 0"),
    "sctp": lambda spot: "" if spot.protocol else "-p sctp -m sctp --dport 22",
    "length": _fixed("-m length --length 0:100", "-m length --length 1000:65535"),
    "ttl": _versioned(("-m ttl --ttl-eq 64", "-m ttl --ttl-lt 5"), ("-m hl --hl-eq 64", "-m hl --hl-lt 5")),
    "dscp": _fixed("-m dscp --dscp 0x00", "-m dscp ! --dscp 0x00"),
    "tos": _fixed("-m tos --tos 0x00/0xff", "-m tos ! --tos 0x00/0xff"),
    "ecn": _tcp_only("-m ecn --ecn-tcp-ece"),
    "tcpmss": _tcp_only("-m tcpmss --mss 1:2000"),
    "time": _fixed("-m time --timestart 00:00:00 --timestop 12:00:00", "-m time --weekdays Mon,Tue"),
    "cpu": _fixed("-m cpu --cpu 0"),
    "realm": _only(4, "-m realm --realm 1"),
    "helper": _fixed("-m helper --helper ftp"),
    "connlabel": _fixed("-m connlabel --label 1"),
    "connbytes": _fixed("-m connbytes --connbytes 1:100 --connbytes-mode packets --connbytes-dir both"),
    "connlimit": _fixed("-m connlimit --connlimit-above 3", "-m connlimit --connlimit-upto 3"),
    "limit": _fixed("-m limit --limit 3/min", "-m limit --limit 1000/sec --limit-burst 100"),
    "hashlimit": _fixed(
        "-m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-name one",
        "-m hashlimit --hashlimit-upto 5/min --hashlimit-name two",
    ),
    "recent": _fixed(
        "-m recent --set --name seen", "-m recent --update --seconds 60 --name seen", "-m recent ! --rcheck --name seen"
    ),
    "quota": _fixed("-m quota --quota 100000"),
    "statistic": _fixed("-m statistic --mode random --probability 0.5", "-m statistic --mode nth --every 2 --packet 0"),
    "string": _fixed('-m string --string "secret" --algo bm', '-m string --hex-string "|00|" --algo kmp'),
    "u32": _fixed('-m u32 --u32 "0x6&0xff=0x6"'),
    "bpf": _fixed('-m bpf --bytecode "1,6 0 0 1"'),
    "cluster": _fixed("-m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 7"),
}


def _to_chain(flag: str) -> Callable[[Spot], str]:
    def make(spot: Spot) -> str:
        name = spot.called(spot)
        return f"{flag} {name}" if name else ""

    return make


def _reject(spot: Spot) -> str:
    if spot.table != "filter":
        return ""
    if spot.protocol == "tcp" and spot.draw.often(0.5):
        return "-j REJECT --reject-with tcp-reset"
    kinds = {
        4: ["icmp-port-unreachable", "icmp-admin-prohibited", "icmp-host-unreachable"],
        6: ["icmp6-port-unreachable", "icmp6-adm-prohibited", "icmp6-no-route"],
    }
    return f"-j REJECT --reject-with {spot.draw.one(kinds[spot.version])}"


def _dnat(spot: Spot) -> str:
    if spot.table != "nat" or spot.chain not in ("PREROUTING", "OUTPUT"):
        return ""
    target = spot.draw.one([BEHIND[spot.version], HOST[spot.version]])
    if spot.draw.often(0.3):
        return f"-j DNAT --to-destination {target}"
    asked = _of_protocol(spot, "tcp", "udp")
    if asked is None:
        return ""
    shown = f"[{target}]" if spot.version == 6 else target
    return f"{asked}-j DNAT --to-destination {shown}:{spot.draw.one([port(spot.draw), '80-443'])}"


def _redirect(spot: Spot) -> str:
    if spot.table != "nat" or spot.chain not in ("PREROUTING", "OUTPUT"):
        return ""
    asked = _of_protocol(spot, "tcp", "udp")
    return "" if asked is None else f"{asked}-j REDIRECT --to-ports {spot.draw.one([port(spot.draw), '80-443'])}"


def _at(table: str, chains: tuple[str, ...], make: Callable[[Spot], str]) -> Callable[[Spot], str]:
    return lambda spot: make(spot) if spot.table == table and spot.chain in chains else ""


def _snat(spot: Spot) -> str:
    other = {4: "192.0.2.99", 6: "2001:db8:1::99"}[spot.version]
    return f"-j SNAT --to-source {HOST_INSIDE[spot.version] if spot.chain == 'POSTROUTING' else other}"


def _netmap(spot: Spot) -> str:
    asked = _of_protocol(spot, "tcp")
    if asked is None:
        return ""
    return (
        f"{asked}-d {HOST[spot.version]} -j NETMAP --to {'198.51.100.0/24' if spot.version == 4 else '2001:db8:2::/64'}"
    )


def _proxied(spot: Spot) -> str:
    asked = _of_protocol(spot, "tcp", "udp")
    return "" if asked is None else f"{asked}-j TPROXY --on-port 80"


_MANGLED = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_USUAL_TARGETS = ("ACCEPT", "ACCEPT", "ACCEPT", "DROP", "DROP", "REJECT", "jump", "RETURN")
_TARGETS: dict[str, Callable[[Spot], str]] = {
    "ACCEPT": _fixed("-j ACCEPT"),
    "DROP": lambda spot: "-j DROP" if spot.table != "nat" else "",
    "RETURN": _fixed("-j RETURN"),
    "REJECT": _reject,
    "jump": _to_chain("-j"),
    "goto": _to_chain("-g"),
    "LOG": _fixed('-j LOG --log-prefix "x "'),
    "NFLOG": _fixed("-j NFLOG --nflog-group 2"),
    "AUDIT": _fixed("-j AUDIT --type accept"),
    "TRACE": lambda spot: "-j TRACE" if spot.table == "raw" else "",
    "MARK": lambda spot: (
        f"-j MARK {spot.draw.one(['--set-mark', '--or-mark', '--set-xmark', '--and-mark'])} 0x" + mark(spot.draw)
    ),
    "CONNMARK": _fixed("-j CONNMARK --save-mark", "-j CONNMARK --restore-mark", "-j CONNMARK --set-mark 1"),
    "SET": lambda spot: "",
    "NOTRACK": lambda spot: "-j NOTRACK" if spot.table == "raw" else "",
    "CT": lambda spot: spot.draw.one(["-j CT --notrack", "-j CT --zone 3"]) if spot.table == "raw" else "",
    "DNAT": _dnat,
    "REDIRECT": _redirect,
    "NETMAP": _at("nat", ("PREROUTING",), _netmap),
    "MASQUERADE": _at("nat", ("POSTROUTING",), _fixed("-j MASQUERADE")),
    "SNAT": _at("nat", ("POSTROUTING", "INPUT"), _snat),
    "TOS": _at("mangle", _MANGLED, _fixed("-j TOS --set-tos 0x10")),
    "TTL": _at("mangle", _MANGLED, _versioned(("-j TTL --ttl-set 60",), ("-j HL --hl-set 60",))),
    "DSCP": _at("mangle", _MANGLED, _fixed("-j DSCP --set-dscp 0x08")),
    "HMARK": _at("mangle", _MANGLED, _fixed("-j HMARK --hmark-tuple src --hmark-mod 3 --hmark-rnd 1")),
    "TCPMSS": _at("mangle", _MANGLED, _tcp_only("--syn -j TCPMSS --set-mss 1200")),
    "CHECKSUM": _at("mangle", _MANGLED, _fixed("-j CHECKSUM --checksum-fill")),
    "TPROXY": _at("mangle", ("PREROUTING",), _proxied),
    "NFQUEUE": _fixed("-j NFQUEUE --queue-num 1", "-j NFQUEUE --queue-num 1 --queue-bypass"),
}


def _set_target(spot: Spot) -> str:
    name = f"seen{len(spot.ipsets)}-{spot.version}"
    family = " family inet6" if spot.version == 6 else ""
    spot.ipsets.append(Part(f"create {name} hash:ip{family} timeout 60", "ipset seen"))
    return f"-j SET --add-set {name} {'dst' if spot.outward else 'src'}"


_TARGETS["SET"] = _set_target


@dataclass
class _Builder:
    draw: Draw
    version: int
    table: str
    ipsets: list[Part]
    chains: list[Chain] = field(default_factory=list)
    jumped: int = 0

    def called(self, spot: Spot) -> str:
        if self.jumped >= 3 or spot.depth >= 2:
            return ""
        self.jumped += 1
        name = f"{'ufw' if self.draw.often(0.5) else 'SUB'}-{self.jumped}"
        inner = Spot(self.draw, self.version, self.table, spot.chain, self.ipsets, self.called, spot.depth + 1)
        self.chains.append(Chain(name, "", "xt chain of users", self.rules(inner, self.draw.one([1, 2, 3]))))
        return name

    def rules(self, spot: Spot, count: int) -> tuple[Rule, ...]:
        found = []
        for _number in range(count):
            spot.protocol = ""
            parts = [
                self.part(spot, "xt match ", _MATCHES, _USUAL_MATCHES)
                for _number in range(spot.draw.one([0, 1, 1, 2, 2]))
            ]
            parts.append(self.part(spot, "xt target ", _TARGETS, _USUAL_TARGETS))
            # One of each kind: of two, iptables-save shows the last alone.
            rule = tuple({part.feature: part for part in parts if part}.values())
            if rule:
                found.append(rule)
        return tuple(found)

    def rest(self, spot: Spot) -> tuple[Rule, ...]:
        """Rules for what is still wanted and can stand here."""
        found = []
        for feature in list(spot.draw.wanted):
            kind, _space, name = feature.removeprefix("xt ").partition(" ")
            options = {"match": _MATCHES, "target": _TARGETS}.get(kind, {})
            spot.protocol = ""
            if name not in options or _HOME.get(name, f"{spot.table} {spot.chain}") != f"{spot.table} {spot.chain}":
                continue
            text = options[name](spot)
            if text:
                spot.draw.done(feature)
                closing = (Part("-j ACCEPT", "xt target ACCEPT"),) if kind == "match" and spot.draw.often(0.6) else ()
                found.append((Part(text, feature), *closing))
        return tuple(found)

    def part(
        self, spot: Spot, prefix: str, options: dict[str, Callable[[Spot], str]], usual: tuple[str, ...]
    ) -> Part | None:
        for _try in range(4):
            name = spot.draw.name(prefix, options, common=usual)
            text = options[name](spot)
            if text:
                spot.draw.done(prefix + name)
                return Part(text, prefix + name)
        return None


def xtables(draw: Draw, version: int, ipsets: list[Part]) -> tuple[Table, ...]:
    """One to three tables of one family. Sets that they name are added to ``ipsets``."""
    rules_of: dict[str, set[str]] = {}
    wanted = [feature.removeprefix("xt chain ") for feature in draw.wanted if feature.startswith("xt chain ")]
    homes = [_HOME[name] for name in (feature.split(" ", 2)[-1] for feature in draw.wanted) if name in _HOME]
    for place in (*wanted, *homes, *(_place(draw) for _number in range(draw.one([1, 1, 2, 3])))):
        table, chain = place.split(" ")
        rules_of.setdefault(table, set()).add(chain)
    tables = []
    for table, chosen in rules_of.items():
        builder = _Builder(draw, version, table, ipsets)
        for chain in _CHAINS[table]:
            rules: tuple[Rule, ...] = ()
            policy, feature = "ACCEPT", ""
            if chain in chosen:
                spot = Spot(draw, version, table, chain, ipsets, builder.called)
                rules = builder.rules(spot, draw.one([1, 2, 3, 4, 5])) + builder.rest(spot)
                feature = f"xt chain {table} {chain}"
                draw.done(feature)
                if table != "nat" and draw.often(0.45 if chain == "INPUT" else 0.12):
                    policy = "DROP"
            builder.chains.append(Chain(chain, policy, feature, rules))
        tables.append(Table(table, "", (), tuple(builder.chains)))
    return tuple(tables)


def _place(draw: Draw) -> str:
    places = [f"{table} {chain}" for table, chains in _CHAINS.items() for chain in chains]
    for feature in draw.wanted:
        home = _HOME.get(feature.removeprefix("xt target ").removeprefix("xt match "))
        if home and draw.often(0.7):
            return home
    usual = ("filter INPUT", "filter INPUT", "filter INPUT", "filter OUTPUT", "filter FORWARD", "nat PREROUTING")
    return draw.name("xt chain ", dict.fromkeys(places), common=usual)


FEATURES = (
    *(f"xt chain {table} {chain}" for table, chains in _CHAINS.items() for chain in chains),
    *(f"xt match {name}" for name in _MATCHES),
    *(f"xt target {name}" for name in _TARGETS),
    *(f"ipset {name}" for name in _IPSETS),
)
