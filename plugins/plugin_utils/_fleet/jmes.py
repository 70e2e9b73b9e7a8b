# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath expressions over requirements, as one callable that knows nothing of Ansible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...module_utils._core.errors import InputError

try:
    import jmespath
except ImportError:  # reported when an expression is used, not before
    jmespath = None


def make_select(expression: str) -> Callable[[list[dict[str, Any]]], Any]:
    """The expression as a function of a list of requirement dicts. Raises InputError for what is no JMESPath."""
    if jmespath is None:
        raise InputError("select needs the Python library jmespath on the controller: pip install jmespath")
    try:
        compiled = jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise InputError(f"select: {expression!r} is no JMESPath expression: {error}") from error
    return _searching(compiled, expression)


def _searching(compiled: Any, expression: str) -> Callable[[list[dict[str, Any]]], Any]:
    def search(rows: list[dict[str, Any]]) -> Any:
        try:
            return compiled.search(rows)
        except jmespath.exceptions.JMESPathError as error:
            raise InputError(f"select: {expression!r} cannot be applied to requirements: {error}") from error

    return search
