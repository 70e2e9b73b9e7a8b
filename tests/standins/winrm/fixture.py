# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""Hosts to connect to: started together, stopped together. What tests and benches use."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.standins.engine import FULL, Engines
from tests.standins.winrm.host import Host
from tests.standins.winrm.machine import Machine
from tests.standins.winrm.machines import MACHINES
from tests.standins.winrm.server import Server, make_certificate
from tests.standins.winrm.signin import PASSWORD, USER, accounts


class Fleet:
    """A context in which hosts can be started; all share the warm engines, which start behind `prefix`."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._prefix = prefix
        self._stack = ExitStack()

    def __enter__(self) -> Fleet:
        with ExitStack() as stack:
            stack.enter_context(accounts())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="standin-")))
            self._certificate = make_certificate(folder / "certificate.pem")
            self.engines = Engines(self._prefix)
            stack.callback(self.engines.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(
        self, machine: Machine | str, *, address: str = "127.0.0.1", port: int = 0, tls: bool = False,
        language_mode: str = FULL,
    ) -> Server:
        """Start a host: a machine, or the name of one of `MACHINES`."""
        made = MACHINES[machine]() if isinstance(machine, str) else machine
        return self.serve(Host(made, self.engines, language_mode=language_mode), address=address, port=port, tls=tls)

    def serve(self, host: Host, *, address: str = "127.0.0.1", port: int = 0, tls: bool = False) -> Server:
        """Start a host that is made already."""
        self._stack.callback(host.close)
        certificate = self._certificate if tls else None
        server = Server(host, address=address, port=port, certificate=certificate).start()
        self._stack.callback(server.stop)
        return server


def inventory_variables(server: Server, connection: str = "winrm", *, transport: str = "ntlm") -> dict[str, Any]:
    """What an inventory says of a host, so that Ansible reaches it by winrm or psrp."""
    shared = {
        "ansible_connection": connection, "ansible_host": server.address, "ansible_port": server.port,
        "ansible_user": USER, "ansible_password": PASSWORD, "ansible_shell_type": "powershell",
    }  # fmt: skip
    if connection == "psrp":
        protocol = {"ansible_psrp_protocol": "https" if server.tls else "http", "ansible_psrp_auth": transport}
        sealed = {"ansible_psrp_message_encryption": "never"} if transport == "basic" else {}
        return {**shared, **protocol, **sealed, "ansible_psrp_cert_validation": "ignore"}
    scheme = {"ansible_winrm_scheme": "https" if server.tls else "http", "ansible_winrm_transport": transport}
    return {**shared, **scheme, "ansible_winrm_server_cert_validation": "ignore"}
