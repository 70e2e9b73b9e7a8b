# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The suites as nox sessions, for those whose fingers know nox: `nox -s lint` is `make lint`.

The sessions make no environments of their own: the make targets do, once for all, and are the same that CI runs.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "unit", "sanity", "importer", "truth", "reach", "molecule", "integration"]


def _add_session(target: str) -> None:
    def run(session: nox.Session) -> None:
        session.run("make", target, external=True)

    nox.session(run, name=target)


for _target in nox.options.sessions:
    _add_session(_target)
