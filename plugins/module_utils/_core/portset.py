# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of transport ports, read from the many ways in which people and firewalls write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import InputError
from .ranges import RangeSet

HIGHEST_PORT = 65535
_ITEM = re.compile(r"\A\s*([0-9]{1,5})\s*(?:[-:]\s*([0-9]{1,5})\s*)?\Z")


class PortSet(RangeSet):
    """A set of port numbers from 0 to 65535. Operators return plain range sets; ``PortSet.of`` makes one again."""

    __slots__ = ()

    @classmethod
    def any(cls) -> PortSet:
        """Every port."""
        return cls([(0, HIGHEST_PORT)])

    @classmethod
    def of(cls, *ports: int) -> PortSet:
        """The set of exactly these ports. Raises InputError for a number that is no port."""
        return cls.parse(ports)

    @classmethod
    def parse(cls, items: str | int | Iterable[str | int]) -> PortSet:
        """Read ``22``, ``"5000-5010"``, ``"1:1024"``, ``"135,139,445"``, ``"any"`` or a list of those.

        Raises InputError that names the item which is no port, no range, out of 0-65535, or backwards.
        """
        texts = [items] if isinstance(items, (str, int)) else list(items)
        ranges = []
        for text in texts:
            for item in str(text).split(","):
                if item.strip().lower() == "any":
                    return cls.any()
                ranges.append(_parse_item(item))
        return cls(ranges)

    def __str__(self) -> str:
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)


def _parse_item(item: str) -> tuple[int, int]:
    found = _ITEM.match(item)
    if found is None:
        raise InputError(f"{item.strip()!r} is no port and no range of ports (write 22, 5000-5010 or any)")
    low = int(found.group(1))
    high = low if found.group(2) is None else int(found.group(2))
    if low > high or high > HIGHEST_PORT:
        raise InputError(f"{item.strip()!r} is no range within 0-{HIGHEST_PORT}")
    return low, high
