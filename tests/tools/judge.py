# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A verdict without Ansible, from files that a host's own commands printed.

    build/venv/bin/python -m tests.tools.judge linux --nft FILE --address FILE --source 192.0.2.10 \\
        --destination 192.0.2.5 --port tcp/22

What is not given is not known. Prints a list of verdicts as JSON, one for each --port. Each system is a module below
``judges``: ``add_options`` says what it reads, ``verdicts`` judges it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

# `make setup` links the checkout there under the name that its modules import each other by.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build" / "collections"))

from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import AuditPortsError
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.records import to_result

from tests.tools.judges import esxi, linux, windows

SYSTEMS = {"linux": linux, "esxi": esxi, "windows": windows}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="judge", description="A verdict from files that commands printed.")
    systems = parser.add_subparsers(dest="system", required=True)
    for name, module in SYSTEMS.items():
        module.add_options(systems.add_parser(name, help=module.HELP))
    options = parser.parse_args(arguments)
    try:
        found = SYSTEMS[options.system].verdicts(options)
    except (AuditPortsError, OSError) as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    print(json.dumps(to_result(found), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
