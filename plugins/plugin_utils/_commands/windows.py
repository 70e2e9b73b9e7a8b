# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts for Windows: netsh in a ``.cmd`` file, and PowerShell for the local store or one of Group Policy."""

from __future__ import annotations

from ...module_utils._core.errors import InputError
from .._platform import cmd, powershell
from .._platform.interface import Request
from .._windows.advice import cmdlet_line
from .._windows.netsh import add_arguments, show_arguments
from .._windows.opening import Details, Opening
from .._windows.parts import ELEVATED
from .._windows.unreached import unreached_plan

_LINE_END = "\r\n"  # cmd.exe misreads files with others


def netsh_script(request: Request) -> str:
    """A ``.cmd`` file. Run a second time it adds nothing: a rule of ours is known by its name."""
    lines = ["@echo off", *(f"rem {line}" for line in _heading(request, "as an administrator of the host"))]
    lines += [
        f"{cmd.line(ELEVATED)} >nul 2>nul",
        "if errorlevel 1 echo Nothing is done: run this as an administrator.& exit /b 1",
        "set failed=0",
    ]
    for opening in _openings(request):
        known = cmd.line(("netsh.exe", *show_arguments(opening)))
        add = cmd.line(("netsh.exe", *add_arguments(opening)))
        lines += [f"{known} >nul || {add}", "if errorlevel 1 set failed=1"]
    return _LINE_END.join([*lines, "exit /b %failed%", ""])


def powershell_script(request: Request, *, policy_store: str) -> str:
    """A ``.ps1`` file for the local store, or for ``DOMAIN\\POLICY`` of Group Policy. Run twice it adds nothing."""
    where = f"as somebody who may edit the policy {policy_store}" if policy_store else "as an administrator of the host"
    lines = [f"# {line}" for line in _heading(request, where)]
    lines.append("$ErrorActionPreference = 'Stop'")
    store = f" -PolicyStore {powershell.quote(policy_store)}" if policy_store else ""
    for opening in _openings(request):
        known = f"Get-NetFirewallRule{store} -DisplayName {powershell.quote(opening.name)}"
        lines.append(f"if (-not ({known} -ErrorAction SilentlyContinue)) {{")
        lines += [f"    {cmdlet_line(opening, store=policy_store)} | Out-Null", "}"]
    return "\n".join([*lines, ""])


def _openings(request: Request) -> tuple[Opening, ...]:
    plan = unreached_plan(request)
    if plan.advice:
        raise InputError("; ".join(f"{name}: {why}" for name, why in plan.advice.items()))
    details: Details = plan.details
    return details.add


def _heading(request: Request, who: str) -> list[str]:
    return [f"Lets an agentless audit in: {', '.join(row.id for row in request.requirements)}.", f"To be run {who}."]
