# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge and open the firewall of a Linux host for an agentless audit."""

from __future__ import annotations

from ..plugin_utils._linux.platform import LinuxPlatform
from ..plugin_utils._platform.action_base import FirewallAction


class ActionModule(FirewallAction):
    """The action plugin ``linux_firewall``."""

    platform = LinuxPlatform()
