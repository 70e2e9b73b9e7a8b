# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SNMP: version 3 discovery, which needs no secret (RFC 3414, 4), or a get with a community (RFC 3416, 4.2.1)."""

from __future__ import annotations

import random
from ipaddress import ip_address
from typing import ClassVar, Tuple

from ..._core.vocabulary import ServiceStatus
from ..secret import Secret
from . import ber
from .base import Answer, DatagramConversation, Evidence, MalformedError
from .text import shown

_SYS_DESCR = "1.3.6.1.2.1.1.1.0"
_SYS_NAME = "1.3.6.1.2.1.1.5.0"
_USM_STATS = "1.3.6.1.6.3.15.1.1."  # RFC 3414, 5: the counters that a report carries
_V1, _V2C, _V3 = 0, 1, 3
_GET, _RESPONSE, _REPORT = 0xA0, 0xA2, 0xA8  # RFC 3416, 3
_REPORTABLE = b"\x04"  # RFC 3412, 6.4: noAuthNoPriv, and a report is wanted
_USER_SECURITY = 3  # RFC 3411, 5
_LARGEST_MESSAGE = 65507
_NO_SUCH_NAME = 2
_PRINTER_STATUS = "1.3.6.1.2.1.25.3.5.1.1.1"  # RFC 2790: hrPrinterStatus, which a device has that is a printer
_DEVICE_DESCR = "1.3.6.1.2.1.25.3.2.1.3.1"  # hrDeviceDescr of the same device
_ERRORS = {1: "tooBig", _NO_SUCH_NAME: "noSuchName", 5: "genErr", 6: "noAccess", 16: "authorizationError"}

# IANA's private enterprise numbers of those that write agents (RFC 3411, 5: the engine id begins with one).
_MAKERS = {
    2: "IBM", 9: "Cisco", 11: "HP", 42: "Sun", 43: "3Com", 171: "D-Link", 207: "Allied Telesis", 253: "Xerox",
    311: "Microsoft", 318: "APC", 343: "Intel", 367: "Ricoh", 641: "Lexmark", 674: "Dell", 789: "NetApp",
    1248: "Epson", 1347: "Kyocera", 1588: "Brocade", 1602: "Canon", 1916: "Extreme Networks", 2011: "Huawei",
    2021: "UC Davis", 2435: "Brother", 2636: "Juniper", 4526: "Netgear", 6527: "Nokia", 6574: "Synology",
    6876: "VMware", 8072: "Net-SNMP", 11863: "TP-Link", 12356: "Fortinet", 14823: "Aruba", 14988: "MikroTik",
    18334: "Konica Minolta", 24681: "QNAP", 25461: "Palo Alto Networks", 25506: "H3C", 30065: "Arista",
    41112: "Ubiquiti",
}  # fmt: skip


# The same in every request: no error and no index of one, and of discovery all but the number.
_ZEROS = ber.integer(0) * 2
_NOTHING = ber.tlv(ber.SEQUENCE)
_DISCOVER = ber.integer(_V3)
_HOW = ber.integer(_LARGEST_MESSAGE) + ber.octets(_REPORTABLE) + ber.integer(_USER_SECURITY)
_NOBODY = ber.octets(ber.tlv(ber.SEQUENCE, ber.octets(), _ZEROS, *[ber.octets()] * 3))


