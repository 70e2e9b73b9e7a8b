# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many probes, none of them wrong: without loss at all, and with loss within what so many tries can know."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.reach.thousand import ADDRESSES, PORTS, TRUTH, Thousand, address_of, kind_of

# Networks of the wire with loss, each packet for itself, one way.
LOSSY = {0.01: "10.81.101", 0.05: "10.81.105"}
_SOAK = bool(os.environ.get("AUDIT_PORTS_SOAK"))
_PORTS = PORTS if _SOAK else PORTS[:5]
_LOSSY_PROBES = 8400
_TRIES = 3

pytestmark = pytest.mark.timeout(900 if _SOAK else 120)


@pytest.fixture(scope="module")
def thousand(namespaces: None) -> Iterator[Thousand]:
    with Thousand({network: (0.02, loss) for loss, network in LOSSY.items()}) as made:
        yield made


def test_none_of_them_is_wrong(thousand: Thousand) -> None:
    """A thousand addresses of every kind: 5,000 probes, and 100,000 of them in `make soak`."""
    places = [(number, port) for number in range(ADDRESSES) for port in _PORTS]
    found = thousand.probe([(address_of(number), port) for number, port in places], timeout_s=600)
    wrong = Counter(
        f"{kind_of(number)}: {row['status']}, {row['evidence']}"
        for (number, _port), row in zip(places, found, strict=True)
        if row["status"] != TRUTH[kind_of(number)]
    )
    assert len(found) == len(places)
    assert not wrong, wrong.most_common(5)


def most_by_chance(count: int, share: float, doubt: float = 1e-6) -> int:
    """How many of ``count`` events of probability ``share`` there may be, but for a chance of ``doubt``."""
    term = (1 - share) ** count
    total, most = term, 0
    while total < 1 - doubt:
        term *= (count - most) / (most + 1) * share / (1 - share)
        most += 1
        total += term
    return most


@pytest.mark.parametrize("loss", sorted(LOSSY))
def test_loss_is_no_filter(thousand: Thousand, loss: float) -> None:
    """Of open ports behind loss no more are called filtered than three tries can get wrong, each of which fails if the
    SYN or its answer is lost; and with the confirming pass none is."""
    silent = 1 - (1 - loss) ** 2
    bound = most_by_chance(_LOSSY_PROBES, silent**_TRIES)
    places = [(f"{LOSSY[loss]}.{1 + n % 84}", PORTS[n // 84]) for n in range(_LOSSY_PROBES)]
    found = Counter(row["status"] for row in thousand.probe(places))
    confirmed = Counter(row["status"] for row in thousand.probe(places, confirm=True))
    print(
        f"\nloss {loss:.0%} one way: {dict(found)}; {_TRIES} tries can get {_LOSSY_PROBES * silent**_TRIES:.2f} of"
        f" {_LOSSY_PROBES} wrong on average, {bound} at most; confirmed: {dict(confirmed)}"
    )
    assert found["filtered"] <= bound
    assert set(found) <= {"open", "filtered"}
    assert confirmed == {"open": _LOSSY_PROBES}


def test_the_bound_is_that_of_the_binomial_distribution() -> None:
    """Nobody may be fooled by the bound itself."""
    assert most_by_chance(10, 0.5, doubt=0.5) == 5
    for count, share in ((8400, 0.0975**3), (8400, 0.0199**3)):
        most = most_by_chance(count, share)
        tail = 1 - sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(most + 1))
        assert tail < 2e-6
