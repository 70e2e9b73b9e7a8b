# Copyright: agentless.audit_ports contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reads the common course in one go reads every other course as the careful way does."""

from __future__ import annotations

from typing import Callable

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.sanitize import safe_text
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.conversations import STREAMS
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols import ber
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.base import (
    Evidence,
    MalformedError,
)
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.hypertext import Response
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.kerberos import Kerberos
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.protocols.text import shown
from hypothesis import example, given
from hypothesis import strategies as st

_ELEMENT = st.builds(ber.tlv, st.integers(0, 255), st.binary(max_size=140))
_CONTENTS = st.lists(st.one_of(_ELEMENT, _ELEMENT, st.binary(max_size=3)), max_size=6).map(b"".join)


def _outcome(read: Callable[[], dict[int, bytes]]) -> dict[int, bytes] | str:
    try:
        return read()
    except MalformedError as error:
        return f"{type(error).__name__}: {error}"


@given(_CONTENTS)
@example(b"\xa0\x01")
@example(b"\xa0\x00\x1f\x00")
@example(b"\xa0\x81\x01x\xa0\x01y")
def test_elements_by_tag_are_those_of_a_reader(contents: bytes) -> None:
    """Long ones, unknown tags and all faults among them, with the same words."""
    assert _outcome(lambda: ber.by_tag(contents)) == _outcome(lambda: dict(ber.within(contents).rest()))


@given(st.text(max_size=300), st.sampled_from([16, 60, 120, 255]))
@example("  two  words ", 60)
@example("no-break\u00a0space\u2028", 60)
def test_shown_text_is_safe_text(text: str, limit: int) -> None:
    data = text.encode("utf-8", "replace")
    assert shown(data, limit) == safe_text(data[: limit * 16].decode("utf-8", "replace"), limit)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (b"Server: nginx", b"nginx"),
        (b"SERVER:\t nginx \r", b"nginx"),
        (b" server :nginx", b"nginx"),
        (b"X-Server: a\r\nServer: b\r\nServers: c", b"b"),
        (b"Server: a\r\nDate: x\nserver: b:c", b"a, b:c"),
        (b"Server", b""),
        (b"Server:", b""),
        (b"Server nginx: x", None),
        (b"X: Server: nginx", None),
    ],
)
def test_header_field(lines: bytes, value: bytes | None) -> None:
    """However it is written; several are joined, and other names are others."""
    response = Response(200, b"HTTP/1.1 200 OK\r\nDate: x\r\n" + lines, b"")
    assert response.field(b"server") == value


def test_services_that_say_the_same_share_their_evidence() -> None:
    greeting = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
    one, other = (STREAMS["ssh"]().receive(greeting) for _service in range(2))
    assert isinstance(one, Evidence)
    assert one is other
    assert one.text == "SSH 2.0, OpenSSH 9.2p1 Debian-2"
    further = one._replace(host_name="a.example.com")
    assert further.text == "SSH 2.0, OpenSSH 9.2p1 Debian-2, host a.example.com"


def test_nonce_is_another_each_time() -> None:
    """And of four octets, so that the lengths around it stay right."""
    requests = {Kerberos().first() for _request in range(50)}
    assert len(requests) == 50
    for request in requests:
        assert int.from_bytes(request[:4], "big") == len(request) - 4
        assert ber.Reader(request[4:]).any()[0] == 0x6A
