# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The door between native programs in an engine and the model: named pipes in a folder of the machine's own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.standins.winrm.natives import PROGRAMS, Natives

CLIENT = Path(__file__).with_name("native.sh")
_ATTEMPTS, _PAUSE_S = 5000, 0.0005


class Door:
    """Answers the questions of native programs until it is closed. `environment` is what an engine needs to ask."""

    def __init__(self, natives: Natives, directory: Path) -> None:
        self._natives = natives
        self._directory = directory
        programs = directory / "bin"
        programs.mkdir(parents=True)
        for name in PROGRAMS:
            (programs / name).symlink_to(CLIENT)
        self._questions = directory / "questions"
        os.mkfifo(self._questions)
        # Open at both ends: a reader alone would see an end of file whenever no program is asking.
        self._file = os.open(self._questions, os.O_RDWR)
        self._thread = threading.Thread(target=self._serve, name=f"door of {natives.machine.name}", daemon=True)
        self._thread.start()
        self.environment = {
            "STANDIN_DIRECTORY": str(directory),
            "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
        }

    def close(self) -> None:
        """End the thread and free the pipe."""
        os.write(self._file, b"0\0\0\0")
        self._thread.join(timeout=5)
        os.close(self._file)

    def _words(self) -> Iterator[str]:
        pending = b""
        while True:
            pending += os.read(self._file, 65536)
            *whole, pending = pending.split(b"\0")
            for word in whole:
                yield word.decode(errors="surrogateescape")

    def _serve(self) -> None:
        words = self._words()
        while True:
            count, answer = int(next(words)), next(words)
            argv = [next(words) for _each in range(count + 1)]
            if not answer:
                return
            self._answer(Path(answer), argv)

    def _answer(self, pipe: Path, argv: list[str]) -> None:
        answer = self._natives.run(argv)
        pipe.with_name(pipe.name + ".out").write_bytes(answer.out)
        pipe.with_name(pipe.name + ".err").write_bytes(answer.err)
        # The program opens its end in a moment; one that was killed meanwhile is nobody's loss. Of a return code a
        # process has only the lowest eight bits here.
        for _attempt in range(_ATTEMPTS):
            try:
                file = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                time.sleep(_PAUSE_S)
                continue
            os.write(file, b"%d\n" % (answer.rc & 0xFF))
            os.close(file)
            return
