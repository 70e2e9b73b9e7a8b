# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The options of windows_firewall are documented as they are."""

from __future__ import annotations

import yaml
from ansible_collections.agentless.audit_ports.plugins.action.windows_firewall import ActionModule
from ansible_collections.agentless.audit_ports.plugins.modules.windows_firewall import DOCUMENTATION
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.arguments import ARGUMENT_SPEC


def test_own_options_are_documented() -> None:
    documented = yaml.safe_load(DOCUMENTATION)["options"]
    own = {name: dict(spec) for name, spec in ActionModule.argument_spec.items() if name not in ARGUMENT_SPEC}
    for option in documented.values():
        del option["description"]
    assert documented == own
