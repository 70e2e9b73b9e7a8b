# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""Captured output of real machines, which lies beside the checkout and is no part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared"


def captured(system: str) -> Path:
    """The folder of one system's captured data; the test that asks is skipped where it is absent."""
    folder = FOLDER / "data" / system
    if not folder.is_dir():
        pytest.skip(f"the captured data of {system} is not here; it belongs into ../shared/data, beside the checkout")
    return folder
