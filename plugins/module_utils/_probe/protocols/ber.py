# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little of ASN.1 BER (X.690) that SNMP, LDAP and Kerberos need: definite lengths, low tag numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from .base import IncompleteError, MalformedError

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
GENERALIZED_TIME = 0x18
GENERAL_STRING = 0x1B
SEQUENCE = 0x30
SET = 0x31

_LONGEST_INTEGER = 8
_LONG = 0x80  # a length from here on says how many octets the length takes (X.690, 8.1.3.5)
_HIGH_TAGS = frozenset(range(0x1F, 0x100, 0x20))  # further octets of the tag follow (X.690, 8.1.2.4)


def tlv(tag: int, *contents: bytes) -> bytes:
    """One element: tag, length, and the contents behind one another (X.690, 8.1)."""
    body = b"".join(contents)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """An INTEGER in the fewest octets of two's complement (X.690, 8.3)."""
    return tlv(
        tag,
        value.to_bytes(
            value.bit_length() // 8 + 1 if value >= 0 else (value + 1).bit_length() // 8 + 1, "big", signed=True
        ),
    )


def octets(value: bytes = b"", tag: int = OCTET_STRING) -> bytes:
    """An OCTET STRING."""
    return tlv(tag, value)


@lru_cache(maxsize=64)  # of our own, of which there are few
def oid(text: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form (X.690, 8.19)."""
    first, second, *rest = (int(part) for part in text.split("."))
    encoded = b""
    for number in (first * 40 + second, *rest):
        part = bytes((number & 0x7F,))
        while number > 0x7F:
            number >>= 7
            part = bytes((0x80 | number & 0x7F,)) + part
        encoded += part
    return tlv(OBJECT_IDENTIFIER, encoded)


class Reader:
    """Takes elements one after another from the front of ``data``.

    Every method raises IncompleteError where ``data`` ends too early, and MalformedError where it is no BER of the
    kind expected.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def any(self) -> tuple[int, bytes]:
        """The next element: its tag and contents."""
        data, at = self._data, self._at
        start = at + 2
        if start > len(data):
            raise self._cut_off("an ASN.1 element")
        tag, length = data[at], data[at + 1]
        if tag in _HIGH_TAGS:
            raise MalformedError("it has an ASN.1 tag that nobody uses here")
        if length >= _LONG:
            count = length - _LONG
            if not 1 <= count <= 4:
                raise MalformedError("it has an ASN.1 length that is not definite or too long")
            if start + count > len(data):
                raise self._cut_off("an ASN.1 length")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        end = start + length
        if end > len(data):
            raise self._cut_off("an ASN.1 element")
        self._at = end
        return tag, data[start:end]

    def take(self, tag: int) -> bytes:
        """The contents of the next element, which must have this tag."""
        found, contents = self.any()
        if found != tag:
            raise MalformedError(f"it has the ASN.1 tag {found:#04x} where {tag:#04x} belongs")
        return contents

    def enter(self, tag: int = SEQUENCE) -> Reader:
        """A reader of the next element's contents; what is cut off in there can never become right."""
        return _Inner(self.take(tag))

    def integer(self, tag: int = INTEGER) -> int:
        """The next element as a signed number of at most eight octets."""
        contents = self.take(tag)
        if not 1 <= len(contents) <= _LONGEST_INTEGER:
            raise MalformedError("it has a number of an impossible size")
        return int.from_bytes(contents, "big", signed=True)

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """All elements that are left."""
        while self._at < len(self._data):
            yield self.any()

    @staticmethod
    def _cut_off(what: str) -> MalformedError:
        return IncompleteError(f"{what} is cut off")


class _Inner(Reader):
    """A reader of contents whose length is known: there, an end that comes too early is an error for good."""

    __slots__ = ()

    @staticmethod
    def _cut_off(what: str) -> MalformedError:
        return MalformedError(f"{what} is cut off inside another")


@lru_cache(maxsize=128)  # the same few in all certificates and agents
def oid_text(contents: bytes) -> str:
    """The dotted form of an OBJECT IDENTIFIER's contents; raises MalformedError for an empty or endless one."""
    numbers: list[int] = []
    value = 0
    for byte in contents[:64]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers or contents[-1] & 0x80:
        raise MalformedError("it has an object identifier without an end")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def within(contents: bytes) -> Reader:
    """A reader of contents that are complete: an end that comes too early is an error for good."""
    return _Inner(contents)


def by_tag(contents: bytes) -> dict[int, bytes]:
    """The elements of contents that are complete, by their tags; of equal tags the last one."""
    found: dict[int, bytes] = {}
    at, last = 0, len(contents) - 1
    while at < last:
        length = contents[at + 1]
        if length >= _LONG:
            break
        start = at + 2
        end = start + length
        found[contents[at]] = contents[start:end]
        at = end
    # Nearly always all of them are short. A reader sees to others, and to faults.
    is_plain = at == len(contents) and _HIGH_TAGS.isdisjoint(found)
    return found if is_plain else dict(within(contents).rest())
