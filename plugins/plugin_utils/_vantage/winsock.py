# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Winsock's error numbers and Windows's ping mean, and what they leave open.

Windows keeps who rejected a packet, and with which ICMP code, to itself: no socket option tells. The numbers are those
of winsock2.h and ipexport.h; .NET gives them on every system (``SocketErrorCode``, ``IPStatus``).
"""

from __future__ import annotations

from ...module_utils._core.sanitize import safe_text
from ...module_utils._core.vocabulary import ObservationStatus
from ...module_utils._probe.judge import Refusal

TIMED_OUT = 10060
_NEITHER = 99999  # of the script: no error of Winsock's
BROKEN_LATER = frozenset({10053, 10054})  # of a connect: only once the connection stood; before that it is 10061
REPLIED, ECHO_TIMED_OUT = 0, 11010
_RESET, _REFUSED = 10054, 10061
_FORBIDDEN = 10013
_NO_WAY = {
    10050: "WSAENETDOWN",
    10051: "WSAENETUNREACH",
    10052: "WSAENETRESET",
    10064: "WSAEHOSTDOWN",
    10065: "WSAEHOSTUNREACH",
}
# What the audit host itself lacks or forbids.
_OWN = {
    _FORBIDDEN: "its own policy forbids it, a rule for outbound traffic in the Windows firewall or another product's",
    10022: "it cannot use the address",
    10024: "it has no free socket",
    10047: "it does not speak this address family",
    10048: "it has no free local port",
    10049: "the source address is not one of its own, or the address cannot be sent to",
    10055: "it has no buffer space or no free local port",
}
_NAME_ERRORS = {
    11001: "no such host",
    11002: "its name server does not answer",
    11003: "its name server fails",
    11004: "the name has no address",
}
# ipexport.h: what a router, or the target, answered in place of the echo.
_ECHO_ERRORS = {
    11002: "network unreachable",
    11003: "host unreachable",
    11004: "protocol unreachable or prohibited",
    11005: "port unreachable",
    11013: "time exceeded",
    11040: "destination unreachable",
    11041: "time exceeded",
    11044: "an ICMP error",
}
_ECHO_PROHIBITED = frozenset({11004, 11005})


def judge_connect(code: int) -> Refusal:
    """What a refused or failed connect says; not for TIMED_OUT."""
    if code == _REFUSED:
        return Refusal(
            ObservationStatus.CLOSED,
            "connection refused: a TCP reset or an ICMP error, Windows does not tell which (10061)",
        )
    return _judge_way(code)


def judge_datagram(code: int) -> Refusal:
    """What an error on a UDP socket says. Windows calls an ICMP port unreachable a reset, other systems a refusal."""
    if code in (_RESET, _REFUSED):
        return Refusal(
            ObservationStatus.CLOSED,
            f"ICMP port unreachable, of the host or of a firewall, Windows does not tell whose ({code})",
        )
    return _judge_way(code)


def judge_echo(code: int, sender: str, target: str) -> Refusal:
    """What came in place of an echo reply, or that one came; not for ECHO_TIMED_OUT."""
    if code == REPLIED:
        return Refusal(ObservationStatus.OPEN, "echo reply (Windows)")
    words = _ECHO_ERRORS.get(code)
    if words is None:
        return Refusal(
            ObservationStatus.LOCAL_ERROR, f"the audit host itself could not send an echo request (status {code})"
        )
    told = f"{words} from {safe_text(sender) or 'an unnamed sender'} (Windows status {code})"
    if sender == target or code in _ECHO_PROHIBITED:
        return Refusal(ObservationStatus.REJECTED, f"rejected: {told}")
    return Refusal(
        ObservationStatus.UNREACHABLE, f"nobody there, or a firewall rejects it, Windows does not tell which: {told}"
    )


def name_error(code: int) -> str:
    """Why a name has no address."""
    return _NAME_ERRORS.get(code, f"Windows error {code}" if code < _NEITHER else "it is no name")


def _judge_way(code: int) -> Refusal:
    if code in _NO_WAY:
        return Refusal(
            ObservationStatus.UNREACHABLE,
            f"nobody there, no route, or a firewall rejects it, Windows does not tell which ({code} {_NO_WAY[code]})",
        )
    why = _OWN.get(code, "an error that says nothing of the host")
    return Refusal(ObservationStatus.LOCAL_ERROR, f"the audit host itself could not probe: {why} (Winsock {code})")