class Snmp(DatagramConversation):
    """Asks a version 3 agent who it is; with a community, asks for its description first.

    An agent keeps silent about a version it does not speak and a community it does not know. With a community, the
    tries are therefore: version 2c, version 1, version 3 discovery (which shows that an agent is there after all).
    """

    name = "SNMP"
    shows_strangers = False
    _objects: ClassVar[Tuple[str, ...]] = (_SYS_DESCR, _SYS_NAME)  # noqa: UP006

    def __init__(self, community: Secret | None = None, *, request_id: int | None = None) -> None:
        super().__init__()
        self._community = community
        self._id = random.randint(1, 2**31 - 1) if request_id is None else request_id

    def first(self, attempt: int = 0) -> bytes:
        """The request of this try."""
        if self._community is None or attempt % 3 == 2:
            return self._discovery()
        return self._get(_V2C if attempt % 3 == 0 else _V1, self._community)

    def ended(self, *, hung_up: bool = False) -> Evidence:
        """Silence, with what it may mean."""
        evidence = super().ended()
        if evidence.status is not ServiceStatus.SILENT:
            return evidence
        what = (
            "no answer to SNMPv3 discovery; an agent of versions 1 and 2c alone answers to its snmp_community"
            if self._community is None
            else "no answer to SNMP 2c and 1 with the community given, nor to SNMPv3 discovery"
        )
        return evidence._replace(what=what)

    def _get(self, version: int, community: Secret) -> bytes:
        names = (ber.tlv(ber.SEQUENCE, ber.oid(name), ber.tlv(ber.NULL)) for name in self._objects)
        pdu = ber.tlv(_GET, ber.integer(self._id), _ZEROS, ber.tlv(ber.SEQUENCE, *names))
        return ber.tlv(ber.SEQUENCE, ber.integer(version), ber.octets(community.reveal()), pdu)

    def _discovery(self) -> bytes:
        number = ber.integer(self._id)
        header = ber.tlv(ber.SEQUENCE, number, _HOW)
        pdu = ber.tlv(_GET, number, _ZEROS, _NOTHING)
        scoped = ber.tlv(ber.SEQUENCE, ber.octets(), ber.octets(), pdu)
        return ber.tlv(ber.SEQUENCE, _DISCOVER, header, _NOBODY, scoped)

    def _classify(self, data: bytes) -> Answer:
        message = ber.Reader(data).enter()
        version = message.integer()
        if version in (_V1, _V2C):
            message.take(ber.OCTET_STRING)
            return self._described(message.enter(_RESPONSE), "SNMPv1" if version == _V1 else "SNMPv2c")
        if version != _V3:
            raise MalformedError("it has an unknown SNMP version")
        return self._discovered(message)

    def _described(self, pdu: ber.Reader, version: str) -> Evidence:
        self._check_id(pdu.integer())
        error = pdu.integer()
        pdu.integer()
        found: dict[str, str] = {}
        bindings = pdu.enter()
        while bindings:
            binding = bindings.enter()
            name = ber.oid_text(binding.take(ber.OBJECT_IDENTIFIER))
            tag, value = binding.any()
            if tag in (ber.OCTET_STRING, ber.INTEGER) and value:
                found[name] = shown(value) if tag == ber.OCTET_STRING else ""
        return self._told(version, _ERRORS.get(error, f"{error}") if error else "", found)

    def _told(self, version: str, error: str, found: dict[str, str]) -> Evidence:
        what = version if not error else f"{version}, which answers with the error {error}"
        return Evidence(ServiceStatus.CONFIRMED, what, found.get(_SYS_DESCR), host_name=found.get(_SYS_NAME))

    def _discovered(self, message: ber.Reader) -> Evidence:
        self._check_id(message.enter().integer())
        security = ber.Reader(message.take(ber.OCTET_STRING)).enter()
        engine = security.take(ber.OCTET_STRING)
        boots, uptime = security.integer(), security.integer()
        scoped = message.enter()
        scoped.take(ber.OCTET_STRING)
        scoped.take(ber.OCTET_STRING)
        report = scoped.enter(_REPORT)
        for _field in range(3):
            report.integer()
        counter = ber.oid_text(report.enter().enter().take(ber.OBJECT_IDENTIFIER))
        if not counter.startswith(_USM_STATS):
            raise MalformedError("its report is about something else")
        what = f"SNMPv3 agent (boot {boots}, up for {uptime} s)"
        return Evidence(ServiceStatus.CONFIRMED, what, *_engine(engine))

    def _check_id(self, number: int) -> None:
        if number != self._id:
            raise MalformedError("it answers another request")


class PrinterSnmp(Snmp):
    """Asks an agent whether its device is a printer; without a community it cannot tell."""

    _objects = (_PRINTER_STATUS, _DEVICE_DESCR)

    def _told(self, version: str, error: str, found: dict[str, str]) -> Evidence:
        if _PRINTER_STATUS not in found:
            return Evidence(ServiceStatus.UNEXPECTED, f"{version}, whose device is no printer")
        return Evidence(ServiceStatus.CONFIRMED, f"printer by {version}", found.get(_DEVICE_DESCR))

    def _discovered(self, message: ber.Reader) -> Evidence:
        agent = super()._discovered(message)
        return agent._replace(status=ServiceStatus.NOT_CHECKED, what=f"{agent.what}, which may be a printer's")


def _engine(engine: bytes) -> tuple[str | None, str | None, str | None]:
    """Product, version (never known) and host name from an engine id (RFC 3411, 5, SnmpEngineID)."""
    if len(engine) < 5:
        return None, None, None
    number = int.from_bytes(engine[:4], "big") & 0x7FFFFFFF
    maker = _MAKERS.get(number, f"enterprise {number}")
    kind, rest = engine[4], engine[5:]
    if not engine[0] & 0x80:
        return maker, None, None
    if (kind, len(rest)) in ((1, 4), (2, 16)):
        return maker, None, str(ip_address(rest))
    if (kind, len(rest)) == (3, 6):
        return maker, None, rest.hex(":")
    return maker, None, shown(rest) if kind == 4 and rest else None
