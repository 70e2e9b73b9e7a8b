# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The suites as nox sessions, for those whose fingers know nox: `nox -s lint`.

The sessions make no environments of their own: the suites do, once for all, and are the same ones that CI runs.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "unit", "sanity", "importer", "molecule", "integration"]
nox.options.default_venv_backend = "none"


def _session(name: str) -> None:
    def run(session: nox.Session) -> None:
        session.run("tests/tools/run", "suites", name, external=True)

    nox.session(run, name=name)


for _name in nox.options.sessions:
    _session(_name)
