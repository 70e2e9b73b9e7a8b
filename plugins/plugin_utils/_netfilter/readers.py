# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a host's commands print to its rule set: nft's list, the -save texts of iptables and the ipsets as one."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    with _collector_paused():
        listed = parse_nft(nft) if nft is not None else NftTables()
        tables, gaps = parse_xtables(xtables, parse_ipsets(ipset))
    gaps = (*listed.gaps, *gaps)
    if nft is None and not tables:
        gaps = (*gaps, "neither the rules of nft nor those of iptables are known")
    chains = [_instead_of_arp(chain) for chain in _merged(listed, tables)]
    return Ruleset(_hooks(chains), {chain.key: chain for chain in chains}, gaps)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Within: no garbage collection. Rules are a great many objects without a cycle; looking for one costs a third."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _merged(listed: NftTables, tables: Sequence[XtTable]) -> Iterator[Chain]:
    """The chains of nft in their order, those that iptables made in the words of iptables; then the older backend's."""
    saved = {(table.family, table.table): table for table in tables if table.in_nft and not table.problem}
    shown: dict[tuple[str, str], dict[str, Chain]] = {}
    for chain in listed.chains:
        where = (chain.family, chain.table)
        if where in saved and where not in shown:
            yield from _as_nft_has_them(saved[where], listed)
        elif where not in saved:
            yield chain
        shown.setdefault(where, {})[chain.name] = chain
    for table in tables:
        where = (table.family, table.table)
        if not table.in_nft or where not in shown:
            yield from _of_its_own(table, clashes=not table.in_nft and (where in shown or where in saved))


def _as_nft_has_them(table: XtTable, listed: NftTables) -> Iterator[Chain]:
    """The chains of an iptables table at the hooks and priorities where nft shows them."""
    shown = {chain.name: chain for chain in listed.chains if (chain.family, chain.table) == (table.family, table.table)}
    for chain in table.chains:
        base = shown.get(chain.name)
        if base is None and chain.hook is not None:
            continue  # iptables-save lists built-in chains that the kernel does not have yet.
        yield chain if base is None else replace(chain, hook=base.hook, priority=base.priority, kind=base.kind)


def _of_its_own(table: XtTable, *, clashes: bool) -> Iterator[Chain]:
    """The chains of a table of the older backend; with a name of its own where nft has a table of the same name."""
    name = f"{table.table} (legacy)" if clashes else table.table
    for chain in table.chains:
        renamed = replace(chain, table=name)
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
