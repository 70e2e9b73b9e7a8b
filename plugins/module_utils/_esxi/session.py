# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session of the vSphere API with pyVmomi: signing in, and what its faults mean."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from .._core.errors import ReadError

# pyVmomi's types are made at run time, and unknown to type checkers.
pyvim: Any = None
vim: Any = None
vmodl: Any = None
PYVMOMI_ERROR: ImportError | None = None
try:
    import pyVim.connect
    import pyVmomi

    pyvim, vim, vmodl = pyVim.connect, pyVmomi.vim, pyVmomi.vmodl
except ImportError as _error:
    PYVMOMI_ERROR = _error


@dataclass(frozen=True)
class Login:
    """Where and as whom to sign in; ``timeout_s`` bounds each request."""

    hostname: str
    port: int
    username: str
    password: str
    validate_certs: bool
    timeout_s: int


@contextmanager
def session(login: Login) -> Iterator[Any]:
    """The service content of a signed-in session, for ``carry_out``. Raises ReadError that says what failed, and what
    to do.
    """
    if PYVMOMI_ERROR is not None:
        raise ReadError(f"the Python library pyvmomi is missing here ({sys.executable}): pip install pyvmomi")
    service = _connect(login)
    try:
        with explained(login):
            content = service.RetrieveContent()
        yield content
    finally:
        with suppress(Exception):  # the session may be gone already, and its end is nobody's result
            pyvim.Disconnect(service)


@contextmanager
def explained(login: Login) -> Iterator[None]:
    """Turn the faults of the API, and of the way to it, into a ReadError."""
    try:
        yield
    except (vmodl.MethodFault, OSError, HTTPException) as error:
        raise ReadError(f"{login.hostname}:{login.port}: {refusal(error)}") from error


def _connect(login: Login) -> Any:
    where = f"{login.hostname}:{login.port}"
    context = ssl.create_default_context()
    if not login.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        return pyvim.SmartConnect(
            host=login.hostname,
            port=login.port,
            user=login.username,
            pwd=login.password,
            sslContext=context,
            httpConnectionTimeout=login.timeout_s,
        )
    except vim.fault.InvalidLogin as error:
        raise ReadError(f"{where} refuses user name or password of {login.username!r}") from error
    except (vim.fault.NoPermission, vim.fault.HostConnectFault) as error:
        raise ReadError(
            f"{where} does not let {login.username!r} sign in ({words(error)}). A host in lockdown mode lets in its "
            "exception users alone: go through its vCenter (audit_ports_vcenter)"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise ReadError(
            f"the certificate of {where} is not trusted here: {error.verify_message}. Add its authority to the "
            "certificates of the machine that this runs on, or say validate_certs: false"
        ) from error
    except (OSError, HTTPException, vmodl.MethodFault) as error:
        raise ReadError(f"{where} cannot be reached by the vSphere API: {words(error)}") from error


def login_from(options: Mapping[str, Any]) -> Login:
    """The login that the options of the module say."""
    return Login(
        hostname=options["hostname"],
        port=options["port"],
        username=options["username"],
        password=options["password"],
        validate_certs=options["validate_certs"],
        timeout_s=options["timeout"],
    )


def refusal(error: Exception) -> str:
    """What a fault means, and what to do."""
    said = words(error)
    cures = {
        "NoPermission": "the account needs the right Host.Config.NetService on the host",
        "RestrictedVersion": "the host's free licence refuses writes by the API; use esxi_firewall, over SSH",
        "HostConfigFault": "the system owns it, or the host is out of step; what manages the host has to do it",
        "HostNotConnected": "the host went away meanwhile; run again when it is back",
        "NotAuthenticated": "the session ended meanwhile; run again",
    }
    cure = cures.get(type(error).__name__.rpartition(".")[2])
    return f"{said}{'; ' + cure if cure else ''}"


def words(error: Any) -> str:
    """A fault in its own words, on one line."""
    text = getattr(error, "msg", None) or getattr(error, "localizedMessage", None) or str(error)
    name = type(error).__name__.rpartition(".")[2]
    return " ".join(f"{name}: {text}".split())[:300]
