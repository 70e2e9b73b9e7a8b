# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the vSphere plugin besides those of all firewall plugins, as Ansible's argument spec."""

from __future__ import annotations

from typing import Any

VSPHERE_OPTIONS: dict[str, dict[str, Any]] = {
    "hostname": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "port": {"type": "int"},
    "validate_certs": {"type": "bool"},
    "timeout": {"type": "int", "default": 30},
    "hosts": {"type": "list", "elements": "raw"},
    "cluster": {"type": "str"},
    "folder": {"type": "str"},
    "work": {"type": "dict"},
}
