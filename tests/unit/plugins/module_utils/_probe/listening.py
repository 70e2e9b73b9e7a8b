# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A listener on loopback that serves whoever connects, each on a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port; ``serve`` is given each connection, which is closed behind it.

    At the end all that is being served is waited for, five seconds at most.
    """
    talks: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                peer.settimeout(5)
                serve(peer)

        def accept() -> None:
            while True:
                try:
                    peer, _address = listener.accept()
                except OSError:
                    return
                talks.append(threading.Thread(target=talk, args=(peer,), daemon=True))
                talks[-1].start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        for one in (thread, *talks):
            one.join(5)
