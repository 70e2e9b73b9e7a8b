# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait for an answer: the estimator of RFC 6298, one per subnet."""

from __future__ import annotations

from . import constants


class RoundTrips:
    """The measured round trips of a subnet, and the time-out that follows from them, never above ``longest_s``."""

    __slots__ = ("_count", "_is_near", "_longest_s", "_smooth_s", "_variance_s")

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._count = 0
        self._is_near = False  # the shortest time-out holds, and goes on to whatever near round trip comes
        self._smooth_s = self._variance_s = 0.0

    def measured(self, rtt_s: float) -> None:
        """Take one round trip into the estimate (RFC 6298, 2.2 and 2.3), unless it could change no time-out."""
        if self._is_near and rtt_s < constants.NEAR_S:
            return
        if self._count:
            smooth_s, variance_s = self._smooth_s, self._variance_s
            self._variance_s = variance_s + constants.VARIANCE_SMOOTHING * (abs(smooth_s - rtt_s) - variance_s)
            self._smooth_s = smooth_s + constants.SMOOTHING * (rtt_s - smooth_s)
        else:
            self._smooth_s, self._variance_s = rtt_s, rtt_s / 2
        self._count += 1
        self._is_near = (
            self._count >= constants.SAMPLES_NEEDED
            and self._smooth_s < constants.NEAR_S
            and self._variance_s < constants.NEAR_S
        )

    @property
    def timeout_s(self) -> float:
        """How long to wait for an answer from there before asking again."""
        if self._count < constants.SAMPLES_NEEDED:
            return min(constants.INITIAL_S, self._longest_s)
        usual_s = self._smooth_s + constants.VARIANCE_FACTOR * self._variance_s
        return min(max(constants.SAFETY_FACTOR * usual_s, constants.FLOOR_S), self._longest_s)


def subnet_of(address: str) -> str:
    """The /24 or /64 of an address, as an opaque key."""
    if ":" not in address:
        return address[: address.rindex(".")]
    head, _gap, tail = address.partition("%")[0].partition("::")
    groups = head.split(":") if head else []
    missing = 8 - len(groups) - (len(tail.split(":")) if tail else 0)
    return ":".join((groups + ["0"] * missing + tail.split(":"))[:4])
