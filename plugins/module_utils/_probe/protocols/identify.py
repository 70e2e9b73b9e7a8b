# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guess from its first bytes what a service is that is not the one we asked for."""

from __future__ import annotations

import re

from .text import shown

_QUOTED_CHARS = 60

# First match wins. The bytes are what servers send first, or answer to a stranger's request.
_SIGNS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        ("SSH", rb"SSH-\d|Exceeded MaxStartups|Not allowed at this time"),
        ("TLS, by a web server", rb"HTTP/\d[^\0]*(to (an )?HTTPS (port|server)|to an SSL-enabled server)"),
        ("HTTP", rb"HTTP/\d|<!DOCTYPE|<html"),
        ("VMware authd", rb"220 VMware Authentication Daemon"),
        ("SMTP", rb"220[ -][^\r\n]*(SMTP|Postfix|Exim)|554[ -]"),
        ("FTP or a like greeting", rb"220[ -]"),
        ("IMAP", rb"\* (OK|PREAUTH|BYE)\b"),
        ("POP3", rb"\+OK|-ERR"),
        ("VNC", rb"RFB \d{3}\.\d{3}"),
        ("TLS", rb"\x16\x03[\x00-\x04]|\x15\x03[\x00-\x04]..[\x01\x02]"),
        ("SMB2", rb".{4}\xfeSMB|\xfeSMB"),
        ("SMB1", rb".{4}\xffSMB|\xffSMB"),
        ("NetBIOS session service", rb"[\x82\x83]\x00\x00[\x00\x01\x06]"),
        ("DCE/RPC", rb"\x05\x00[\x02\x03\x0c\x0d][\x00-\xff]\x10\x00\x00\x00"),
        ("Remote Desktop", rb"\x03\x00\x00[\x0b-\x20].[\xd0\x80]"),
        ("Kerberos", rb"\x00\x00..[\x7e\x6b]"),
        ("LDAP", rb"\x30(.|\x84....)\x02[\x01-\x04]..?.?.?[\x61\x64\x65\x78]"),
        ("SNMP", rb"\x30(.|\x81.|\x82..)\x02\x01[\x00\x01\x03][\x04\x30]"),
        ("a name service in the format of DNS", rb"..[\x80-\x87].\x00[\x00\x01]\x00[\x00-\x20]\x00.\x00."),
        ("MySQL", rb".{3}\x00\x0a[58]\.|.{3}\x00\xffj"),
        ("Telnet", rb"\xff[\xfb-\xfe]."),
    )
)


def identify(data: bytes, *, quote: bool = True) -> str | None:
    """The name of the protocol that these bytes begin, with their first printable line, or ``None`` for no idea.

    ``quote=False`` leaves the peer's own words out.
    """
    name = next((name for name, sign in _SIGNS if sign.match(data)), None)
    if not quote:
        return name
    line = re.split(rb"[\r\n]", data.lstrip(b"\r\n"), maxsplit=1)[0]
    printable = sum(32 <= byte < 127 for byte in line)
    if len(line) < 3 or printable < 0.9 * len(line):
        return name
    words = shown(line, _QUOTED_CHARS)
    return f'{name} ("{words}")' if name else f'"{words}"'
