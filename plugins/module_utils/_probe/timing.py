# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait for an answer: the estimator of RFC 6298, one per subnet."""

from __future__ import annotations

from . import constants


class RoundTrips:
    """Measured round trips per subnet, and the time-out that follows from them, never above ``longest_s``."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._estimates: dict[str, tuple[float, float, int]] = {}

    def measured(self, subnet: str, rtt_s: float) -> None:
        """Take one round trip into the estimate (RFC 6298, 2.2 and 2.3)."""
        known = self._estimates.get(subnet)
        if known is None:
            self._estimates[subnet] = (rtt_s, rtt_s / 2, 1)
            return
        smooth, variance, count = known
        variance += constants.VARIANCE_SMOOTHING * (abs(smooth - rtt_s) - variance)
        smooth += constants.SMOOTHING * (rtt_s - smooth)
        self._estimates[subnet] = (smooth, variance, count + 1)

    def timeout_s(self, subnet: str) -> float:
        """How long to wait for an answer from this subnet before asking again."""
        known = self._estimates.get(subnet)
        if known is None or known[2] < constants.SAMPLES_NEEDED:
            return min(constants.INITIAL_S, self._longest_s)
        usual = known[0] + constants.VARIANCE_FACTOR * known[1]
        return min(max(constants.SAFETY_FACTOR * usual, constants.FLOOR_S), self._longest_s)


def subnet_of(address: str) -> str:
    """The /24 or /64 of an address, as an opaque key."""
    if ":" not in address:
        return address[: address.rindex(".")]
    head, _gap, tail = address.partition("%")[0].partition("::")
    groups = head.split(":") if head else []
    missing = 8 - len(groups) - (len(tail.split(":")) if tail else 0)
    return ":".join((groups + ["0"] * missing + tail.split(":"))[:4])
