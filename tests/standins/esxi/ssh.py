# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Stand-in hosts behind SSH, many in one process: public key and keyboard-interactive, no password method, as on ESXi.

A new connection is refused where the host's own firewall would: whoever locks himself out finds out here, too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import asyncssh

from .shell import Shell

PASSWORD = "stand-in Password1!"
_HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


class SshHosts:
    """A server thread. ``serve`` adds a host and tells its port; ``close`` ends all of them.

    ``public_key``, in OpenSSH's form, lets its owner in beside the password.
    """

    def __init__(self, public_key: str) -> None:
        self._key = asyncssh.import_public_key(public_key)
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncssh.SSHAcceptor] = []
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def serve(self, shell: Shell, *, client: str = "192.0.2.10", cut_after: int | None = None) -> int:
        """Serve one host on a free port of loopback. ``client`` is the address that the host sees its clients come
        from; ``cut_after`` cuts the connection after so many bytes of an answer.
        """
        server: asyncssh.SSHAcceptor = self._call(self._listen(shell, client, cut_after))
        self._servers.append(server)
        return int(server.get_port())

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self, shell: Shell, client: str, cut_after: int | None) -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            lambda: _Server(shell, client, self._key, self._connections),
            "127.0.0.1",
            0,
            server_host_keys=[_HOST_KEY],
            process_factory=lambda process: _run(process, shell, client, cut_after),
            encoding=None,
        )

    def close(self) -> None:
        """Stop listening, end every connection, and end the thread."""
        self._call(self._close_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close_all(self) -> None:
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()
            await connection.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class _Server(asyncssh.SSHServer):
    def __init__(
        self, shell: Shell, client: str, key: asyncssh.SSHKey, connections: list[asyncssh.SSHServerConnection]
    ) -> None:
        self._shell = shell
        self._connections = connections
        self._key = key
        self._client = client

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)
        if not self._shell.host.admits(self._client, 22):
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == self._key

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "en", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return list(responses) == [PASSWORD]


async def _run(process: Any, shell: Shell, client: str, cut_after: int | None) -> None:
    """Run the command of a session in the host's folder."""
    if process.command is None:
        process.exit(1)
        return
    child = await asyncio.create_subprocess_exec(
        *shell.argv(),
        process.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/bin", "HOME": "/", "SSH_CONNECTION": f"{client} 50000 198.51.100.21 22"},
    )
    given = await process.stdin.read()
    out, errors = await child.communicate(given)
    if cut_after is not None and len(out) > cut_after:
        process.stdout.write(out[:cut_after])
        await process.stdout.drain()
        process.channel.get_connection().abort()
        return
    process.stdout.write(out)
    process.stderr.write(errors)
    process.exit(child.returncode)
