# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The shell of a stand-in host: a folder with BusyBox and an ``esxcli`` and nothing else, entered by chroot.

``esxcli`` there is a script that hands its words to this process through a FIFO and prints the answer, so that the
state of a host lives in one place and a call costs no interpreter.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from .esxcli import esxcli
from .model import Host

BUSYBOX = Path("/bin/busybox")
# What ESXi's own BusyBox has and scripts here may use; another program is "not found", as it would be there.
_APPLETS = ("sh", "cat", "mkfifo", "rm", "sleep", "true", "grep", "sed", "id", "uname", "env", "head", "cut")
_ESXCLI = """#!/bin/sh
answer=/run/answer.$$
mkfifo "$answer"
for word in "$$" "$@"; do printf '%s\\036' "$word"; done | { IFS= read -r line; printf '%s\\n' "$line"; } >/run/requests
{ read -r rc; cat; } <"$answer"
rm -f "$answer"
exit "$rc"
"""


class Shell:
    """The folder of one host and the thread that answers its ``esxcli``. Close it to end the thread."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host = host
        self.root = root
        self._lock = threading.Lock()
        for name in ("bin", "run", "dev", "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(BUSYBOX, root / "bin" / "busybox")
        for applet in _APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        program = root / "bin" / "esxcli"
        program.write_text(_ESXCLI)
        program.chmod(0o755)
        os.mknod(root / "dev" / "null", 0o020666, os.makedev(1, 3))
        os.chmod(root / "dev" / "null", 0o666)
        os.mkfifo(root / "run" / "requests", 0o622)
        os.chmod(root / "run", 0o777)
        os.chmod(root / "run" / "requests", 0o622)
        # Open for both, so that neither side ever waits for the other to open.
        self._requests = os.open(root / "run" / "requests", os.O_RDWR)
        self.calls: list[list[str]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        rest = b""
        while True:
            block = os.read(self._requests, 65536)
            rest += block
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line == b"end":
                    os.close(self._requests)
                    return
                self._answer([word.decode(errors="replace") for word in line.split(b"\x1e")[:-1]])

    def _answer(self, words: list[str]) -> None:
        with self._lock:
            self.calls.append(words[1:])
            rc, out = esxcli(self.host, words[1:])
        with (self.root / "run" / f"answer.{int(words[0])}").open("w") as answer:
            answer.write(f"{rc}\n{out}")

    def argv(self) -> list[str]:
        """The program that runs a command line (its last argument) in the folder."""
        return ["/usr/sbin/chroot", str(self.root), "/bin/sh", "-c"]

    def close(self) -> None:
        """End the thread."""
        with (self.root / "run" / "requests").open("wb", buffering=0) as requests:
            requests.write(b"end\n")
