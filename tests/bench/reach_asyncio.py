# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What asyncio makes of the same task: sock_connect, a window, one second.

    python -m tests.bench.reach_asyncio WINDOW TARGETS >ANSWERS

Writes one letter for each line "address tcp/port service" of TARGETS, as reach_client.c does. A rejection gives the
same error number as a reset, and asyncio tells no more than that.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

_TIMEOUT_S = 1.0


async def _probe(address: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, (address, port)), _TIMEOUT_S)
        except (TimeoutError, asyncio.TimeoutError):
            return "f"
        except ConnectionRefusedError:
            return "c"
        except OSError:
            return "r"
    return "o"


async def _work(targets: Iterator[tuple[int, str, int]], answers: list[str]) -> None:
    for index, address, port in targets:
        answers[index] = await _probe(address, port)


async def _main() -> None:
    window, path = int(sys.argv[1]), sys.argv[2]
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()]
    answers = [""] * len(rows)
    targets = ((index, row[0], int(row[1].partition("/")[2])) for index, row in enumerate(rows))
    await asyncio.gather(*(_work(targets, answers) for _worker in range(window)))
    print("".join(answers))


if __name__ == "__main__":
    asyncio.run(_main())
