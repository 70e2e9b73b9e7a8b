# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts of nft's JSON."""

from __future__ import annotations

from typing import Any

from .nft_values import NotUnderstoodError
from .statements import ACCEPT, BACK, DROP, Verdict, goto, jump

_SIMPLE: dict[str, Verdict | None] = {"accept": ACCEPT, "drop": DROP, "return": BACK, "continue": None}
_TO_A_CHAIN = {"jump": jump, "goto": goto}


def read_verdict(item: Any) -> Verdict | None:
    """A verdict of nft's JSON; None: go on with the next rule. Raises NotUnderstoodError."""
    if isinstance(item, dict) and len(item) == 1:
        ((name, body),) = item.items()
        if name in _SIMPLE:
            return _SIMPLE[name]
        if name in _TO_A_CHAIN and isinstance(body["target"], str):
            return _TO_A_CHAIN[name](body["target"])
    raise NotUnderstoodError("a verdict that is not known")
