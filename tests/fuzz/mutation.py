# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a real peer says to what a hostile or broken one might: cheap changes, tens of thousands a second."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

_BYTES = (0, 1, 2, 0x0D, 0x0A, 0x20, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA0, 0xC0, 0xFE, 0xFF)
_NUMBERS = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_LAYOUTS = ("<H", ">H", "<I", ">I")
_LONGEST_PIECE = 65536


def mutate(random: Random, answers: Sequence[bytes], others: Sequence[bytes]) -> list[bytes]:
    """The answers of a peer with some of them changed, cut, repeated or replaced by those of ``others``, in pieces."""
    pieces: list[bytes] = []
    for answer in answers:
        data = bytearray(answer if random.random() < 0.97 else random.choice(others))
        for _change in range(random.choice((0, 1, 1, 2, 3, 6))):
            _change_one(random, data, others)
        pieces += _cut(random, bytes(data[:_LONGEST_PIECE]))
    if random.random() < 0.05:
        pieces.insert(random.randrange(len(pieces) + 1), random.randbytes(random.randrange(64)))
    return pieces


def _change_one(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    kind = random.randrange(9)
    if kind < 2 and at < len(data):
        data[at] = random.choice(_BYTES)
    elif kind == 2 and at < len(data):
        data[at] ^= 1 << random.randrange(8)
    elif kind == 3:
        del data[at : at + random.choice((1, 2, 4, 16, 64))]
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        data[at:at] = data[at : at + random.choice((1, 4, 16, 256))]
    elif kind == 6:
        other = random.choice(others)
        start = random.randrange(len(other) + 1)
        data[at:at] = other[start : start + random.randrange(64)]
    else:
        layout = random.choice(_LAYOUTS)
        size = struct.calcsize(layout)
        number = random.choice(_NUMBERS) if random.random() < 0.7 else max(0, len(data) + random.randrange(-8, 9))
        data[at : at + size] = struct.pack(layout, number & (1 << 8 * size) - 1)


def _cut(random: Random, data: bytes) -> list[bytes]:
    """The data whole, or as it would come through a slow network."""
    if len(data) < 2 or random.random() < 0.7:
        return [data] if data else []
    at = sorted(random.randrange(1, len(data)) for _cut in range(random.choice((1, 1, 2, 5))))
    return [part for part in (data[left:right] for left, right in zip([0, *at], [*at, None], strict=True)) if part]
