# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that all firewall plugins share, as Ansible's argument spec."""

from __future__ import annotations

from typing import Any

# Documented in doc_fragments/firewall.py; the two are held together by a test.
FIREWALL_OPTIONS: dict[str, dict[str, Any]] = {
    "requirements": {"type": "list", "elements": "str"},
    "systems": {"type": "list", "elements": "str"},
    "sources": {"type": "list", "elements": "str"},
    "destination": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "override": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "enforce": {"type": "bool", "default": False},
    "manager": {"type": "str", "choices": ["auto", "firewalld", "ufw", "nftables", "iptables"], "default": "auto"},
    "persistent": {"type": "bool", "default": True},
    "psremoting": {"type": "str", "choices": ["auto", "true", "false"]},
    "literal": {"type": "bool"},
    "exclude": {"type": "list", "elements": "str"},
    "select": {"type": "str"},
    "extra": {"type": "list", "elements": "dict"},
    "ports": {"type": "dict"},
}
