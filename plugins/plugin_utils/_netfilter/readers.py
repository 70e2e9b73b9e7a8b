# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a host's commands print to its rule set: nft's list, the -save texts of iptables and the ipsets as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .ipset import parse_ipsets
from .model import Chain, Hook, Rule, Ruleset, XtTable
from .nft import NftTables, parse_nft
from .statements import ACCEPT, undecided
from .xtables import parse_xtables

_FAMILIES = {
    "ip": ("ip",),
    "ip6": ("ip6",),
    "inet": ("ip", "ip6"),
    "netdev": ("ip", "ip6"),
    "bridge": ("bridge",),
    "arp": ("ip",),
}


def read_ruleset(*, nft: str | None, xtables: Sequence[str], ipset: str | None) -> Ruleset:
    """The rule set of a host.

    ``nft`` is the output of ``nft -j list ruleset``, ``xtables`` those of iptables-save and ip6tables-save (of either
    backend), ``ipset`` that of ``ipset save``; None where it is not known. Never raises: what cannot be read becomes a
    gap, or a rule that nobody can decide.
    """
    listed = parse_nft(nft) if nft is not None else NftTables()
    tables, gaps = parse_xtables(xtables, parse_ipsets(ipset), _shapes(listed))
    gaps = (*listed.gaps, *gaps)
    if nft is None and not tables:
        gaps = (*gaps, "neither the rules of nft nor those of iptables are known")
    chains = [_instead_of_arp(chain) for chain in _merged(listed, tables)]
    chains += _unseen(tables, xtables, nft_is_known=nft is not None)
    return Ruleset(_hooks(chains), {chain.key: chain for chain in chains}, gaps)


def _shapes(listed: NftTables) -> dict[tuple[str, str], dict[str, tuple[str | None, int]]]:
    """What the tables of nft look like, by family and name: each chain's policy and how many rules it has."""
    found: dict[tuple[str, str], dict[str, tuple[str | None, int]]] = {}
    for chain in listed.chains:
        found.setdefault((chain.family, chain.table), {})[chain.name] = (chain.policy, len(chain.rules))
    return found


def _unseen(tables: Sequence[XtTable], texts: Sequence[str], *, nft_is_known: bool) -> Iterator[Chain]:
    """A chain that nobody can decide for each family whose rules are not given, or not all of them."""
    for family, program in (("ip", "iptables"), ("ip6", "ip6tables")):
        warning = f"# Warning: {program}-legacy tables present"
        if not nft_is_known and tables and not any(table.family == family for table in tables):
            what = f"neither {program}-save nor nft tells the rules of the family {family}"
        elif any(warning in text for text in texts) and all(table.in_nft for table in tables if table.family == family):
            what = f"{program}-save warns of tables of the older backend, and {program}-legacy-save does not tell them"
        else:
            continue
        rules = (Rule((undecided(what),), what, 1),)
        for hook in (Hook.INPUT, Hook.FORWARD):
            yield Chain(family, "not shown", hook.name, rules, "accept", hook)


def _merged(listed: NftTables, tables: Sequence[XtTable]) -> Iterator[Chain]:
    """The chains of nft in their order, those that iptables made in the words of iptables; then the older backend's."""
    saved = {
        (table.family, table.table, chain.name): chain
        for table in tables
        if table.in_nft and not table.problem
        for chain in table.chains
    }
    shown = {(chain.family, chain.table) for chain in listed.chains}
    for chain in listed.chains:
        yield _in_words_of_iptables(chain, saved.get(chain.key))
    for table in tables:
        where = (table.family, table.table)
        if not table.in_nft or where not in shown:
            known = any(other.in_nft and (other.family, other.table) == where for other in tables)
            yield from _of_its_own(table, clashes=not table.in_nft and (where in shown or known))


def _in_words_of_iptables(chain: Chain, saved: Chain | None) -> Chain:
    """A chain as iptables-save has it, at the hook and priority that nft shows.

    In a table that others share, iptables-save leaves out what it cannot show: a chain that is not there, or with fewer
    rules, is nft's alone.
    """
    if saved is None or len(saved.rules) != len(chain.rules):
        return chain
    if saved.hook is chain.hook is None:
        return saved
    return replace(saved, hook=chain.hook, priority=chain.priority, kind=chain.kind, policy=chain.policy)


def _of_its_own(table: XtTable, *, clashes: bool) -> Iterator[Chain]:
    """The chains of a table of the older backend; with a name of its own where nft has a table of the same name."""
    name = f"{table.table} (legacy)" if clashes else table.table
    for chain in table.chains:
        renamed = replace(chain, table=name) if clashes else chain
        unread = table.problem if chain.hook else None
        yield replace(renamed, rules=(Rule((undecided(unread),), unread, 1),)) if unread else renamed


def _instead_of_arp(chain: Chain) -> Chain:
    """A chain of the family arp that may drop, as one that perhaps keeps IPv4 packets away; ARP is not walked."""
    if chain.family != "arp" or chain.hook not in (Hook.INPUT, Hook.OUTPUT):
        return chain
    harmless = all(item is ACCEPT or not hasattr(item, "apply") for rule in chain.rules for item in rule.effective)
    if chain.policy == "accept" and harmless:
        return chain
    doubt = f"the chain {chain.name} of table arp {chain.table} may keep its neighbours from finding this host"
    return replace(chain, hook=Hook.INGRESS, rules=(), policy="drop", doubt=doubt)


def _hooks(chains: Sequence[Chain]) -> dict[tuple[str, Hook], tuple[Chain, ...]]:
    """The base chains per family and hook in the order in which the kernel calls them.

    Of two with the same priority, the kernel calls first the one that was registered last (nf_hook_entries_grow).
    """
    found: dict[tuple[str, Hook], list[Chain]] = {}
    newest_first = sorted(enumerate(chains), key=lambda item: (item[1].priority, -item[0]))
    for _age, chain in newest_first:
        if chain.hook is not None and (chain.family != "arp" or chain.doubt):
            for family in _FAMILIES.get(chain.family, ()):
                found.setdefault((family, chain.hook), []).append(chain)
    return {where: tuple(called) for where, called in found.items()}
