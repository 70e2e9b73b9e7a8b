# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Captured texts of real machines, where this machine has them: folders beside the project, never a part of it."""

from __future__ import annotations

from tests.captured import FOLDER

WINDOWS = FOLDER / "data" / "windows"
ENGINE_ARCHIVE = FOLDER / "tools" / "pwsh" / "pwsh-linux-x64.tar.xz"


def captured(name: str) -> str | None:
    """A captured text of a Windows machine, or None where there is none."""
    path = WINDOWS / name
    return path.read_text(encoding="utf-8") if path.is_file() else None
