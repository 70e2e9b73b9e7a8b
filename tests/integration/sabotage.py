# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Programs on a private host that fail, or kill the session that called them, at a chosen call."""

from __future__ import annotations

from tests.lab.fixture import run_in

_WRAPPER = """\
#!/bin/sh
calls=$(($(cat /run/calls-{program} 2>/dev/null || echo 0) + 1))
echo "$calls" >/run/calls-{program}
[ "$calls" != {call} ] || {{
{before}
}}
{real} "$@"
result=$?
[ "$calls" != {call} ] || {{
{after}
}}
exit "$result"
"""
# The process group is that of the session's shell: sshd itself is of another.
_KILL = "kill -9 0"
_NOTHING = ":"

# The program goes elsewhere under its own name, which it may look at, and the wrapper is where it was.
_INSTALL = """\
program=$(command -v {program})
mkdir -p /usr/local/real
[ -e /usr/local/real/{program} ] || cp -p "$program" /usr/local/real/{program}
cat >"$program" <<'WRAPPER'
{wrapper}WRAPPER
chmod 755 "$program"
rm -f /run/calls-{program}
"""


def kill_session(host: str, program: str, *, call: int, after: bool) -> None:
    """At the given call of `program` on the host, kill -9 all of the session, before or after it has done its work."""
    moments = {"before": _NOTHING if after else _KILL, "after": _KILL if after else _NOTHING}
    _install(host, program, call, moments)


def fail(host: str, program: str, *, call: int) -> None:
    """At the given call, `program` does nothing and fails with return code 13."""
    _install(host, program, call, {"before": "echo 'out of order' >&2; exit 13", "after": _NOTHING})


def calls(host: str, program: str) -> int:
    """How often the wrapper was called."""
    return int(run_in(host, "cat", f"/run/calls-{program}", check=False).stdout or 0)


def repair(host: str, program: str) -> None:
    """Put the program back."""
    run_in(host, "sh", "-c", f'program=$(command -v {program}) && cp -p /usr/local/real/{program} "$program"')


def _install(host: str, program: str, call: int, moments: dict[str, str]) -> None:
    wrapper = _WRAPPER.format(program=program, call=call, real=f"/usr/local/real/{program}", **moments)
    run_in(host, "sh", "-s", input_text=_INSTALL.format(program=program, wrapper=wrapper))
