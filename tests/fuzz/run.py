# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzz the classification of every protocol.

    python -m tests.fuzz.run [N] [SEED] [NAME ...]

N inputs for each protocol, made from SEED (printed, so that a run can be had again). What breaks a bound is kept as a
file in tests/fuzz/finds, which the test suite replays for ever after. Returns 1 where there is one.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from random import Random, SystemRandom
from typing import NamedTuple

from tests.fuzz.dialogues import DIALOGUES, converse
from tests.fuzz.mutation import mutate

FINDS = Path(__file__).parent / "finds"
MOST_FINDS = 5
_OTHERS = tuple(answer for dialogue in DIALOGUES.values() for answer in dialogue.answers)


class Fuzzed(NamedTuple):
    """What came of one protocol: inputs, their classes, the seconds of CPU, and the finds as files."""

    name: str
    inputs: int
    classes: Counter[str]
    cpu_s: float
    finds: list[Path]


def fuzz(name: str, count: int, seed: int, finds: Path = FINDS) -> Fuzzed:
    """Try ``count`` inputs on the protocol ``name``; the same seed makes the same inputs."""
    random = Random(f"{name} {seed}")
    dialogue = DIALOGUES[name]
    classes: Counter[str] = Counter()
    found: list[Path] = []
    begun = time.process_time()
    for _number in range(count):
        pieces = mutate(random, dialogue.answers, _OTHERS)
        try:
            classes[converse(dialogue.make, pieces).status.value] += 1
        except Exception:
            found.append(keep(name, pieces, traceback.format_exc(), finds))
            if len(found) == MOST_FINDS:
                break
    return Fuzzed(name, sum(classes.values()) + len(found), classes, time.process_time() - begun, found)


def keep(name: str, pieces: Sequence[bytes], problem: str, finds: Path) -> Path:
    """Write an input that broke something, with what it broke."""
    finds.mkdir(parents=True, exist_ok=True)
    digest = sha256(b"\0".join(pieces)).hexdigest()[:12]
    path = finds / f"{name}-{digest}.json"
    record = {"protocol": name, "pieces": [piece.hex() for piece in pieces], "problem": problem.splitlines()[-1]}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def fuzz_all(count: int, seed: int, names: Sequence[str] = tuple(DIALOGUES)) -> list[Fuzzed]:
    """All protocols, on all processors; prints the seed and a line for each."""
    print(f"fuzz: seed {seed}, {count} inputs for each of {len(names)} protocols", flush=True)
    results = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(fuzz, names, [count] * len(names), [seed] * len(names)):
            results.append(result)
            classes = ", ".join(f"{word} {number}" for word, number in sorted(result.classes.items()))
            told = f"{result.name:<18}{result.inputs:>9} inputs {result.cpu_s:7.1f} s  finds {len(result.finds)}"
            print(f"{told}  {classes}", flush=True)
    print(f"together {sum(result.inputs for result in results)} inputs")
    return results


def main(arguments: list[str]) -> int:
    """Run as a program."""
    count = int(arguments[0]) if arguments else 1_000_000
    seed = int(arguments[1]) if len(arguments) > 1 else SystemRandom().randrange(2**32)
    found = [path for result in fuzz_all(count, seed, arguments[2:] or tuple(DIALOGUES)) for path in result.finds]
    print("\n".join(f"find: {path}" for path in found) or "no find")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
