# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""A stand-in host behind a real OpenSSH server with PAM, which offers keyboard-interactive and nothing else, as ESXi's.

The server is that of a container of the lab's without any network: every connection is taken on loopback here and
handed to an `sshd -i` of its own in there. As the host's own firewall would, this refuses new connections of those who
are not let in, while sessions that are there go on.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

from tests.lab.images import ULIMITS
from tests.lab.shell import podman

from .shell import Shell

IMAGE = "localhost/audit-ports-lab/debian12-ufw"
PASSWORD = "stand-in Password1!"
_CONFIG = """\
HostKey /esxi/host_key
UsePAM yes
PasswordAuthentication no
PubkeyAuthentication no
KbdInteractiveAuthentication yes
AuthenticationMethods keyboard-interactive
PermitRootLogin yes
PrintMotd no
ChrootDirectory /esxi/root
"""
# As whom one signs in, and into what: the chroot's shell. `nologin` and a message of the day are of no use there.
_SET_UP = """\
set -e
usermod --shell /bin/sh root
echo 'root:{password}' | chpasswd
printf 'auth required pam_unix.so\\naccount required pam_unix.so\\nsession required pam_permit.so\\n' >/etc/pam.d/sshd
mkdir -p /run/sshd
"""


class RealSshd:
    """The server on a free port of loopback, while it is entered. ``client`` is whom the host sees its clients as."""

    def __init__(self, shell: Shell, folder: Path, client: str = "192.0.2.10") -> None:
        self._shell = shell
        self.folder = folder
        self._client = client
        self._name = f"audit-ports-esxi-{os.getpid()}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sessions: list[subprocess.Popen[bytes]] = []
        self.port = int(self._listener.getsockname()[1])
        self.refused = 0

    def __enter__(self) -> RealSshd:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._listener.close()
        podman("rm", "--force", "--ignore", "--time", "0", self._name, check=False)
        for session in self._sessions:
            session.kill()
            session.communicate()

    def _start(self) -> None:
        key = self.folder / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=20)
        (self.folder / "sshd_config").write_text(_CONFIG)
        podman(
            "run", "--detach", "--name", self._name, "--network", "none", *ULIMITS, "--entrypoint", "/bin/sleep",
            "--volume", f"{self.folder}:/esxi", "--volume", f"{self._shell.root}:/esxi/root", IMAGE, "infinity",
        )  # fmt: skip
        podman("exec", "-i", self._name, "sh", input_text=_SET_UP.format(password=PASSWORD))
        self._inside = podman("inspect", "--format", "{{.State.Pid}}", self._name).stdout.strip()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection:
                if not self._shell.host.admits(self._client, 22):
                    self.refused += 1
                    continue
                argv = ["nsenter", "--target", self._inside, "--mount", "--pid"]
                argv += ["/usr/sbin/sshd", "-i", "-e", "-f", "/esxi/sshd_config"]
                log = (self.folder / "sshd.log").open("ab")
                with log:
                    self._sessions.append(subprocess.Popen(argv, stdin=connection, stdout=connection, stderr=log))
