# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LDAP: a search of the root DSE (RFC 4511, 4.5; RFC 4512, 5.1), which servers answer without a sign-in."""

from __future__ import annotations

from ..._core.vocabulary import ServiceStatus
from . import ber
from .base import Answer, Conversation, Evidence, MalformedError
from .text import shown

_MESSAGE_ID = 1
_SEARCH, _ENTRY, _DONE, _REFERENCE, _EXTENDED = 0x63, 0x64, 0x65, 0x73, 0x78  # RFC 4511, appendix B
_PRESENT = 0x87
_BOOLEAN = 0x01
_HOST, _CONTEXT, _VENDOR, _VERSION = "dnsHostName", "defaultNamingContext", "vendorName", "vendorVersion"
_CAPABILITIES, _LEVEL = "supportedCapabilities", "domainControllerFunctionality"
_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # [MS-ADTS] 3.1.1.3.4.3.1
_LEVELS = {"2": "2003", "3": "2008", "4": "2008 R2", "5": "2012", "6": "2012 R2", "7": "2016", "10": "2025"}


class Ldap(Conversation):
    """Asks a directory server who it is."""

    name = "LDAP"
    cap = 32768

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, list[str]] = {}

    def first(self, attempt: int = 0) -> bytes:
        """A base-object search of the empty name."""
        return _REQUEST

    def _classify(self, data: bytes) -> Answer:
        messages = ber.Reader(data)
        while messages:
            message = messages.enter()
            number = message.integer()
            tag, contents = message.any()
            if tag == _EXTENDED and number == 0:
                return Evidence(ServiceStatus.CONFIRMED, "LDAP, which disconnects at once")
            if number != _MESSAGE_ID:
                raise MalformedError("it answers another request")
            if tag == _ENTRY:
                self._found = _attributes(contents)
            elif tag == _DONE:
                return self._told(ber.within(contents).integer(ber.ENUMERATED))
            elif tag != _REFERENCE:
                raise MalformedError("it answers a search with something else")
        return None

    def _told(self, code: int) -> Evidence:
        found = {name: values[0] for name, values in self._found.items() if values}
        what = "LDAP" if code == 0 else f"LDAP, which answers with the result code {code}"
        product, version = found.get(_VENDOR), found.get(_VERSION)
        if product is None and _ACTIVE_DIRECTORY in self._found.get(_CAPABILITIES, ()):
            product = "Active Directory"
            level = _LEVELS.get(found.get(_LEVEL, ""))
            version = f"at the level of Windows Server {level}" if level else None
        return Evidence(
            ServiceStatus.CONFIRMED, what, product, version, found.get(_HOST), _domain(found.get(_CONTEXT, ""))
        )


def _search() -> bytes:
    names = (_HOST, _CONTEXT, _VENDOR, _VERSION, _CAPABILITIES, _LEVEL)
    search = ber.tlv(
        _SEARCH,
        ber.octets(),
        ber.integer(0, ber.ENUMERATED),
        ber.integer(0, ber.ENUMERATED),
        ber.integer(0),
        ber.integer(0),
        ber.tlv(_BOOLEAN, b"\0"),
        ber.octets(b"objectClass", _PRESENT),
        ber.tlv(ber.SEQUENCE, *(ber.octets(name.encode()) for name in names)),
    )
    return ber.tlv(ber.SEQUENCE, ber.integer(_MESSAGE_ID), search)


_REQUEST = _search()


def _attributes(entry: bytes) -> dict[str, list[str]]:
    """The values of a SearchResultEntry by name (RFC 4511, 4.5.2)."""
    inner = ber.within(entry)
    inner.take(ber.OCTET_STRING)
    found: dict[str, list[str]] = {}
    attributes = inner.enter()
    while attributes:
        attribute = attributes.enter()
        name = shown(attribute.take(ber.OCTET_STRING))
        found[name] = [shown(value) for tag, value in attribute.enter(ber.SET).rest() if tag == ber.OCTET_STRING]
    return found


def _domain(context: str) -> str | None:
    """``DC=example,DC=com`` as ``example.com``; ``None`` for any other naming context."""
    parts = [part.strip().partition("=") for part in context.split(",")]
    if not context or any(name.upper() != "DC" for name, _equals, _value in parts):
        return None
    return ".".join(value for _name, _equals, value in parts)
