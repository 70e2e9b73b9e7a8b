# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Who may sign in, and how: Basic, and NTLM with sealed messages ([MS-WSMV] 2.2.9.1)."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import spnego
from spnego.exceptions import SpnegoError

USER, PASSWORD = "Administrator", "Passw0rd!"
CHALLENGES = ("Negotiate", "NTLM", 'Basic realm="WSMAN"')
_BOUNDARY = b"--Encrypted Boundary"
_PROTOCOL = re.compile(r'protocol="([^"]+)"')


@contextlib.contextmanager
def accounts() -> Iterator[None]:
    """Give pyspnego's acceptor the account: it reads a file that an environment variable names."""
    with tempfile.TemporaryDirectory(prefix="standin-") as folder:
        file = Path(folder) / "accounts"
        # With a domain and without: the acceptor compares both as the client wrote them.
        file.write_text(f"WORKGROUP:{USER}:{PASSWORD}\n:{USER}:{PASSWORD}\n", encoding="utf-8")
        before = os.environ.get("NTLM_USER_FILE")
        os.environ["NTLM_USER_FILE"] = str(file)
        try:
            yield
        finally:
            if before is None:
                del os.environ["NTLM_USER_FILE"]
            else:
                os.environ["NTLM_USER_FILE"] = before


class Session:
    """The sign-in of one connection."""

    def __init__(self) -> None:
        self._context: spnego.ContextProxy | None = None
        self.signed_in = False
        # What the client still has to be told with the answer to the request that signed it in.
        self.last_token: list[str] = []

    def step(self, authorization: str) -> list[str]:
        """Take an Authorization header; the WWW-Authenticate headers to answer with, none when signed in."""
        scheme, _blank, token = authorization.partition(" ")
        try:
            if scheme == "Basic":
                user, _colon, password = base64.b64decode(token).decode().partition(":")
                name = user.rpartition("\\")[2]
                return [] if (name.lower(), password) == (USER.lower(), PASSWORD) else list(CHALLENGES)
            if scheme in ("NTLM", "Negotiate"):
                return self._negotiate(scheme, base64.b64decode(token))
        except (binascii.Error, UnicodeDecodeError, SpnegoError):
            self._context = None
            return list(CHALLENGES)
        return [] if self.signed_in and not scheme else list(CHALLENGES)

    def _negotiate(self, scheme: str, token: bytes) -> list[str]:
        if self._context is None or self._context.complete:
            self.signed_in = False
            bare = token.startswith(b"NTLMSSP\0")
            self._context = spnego.server(protocol="ntlm" if bare else "negotiate")
        answer = self._context.step(token)
        self.signed_in = bool(self._context.complete)
        said = [f"{scheme} {base64.b64encode(answer).decode()}"] if answer else []
        self.last_token = said if self.signed_in else []
        return [] if self.signed_in else said

    def unseal(self, content_type: str, data: bytes) -> tuple[str, bytes]:
        """The name of the sealing protocol and the message within."""
        found = _PROTOCOL.search(content_type)
        if self._context is None or not found:
            raise ValueError("sealed without a sign-in that can seal")
        payload = data.split(_BOUNDARY + b"\r\n")[2]
        payload = payload[: payload.rindex(_BOUNDARY + b"--")]
        payload = payload.split(b"Content-Type: application/octet-stream\r\n", 1)[1]
        length = int.from_bytes(payload[:4], "little")
        return found[1], self._context.unwrap_winrm(payload[4 : 4 + length], payload[4 + length :])

    def seal(self, protocol: str, data: bytes) -> tuple[str, bytes]:
        """The content type and the sealed form of a message."""
        assert self._context is not None
        sealed = self._context.wrap_winrm(data)
        original = f"type=application/soap+xml;charset=UTF-8;Length={len(data)}"
        head = f"\tContent-Type: {protocol}\r\n\tOriginalContent: {original}\r\n".encode()
        body = (
            _BOUNDARY + b"\r\n" + head + _BOUNDARY + b"\r\n\tContent-Type: application/octet-stream\r\n"
            + len(sealed.header).to_bytes(4, "little") + sealed.header + sealed.data + _BOUNDARY + b"--\r\n"
        )  # fmt: skip
        return f'multipart/encrypted;protocol="{protocol}";boundary="Encrypted Boundary"', body
